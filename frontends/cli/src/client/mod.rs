//! The commands that talk to a server, in Rejoin's own API.
//!
//! Each says what it does in its file; `api.rs` makes requests, `stream.rs` reads a session's
//! events and comes back to a server that was gone, `event.rs` makes records of them, which are
//! shown as `offline` shows those of a log. Never: a server's words reach a terminal as anything
//! but text, unless they are what a job wrote.

pub(crate) mod api;
pub(crate) mod event;
pub(crate) mod input;
pub(crate) mod limits;
pub(crate) mod quote;
pub(crate) mod resolve;
pub(crate) mod server_config;
pub(crate) mod sse;
pub(crate) mod stream;
pub(crate) mod table;

use std::io;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// What the command line, the environment or a file says is of no use.
    #[error("{0}")]
    Settings(String),
    /// The port is closed.
    #[error(
        "nothing listens at {0}: is `rejoin serve` running there? (--server or REJOIN_SERVER says \
         where else)"
    )]
    NobodyThere(String),
    /// The name leads nowhere.
    #[error("there is no machine of that name: {0}")]
    NoSuchHost(String),
    /// The certificate is not one to trust.
    #[error("the server at {0} cannot be trusted: {1} (--cacert names a certificate to trust)")]
    Untrusted(String, String),
    /// The connection broke, or nothing came.
    #[error("the server at {0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// Somebody else is there.
    #[error("what answers at {0} is no server of Rejoin, or an old one: it says {1}")]
    Stranger(String, String),
    /// It is encrypted, and was asked in the clear, or the other way round.
    #[error("what answers at {0} seems to expect {1}://")]
    Scheme(String, &'static str),
    /// Nobody was named who may ask.
    #[error(
        "the server wants to know who asks: --login NAME, and the password in REJOIN_PASSWORD or \
         --password-file"
    )]
    Nobody,
    /// The name, the password, or both.
    #[error(
        "the server lets nobody in by this name and password: see --login, and REJOIN_PASSWORD or \
         --password-file"
    )]
    NotLetIn,
    /// The server says no.
    #[error("{}", refusal(*status, code, detail))]
    Refused {
        status: u16,
        code: String,
        detail: String,
        is_retryable: bool,
    },
    /// The session that was named is none, or several.
    #[error("{0}")]
    Session(String),
    /// The server was gone for too long, or how it ended cannot be learned.
    #[error("{0}")]
    Lost(String),
    /// What was to be written or read here could not be.
    #[error("{0}: {1}")]
    Here(&'static str, #[source] io::Error),
}

impl ClientError {
    /// Whether the server may be back in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NobodyThere(_) | Self::Unreachable(..) => true,
            Self::Refused {
                status,
                is_retryable,
                ..
            } => *is_retryable && *status == 503,
            _ => false,
        }
    }

    /// Whether the server said no with this code.
    pub(crate) fn is_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }

    /// Whether whoever reads what is written here has gone.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Here(_, error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn refusal(status: u16, code: &str, detail: &str) -> String {
    let detail = table::harmless(detail);
    match (status, code) {
        (403, "read_only") => "the server only shows what has been: it is read-only".to_owned(),
        (_, "job_running") => format!("{detail} (--session can name another session)"),
        (_, code) if detail.is_empty() => format!("the server says no: {status} {code}"),
        _ => detail,
    }
}
