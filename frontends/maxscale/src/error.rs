//! Every error response of this API, with its status and its text.

use rejoin_engine::{CommandError, Rejection, Unavailable};
use rejoin_http::StatusCode;

/// Why a request fails. In alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The body is not a JSON object or array.
    BodyInvalid(String),
    /// The request has no body.
    BodyMissing,
    /// The login is missing or wrong.
    Denied {
        /// Whether the response makes a browser ask for a password.
        challenges: bool,
    },
    /// The engine refused the command or is unavailable.
    Engine(String),
    /// A filter is invalid.
    Filter(String),
    /// `filter[PATH]` in a request for a single session.
    FilterOfOne,
    /// The overriding method is unknown.
    MethodUnknown,
    /// There is no such open session, no such path, or the path doesn't have the method.
    NotFound,
    /// A session has no log of its own, so that this level of it cannot be turned on.
    NoSessionLog(&'static str),
    /// The account may only read.
    NotAdministrator,
    /// Tokens are not sent over an unencrypted connection.
    NotEncrypted,
    /// The name of a filter is not a string but something else, which is named here.
    NotAString(&'static str),
    /// There is no filter of this name.
    NotAFilter(String),
    /// This cannot be the id of a session.
    NotASession(String),
    /// There is no service of this name.
    NotAService(String),
    /// A precondition of the request is not met.
    PreconditionFailed,
    /// The server is read-only.
    ReadOnly(String),
    /// The server is shutting down.
    ShuttingDown,
    /// Too many sessions wait for their `ttl`.
    TooManyClosings,
}

impl Fault {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BodyInvalid(_)
            | Self::BodyMissing
            | Self::Filter(_)
            | Self::FilterOfOne
            | Self::NoSessionLog(_)
            | Self::NotAFilter(_)
            | Self::NotAString(_) => StatusCode::BAD_REQUEST,
            Self::Denied { .. } | Self::NotEncrypted => StatusCode::UNAUTHORIZED,
            Self::MethodUnknown => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotASession(_) | Self::NotAService(_) | Self::NotFound => StatusCode::NOT_FOUND,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::NotAdministrator | Self::ReadOnly(_) => StatusCode::FORBIDDEN,
            Self::Engine(_) | Self::ShuttingDown | Self::TooManyClosings => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The text in the body; none means an empty body.
    pub(crate) fn detail(&self) -> Option<String> {
        Some(match self {
            Self::BodyInvalid(reason) => format!("Invalid JSON in request: {reason}"),
            Self::BodyMissing => "Missing request body".into(),
            Self::Denied { .. } => "Access denied".into(),
            Self::Engine(reason) | Self::Filter(reason) | Self::ReadOnly(reason) => reason.clone(),
            Self::FilterOfOne | Self::MethodUnknown | Self::NotFound | Self::PreconditionFailed => {
                return None;
            }
            Self::NoSessionLog(level) => {
                format!("Cannot set {level}: a session has no log of its own")
            }
            Self::NotAFilter(name) => format!("Not a valid filter: {name}"),
            Self::NotAdministrator => "Administrative access required".into(),
            Self::NotEncrypted => "Connection is not encrypted".into(),
            Self::NotAString(kind) => format!("Not a JSON string but a {kind}"),
            Self::NotASession(name) => format!("{name} is not a session"),
            Self::NotAService(name) => format!("{name} is not a service"),
            Self::ShuttingDown => "MaxScale is shutting down".into(),
            Self::TooManyClosings => {
                "too many sessions are waiting to be closed; try again later".into()
            }
        })
    }
}

impl From<CommandError> for Fault {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected(Rejection::SessionNotFound(_)) => Self::NotFound,
            CommandError::Unavailable(Unavailable::ShuttingDown) => Self::ShuttingDown,
            error @ CommandError::ReadOnly => Self::ReadOnly(error.to_string()),
            error => Self::Engine(error.to_string()),
        }
    }
}
