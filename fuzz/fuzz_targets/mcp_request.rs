//! Answers every request as JSON-RPC, and tells no job as a success that is none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::McpRequest;

fuzz_target!(|input: McpRequest<'_>| input.check());
