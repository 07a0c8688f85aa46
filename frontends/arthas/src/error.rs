//! What a request can be refused for, and in which words: the whole table in one place.
//!
//! Never an HTTP status: clients of this API read `state` and `message`, and treat every status
//! but 200 as a broken server.

use crate::statement::Blank;
use crate::translate::removed;
use crate::wire::State;
use rejoin_core::{ConsumerId, Rejection, Sequence, SessionId};
use rejoin_engine::{CommandError, PullError, Unavailable};
use std::fmt;

/// Why a request is not carried out. A closed list, in alphabetical order.
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
    /// The engine had no effect to give, for a reason that has no words of its own on this wire.
    Engine(CommandError),
    /// The account may not do it.
    Forbidden(String),
    /// The session's foreground is taken.
    JobRunning,
    /// Only POST is supported.
    MethodUnsupported(String),
    /// There is nothing to interrupt.
    NoForegroundJob,
    /// The log could not be read.
    Reading(PullError),
    /// The body is not a request.
    RequestInvalid(String),
    /// The body is the literal `null`.
    RequestNull,
    /// The request has no `sessionId`.
    SessionMissing,
    /// No such session is open.
    SessionNotFound(String),
    /// The session was closed, and removed when its time was over.
    SessionRemoved {
        /// Which it was.
        session: SessionId,
        /// The last of its records; all are gone.
        last: Sequence,
    },
    /// No session could be created.
    SessionUncreated(String),
    /// A statement could not become a job.
    StatementFailed {
        /// By which action.
        action: &'static str,
        /// Why.
        reason: String,
    },
    /// The command line holds nothing to run.
    StatementMissing(Blank),
    /// Nobody said how it went.
    Unprocessed,
}

impl Fault {
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Engine(error) if is_retryable(error) => State::Refused,
            Self::Reading(
                PullError::Overloaded | PullError::Unavailable(Unavailable::ShuttingDown),
            )
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

    /// What a failed pull or read says of the session and the consumer that it named.
    pub(crate) fn of_pull(error: PullError, session: SessionId, consumer: ConsumerId) -> Self {
        match error {
            PullError::ConsumerNotFound => Self::ConsumerNotFound(consumer.to_string()),
            error => Self::of_read(error, session),
        }
    }

    /// What a failed read says of the session that it named.
    pub(crate) fn of_read(error: PullError, session: SessionId) -> Self {
        match error {
            PullError::SessionNotFound => Self::SessionNotFound(session.to_string()),
            error => Self::Reading(error),
        }
    }

    /// The same fault as that of an action which was to run a statement: what will not be accepted
    /// later either has failed, and so has what cannot be read any more, since it did run.
    pub(crate) fn of_statement(self, action: &'static str) -> Self {
        match self {
            Self::Engine(error) if !is_retryable(&error) => Self::StatementFailed {
                action,
                reason: error.to_string(),
            },
            Self::Reading(error) => Self::StatementFailed {
                action,
                reason: error.to_string(),
            },
            Self::StatementMissing(blank) => Self::StatementFailed {
                action,
                reason: blank.0.into(),
            },
            fault => fault,
        }
    }
}

impl From<Blank> for Fault {
    fn from(blank: Blank) -> Self {
        Self::StatementMissing(blank)
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
            Self::Forbidden(why) => write!(f, "Error! command not permitted: {why}"),
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
            Self::SessionRemoved { session, last } => {
                let lost = removed(Sequence(1), *last);
                write!(f, "session not found: {session}: {lost}")
            }
            Self::SessionUncreated(reason) => write!(f, "create api session failed: {reason}"),
            Self::StatementFailed { action, reason } => {
                write!(f, "{action} command failed:{reason}")
            }
            Self::StatementMissing(blank) => f.write_str(blank.0),
            Self::Unprocessed => f.write_str("The request was not processed"),
        }
    }
}

/// Whether the same request may be carried out later.
fn is_retryable(error: &CommandError) -> bool {
    match error {
        CommandError::Rejected(rejection) => rejection.is_retryable(),
        CommandError::InputFull
        | CommandError::Overloaded
        | CommandError::Unavailable(Unavailable::ShuttingDown) => true,
        CommandError::NoSuchService(_) | CommandError::ReadOnly | CommandError::Unavailable(_) => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_accepted_later_is_refused_and_the_rest_has_failed() {
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
            let fault = Fault::from(error).of_statement("Exec");
            assert_eq!(fault.state(), state, "{fault}");
            assert_eq!(fault.to_string(), message);
        }
    }
}
