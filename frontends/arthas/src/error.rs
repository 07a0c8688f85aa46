//! The errors of this API, with their `state` and `message`.
//!
//! None has an HTTP status: clients of this API read `state` and `message`, and take every status
//! but 200 as a broken server.

use crate::statement::NoStatement;
use crate::translate::removed_message;
use crate::wire::{Answer, State};
use rejoin_engine::{CommandError, ConsumerId, PullError, Record, Rejection, SessionId};
use std::fmt;
use std::sync::Arc;

/// Why a request failed or was refused.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The request has no `action`.
    ActionMissing,
    /// There is no such `action`.
    ActionUnknown(String),
    /// The request has no `consumerId`.
    ConsumerMissing,
    /// No such consumer reads the session.
    ConsumerNotFound(String),
    /// The engine rejected a command for a reason that has no message of this API.
    Engine(CommandError),
    /// The account may not do it.
    Forbidden(String),
    /// Another job runs in the session's foreground.
    JobRunning,
    /// Only POST is supported.
    MethodUnsupported(String),
    /// There is nothing to interrupt.
    NoForegroundJob,
    /// The log could not be read.
    Reading(PullError),
    /// The body is not a valid request.
    RequestInvalid(String),
    /// The body is the literal `null`.
    RequestNull,
    /// The request has no `sessionId`.
    SessionMissing,
    /// No such session is open.
    SessionNotFound(String),
    /// The session was deleted, or closed and removed by retention.
    SessionRemoved {
        /// The removed session.
        session: SessionId,
        /// What the log says about it.
        removal: Arc<Record>,
    },
    /// The session could not be created.
    SessionUncreated(String),
    /// The statement did not become a job.
    StatementFailed {
        /// The action, as its message names it.
        action: &'static str,
        /// Why.
        reason: String,
    },
    /// The command line has nothing to run.
    StatementMissing(NoStatement),
    /// No handler gave an answer.
    Unprocessed,
}

impl Fault {
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Engine(error) if is_retryable(error) => State::Refused,
            Self::Reading(PullError::Unavailable(why)) if why.is_passing() => State::Refused,
            Self::Reading(PullError::Overloaded)
            | Self::Forbidden(_)
            | Self::JobRunning
            | Self::MethodUnsupported(_) => State::Refused,
            Self::ActionMissing
            | Self::ActionUnknown(_)
            | Self::ConsumerMissing
            | Self::ConsumerNotFound(_)
            | Self::Engine(_)
            | Self::NoForegroundJob
            | Self::Reading(_)
            | Self::RequestInvalid(_)
            | Self::RequestNull
            | Self::SessionMissing
            | Self::SessionNotFound(_)
            | Self::SessionRemoved { .. }
            | Self::SessionUncreated(_)
            | Self::StatementFailed { .. }
            | Self::StatementMissing(_)
            | Self::Unprocessed => State::Failed,
        }
    }

    /// The error of a pull of this consumer.
    pub(crate) fn of_pull(error: PullError, session: SessionId, consumer: ConsumerId) -> Self {
        match error {
            PullError::ConsumerNotFound => Self::ConsumerNotFound(consumer.to_string()),
            error => Self::of_read(error, session),
        }
    }

    /// The error of a read of this session.
    pub(crate) fn of_read(error: PullError, session: SessionId) -> Self {
        match error {
            PullError::SessionNotFound => Self::SessionNotFound(session.to_string()),
            error => Self::Reading(error),
        }
    }

    /// Turns the error into a failure of the action that runs a statement, unless a later attempt may
    /// succeed. A read error counts as a failure, because the statement has run.
    pub(crate) fn into_statement_failure(self, action: &'static str) -> Self {
        match self {
            Self::Engine(error) if !is_retryable(&error) => Self::StatementFailed {
                action,
                reason: error.to_string(),
            },
            Self::Reading(error) => Self::StatementFailed {
                action,
                reason: error.to_string(),
            },
            Self::StatementMissing(reason) => Self::StatementFailed {
                action,
                reason: reason.0.into(),
            },
            fault => fault,
        }
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        Self::new(fault.state()).message(&fault.to_string())
    }
}

impl From<NoStatement> for Fault {
    fn from(reason: NoStatement) -> Self {
        Self::StatementMissing(reason)
    }
}

impl From<CommandError> for Fault {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected(Rejection::ConsumerNotFound(consumer)) => {
                Self::ConsumerNotFound(consumer.to_string())
            }
            CommandError::Rejected(Rejection::JobRunning(_)) => Self::JobRunning,
            CommandError::Rejected(Rejection::NoForegroundJob) => Self::NoForegroundJob,
            CommandError::Rejected(Rejection::SessionNotFound(session)) => {
                Self::SessionNotFound(session.to_string())
            }
            CommandError::NoSuchService(_) => Self::SessionUncreated(error.to_string()),
            error => Self::Engine(error),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActionMissing => f.write_str("'action' is required"),
            Self::ActionUnknown(action) => write!(f, "unknown action: {action}"),
            Self::ConsumerMissing => f.write_str("'consumerId' is required"),
            Self::ConsumerNotFound(consumer) => write!(f, "consumer not found: {consumer}"),
            Self::Engine(error) => error.fmt(f),
            Self::Forbidden(reason) => write!(f, "Error! command not permitted: {reason}"),
            Self::JobRunning => f.write_str("Another job is running."),
            Self::MethodUnsupported(method) => write!(f, "Unsupported http method: {method}"),
            Self::NoForegroundJob => f.write_str("no foreground job is running"),
            Self::Reading(error) => write!(f, "process http api request failed: {error}"),
            Self::RequestInvalid(reason) => {
                write!(f, "Process request error: parse request failed: {reason}")
            }
            Self::RequestNull => f.write_str("Process request error: the request is null"),
            Self::SessionMissing => f.write_str("'sessionId' is required"),
            Self::SessionNotFound(session) => write!(f, "session not found: {session}"),
            Self::SessionRemoved { session, removal } => {
                let reason = removed_message(removal);
                write!(f, "session not found: {session}: {reason}")
            }
            Self::SessionUncreated(reason) => write!(f, "create api session failed: {reason}"),
            Self::StatementFailed { action, reason } => {
                write!(f, "{action} command failed:{reason}")
            }
            Self::StatementMissing(reason) => f.write_str(reason.0),
            Self::Unprocessed => f.write_str("The request was not processed"),
        }
    }
}

/// Whether the same request may succeed later.
fn is_retryable(error: &CommandError) -> bool {
    match error {
        CommandError::Rejected(rejection) => rejection.is_retryable(),
        CommandError::InputFull | CommandError::Overloaded => true,
        CommandError::Unavailable(why) => why.is_passing(),
        CommandError::NoSuchService(_) | CommandError::LineTooLong | CommandError::ReadOnly => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_engine::Unavailable;

    #[test]
    fn errors_that_may_pass_are_refused_and_others_failed() {
        let too_long = Rejection::TooLong {
            what: "statement",
            limit: 3,
        };
        let too_many = Rejection::TooMany {
            what: "sessions",
            limit: 3,
        };
        for (error, state, message) in [
            (
                too_long.into(),
                State::Failed,
                "Exec command failed:the statement is longer than 3 bytes",
            ),
            (
                too_many.into(),
                State::Refused,
                "there are 3 sessions already, and no more are allowed",
            ),
            (
                CommandError::Overloaded,
                State::Refused,
                "the server has more requests waiting than it takes; try again",
            ),
            (
                CommandError::Unavailable(Unavailable::ShuttingDown),
                State::Refused,
                "the server is shutting down",
            ),
            (
                CommandError::NoSuchService("sql".into()),
                State::Failed,
                "create api session failed: there is no service called sql",
            ),
        ] {
            let fault = Fault::from(error).into_statement_failure("Exec");
            assert_eq!(fault.state(), state, "{fault}");
            assert_eq!(fault.to_string(), message);
        }
    }
}
