//! Why a command was refused: understood, judged by the state, deterministic. Not an error.

use crate::{ConsumerId, JobId, SessionId};
use core::fmt;

/// The state refuses a command. A closed list, in alphabetical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No such consumer reads the session (any more).
    ConsumerNotFound(ConsumerId),
    /// A cursor may not stand beyond the session's last record.
    CursorAhead,
    /// No such job is unfinished in the session.
    JobNotFound(JobId),
    /// The session's foreground is taken.
    JobRunning(JobId),
    /// Nothing runs in the session's foreground.
    NoForegroundJob,
    /// The job has emitted all that it may.
    OutputLimitReached(JobId),
    /// The session's identity is taken.
    SessionExists(SessionId),
    /// No such session is open (any more).
    SessionNotFound(SessionId),
    /// The named text has more bytes than it may have.
    TooLong {
        /// What is too long.
        what: &'static str,
        /// How many bytes it may have.
        limit: usize,
    },
    /// There are as many of them as there may be.
    TooMany {
        /// Of what there are too many.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

impl Rejection {
    /// A short, stable name for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ConsumerNotFound(_) => "consumer_not_found",
            Self::CursorAhead => "cursor_ahead",
            Self::JobNotFound(_) => "job_not_found",
            Self::JobRunning(_) => "job_running",
            Self::NoForegroundJob => "no_foreground_job",
            Self::OutputLimitReached(_) => "output_limit_reached",
            Self::SessionExists(_) => "session_exists",
            Self::SessionNotFound(_) => "session_not_found",
            Self::TooLong { .. } => "too_long",
            Self::TooMany { .. } => "too_many",
        }
    }

    /// Whether the same command may be accepted later.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::JobRunning(_) | Self::NoForegroundJob | Self::TooMany { .. }
        )
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsumerNotFound(consumer) => write!(f, "consumer not found: {consumer}"),
            Self::CursorAhead => f.write_str("a cursor may not stand beyond the last record"),
            Self::JobNotFound(job) => write!(f, "no job {job} is running in this session"),
            Self::JobRunning(job) => write!(f, "job {job} is running in the foreground"),
            Self::NoForegroundJob => f.write_str("no foreground job is running"),
            Self::OutputLimitReached(job) => write!(f, "job {job} has emitted all that it may"),
            Self::SessionExists(session) => write!(f, "session exists: {session}"),
            Self::SessionNotFound(session) => write!(f, "session not found: {session}"),
            Self::TooLong { what, limit } => write!(f, "the {what} is longer than {limit} bytes"),
            Self::TooMany { what, limit } => write!(
                f,
                "there are {limit} {what} already, and no more are allowed"
            ),
        }
    }
}

impl core::error::Error for Rejection {}
