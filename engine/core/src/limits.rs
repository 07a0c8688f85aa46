//! The bounds that the core keeps, in one place. What the shell keeps stands in the engine's and
//! the frontends' own `limits.rs`.

use core::time::Duration;

/// How much of everything there may be. Exceeding one is a [`Rejection`](crate::Rejection) that
/// names it.
///
/// Limits decide what is accepted from now on; the fold of a log does not depend on them.
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
    /// Bytes of one encoded result. A job whose result has more is interrupted, as one that emits
    /// too much in all.
    pub result: usize,
    /// Bytes of one write to a job's standard input.
    pub input: usize,
    /// Bytes that may be written to the standard input of one job in all.
    pub job_input: u64,
    /// Bytes of a name: a user, a service, a remote address, a request.
    pub name: usize,
    /// Bytes of a message for a person: why a statement was refused, how a job ended. The latter
    /// is cut.
    pub message: usize,
    /// Deadlines that one `Expire` handles; what is due beyond that is left to the next.
    pub expired: usize,
    /// What is kept of sessions that were closed.
    pub retention: Retention,
}

/// How long, and how much of, closed sessions is kept. Judged at every `Expire`: a changed setting
/// holds for what was closed before it, too.
///
/// What is removed is all of a session, never an open one, and whoever reads it is told so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// How long after its end a session is removed; none: not for its age.
    pub age: Option<Duration>,
    /// How many bytes the closed sessions may take together, as [`Event::bytes`] counts them: the
    /// one that was closed first goes first. None: not for its room.
    ///
    /// [`Event::bytes`]: crate::Event::bytes
    pub bytes: Option<u64>,
}

impl Retention {
    /// Everything is kept.
    pub const ALL: Self = Self {
        age: None,
        bytes: None,
    };
}

impl Limits {
    /// What holds where nothing else was configured.
    pub const DEFAULT: Self = Self {
        sessions: 100_000,
        consumers: 1_000,
        jobs: 16,
        // Linux takes 128 KiB for one argument of a program; a statement is one.
        statement: 96 * 1024,
        // A 64 KiB chunk of control characters grows six-fold as JSON.
        result: 512 * 1024,
        input: 64 * 1024,
        job_input: 64 * 1024 * 1024,
        name: 256,
        message: 8 * 1024,
        expired: 1_000,
        retention: Retention::ALL,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Characters of a statement that list views keep.
pub const SHOWN_STATEMENT: usize = 1_000;

/// Finished jobs that the view of one session remembers; the log has them all.
pub const REMEMBERED_JOBS: usize = 100;

/// Declared gaps that the view of one session remembers, the last ones; the log has them all.
pub const REMEMBERED_GAPS: usize = 16;

/// Removed sessions that the log goes on to tell of. When more were removed, whoever drops their
/// records may drop the oldest of these as well, never the last: then such a session was never
/// heard of.
pub const REMEMBERED_REMOVALS: usize = 100_000;

/// What a record takes beside its texts: its frame, and about what its numbers take.
pub const RECORD_BYTES: u64 = 48;

/// Names of requests that one open session remembers, the last ones: a retry that comes after so
/// many others is a new request.
pub const REMEMBERED_REQUESTS: usize = 256;

/// Ended sessions that the views remember, so that whoever reads one reads it to its end.
pub const REMEMBERED_SESSIONS: usize = 1_000;

const _: () = assert!(SHOWN_STATEMENT <= Limits::DEFAULT.statement);
const _: () = assert!(Limits::DEFAULT.message < Limits::DEFAULT.result);
