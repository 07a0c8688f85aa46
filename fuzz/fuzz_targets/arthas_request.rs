//! Answers every request in valid JSON, whatever it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::Conversation;

fuzz_target!(|input: Conversation<'_>| input.check());
