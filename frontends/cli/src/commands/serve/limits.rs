//! The bounds of the server process.

/// Of the file descriptors that the process may have, one in this many is kept for everything but
/// connections: the log, its readers, and the pipes of jobs.
pub(super) const RESERVED_SHARE: usize = 4;

/// At least this many file descriptors are kept, unless that were more than half of all.
pub(super) const RESERVED_LEAST: usize = 128;

/// Connections at the separate address of health and metrics: those who watch the server, whatever
/// happens at the other addresses.
pub(super) const ADMIN_CONNECTIONS: usize = 64;
