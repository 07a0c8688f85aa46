//! What a request can be refused for, with its status and its words: the whole table in one place.

use rejoin_core::Rejection;
use rejoin_engine::{CommandError, Unavailable};
use rejoin_http::StatusCode;

/// Why a request is not carried out. A closed list, in alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The body is no JSON object or array.
    BodyInvalid(String),
    /// The request has no body.
    BodyMissing,
    /// Nobody knows who asks.
    Denied {
        /// Whether a browser is to ask for a password.
        challenges: bool,
    },
    /// The engine did not do it.
    Engine(String),
    /// A filter cannot be understood.
    Filter(String),
    /// A filter by path, of one session.
    FilterOfOne,
    /// Nobody knows this verb.
    MethodUnknown,
    /// There is no such session (any more), or no such path, or not with that verb.
    NotFound,
    /// The account may only read.
    NotAdministrator,
    /// A token is not told where others could read it.
    NotEncrypted,
    /// A session's filters are named by something else than their names.
    NotAString(&'static str),
    /// No such filter is there to give to a session.
    NotAFilter(String),
    /// This could not be the name of a session.
    NotASession(String),
    /// This is not the name of a service.
    NotAService(String),
    /// A precondition does not hold.
    PreconditionFailed,
    /// The server may not change what it serves.
    ReadOnly(String),
    /// The server is about to end.
    ShuttingDown,
    /// More sessions wait to be closed than may.
    TooManyClosings,
}

impl Fault {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BodyInvalid(_)
            | Self::BodyMissing
            | Self::Filter(_)
            | Self::FilterOfOne
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

    /// What the body says; none: the body is empty.
    pub(crate) fn detail(&self) -> Option<String> {
        Some(match self {
            Self::BodyInvalid(reason) => format!("Invalid JSON in request: {reason}"),
            Self::BodyMissing => "Missing request body".into(),
            Self::Denied { .. } => "Access denied".into(),
            Self::Engine(reason) | Self::Filter(reason) | Self::ReadOnly(reason) => reason.clone(),
            Self::FilterOfOne | Self::MethodUnknown | Self::NotFound | Self::PreconditionFailed => {
                return None;
            }
            Self::NotAFilter(name) => format!("Not a valid filter: {name}"),
            Self::NotAdministrator => "Administrative access required".into(),
            Self::NotEncrypted => "Connection is not encrypted".into(),
            Self::NotAString(kind) => format!("Not a JSON string but a {kind}"),
            Self::NotASession(name) => format!("{name} is not a session"),
            Self::NotAService(name) => format!("{name} is not a service"),
            Self::ShuttingDown => "MaxScale is shutting down".into(),
            Self::TooManyClosings => "too many sessions wait to be closed; try again".into(),
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
