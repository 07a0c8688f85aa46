//! The request log: one `tracing` event for each request.
//!
//! Invariant: queries, headers and bodies are never logged, because they may hold secrets.

use crate::limits::LOGGED_PATH_CHARS;
use crate::observe::Observer;
use crate::web::client_address::ClientAddress;
use http::{Method, StatusCode};
use std::fmt::{self, Display};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Which requests are logged: each when its response has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestLog {
    /// None.
    #[default]
    None,
    /// Those with a status of 500 or above, as warnings.
    Failed,
    /// All: failed ones as warnings, the others at level `info`.
    All,
}

/// What a handler adds to its request's log entry: see
/// [`Request::log_session`](crate::Request::log_session).
#[derive(Default)]
pub(crate) struct RequestFields(Mutex<Fields>);

/// Formatted only when the request is logged.
#[derive(Default)]
struct Fields {
    account: Option<Field>,
    link: Option<Field>,
    session: Option<Field>,
    job: Option<Field>,
}

type Field = Box<dyn Display + Send>;

impl RequestFields {
    pub(crate) fn set_account(&self, account: impl Display + Send + 'static) {
        self.fields().account = Some(Box::new(account));
    }

    pub(crate) fn set_link(&self, link: impl Display + Send + 'static) {
        self.fields().link = Some(Box::new(link));
    }

    pub(crate) fn set_session(&self, session: impl Display + Send + 'static) {
        self.fields().session = Some(Box::new(session));
    }

    pub(crate) fn set_job(&self, job: impl Display + Send + 'static) {
        self.fields().job = Some(Box::new(job));
    }

    fn fields(&self) -> std::sync::MutexGuard<'_, Fields> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RequestFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields();
        let text = |field: &Option<Field>| field.as_ref().map(ToString::to_string);
        f.debug_struct("RequestFields")
            .field("account", &text(&fields.account))
            .field("link", &text(&fields.link))
            .field("session", &text(&fields.session))
            .field("job", &text(&fields.job))
            .finish()
    }
}

/// What is known of a request before its response.
pub(crate) struct LogEntry {
    client: Option<ClientAddress>,
    method: Method,
    path: String,
    pub(crate) fields: Arc<RequestFields>,
}

impl LogEntry {
    pub(crate) fn new(client: Option<ClientAddress>, method: &Method, path: &str) -> Self {
        Self {
            client,
            method: method.clone(),
            path: path.chars().take(LOGGED_PATH_CHARS).collect(),
            fields: Arc::default(),
        }
    }

    /// Logs the request, if `log` includes it.
    pub(crate) fn write(
        &self,
        log: RequestLog,
        frontend: &'static str,
        status: Option<StatusCode>,
        took: Duration,
        bytes: u64,
    ) {
        let fields = self.fields.fields();
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    target: Observer::REQUEST,
                    frontend,
                    method = self.method.as_str(),
                    path = self.path,
                    status = status.map(|status| status.as_u16()),
                    seconds = took.as_secs_f64(),
                    bytes,
                    account = fields.account.as_ref().map(tracing::field::display),
                    link = fields.link.as_ref().map(tracing::field::display),
                    session = fields.session.as_ref().map(tracing::field::display),
                    job = fields.job.as_ref().map(tracing::field::display),
                    peer = self.client.as_ref().map(tracing::field::display),
                    "request"
                )
            };
        }
        // 501 is the client's doing: anybody can send a method that nobody implements.
        let failed =
            |status: StatusCode| status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        if status.is_some_and(failed) {
            log!(warn);
        } else if log == RequestLog::All {
            log!(info);
        }
    }
}
