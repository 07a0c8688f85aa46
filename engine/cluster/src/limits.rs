//! Bounds of what nodes exchange.

/// Bytes of the body of one message. A longer batch is split over several messages, which the
/// server stores together or not at all. Head, checksum and the server's own headers must still fit
/// into the server's largest message, 1 MiB by default.
pub const BODY_BYTES: usize = 900 * 1024;

/// Messages of one batch, as JetStream allows.
pub const BATCH_MESSAGES: usize = 1_000;

/// Bytes of a node's name.
pub const NODE_NAME_BYTES: usize = 32;

/// How often in a row an observer must have written its own beat, one a second, until it holds a
/// node for dead whose beat did not change. A node may be set to be more patient, but not less: a busy
/// machine misses some beats.
pub const SILENT_BEATS: u64 = 6;

/// Nodes whose beats are watched. Further ones are never held for dead.
pub const NODES: usize = 64;

/// Bytes of a claim in the key-value store; a longer one is not read.
pub const CLAIM_BYTES: usize = 4 * 1024;

/// Bytes of a node's entry in the key-value store; a longer one is not read.
pub const NODE_BYTES: usize = 64 * 1024;

/// Services that a node's entry names, of 64 bytes each at most. Further ones are not shown at other nodes.
pub const NODE_SERVICES: usize = 500;

/// How often a round of purging asks for messages that it looks at.
pub const PURGE_READS: usize = 4;
