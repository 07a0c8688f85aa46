//! The errors of the API, sent as `application/problem+json` (RFC 9457).

use crate::event_json::by;
use crate::view_json;
use rejoin_accounts::{Caller, Denied, FileError, LinkError, OwnTokenError};
use rejoin_engine::peers::RetireError;
use rejoin_engine::{
    CommandError, Controller, JobId, PullError, Record, RedactError, Rejection, ScreenError,
    Unavailable,
};
use rejoin_http::{Refused, Response, StatusCode};
use rejoin_replay::{instant, named};
use serde_json::json;
use std::fmt;
use std::sync::Arc;

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The engine rejected the command.
    Command(CommandError),
    /// The request is not authenticated.
    Denied(Denied),
    /// The account may not do it.
    Forbidden(String),
    /// The job does not exist, or is no longer remembered.
    JobNotFound(String),
    /// The link can't be made or removed.
    Link(Arc<LinkError>),
    /// Somebody else controls the terminal of the job, or did a moment ago.
    NotController {
        /// The job.
        job: JobId,
        /// Who controls it.
        controller: Option<Arc<Controller>>,
    },
    /// The path does not exist.
    PathNotFound(String),
    /// The records could not be read.
    Read(PullError),
    /// Nothing was redacted.
    Redact(RedactError),
    /// A node was not taken out of the cluster.
    Retire(RetireError),
    /// The request was refused before its body was taken.
    Refused(Refused),
    /// The request is malformed.
    RequestInvalid(String),
    /// There is no screen to show.
    Screen(ScreenError),
    /// The session was deleted, or removed by retention.
    SessionGone {
        /// As the request names it.
        session: String,
        /// What the log says about it.
        removal: Arc<Record>,
    },
    /// The session does not exist.
    SessionNotFound(String),
    /// The account's access tokens can't be shown or changed so.
    Token(Arc<OwnTokenError>),
}

impl Fault {
    /// Somebody who could read a session when the request began may not do so any more.
    pub(crate) fn ended(caller: &Caller) -> Self {
        Self::Denied(match caller.link() {
            Some(_) => Denied::LinkEnded,
            None => Denied::Expired,
        })
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Command(error) => command_status(error),
            Self::Denied(Denied::Link) => StatusCode::FORBIDDEN,
            Self::Link(error) => link_status(error).0,
            Self::Denied(Denied::Later) => StatusCode::TOO_MANY_REQUESTS,
            Self::Denied(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotController { .. } => StatusCode::CONFLICT,
            Self::JobNotFound(_) | Self::PathNotFound(_) | Self::SessionNotFound(_) => {
                StatusCode::NOT_FOUND
            }
            Self::SessionGone { .. } => StatusCode::GONE,
            Self::Redact(error) => redact_status(error).0,
            Self::Screen(error) => screen_status(error),
            Self::Refused(refused) => refused.status(),
            Self::Read(PullError::SessionNotFound | PullError::ConsumerNotFound) => {
                StatusCode::NOT_FOUND
            }
            Self::Read(PullError::CursorUnknown { .. }) => StatusCode::CONFLICT,
            Self::Read(PullError::Overloaded | PullError::Unavailable(_)) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Read(PullError::Log(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::RequestInvalid(_) => StatusCode::BAD_REQUEST,
            Self::Retire(error) => retire_status(error).0,
            Self::Token(error) => token_status(error).0,
        }
    }

    /// A short and stable name for programs.
    fn code(&self) -> &'static str {
        match self {
            Self::Command(CommandError::Rejected(rejection)) => rejection.code(),
            Self::Command(CommandError::NoSuchService(_)) => "service_not_found",
            Self::Command(CommandError::ReadOnly) => "read_only",
            Self::Command(CommandError::InputFull) => "input_full",
            Self::Command(CommandError::LineTooLong) => "line_too_long",
            Self::Command(CommandError::Overloaded) | Self::Read(PullError::Overloaded) => {
                "overloaded"
            }
            Self::Command(CommandError::Unavailable(cause))
            | Self::Read(PullError::Unavailable(cause)) => unavailable_code(cause),
            Self::Denied(Denied::Later) => "logins_failed",
            Self::Denied(Denied::Link) => "forbidden",
            Self::Denied(Denied::LinkEnded) => "link_ended",
            Self::Link(error) => link_status(error).1,
            Self::Denied(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::JobNotFound(_) => "job_not_found",
            Self::Redact(error) => redact_status(error).1,
            Self::Screen(error) => screen_code(error),
            Self::NotController { .. } => "not_controller",
            Self::Refused(refused) => match refused {
                Refused::Method(_) => "method_not_allowed",
                Refused::BodyTooLarge { .. } => "body_too_large",
                _ => "overloaded",
            },
            Self::PathNotFound(_) => "path_not_found",
            Self::Read(PullError::Log(_)) => "log_unreadable",
            Self::Read(PullError::ConsumerNotFound) => "consumer_not_found",
            Self::Read(PullError::CursorUnknown { .. }) => "cursor_unknown",
            Self::Read(PullError::SessionNotFound) | Self::SessionNotFound(_) => {
                "session_not_found"
            }
            Self::RequestInvalid(_) => "request_invalid",
            Self::SessionGone { .. } => "session_gone",
            Self::Retire(error) => retire_status(error).1,
            Self::Token(error) => token_status(error).1,
        }
    }

    /// Whether the same request may soon succeed.
    fn is_retryable(&self) -> bool {
        match self {
            Self::Command(CommandError::Rejected(rejection)) => rejection.is_retryable(),
            Self::Command(CommandError::InputFull)
            | Self::Denied(Denied::Later)
            | Self::Redact(RedactError::JobRunning(_) | RedactError::TooManyPending) => true,
            _ => self.status() == StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<CommandError> for Fault {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl From<RedactError> for Fault {
    fn from(error: RedactError) -> Self {
        match error {
            RedactError::Command(error) => Self::Command(error),
            RedactError::Read(error) => Self::Read(error),
            error => Self::Redact(error),
        }
    }
}

impl From<ScreenError> for Fault {
    fn from(error: ScreenError) -> Self {
        Self::Screen(error)
    }
}

impl From<Unavailable> for Fault {
    fn from(why: Unavailable) -> Self {
        Self::Read(PullError::Unavailable(why))
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
        let mut problem = json!({
            "code": fault.code(),
            "detail": fault.to_string(),
            "retryable": fault.is_retryable(),
            "status": status.as_u16(),
            "title": status.canonical_reason(),
            "type": "about:blank",
        });
        if let Fault::Read(PullError::CursorUnknown { last }) = &fault {
            problem["lastSequence"] = last.0.into();
        }
        if let Fault::SessionGone { removal, .. } = &fault {
            problem["cause"] = removal.loss().into();
            problem["at"] = removal.at.as_millis().into();
            if let Some(actor) = &removal.actor {
                problem["by"] = by(actor);
            }
        }
        if let Fault::NotController { controller, .. } = &fault {
            problem["controller"] = view_json::controller(controller.as_deref());
        }
        let response = Self::new(status, "application/problem+json", problem.to_string());
        match status {
            // The server adds it to its own.
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
                if !matches!(fault, Fault::Refused(_)) =>
            {
                response.header("retry-after", "1")
            }
            // Not Basic, for which a browser would show its own password dialog.
            StatusCode::UNAUTHORIZED => {
                response.header("www-authenticate", r#"Bearer realm="rejoin""#)
            }
            _ => response,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(error) => error.fmt(f),
            Self::Denied(denied) => f.write_str(denied_message(*denied)),
            Self::Forbidden(reason) => f.write_str(reason),
            Self::NotController { job, .. } => Rejection::NotController(*job).fmt(f),
            Self::Link(error) => match &**error {
                // It names the file's path, which is the operator's affair.
                LinkError::Read(..) | LinkError::Write(..) | LinkError::Malformed(..) => {
                    f.write_str("the links cannot be changed now: the server's log says why")
                }
                error => error.fmt(f),
            },
            Self::JobNotFound(job) => write!(f, "job not found: {job}"),
            Self::Refused(refused) => refused.fmt(f),
            Self::PathNotFound(path) => write!(f, "path not found: {path}"),
            Self::Read(error) => error.fmt(f),
            Self::Redact(error) => error.fmt(f),
            Self::Screen(error) => error.fmt(f),
            Self::RequestInvalid(reason) => f.write_str(reason),
            Self::Retire(error) => error.fmt(f),
            Self::SessionGone { session, removal } => {
                let at = instant(removal.at);
                match removal.actor.as_deref() {
                    Some(actor) => {
                        let who = named(actor);
                        write!(f, "session {session} was deleted by {who} at {at}")
                    }
                    None => write!(f, "session {session} was removed by retention at {at}"),
                }
            }
            Self::SessionNotFound(session) => write!(f, "session not found: {session}"),
            Self::Token(error) => match &**error {
                // It names the file's path, which is the operator's affair.
                OwnTokenError::File(
                    FileError::Read(..) | FileError::Write(..) | FileError::Malformed(..),
                ) => f.write_str("the accounts cannot be changed now: the server's log says why"),
                error => error.fmt(f),
            },
        }
    }
}

/// The status and the code of an answer to a redaction that is refused.
const fn redact_status(error: &RedactError) -> (StatusCode, &'static str) {
    match error {
        RedactError::NotFound(_) => (StatusCode::NOT_FOUND, "record_not_found"),
        RedactError::NotRedactable(_) => (StatusCode::CONFLICT, "not_redactable"),
        RedactError::JobRunning(_) => (StatusCode::CONFLICT, "job_running"),
        RedactError::TooManyPending => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
        // The others are faults of their own.
        _ => (StatusCode::BAD_REQUEST, "request_invalid"),
    }
}

const fn screen_status(error: &ScreenError) -> StatusCode {
    match error {
        ScreenError::SessionNotFound | ScreenError::JobNotFound(_) => StatusCode::NOT_FOUND,
        ScreenError::NoTerminal(_) => StatusCode::CONFLICT,
        ScreenError::NotYet { .. } => StatusCode::BAD_REQUEST,
        ScreenError::Overloaded
        | ScreenError::TooSlow
        | ScreenError::Ended
        | ScreenError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        ScreenError::Log(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

const fn screen_code(error: &ScreenError) -> &'static str {
    match error {
        ScreenError::SessionNotFound => "session_not_found",
        ScreenError::JobNotFound(_) => "job_not_found",
        ScreenError::NoTerminal(_) => "no_terminal",
        ScreenError::NotYet { .. } => "request_invalid",
        ScreenError::Overloaded | ScreenError::TooSlow => "overloaded",
        ScreenError::Log(_) => "log_unreadable",
        ScreenError::Ended => "shutting_down",
        ScreenError::Unavailable(cause) => unavailable_code(cause),
    }
}

const fn unavailable_code(cause: &Unavailable) -> &'static str {
    match cause {
        Unavailable::ShuttingDown => "shutting_down",
        Unavailable::LogFailed(_) | Unavailable::Broken => "stopped",
        Unavailable::Moved => "moved",
        Unavailable::Unanswered => "unanswered",
        Unavailable::Behind => "behind",
    }
}

/// The status and the code of an answer to a change of tokens that is refused.
fn token_status(error: &OwnTokenError) -> (StatusCode, &'static str) {
    match error {
        OwnTokenError::NoAccount => (StatusCode::CONFLICT, "no_accounts"),
        OwnTokenError::ByToken => (StatusCode::FORBIDDEN, "forbidden"),
        OwnTokenError::InFile(_) => (StatusCode::CONFLICT, "token_in_file"),
        OwnTokenError::Unanswered(_) => (StatusCode::SERVICE_UNAVAILABLE, "unanswered"),
        OwnTokenError::File(error) => match error {
            FileError::TokenExists(_) => (StatusCode::CONFLICT, "token_exists"),
            FileError::TokenUnknown(_) => (StatusCode::NOT_FOUND, "token_not_found"),
            FileError::TokensFull => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
            FileError::BadName(_) => (StatusCode::BAD_REQUEST, "request_invalid"),
            // The account was removed meanwhile.
            FileError::Unknown(_) => (StatusCode::UNAUTHORIZED, "unauthorized"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "accounts_unwritable"),
        },
    }
}

/// The status and the code of an answer where a node was not taken out of the cluster.
const fn retire_status(error: &RetireError) -> (StatusCode, &'static str) {
    match error {
        RetireError::Alone => (StatusCode::CONFLICT, "no_cluster"),
        RetireError::Alive(_) | RetireError::Itself(_) => (StatusCode::CONFLICT, "node_alive"),
        RetireError::Unknown(_) => (StatusCode::NOT_FOUND, "node_not_found"),
        RetireError::Unanswered => (StatusCode::SERVICE_UNAVAILABLE, "unanswered"),
    }
}

/// The status and the code of an answer to a change of links that is refused.
const fn link_status(error: &LinkError) -> (StatusCode, &'static str) {
    match error {
        LinkError::Lifetime => (StatusCode::BAD_REQUEST, "request_invalid"),
        LinkError::Full => (StatusCode::TOO_MANY_REQUESTS, "too_many"),
        LinkError::Unknown(_) => (StatusCode::NOT_FOUND, "link_not_found"),
        LinkError::Unanswered(_) => (StatusCode::SERVICE_UNAVAILABLE, "unanswered"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "links_unwritable"),
    }
}

fn command_status(error: &CommandError) -> StatusCode {
    match error {
        CommandError::Rejected(rejection) => match rejection {
            Rejection::ConsumerNotFound(_)
            | Rejection::JobNotFound(_)
            | Rejection::RecordNotFound
            | Rejection::SessionNotFound(_) => StatusCode::NOT_FOUND,
            Rejection::InvalidSize(_) => StatusCode::BAD_REQUEST,
            Rejection::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Rejection::TooMany { .. } if !rejection.is_retryable() => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Rejection::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Rejection::CursorAhead
            | Rejection::InputEnded(_)
            | Rejection::JobRunning(_)
            | Rejection::NoForegroundJob
            | Rejection::NoInput(_)
            | Rejection::NoTerminal(_)
            | Rejection::NotController(_)
            | Rejection::OutputLimitReached(_)
            | Rejection::RequestRepeated { .. }
            | Rejection::RequestTaken(_)
            | Rejection::SessionExists(_) => StatusCode::CONFLICT,
        },
        CommandError::NoSuchService(_) => StatusCode::UNPROCESSABLE_ENTITY,
        CommandError::ReadOnly => StatusCode::FORBIDDEN,
        CommandError::LineTooLong => StatusCode::BAD_REQUEST,
        CommandError::InputFull => StatusCode::TOO_MANY_REQUESTS,
        CommandError::Overloaded | CommandError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

const fn denied_message(denied: Denied) -> &'static str {
    match denied {
        Denied::Missing => "login required: POST /login, or send an Authorization header",
        Denied::Malformed => "the Authorization header is neither Basic nor Bearer",
        Denied::Wrong => "wrong user name or password",
        Denied::Expired => "the login has expired",
        Denied::Later => "too many failed logins; try again later",
        Denied::Link => "a link shows its session, and nothing else",
        Denied::LinkEnded => "this link has ended or was removed: ask for a new one",
    }
}
