//! Answers every request in Doris' envelope.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::DorisRequest;

fuzz_target!(|input: DorisRequest<'_>| input.check());
