//! Decodes anything as a snapshot, and opens a log with damaged ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::SnapshotBytes;

fuzz_target!(|input: SnapshotBytes<'_>| input.check());
