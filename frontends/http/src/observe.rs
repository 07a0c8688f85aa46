//! Metrics and the request log of connections and requests.
//!
//! Invariant: queries, headers and bodies are never logged: they may hold secrets. Paths don't.

use crate::limits::LOGGED_PATH_CHARS;
use crate::server::connection::Service;
use http::{Method, StatusCode};
use rejoin_metrics::{Counter, Gauge, GaugeGuard, Histogram};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Where a server counts, and which requests it logs.
///
/// ```
/// use rejoin_http::{HostCheck, HttpMetrics, HttpLimits, Observer, RequestLog, Router, HttpServer};
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = Arc::new(HttpMetrics::new(&["shop", "other"]));
/// let observer = Observer {
///     metrics: metrics.clone(),
///     unmatched: "other",
///     log: RequestLog::Failed,
/// };
/// let any_port = ([127, 0, 0, 1], 0).into();
/// let server = HttpServer::bind(any_port, Router::default(), HttpLimits::default(), HostCheck::local())?;
/// let _server = server.observed(observer);
/// assert_eq!(metrics.frontends()[0].requests("2xx"), Some(0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Observer {
    /// Where it counts. Several servers may share it.
    pub metrics: Arc<HttpMetrics>,
    /// The frontend that requests count for if their path belongs to none.
    pub unmatched: &'static str,
    /// Which requests are logged, as `tracing` events with the target
    /// [`REQUEST`](Self::REQUEST).
    pub log: RequestLog,
}

impl Observer {
    /// The target of the events of the request log.
    pub const REQUEST: &'static str = "rejoin::request";
}

impl Default for Observer {
    fn default() -> Self {
        Self {
            metrics: Arc::default(),
            unmatched: OTHER,
            log: RequestLog::None,
        }
    }
}

/// Which requests are logged: one event each, when the response was handed over.
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

/// The counters of one or more servers.
#[derive(Debug)]
pub struct HttpMetrics {
    frontends: Vec<FrontendMetrics>,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Connections that were answered 503, because all are taken, or closed without a word, because
    /// too many were being answered so.
    pub refused: Counter,
    /// Answers that go on: Server-Sent Events.
    pub streams: Gauge,
}

/// The counters of one frontend's requests.
#[derive(Debug)]
pub struct FrontendMetrics {
    /// Its name.
    pub name: &'static str,
    /// Requests that are being answered.
    pub open: Gauge,
    /// From a request's head to the last of its answer, in microseconds. Waits and streams count
    /// as long as they last.
    pub micros: Histogram,
    /// Bytes of answers' bodies.
    pub bytes: Counter,
    requests: [Counter; STATUS_CLASSES.len()],
}

impl FrontendMetrics {
    /// How many requests had an answer of this class, which is one of [`STATUS_CLASSES`].
    pub fn requests(&self, class: &str) -> Option<u64> {
        let place = STATUS_CLASSES.iter().position(|known| *known == class)?;
        Some(self.requests[place].get())
    }
}

/// The classes of responses. `left`: the client left before there was one.
pub const STATUS_CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "left"];

impl HttpMetrics {
    /// Nothing yet, of these frontends. The last also has what belongs to none of them; where there
    /// is none, that is `other`.
    #[must_use]
    pub fn new(frontends: &[&'static str]) -> Self {
        let names = if frontends.is_empty() {
            &[OTHER][..]
        } else {
            frontends
        };
        let of = |name: &&'static str| FrontendMetrics {
            name,
            open: Gauge::default(),
            micros: Histogram::new(MICROS),
            bytes: Counter::default(),
            requests: Default::default(),
        };
        Self {
            frontends: names.iter().map(of).collect(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            refused: Counter::default(),
            streams: Gauge::default(),
        }
    }

    /// Each frontend's, in the order in which they were named.
    #[must_use]
    pub fn frontends(&self) -> &[FrontendMetrics] {
        &self.frontends
    }

    fn index(&self, name: &str) -> usize {
        let index = self.frontends.iter().position(|known| known.name == name);
        index.unwrap_or(self.frontends.len() - 1)
    }
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self::new(&[])
    }
}

/// What a handler adds to its request's log entry: see
/// [`Request::log_session`](crate::Request::log_session).
#[derive(Default)]
pub(crate) struct RequestFields(Mutex<Fields>);

/// Formatted only when the request is logged.
#[derive(Default)]
struct Fields {
    session: Option<Field>,
    job: Option<Field>,
}

type Field = Box<dyn Display + Send>;

impl RequestFields {
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
            .field("session", &text(&fields.session))
            .field("job", &text(&fields.job))
            .finish()
    }
}

/// A request from its head to the last byte of its response. Counts and logs when it is dropped.
pub(crate) struct RequestSpan {
    service: Rc<Service>,
    frontend: usize,
    started: Instant,
    bytes: u64,
    status: Option<StatusCode>,
    logged: Option<Logged>,
    _open: GaugeGuard,
    stream: Option<GaugeGuard>,
}

/// Kept only if requests are logged.
struct Logged {
    peer: SocketAddr,
    method: Method,
    path: String,
    fields: Arc<RequestFields>,
}

impl RequestSpan {
    pub(crate) fn begin(
        service: &Rc<Service>,
        frontend: Option<&str>,
        peer: SocketAddr,
        method: &Method,
        path: &str,
    ) -> Self {
        let observer = &service.observer;
        let metrics = &observer.metrics;
        let frontend = metrics.index(frontend.unwrap_or(observer.unmatched));
        Self {
            service: service.clone(),
            frontend,
            started: now(),
            bytes: 0,
            status: None,
            logged: (observer.log != RequestLog::None).then(|| Logged {
                peer,
                method: method.clone(),
                path: path.chars().take(LOGGED_PATH_CHARS).collect(),
                fields: Arc::default(),
            }),
            _open: metrics.frontends[frontend].open.enter(),
            stream: None,
        }
    }

    /// Where a handler names the session and the job of its request.
    pub(crate) fn fields(&self) -> Option<Arc<RequestFields>> {
        self.logged.as_ref().map(|logged| logged.fields.clone())
    }

    pub(crate) fn responded(&mut self, status: StatusCode, is_stream: bool) {
        self.status = Some(status);
        self.stream = is_stream.then(|| self.service.observer.metrics.streams.enter());
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

impl Drop for RequestSpan {
    fn drop(&mut self) {
        let took = now().saturating_duration_since(self.started);
        let counts = &self.service.observer.metrics.frontends[self.frontend];
        let class = self
            .status
            .map_or(STATUS_CLASSES.len(), |it| usize::from(it.as_u16() / 100));
        if let Some(requests) = counts.requests.get(class.saturating_sub(1)) {
            requests.inc();
        }
        counts.micros.observe_micros(took);
        counts.bytes.add(self.bytes);
        let Some(logged) = &self.logged else { return };
        let fields = logged.fields.fields();
        let has_failed = self.status.is_some_and(|status| status.is_server_error());
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    target: Observer::REQUEST,
                    frontend = counts.name,
                    method = logged.method.as_str(),
                    path = logged.path,
                    status = self.status.map(|status| status.as_u16()),
                    seconds = took.as_secs_f64(),
                    bytes = self.bytes,
                    session = fields.session.as_ref().map(tracing::field::display),
                    job = fields.job.as_ref().map(tracing::field::display),
                    peer = %logged.peer,
                    "request"
                )
            };
        }
        if has_failed {
            log!(warn);
        } else if self.service.observer.log == RequestLog::All {
            log!(info);
        }
    }
}

const OTHER: &str = "other";

/// From an answer out of memory to a pull that waits as long as it may.
const MICROS: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000, 60_000_000,
];

#[expect(
    clippy::disallowed_methods,
    reason = "how long a request took is only counted and logged; nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}
