//! What a request can be refused for: one JSON shape, `application/problem+json` (RFC 9457).

use crate::login;
use rejoin_accounts::Denied;
use rejoin_core::Rejection;
use rejoin_engine::{CommandError, PullError, Unavailable};
use rejoin_http::Method;
use rejoin_http::{Response, StatusCode};
use serde_json::json;
use std::fmt;

/// Why a request is not carried out.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The engine did not take the command.
    Command(CommandError),
    /// Nobody knows who asks.
    Denied(Denied),
    /// The account may not do it.
    Forbidden(String),
    /// The job is not known, or not any more.
    JobNotFound(String),
    /// The path has no such method.
    MethodNotAllowed(Method),
    /// There is nothing at the path.
    PathNotFound(String),
    /// The records could not be read.
    Read(PullError),
    /// The request is not one.
    RequestInvalid(String),
    /// No such session is known.
    SessionNotFound(String),
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Self::Command(error) => of_command(error),
            Self::Denied(Denied::Later) => StatusCode::TOO_MANY_REQUESTS,
            Self::Denied(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::JobNotFound(_) | Self::PathNotFound(_) | Self::SessionNotFound(_) => {
                StatusCode::NOT_FOUND
            }
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Read(PullError::SessionNotFound | PullError::ConsumerNotFound) => {
                StatusCode::NOT_FOUND
            }
            Self::Read(PullError::Overloaded | PullError::Unavailable(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Read(PullError::Log(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::RequestInvalid(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// A short, stable name for programs.
    fn code(&self) -> &'static str {
        match self {
            Self::Command(CommandError::Rejected(rejection)) => rejection.code(),
            Self::Command(CommandError::NoSuchService(_)) => "service_not_found",
            Self::Command(CommandError::ReadOnly) => "read_only",
            Self::Command(CommandError::InputFull) => "input_full",
            Self::Command(CommandError::Overloaded) | Self::Read(PullError::Overloaded) => {
                "overloaded"
            }
            Self::Command(CommandError::Unavailable(why))
            | Self::Read(PullError::Unavailable(why)) => match why {
                Unavailable::ShuttingDown => "shutting_down",
                _ => "stopped",
            },
            Self::Denied(Denied::Later) => "logins_failed",
            Self::Denied(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::JobNotFound(_) => "job_not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::PathNotFound(_) => "path_not_found",
            Self::Read(PullError::Log(_)) => "log_unreadable",
            Self::Read(PullError::ConsumerNotFound) => "consumer_not_found",
            Self::Read(PullError::SessionNotFound) | Self::SessionNotFound(_) => {
                "session_not_found"
            }
            Self::RequestInvalid(_) => "request_invalid",
        }
    }

    /// Whether the same request may work in a moment.
    fn is_retryable(&self) -> bool {
        match self {
            Self::Command(CommandError::Rejected(rejection)) => rejection.is_retryable(),
            Self::Command(CommandError::InputFull) | Self::Denied(Denied::Later) => true,
            _ => self.status() == StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<CommandError> for Fault {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl From<PullError> for Fault {
    fn from(error: PullError) -> Self {
        Self::Read(error)
    }
}

impl From<Fault> for Response {
    fn from(fault: Fault) -> Self {
        let status = fault.status();
        let problem = json!({
            "code": fault.code(),
            "detail": fault.to_string(),
            "retryable": fault.is_retryable(),
            "status": status.as_u16(),
            "title": status.canonical_reason(),
            "type": "about:blank",
        });
        let answer = Self::new(status, "application/problem+json", problem.to_string());
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                answer.header("retry-after", "1")
            }
            // Not Basic: a browser would ask for a password itself, over every page.
            StatusCode::UNAUTHORIZED => {
                answer.header("www-authenticate", r#"Bearer realm="rejoin""#)
            }
            _ => answer,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(error) => error.fmt(f),
            Self::Denied(denied) => f.write_str(login::why(*denied)),
            Self::Forbidden(why) => f.write_str(why),
            Self::JobNotFound(job) => write!(f, "no job {job} is known in this session"),
            Self::MethodNotAllowed(method) => write!(f, "{method} is not for this path"),
            Self::PathNotFound(path) => write!(f, "there is nothing at {path}"),
            Self::Read(error) => error.fmt(f),
            Self::RequestInvalid(reason) => f.write_str(reason),
            Self::SessionNotFound(session) => write!(f, "session not found: {session}"),
        }
    }
}

fn of_command(error: &CommandError) -> StatusCode {
    match error {
        CommandError::Rejected(rejection) => match rejection {
            Rejection::ConsumerNotFound(_)
            | Rejection::JobNotFound(_)
            | Rejection::SessionNotFound(_) => StatusCode::NOT_FOUND,
            Rejection::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Rejection::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Rejection::CursorAhead
            | Rejection::InputEnded(_)
            | Rejection::JobRunning(_)
            | Rejection::NoForegroundJob
            | Rejection::NoInput(_)
            | Rejection::OutputLimitReached(_)
            | Rejection::RequestRepeated { .. }
            | Rejection::RequestTaken(_)
            | Rejection::SessionExists(_) => StatusCode::CONFLICT,
        },
        CommandError::NoSuchService(_) => StatusCode::UNPROCESSABLE_ENTITY,
        CommandError::ReadOnly => StatusCode::FORBIDDEN,
        CommandError::InputFull => StatusCode::TOO_MANY_REQUESTS,
        CommandError::Overloaded | CommandError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
