//! Holds the core to its promises, whatever happens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::Story;

fuzz_target!(|input: Story| input.check());
