//! Answers every request in JSON, and cuts lists into pages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::MaxScaleRequest;

fuzz_target!(|input: MaxScaleRequest<'_>| input.check());
