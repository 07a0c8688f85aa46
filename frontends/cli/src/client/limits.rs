//! The bounds that the client keeps, in one place.

use std::time::Duration;

/// The longest to wait for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

/// The longest that a connection may be silent. A stream says something every 15 seconds.
pub(crate) const SILENCE: Duration = Duration::from_secs(45);

/// An unused connection is not used again after this time: the server may be about to close it.
pub(crate) const UNUSED: Duration = Duration::from_secs(5);

/// The longest answer that is taken; streams have no end.
pub(crate) const ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// The longest event of a stream. The server's longest statement or result is far shorter.
pub(crate) const EVENT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that are read from a stream at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Bytes of input in one request.
pub(crate) const INPUT_BYTES: usize = 64 * 1024;

/// How long to wait before the second try to reach a server that is gone, and at most.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How long to wait for a job to read what was written to it.
pub(crate) const INPUT_PAUSE: Duration = Duration::from_millis(50);

/// Sessions on a page of a list, at most.
pub(crate) const PAGE: usize = 1_000;

/// A file with a password or settings is not longer.
pub(crate) const FILE_BYTES: u64 = 64 * 1024;
