//! Bounds of waiting, and of what is asked for at once.

use std::time::Duration;

/// How long one request waits for its answer. What an answer that comes later would have said is
/// found out by reading.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// How often a server that says nothing is asked whether it is there. After three of these without an answer,
/// the client connects to another one. A server that hangs, or is cut off, ends no connection by itself, and other
/// nodes take the logs of a node that does not beat for six seconds.
pub(crate) const PING: Duration = Duration::from_secs(1);

/// After how long without an answer from JetStream the client connects to another server. Longer than any
/// election: until that is over, no server answers.
pub(crate) const CUT_OFF: Duration = Duration::from_secs(12);

/// How long after a refusal servers are held for full. What could not be written is tried again sooner.
pub(crate) const FULL: Duration = Duration::from_secs(15);

/// The pause before the next try of what was not answered.
pub(crate) const PAUSE: Duration = Duration::from_millis(15);

/// Requests of other nodes that are answered at once, for each log. Answers wait for the log.
pub(crate) const ANSWERS_AT_ONCE: usize = 1_024;

/// Requests of other nodes that are known again if they come a second time, for each log: about 2 MB, and more than
/// come in the half minute that a stuck route between servers can hold them back.
pub(crate) const RECENT: usize = 16_384;

/// How long opening waits for servers that don't answer. Electing a leader takes up to 10 seconds.
pub(crate) const OPENING: Duration = Duration::from_secs(60);

/// How long opening waits for a leader that knows of less than the copy has, before it holds that for lost.
pub(crate) const LAG: Duration = Duration::from_secs(2);

/// How long closing tries to let the log go. Another node then takes it when this one's beat stops.
pub(crate) const CLOSING: Duration = Duration::from_secs(15);

/// Messages that are asked for at once when the tail is read.
pub(crate) const TAIL_MESSAGES: u64 = 256;

/// Bytes of messages that are asked for at once when the tail is read.
pub(crate) const TAIL_BYTES: u64 = 8 * 1024 * 1024;

/// How often other replicas are asked for a message that the leader has lost. Which replica answers
/// is chosen by the servers.
pub(crate) const REPLICAS_ASKED: usize = 12;

/// The smallest payload limit of a server. A batch is split into messages of
/// [`BODY_BYTES`](rejoin_cluster::limits::BODY_BYTES), and head and headers must fit, too.
pub(crate) const LEAST_PAYLOAD: usize = 1024 * 1024;

/// Bytes of a server's answer to `/varz`.
pub(crate) const VARZ_BYTES: u64 = 1024 * 1024;
