//! A log in a stream of NATS JetStream, which replicates it over several servers.
//!
//! The stream is the truth: a batch is one message (a large one several, stored together), and an
//! append is acknowledged when a majority of the servers has it on disk. A [`SegmentLog`] is its copy
//! on this machine, from which everything is read. The copy can be thrown away.
//!
//! - [`JetStream`] is the connection. It checks at the start that the servers keep what they
//!   acknowledge, see [`ServerFault`].
//! - [`StreamOptions`] opens a log over it: compares the copy with the stream, takes the log, and
//!   reads what the copy doesn't have yet.
//! - [`StreamLog`] is the opened [`Log`].
//! - [`Follower`] reads a log that another node writes into a copy, and takes it when it has to.
//! - [`Connection`] also carries what nodes ask of each other.
//!
//! What the messages mean, who may write, and what a missing answer means is decided in
//! [`rejoin_cluster`]. This crate is the only one that knows NATS, its client and its client's
//! runtime, and without the feature `nats` it does not either: what is left works on any [`LogServer`].
//!
//! [`LogServer`]: rejoin_cluster::LogServer
//! [`SegmentLog`]: rejoin_log::SegmentLog
//! [`Log`]: rejoin_log::Log
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::indexing_slicing))]

#[cfg(feature = "nats")]
mod api;
#[cfg(feature = "nats")]
mod connection;
mod follower;
#[cfg(feature = "nats")]
mod gates;
#[cfg(feature = "nats")]
mod jetstream;
#[cfg_attr(
    not(feature = "nats"),
    allow(dead_code, reason = "some are of the client")
)]
mod limits;
mod log;
mod open;
mod patience;
#[cfg(feature = "nats")]
mod recent;
#[cfg(feature = "nats")]
mod room;

#[cfg(feature = "nats")]
pub use connection::{Access, Answering, AskError, Connection, ConnectionSettings, Notices};
pub use follower::{Follower, NotTaken, Taken};
#[cfg(feature = "nats")]
pub use gates::{ServerFault, ServerReport, SyncProof, ask_server};
#[cfg(feature = "nats")]
pub use jetstream::{ConnectError, JetStream, JetStreamSettings};
pub use log::{StopAppends, StreamLog};
pub use open::{StreamOpenError, StreamOptions};
