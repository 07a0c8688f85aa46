//! Answers every request as JSON-RPC, and reports no failed job as a success.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rejoin_fuzz_checks::McpRequest;

fuzz_target!(|input: McpRequest<'_>| input.check());
