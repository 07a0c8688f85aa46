//! Limits of the client.

use std::time::Duration;

/// How long one request waits for events, below [`SILENCE`].
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// How long a server may take to answer, however short the time is for which to reconnect.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// The least time in which a request has to be over.
pub(crate) const SHORTEST_ANSWER: Duration = Duration::from_millis(1);

/// How often a stream sends something.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long to wait for a connection.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

/// How long a connection may be silent.
pub(crate) const SILENCE: Duration = Duration::from_secs(45);

/// How long an idle connection is reused; after that, the server may be about to close it.
pub(crate) const UNUSED: Duration = Duration::from_secs(5);

/// The longest response in bytes, except streams.
pub(crate) const ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// The longest event of a stream in bytes. The server's longest results are far shorter.
pub(crate) const EVENT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes read from a stream at once.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Bytes of input in one request.
pub(crate) const INPUT_BYTES: usize = 64 * 1024;

/// The first and the longest pause between attempts to reconnect.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(100);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Pause before input is sent again that a job had no room for.
pub(crate) const INPUT_PAUSE: Duration = Duration::from_millis(50);

/// Records that one request redacts, as in the server.
pub(crate) const REDACTED: usize = 1_000;

/// Requests in one answer of a server's audit, and in all: they are sorted before they are printed.
pub(crate) const AUDIT_PAGE: usize = 10_000;
pub(crate) const AUDIT_REQUESTS: usize = 1_000_000;

/// Sessions per page of a list.
pub(crate) const PAGE: usize = 1_000;

/// The longest file with a password or settings, in bytes.
pub(crate) const FILE_BYTES: u64 = 64 * 1024;

/// How long an answer to an agent's call may take. The server waits 45 seconds at most.
pub(crate) const MCP_SILENCE: Duration = Duration::from_secs(75);

/// The longest message of an agent in bytes; the server's limit is the same by default.
pub(crate) const MCP_MESSAGE_BYTES: u64 = 10 * 1024 * 1024;

/// Calls of an agent that are under way at the same time; another one waits.
pub(crate) const MCP_CALLS: usize = 32;

/// How long calls may still take when the agent has closed its output.
pub(crate) const MCP_END: Duration = Duration::from_secs(2);

/// The longest record of a server's log, in bytes.
pub(crate) const RECORD_BYTES: u32 = 256 * 1024 * 1024;

/// Lines that one request for a search finds at most.
pub(crate) const FOUND_LINES: usize = 500;
