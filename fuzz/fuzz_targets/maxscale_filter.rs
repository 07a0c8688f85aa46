//! Reads filters, and asks them of sessions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::Filter;

fuzz_target!(|input: Filter<'_>| input.check());
