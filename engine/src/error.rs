//! What can go wrong, by the operation that it goes wrong in.

use rejoin_core::{Rejection, Violation};
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
    /// The engine only reads, and never carries this out.
    #[error("this server is read-only: it serves a log that it may not change")]
    ReadOnly,
    /// The job has not read what was written to it before; nothing was done, and the same may work
    /// when it has.
    #[error("the job has not read what was written to it before; try again")]
    InputFull,
    /// More requests wait than may; nothing was done, and the same may work in a moment.
    #[error("the server has more requests waiting than it takes; try again")]
    Overloaded,
    /// The engine takes no commands any more.
    #[error("{0}")]
    Unavailable(Unavailable),
}

/// Why a pull or a read told nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// No such session is known (any more).
    #[error("session not found")]
    SessionNotFound,
    /// No such consumer reads the session (any more).
    #[error("consumer not found")]
    ConsumerNotFound,
    /// More reads wait than may; the same may work in a moment.
    #[error("the server has more reads waiting than it takes; try again")]
    Overloaded,
    /// The log could not be read.
    #[error("{0}")]
    Log(Arc<ReadError>),
    /// The engine has ended.
    #[error("{0}")]
    Unavailable(Unavailable),
}

/// Why the engine serves nobody any more.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    /// It was told to.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// Its log failed. What is in memory may be ahead of the log: only opening anew repairs that.
    #[error("the server has stopped, because its log failed: {0}")]
    LogFailed(Arc<AppendError>),
    /// It failed an assertion. What it holds in memory is not to be trusted.
    #[error("the server has stopped, because a promise was broken; its log is kept as it is")]
    Broken,
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
        /// What its runner says.
        source: RunnerError,
    },
    /// The crate was built without the feature `smol`, and the builder was given no runtime.
    #[error("no async runtime: call EngineBuilder::runtime, or enable the feature `smol`")]
    NoRuntime,
    /// Opening panicked: a bug. The panic is on standard error.
    #[error("opening the log panicked")]
    Panicked,
}

/// A log that breaks a rule of the fold is [`OpenError::Invalid`], whoever has folded it.
impl From<rejoin_log::segment::OpenError> for OpenError {
    fn from(error: rejoin_log::segment::OpenError) -> Self {
        match error {
            rejoin_log::segment::OpenError::InvalidRecord(violation) => Self::Invalid(violation),
            error => Self::Log(error),
        }
    }
}

/// What a runner says of why it cannot be prepared.
pub type RunnerError = Box<dyn std::error::Error + Send + Sync>;
