//! The client of Rejoin's own API, for the subcommands that talk to a server.
//!
//! `api.rs` makes requests, `stream.rs` reads a session's events and reconnects, and `event.rs` turns
//! events into records, which `offline` shows. Invariant: text from the server cannot send control
//! characters to the terminal, unless it is a job's output.

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
pub(crate) mod unix;

use std::io;

/// Why a subcommand failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The command line, the environment or a file is wrong.
    #[error("{0}")]
    Settings(String),
    /// The port is closed.
    #[error(
        "no server at {0}: is `rejoin serve` running? (use --server or REJOIN_SERVER for another \
         address)"
    )]
    NoServer(String),
    /// The host name cannot be resolved.
    #[error("unknown host: {0}")]
    NoSuchHost(String),
    /// The certificate is not trusted.
    #[error("the certificate of {0} is not trusted: {1} (use --cacert to trust another one)")]
    Untrusted(String, String),
    /// The connection broke or timed out.
    #[error("cannot reach the server at {0}: {1}")]
    Unreachable(String, String),
    /// The same, after a request was sent that changes something.
    #[error(
        "cannot reach the server at {0}: {1}; it is unknown whether it did what it was asked for, so look \
         before you ask again (`rejoin show SESSION`, `rejoin sessions`)"
    )]
    Unanswered(String, String),
    /// Something else answers.
    #[error("{0} is not a Rejoin server, or an old version: it sent {1}")]
    NotRejoin(String, String),
    /// The server uses TLS and the URL doesn't, or the other way round.
    #[error("the server at {0} seems to expect {1}://")]
    Scheme(String, &'static str),
    /// The server requires a login.
    #[error(
        "login required: use --login NAME, with the password in REJOIN_PASSWORD or --password-file, or an \
         access token in REJOIN_TOKEN or --token-file"
    )]
    LoginRequired,
    /// The server rejected the login.
    #[error(
        "wrong user name, password or token: check --login, and REJOIN_PASSWORD, --password-file, \
         REJOIN_TOKEN or --token-file"
    )]
    WrongLogin,
    /// The server rejected the request.
    #[error("{}", refusal(*status, code, detail))]
    Refused {
        status: u16,
        code: String,
        detail: String,
        is_retryable: bool,
    },
    /// The name matches no session, or several.
    #[error("{0}")]
    Session(String),
    /// The server was unreachable for too long, or sent something unusable.
    #[error("{0}")]
    Lost(String),
    /// Standard input, standard output or signals failed.
    #[error("{0}: {1}")]
    Local(&'static str, #[source] io::Error),
}

impl ClientError {
    /// Whether trying again may help.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::NoServer(_) | Self::Unreachable(..) | Self::Unanswered(..) => true,
            Self::Refused {
                status,
                is_retryable,
                ..
            } => *is_retryable && *status == 503,
            _ => false,
        }
    }

    /// Whether the server rejected the request with this code.
    pub(crate) fn is_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }

    /// Whether the reader of the output is gone.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Local(_, error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn refusal(status: u16, code: &str, detail: &str) -> String {
    let detail = table::harmless(detail);
    match (status, code) {
        (403, "read_only") => "the server is read-only".to_owned(),
        (_, "no_input") => format!("{detail} (start it with `run -i`)"),
        (_, code) if detail.is_empty() => format!("the server answered {status} {code}"),
        _ => detail,
    }
}
