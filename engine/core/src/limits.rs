//! The limits of the core. The engine and the frontends have their own `limits.rs`.

use core::time::Duration;

/// Limits of what is accepted. Exceeding one leads to a [`Rejection`](crate::Rejection) that names
/// it.
///
/// They apply to new commands only: replaying a log does not depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open sessions.
    pub sessions: usize,
    /// Consumers of one session.
    pub consumers: usize,
    /// Unfinished jobs of one session, foreground and background.
    pub jobs: usize,
    /// Bytes of one statement.
    pub statement: usize,
    /// Bytes of one encoded result. A job with a longer result is interrupted, as if it had exceeded
    /// its output limit.
    pub result: usize,
    /// Bytes of one write to a job's standard input.
    pub input: usize,
    /// Total bytes written to the standard input of one job.
    pub job_input: u64,
    /// Bytes of a name: a user, a service, a remote address, a request, a session's title, the key or
    /// the value of a label.
    pub name: usize,
    /// Labels of one session.
    pub labels: usize,
    /// Bytes of a message for people: why a statement was refused (rejected if longer), how a job
    /// ended (cut if longer).
    pub message: usize,
    /// Records that one command redacts.
    pub redacted: usize,
    /// Deadlines that one `Expire` handles; the rest is left to the next one.
    pub expired: usize,
    /// How long closed sessions are kept.
    pub retention: Retention,
}

/// How long closed sessions are kept, and how many bytes of them. Evaluated at every `Expire`, so a
/// changed setting also applies to sessions that were closed before.
///
/// Only closed sessions are removed, always as a whole, and their readers are informed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How long after its end a session is removed. None for no limit.
    pub age: Option<Duration>,
    /// The total bytes of closed sessions, as counted by [`Record::bytes`]; the session that was
    /// closed first is removed first. None for no limit.
    ///
    /// [`Record::bytes`]: crate::Record::bytes
    pub bytes: Option<u64>,
}

impl Retention {
    /// Everything is kept.
    pub const ALL: Self = Self {
        age: None,
        bytes: None,
    };

    /// Each session is removed as soon as it is closed.
    pub const NOTHING: Self = Self {
        age: None,
        bytes: Some(0),
    };
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        sessions: 100_000,
        consumers: 1_000,
        jobs: 16,
        // A statement is one argument of a program, which Linux limits to 128 KiB.
        statement: 96 * 1024,
        // A 64 KiB chunk of control characters grows six-fold as JSON.
        result: 512 * 1024,
        input: 64 * 1024,
        job_input: 64 * 1024 * 1024,
        name: 256,
        labels: 32,
        message: 8 * 1024,
        redacted: 1_000,
        expired: 1_000,
        retention: Retention::ALL,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Columns of a terminal.
pub const TERMINAL_COLUMNS: u16 = 1_000;

/// Rows of a terminal.
pub const TERMINAL_ROWS: u16 = 500;

/// Bytes of the name that a client chooses for itself.
pub const CLIENT_NAME: usize = 64;

/// How long after an interrupt of a terminal its job may end so that it counts as interrupted whatever its
/// status is.
pub(crate) const INTERRUPT_TAKES: Duration = Duration::from_secs(10);

/// Characters of a statement that views keep.
pub const SHOWN_STATEMENT: usize = 1_000;

/// Finished jobs that the view of a session remembers; the log has all of them.
pub const REMEMBERED_JOBS: usize = 100;

/// Most recent declared gaps that the view of a session remembers; the log has all of them.
pub const REMEMBERED_GAPS: usize = 16;

/// Removed sessions whose removal records the log keeps, by default. Older removal records may be
/// dropped, but never the last one; such a session is then unknown.
pub const REMEMBERED_REMOVALS: usize = 10_000;

/// The size of a record in bytes without its texts: its frame, and approximately its numbers.
pub const RECORD_BYTES: u64 = 48;

/// Most recent request names that an open session remembers. A retry after this many others is a
/// new request.
pub const REMEMBERED_REQUESTS: usize = 256;

/// Ended sessions that the views remember, so that readers can read them to the end.
pub const REMEMBERED_SESSIONS: usize = 1_000;

const _: () = assert!(SHOWN_STATEMENT <= Limits::DEFAULT.statement);
const _: () = assert!(Limits::DEFAULT.message < Limits::DEFAULT.result);
