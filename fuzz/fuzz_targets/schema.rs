//! Decodes anything as a record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::RecordBytes;

fuzz_target!(|input: RecordBytes<'_>| input.check());
