//! The bounds of the server process.

#[cfg(feature = "cluster")]
use std::time::Duration;

/// Of the file descriptors that the process may have, one in this many is kept for everything but
/// connections: the log, its readers, and the pipes of jobs.
pub(super) const RESERVED_SHARE: usize = 4;

/// At least this many file descriptors are kept, unless that were more than half of all.
pub(super) const RESERVED_LEAST: usize = 128;

/// Connections at the separate address of health and metrics: those who watch the server, whatever
/// happens at the other addresses.
pub(super) const ADMIN_CONNECTIONS: usize = 64;

/// How long a node waits for servers of NATS at its end, beside the time that its jobs get. Electing a leader
/// takes up to 10 seconds.
#[cfg(feature = "cluster")]
pub(super) const NATS_PATIENCE: Duration = Duration::from_secs(12);

/// How long the start of a node waits until its log is written, by it or by another node.
#[cfg(feature = "cluster")]
pub(super) const HOME_PATIENCE: Duration = Duration::from_secs(15);

/// The pause before it looks again.
#[cfg(feature = "cluster")]
pub(super) const HOME_POLL: Duration = Duration::from_millis(20);

/// How long the end of a node waits, after that of the engine, until its beat is deleted. The others hold it for
/// dead a little later without that.
#[cfg(feature = "cluster")]
pub(super) const LEAVE_PATIENCE: Duration = Duration::from_secs(3);
