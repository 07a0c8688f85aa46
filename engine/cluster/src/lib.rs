//! What several nodes must agree on when each of their logs is a stream of a message server that
//! replicates it, such as NATS JetStream.
//!
//! - [`Message`] is one batch of records, or says who writes the log from here on. [`Chain`] checks
//!   that each message follows the one before it: such a server may lose a message silently.
//! - [`Publication`] stores messages exactly once, although an answer of the server may get lost.
//! - [`Beats`] notices which nodes are dead, [`should_claim`] says who takes their logs,
//!   [`Acquisition`] makes a node the one writer of a log, and [`Release`] gives a log back.
//! - [`LogServer`] is all that is asked of the server. [`testing`] has a model of one with the
//!   faults of a real one.
//!
//! Nothing here reads a clock, waits, or draws random numbers. The caller drives the machines: it calls
//! `step` again, at once or after a pause, as [`Progress`] says.
//!
//! # How a log has one writer
//!
//! Each log has a **claim** in the server's key-value store: its owner, and a **term** that grows
//! with each owner. The claim is only a hint. What holds is the **fence**: the server stores a
//! message only if the stream ends where the writer says. A new owner reads the end of the stream
//! and appends an owner message with its term. From then on the former owner no longer knows the
//! end, and whatever it sends is refused.
//!
//! A node is held for dead by observation and not by time: when an observer has written its own
//! beat several times in a row and the other's did not change. While the server elects a leader,
//! nobody's writes succeed, so nobody is held for dead.
// Messages and entries come from outside, so only tests may panic.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::indexing_slicing))]

mod acquisition;
mod beats;
mod chain;
mod claim;
mod entries;
pub mod limits;
mod message;
mod publication;
mod purge;
mod release;
mod server;
pub mod testing;

pub use acquisition::{Acquisition, AcquisitionVerdict, Held};
pub use beats::{Beats, revisions};
pub use chain::{Chain, Link, StreamDamage};
pub use claim::{Claim, NodeName, NodeNameError, Process, claim_key, node_key, should_claim};
pub use entries::{CLUSTER_KEY, ClusterEntry, NodeEntry};
pub use message::{Announcement, HEAD_BYTES, Message, MessageFault, MessageKind, split_batch};
pub use publication::{Publication, PublishVerdict};
pub use purge::{Purged, Purging};
pub use release::{Release, Released};
pub use server::{Appended, Bounds, Entry, Got, LogServer, Progress, Written};
