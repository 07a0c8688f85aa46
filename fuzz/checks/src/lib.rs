//! What the fuzzers check: for each target a type, made of any bytes, whose `check` panics when
//! the bytes have found something.
//!
//! The fuzzers in `fuzz_targets` call these with the bytes that they make up, and the test of this
//! crate with those in `corpus`. The types print themselves as what the bytes mean, so that a
//! finding can be read.

mod arthas_request;
mod doris_request;
mod harness;
mod http_request;
mod maxscale_filter;
mod maxscale_request;
mod mcp_request;
mod native_request;
mod operations;
mod schema;
mod script;
mod seeded_harness;
mod segment;
mod snapshot;

pub use arthas_request::Conversation;
pub use doris_request::DorisRequest;
pub use maxscale_filter::{Expression, Filter};
pub use maxscale_request::MaxScaleRequest;
pub use mcp_request::McpRequest;
pub use native_request::NativeRequest;
pub use operations::Story;
pub use schema::RecordBytes;
pub use segment::Attack;
pub use snapshot::{Damage, SnapshotBytes};
