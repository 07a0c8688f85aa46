//! Limits of this frontend.

use std::time::Duration;

/// Sessions on a page of a list, by default and at most.
pub(crate) const PAGE: usize = 50;
pub(crate) const MAX_PAGE: usize = 1_000;

/// Consumers that are listed among the viewers of a session; further ones are only counted. Each costs a
/// read of its record.
pub(crate) const LISTED_CONSUMERS: usize = 100;

/// Lines that one search of output finds, by default and at most.
pub(crate) const MATCHES: usize = 100;
pub(crate) const MAX_MATCHES: usize = 1_000;

/// Events of one read, by default and at most.
pub(crate) const EVENTS: usize = 1_000;
pub(crate) const MAX_EVENTS: usize = 10_000;

/// Bytes of the records of one read. A single record may be longer.
pub(crate) const READ_BYTES: usize = 256 * 1024;

/// Bytes of the records of one part of a stream. A single record may be longer. This is what a reader
/// that doesn't read costs, besides the buffers of its socket: the next part is read when this one is
/// taken.
pub(crate) const PART_BYTES: usize = 32 * 1024;

/// Records that one request redacts, each of which is read first.
pub(crate) const REDACTED: usize = 1_000;

/// Requests that one answer of an audit has, by default and at most.
pub(crate) const REQUESTS: usize = 1_000;
pub(crate) const MAX_REQUESTS: usize = 10_000;

/// Bytes of records that one answer of an audit looks at. One read more may be begun.
pub(crate) const AUDIT_BYTES: usize = 16 * 1024 * 1024;

/// Reads of the log, and sessions that are passed over, for one answer of an audit.
pub(crate) const AUDIT_READS: usize = 500;

/// Sessions that an audit asks the log for at once.
pub(crate) const AUDIT_SESSIONS: usize = 500;

/// The longest time that one read may wait.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(60);

/// A stream sends a comment at least this often, to show that it is alive.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a client waits before it reconnects (`retry` of Server-Sent Events).
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// How long a link lasts whose maker does not say it.
pub(crate) const LINK_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How long nobody has read by a link when the log says that its reader has left.
pub(crate) const LINK_LEAVES: Duration = Duration::from_secs(30);

/// Characters of the name that a client chooses for itself, as in the core.
pub(crate) const CLIENT_NAME: usize = 64;
