//! The bounds that this frontend keeps, in one place.

use std::time::Duration;

/// Sessions on a page of a list, where the request does not say, and at most.
pub(crate) const PAGE: usize = 50;
pub(crate) const LONGEST_PAGE: usize = 1_000;

/// Events of one read, where the request does not say, and at most.
pub(crate) const EVENTS: usize = 1_000;
pub(crate) const MOST_EVENTS: usize = 10_000;

/// Bytes of the records of one read, or of one part of a stream: as many as fit, and at least one.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// The longest that one read may wait.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long a stream is silent at most: then it says that it is still there.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a reader that was cut off is told to wait before it comes back.
pub(crate) const RETRY: Duration = Duration::from_secs(1);
