//! Errors, one enum for each kind of operation.

use crate::limits::TERMINAL_LINE;
use rejoin_core::{JobId, Rejection, Sequence, Violation};
use rejoin_log::{AppendError, ReadError};
use std::path::PathBuf;
use std::sync::Arc;

/// Why a command had no effect.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommandError {
    /// The state refuses it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// No service of this name is configured.
    #[error("there is no service called {0}")]
    NoSuchService(Arc<str>),
    /// The engine is read-only.
    #[error("this server is read-only: it serves a log that it may not change")]
    ReadOnly,
    /// The job has not read its earlier input. Nothing was done; retry when it has.
    #[error("the job has not read what was written to it before; try again")]
    InputFull,
    /// The job's terminal would cut the line, because its program reads whole lines. Nothing was done.
    #[error(
        "the line is too long: the job's terminal takes at most {TERMINAL_LINE} bytes before the end of \
         a line"
    )]
    LineTooLong,
    /// The queue of requests is full. Nothing was done; retry in a moment.
    #[error("the server has more requests waiting than it takes; try again")]
    Overloaded,
    /// The engine takes no commands any more.
    #[error("{0}")]
    Unavailable(Unavailable),
}

/// Why nothing was redacted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RedactError {
    /// The command had no effect.
    #[error(transparent)]
    Command(CommandError),
    /// The records could not be read.
    #[error(transparent)]
    Read(PullError),
    /// No record was named.
    #[error("no record is named: name the sequences of results or inputs")]
    NoRecords,
    /// The session has no such record.
    #[error("the session has no record {0}")]
    NotFound(Sequence),
    /// The record is neither a result nor an input.
    #[error("record {0} is neither a result nor an input, and only these can be redacted")]
    NotRedactable(Sequence),
    /// The terminal or the input of a running job still uses it.
    #[error(
        "job {0} is still running: what its terminal shows and what it was given can be redacted \
             once it has ended"
    )]
    JobRunning(JobId),
    /// Too many redactions are not carried out yet. Retry in a moment.
    #[error("the server has more redactions to carry out than it takes; try again")]
    TooManyPending,
}

/// Why there is no screen.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScreenError {
    /// There is no such session (any more).
    #[error("session not found")]
    SessionNotFound,
    /// There is no such job, or it is no longer remembered.
    #[error("job not found: {0}")]
    JobNotFound(JobId),
    /// The job has no terminal.
    #[error("job {0} has no terminal")]
    NoTerminal(JobId),
    /// The terminal did not exist at that place.
    #[error("the terminal begins at sequence {from}")]
    NotYet {
        /// The sequence of the job's submission.
        from: Sequence,
    },
    /// Too many requests wait. Retry in a moment.
    #[error("the server has more requests for screens waiting than it takes; try again")]
    Overloaded,
    /// Its program has written what takes very long to show. Retry later, or read the output.
    #[error(
        "the terminal has written what takes too long to show; try again later, or read its output"
    )]
    TooSlow,
    /// The log could not be read.
    #[error("{0}")]
    Log(Arc<ReadError>),
    /// The engine has ended.
    #[error("the server is shutting down")]
    Ended,
    /// The session's node could not be asked whether there is such a terminal.
    #[error("{0}")]
    Unavailable(Unavailable),
}

/// Why a pull or a read failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// There is no such session (any more).
    #[error("session not found")]
    SessionNotFound,
    /// The session has no such consumer (any more).
    #[error("consumer not found")]
    ConsumerNotFound,
    /// The log has never given this place of the session, whose last sequence is `last`: it was
    /// restored from a backup, or a power failure took what was not synced. Read again from the
    /// beginning.
    #[error(
        "this session has no such event; its last one is {last}. The server may have been restored \
         from a backup: read the session again from its beginning"
    )]
    CursorUnknown {
        /// The session's last sequence.
        last: Sequence,
    },
    /// The queue of reads is full. Retry in a moment.
    #[error("the server has more reads waiting than it takes; try again")]
    Overloaded,
    /// The log could not be read.
    #[error("{0}")]
    Log(Arc<ReadError>),
    /// The engine has ended.
    #[error("{0}")]
    Unavailable(Unavailable),
}

/// Why the engine has ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    /// It was shut down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// Its log failed. The state in memory may be ahead of the log, so it has to be opened again.
    #[error("the server has stopped, because its log failed: {0}")]
    LogFailed(Arc<AppendError>),
    /// An assertion failed. The state in memory can't be trusted.
    #[error("the server has stopped, because a promise was broken; its log is kept as it is")]
    Broken,
    /// The session's log is moving to another node, or no node writes it at present. A command may have
    /// been carried out.
    #[error(
        "the session is moving to another node; look whether this was done, and try again if it was not"
    )]
    Moved,
    /// The node that writes the session's log did not answer. A command may have been carried out.
    #[error(
        "the session's node did not answer; look whether this was done, and try again if it was not"
    )]
    Unanswered,
    /// This node has not read yet what is known of the session.
    #[error("this node is behind the session's node; try again in a moment, or at another node")]
    Behind,
}

impl Unavailable {
    /// Whether the same request may succeed in a moment, here or at another server.
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::ShuttingDown | Self::Moved | Self::Unanswered | Self::Behind => true,
            Self::LogFailed(_) | Self::Broken => false,
        }
    }
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The log could not be opened.
    #[error(transparent)]
    Log(rejoin_log::segment::OpenError),
    /// There is no log to read in the directory.
    #[error("there is no log in {}", .0.display())]
    NoLog(PathBuf),
    /// The log holds a record that cannot follow the ones before it: no engine has written it.
    #[error("the log cannot be replayed: {0}")]
    Invalid(#[from] Violation),
    /// The log took no record.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// A runner could not be prepared.
    #[error("the service {service} cannot be used: {source}")]
    Runner {
        /// The service's name.
        service: Arc<str>,
        /// The runner's error.
        source: RunnerError,
    },
    /// The crate was built without the feature `smol`, and the builder was given no runtime.
    #[error("no async runtime: call EngineBuilder::runtime, or enable the feature `smol`")]
    NoRuntime,
    /// Opening panicked: a bug. The panic is on standard error.
    #[error("opening the log panicked")]
    Panicked,
}

/// An invalid record is [`OpenError::Invalid`], for every kind of log.
impl From<rejoin_log::segment::OpenError> for OpenError {
    fn from(error: rejoin_log::segment::OpenError) -> Self {
        match error {
            rejoin_log::segment::OpenError::InvalidRecord(violation) => Self::Invalid(violation),
            error => Self::Log(error),
        }
    }
}

/// Why a runner cannot be prepared.
pub type RunnerError = Box<dyn std::error::Error + Send + Sync>;

/// Why a log is not followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The cluster has no log of this number.
    #[error("the cluster has no log of this number")]
    NoSuchLog,
    /// This engine writes the log.
    #[error("this node writes the log")]
    Owned,
    /// The log has to be opened and followed again.
    #[error("the log is not followed: open its copy again")]
    NotFollowed,
    /// These are not the next records.
    #[error("the records after {position} were given, and {expected} were followed")]
    Position {
        /// How many records are before them.
        position: u64,
        /// How many were followed.
        expected: u64,
    },
    /// A record can't follow the ones before it.
    #[error("record {position} of the log cannot follow the ones before it: {violation}")]
    Invalid {
        /// How many records are before it.
        position: u64,
        /// What it breaks.
        violation: Violation,
    },
    /// The log's copy could not be read.
    #[error("{0}")]
    Log(ReadError),
}

/// Why an engine does not write a log.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// It was not followed up to its end.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The log took no record.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The engine is shutting down.
    #[error("the server is shutting down")]
    Closing,
}
