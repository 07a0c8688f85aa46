//! Rejections: why the state refuses a command. Deterministic, and not an error of the system.

use crate::limits::{TERMINAL_COLUMNS, TERMINAL_ROWS};
use crate::{ConsumerId, JobId, Sequence, SessionId, TerminalSize};
use core::fmt;

/// Why a command is refused. A closed list, in alphabetical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The session has no such consumer, or no longer.
    ConsumerNotFound(ConsumerId),
    /// The cursor is beyond the session's last record.
    CursorAhead,
    /// The input of the job was ended already.
    InputEnded(JobId),
    /// No terminal has this size.
    InvalidSize(TerminalSize),
    /// The session has no such unfinished job.
    JobNotFound(JobId),
    /// Another job is running in the session's foreground.
    JobRunning(JobId),
    /// No job is running in the session's foreground.
    NoForegroundJob,
    /// The job was submitted without an open input.
    NoInput(JobId),
    /// The job has no terminal.
    NoTerminal(JobId),
    /// Somebody else controls the terminal of the job.
    NotController(JobId),
    /// The job has reached its output limit.
    OutputLimitReached(JobId),
    /// The session has no such record.
    RecordNotFound,
    /// The same request was accepted before, so there is nothing to do.
    RequestRepeated {
        /// The job that it led to.
        job: JobId,
        /// The sequence of its submission.
        sequence: Sequence,
    },
    /// A different request with the same name led to this job.
    RequestTaken(JobId),
    /// A session with this identity exists.
    SessionExists(SessionId),
    /// No such session is open, or no longer.
    SessionNotFound(SessionId),
    /// A text is too long.
    TooLong {
        /// What is too long.
        what: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
    /// A limit on a number of things is reached.
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl Rejection {
    /// What can be too long or too many: the `what` of [`TooLong`](Self::TooLong) and
    /// [`TooMany`](Self::TooMany). For those that get a rejection from another process. The first one
    /// stands for what only a newer version knows.
    pub const WHATS: [&str; 23] = [
        "request",
        "access token",
        "account",
        "address",
        "consumers of this session",
        "frontend",
        "input",
        "input of the job in all",
        "jobs running in this session",
        "key of a label",
        "labels",
        "name of a link",
        "name of the client",
        "name of the request",
        "reason",
        "records",
        "remote address",
        "service",
        "sessions",
        "statement",
        "title",
        "user",
        "value of a label",
    ];

    /// Its kind, without the details.
    pub const fn kind(self) -> RejectionKind {
        match self {
            Self::ConsumerNotFound(_) => RejectionKind::ConsumerNotFound,
            Self::CursorAhead => RejectionKind::CursorAhead,
            Self::InputEnded(_) => RejectionKind::InputEnded,
            Self::InvalidSize(_) => RejectionKind::InvalidSize,
            Self::JobNotFound(_) => RejectionKind::JobNotFound,
            Self::JobRunning(_) => RejectionKind::JobRunning,
            Self::NoForegroundJob => RejectionKind::NoForegroundJob,
            Self::NoInput(_) => RejectionKind::NoInput,
            Self::NoTerminal(_) => RejectionKind::NoTerminal,
            Self::NotController(_) => RejectionKind::NotController,
            Self::OutputLimitReached(_) => RejectionKind::OutputLimitReached,
            Self::RecordNotFound => RejectionKind::RecordNotFound,
            Self::RequestRepeated { .. } => RejectionKind::RequestRepeated,
            Self::RequestTaken(_) => RejectionKind::RequestTaken,
            Self::SessionExists(_) => RejectionKind::SessionExists,
            Self::SessionNotFound(_) => RejectionKind::SessionNotFound,
            Self::TooLong { .. } => RejectionKind::TooLong,
            Self::TooMany { .. } => RejectionKind::TooMany,
        }
    }

    /// A short, stable name for programs.
    pub const fn code(self) -> &'static str {
        self.kind().code()
    }

    /// Whether the same command may be accepted later.
    pub fn is_retryable(self) -> bool {
        match self {
            Self::JobRunning(_) | Self::NoForegroundJob => true,
            // There will be room for others; one description is as large as it is.
            Self::TooMany { what, .. } => what != "labels",
            _ => false,
        }
    }
}

/// The kind of a [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// [`Rejection::ConsumerNotFound`].
    ConsumerNotFound,
    /// [`Rejection::CursorAhead`].
    CursorAhead,
    /// [`Rejection::InputEnded`].
    InputEnded,
    /// [`Rejection::InvalidSize`].
    InvalidSize,
    /// [`Rejection::JobNotFound`].
    JobNotFound,
    /// [`Rejection::JobRunning`].
    JobRunning,
    /// [`Rejection::NoForegroundJob`].
    NoForegroundJob,
    /// [`Rejection::NoInput`].
    NoInput,
    /// [`Rejection::NoTerminal`].
    NoTerminal,
    /// [`Rejection::NotController`].
    NotController,
    /// [`Rejection::OutputLimitReached`].
    OutputLimitReached,
    /// [`Rejection::RecordNotFound`].
    RecordNotFound,
    /// [`Rejection::RequestRepeated`].
    RequestRepeated,
    /// [`Rejection::RequestTaken`].
    RequestTaken,
    /// [`Rejection::SessionExists`].
    SessionExists,
    /// [`Rejection::SessionNotFound`].
    SessionNotFound,
    /// [`Rejection::TooLong`].
    TooLong,
    /// [`Rejection::TooMany`].
    TooMany,
}

impl RejectionKind {
    /// Every kind, in alphabetical order.
    pub const ALL: [Self; 18] = [
        Self::ConsumerNotFound,
        Self::CursorAhead,
        Self::InputEnded,
        Self::InvalidSize,
        Self::JobNotFound,
        Self::JobRunning,
        Self::NoForegroundJob,
        Self::NoInput,
        Self::NoTerminal,
        Self::NotController,
        Self::OutputLimitReached,
        Self::RecordNotFound,
        Self::RequestRepeated,
        Self::RequestTaken,
        Self::SessionExists,
        Self::SessionNotFound,
        Self::TooLong,
        Self::TooMany,
    ];

    /// A short, stable name for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ConsumerNotFound => "consumer_not_found",
            Self::CursorAhead => "cursor_ahead",
            Self::InputEnded => "input_ended",
            Self::InvalidSize => "invalid_size",
            Self::JobNotFound => "job_not_found",
            Self::JobRunning => "job_running",
            Self::NoForegroundJob => "no_foreground_job",
            Self::NoInput => "no_input",
            Self::NoTerminal => "no_terminal",
            Self::NotController => "not_controller",
            Self::OutputLimitReached => "output_limit_reached",
            Self::RecordNotFound => "record_not_found",
            Self::RequestRepeated => "request_repeated",
            Self::RequestTaken => "request_taken",
            Self::SessionExists => "session_exists",
            Self::SessionNotFound => "session_not_found",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsumerNotFound(consumer) => write!(f, "consumer not found: {consumer}"),
            Self::CursorAhead => f.write_str("a cursor may not stand beyond the last record"),
            Self::InputEnded(job) => write!(f, "the input of job {job} was ended"),
            Self::InvalidSize(TerminalSize { columns, rows }) => write!(
                f,
                "a terminal has 1 to {TERMINAL_COLUMNS} columns and 1 to {TERMINAL_ROWS} rows, not \
                 {columns} and {rows}"
            ),
            Self::JobNotFound(job) => write!(f, "no job {job} is running in this session"),
            Self::JobRunning(job) => write!(f, "job {job} is running in the foreground"),
            Self::NoForegroundJob => f.write_str("no foreground job is running"),
            Self::NoInput(job) => write!(f, "job {job} takes no input"),
            Self::NoTerminal(job) => write!(f, "job {job} has no terminal"),
            Self::NotController(job) => write!(
                f,
                "somebody else controls the terminal of job {job}: take the control first"
            ),
            Self::OutputLimitReached(job) => write!(f, "job {job} has emitted all that it may"),
            Self::RecordNotFound => f.write_str("the session has no such record"),
            Self::RequestRepeated { job, .. } => {
                write!(f, "the request was accepted before, as job {job}")
            }
            Self::RequestTaken(job) => {
                write!(f, "another request of that name was accepted, as job {job}")
            }
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
