//! Opens and reads logs whose bytes are not what was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::Attack;

fuzz_target!(|input: Attack<'_>| input.check());
