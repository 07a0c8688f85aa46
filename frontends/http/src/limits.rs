//! All limits of this crate, with their units and defaults.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How much a server accepts from its clients, and how long it waits for them.
///
/// ```
/// use std::time::Duration;
/// use rejoin_http::HttpLimits;
///
/// let limits = HttpLimits { body_bytes: 64 * 1024, idle: Duration::from_secs(5), ..HttpLimits::default() };
/// assert_eq!(limits.connections, 10_000);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of a request's body. More is refused with 413, without reading it if `Content-Length`
    /// says so.
    pub body_bytes: usize,
    /// Bytes of the bodies of all requests together, at all servers that share a
    /// [`Budget`](crate::Budget). The first 16 KiB of each are free, so that small requests are served
    /// whatever others send. More is refused with 503.
    pub all_body_bytes: usize,
    /// Bytes of the responses of all connections together that their clients do not take, at all servers
    /// that share a [`Budget`](crate::Budget). For more, the clients are disconnected that have taken
    /// nothing for the longest.
    pub all_unread_bytes: usize,
    /// Bytes of a request's line and headers together. More is refused with 431.
    /// At most [`MAX_HEADER_BYTES`].
    pub header_bytes: usize,
    /// Headers of a request. More is refused with 431.
    pub headers: usize,
    /// How long a connection may be without a complete request head: silent between two requests,
    /// or slow in sending one. Then it is closed without an answer.
    pub idle: Duration,
    /// How long a TLS handshake may take. Then the connection is closed.
    pub handshake: Duration,
    /// How long a request's body may take, from its head to its last byte. Then 408.
    pub body_read: Duration,
    /// How long a client may read nothing of a response. Then the connection is closed.
    pub write: Duration,
    /// How long a connection that is closed with unread input goes on discarding it, so that the
    /// client gets the response instead of a reset.
    pub linger: Duration,
    /// Open connections. Another one takes the place of those that have been silent the longest. If
    /// all are being served, it is answered with 503 and closed.
    pub connections: usize,
    /// Responses that are compressed at the same time, for clients that ask for it, at all servers that share
    /// their [`HttpMetrics`](crate::HttpMetrics). Each holds about 350 KB. Further ones are sent as they are;
    /// 0: none is compressed.
    pub compressed: usize,
    /// How long open requests may still take when the server stops. Then they are dropped.
    pub shutdown: Duration,
    /// Threads that serve connections; handlers run on them.
    pub threads: NonZeroUsize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes: 10 * 1024 * 1024,
            all_body_bytes: 64 * 1024 * 1024,
            all_unread_bytes: 64 * 1024 * 1024,
            header_bytes: 16 * 1024,
            headers: 100,
            idle: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            body_read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            connections: 10_000,
            compressed: 256,
            shutdown: Duration::from_secs(10),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// The maximum of [`HttpLimits::header_bytes`]; a larger value is taken as this.
pub const MAX_HEADER_BYTES: usize = READ_BUFFER_BYTES;

/// Maximum bytes that a connection reads ahead.
pub(crate) const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Maximum bytes of one read from a socket; each thread has one such buffer.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Maximum bytes that a closing connection discards.
pub(crate) const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// Maximum encrypted bytes that the client has not taken yet.
pub(crate) const ENCRYPT_BYTES: usize = 64 * 1024;

/// Maximum bytes of a file of certificates or of a key.
pub(crate) const PEM_BYTES: u64 = 1024 * 1024;

/// Connections above the limit that are answered 503 at the same time, with care that the answer
/// arrives. More are sent it if their socket takes it at once.
pub(crate) const REFUSED_AT_ONCE: usize = 64;

/// When all connections are taken, one of this many of a thread's silent ones is closed, but at least
/// one: a search among all of them is worth more than one place.
pub(crate) const ROOM_SHARE: usize = 16;

/// Bytes of each request's body that count towards no bound but that of connections; also the most that
/// anyone may send where no login is needed.
pub(crate) const SMALL_BODY_BYTES: usize = 16 * 1024;

/// Maximum bytes of a refused request's body that are read, so that its connection can be kept.
pub(crate) const SKIPPED_BODY_BYTES: u64 = SMALL_BODY_BYTES as u64;

/// Maximum characters of a request's path in the request log.
pub(crate) const LOGGED_PATH_CHARS: usize = 256;

/// Bytes of a body that is not compressed, because it is hardly worth it.
pub(crate) const UNCOMPRESSED_BYTES: usize = 1024;

/// Bytes that are compressed before others have their turn.
pub(crate) const COMPRESSED_AT_ONCE: usize = 64 * 1024;

/// Maximum proxies in a row between a client and the server. Further ones are not looked at.
pub(crate) const FORWARDED_HOPS: usize = 16;

/// Maximum characters of the path at which clients have the server.
pub(crate) const PREFIX_CHARS: usize = 200;

/// Pause after a failed accept: usually the process is out of file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes of output that the kernel holds for a connection besides what is on its way. By itself it would
/// hold megabytes for each client that reads nothing.
#[cfg(target_os = "linux")]
pub(crate) const UNSENT_BYTES: u32 = 128 * 1024;

/// Connections that wait in the kernel to be accepted.
pub(crate) const BACKLOG: i32 = 1024;

/// Connections handed to a thread that it hasn't taken yet.
pub(crate) const HANDOVER: usize = 256;

/// How long a stopped server waits for its threads; a handler that blocks may hold one.
pub(crate) const THREADS_END: Duration = Duration::from_secs(1);

// hyper's own smallest buffer.
const _: () = assert!(READ_BUFFER_BYTES >= 8192);
