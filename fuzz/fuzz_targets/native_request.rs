//! Answers every request in the API's shapes, and sends events in their order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::NativeRequest;

fuzz_target!(|input: NativeRequest<'_>| input.check());
