//! Observes requests: counts each one, and logs it if asked to.

pub(crate) mod metrics;
pub(crate) mod request_log;

use crate::observe::metrics::{HttpMetrics, OTHER};
use crate::observe::request_log::{LogEntry, RequestFields, RequestLog};
use crate::server::connection::Service;
use crate::web::client_address::ClientAddress;
use http::{Method, StatusCode};
use rejoin_metrics::GaugeGuard;
use std::rc::Rc;
use std::sync::Arc;
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
    /// The frontend to which requests are counted whose path belongs to none.
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

/// A request from its head to the last byte of its response. Counts and logs when it is dropped.
pub(crate) struct RequestSpan {
    service: Rc<Service>,
    frontend: usize,
    started: Instant,
    bytes: u64,
    status: Option<StatusCode>,
    /// Only if requests are logged.
    log_entry: Option<LogEntry>,
    _open: GaugeGuard,
    stream: Option<GaugeGuard>,
}

impl RequestSpan {
    pub(crate) fn begin(
        service: &Rc<Service>,
        frontend: Option<&str>,
        client: Option<ClientAddress>,
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
            log_entry: (observer.log != RequestLog::None)
                .then(|| LogEntry::new(client, method, path)),
            _open: metrics.frontends()[frontend].open.enter(),
            stream: None,
        }
    }

    /// What a handler adds to the log entry; none if requests are not logged.
    pub(crate) fn fields(&self) -> Option<Arc<RequestFields>> {
        self.log_entry.as_ref().map(|entry| entry.fields.clone())
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
        let observer = &self.service.observer;
        let metrics = &observer.metrics.frontends()[self.frontend];
        metrics.record(self.status, took, self.bytes);
        if let Some(entry) = &self.log_entry {
            entry.write(observer.log, metrics.name, self.status, took, self.bytes);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a request took is only counted and logged; nothing is decided by it"
)]
fn now() -> Instant {
    Instant::now()
}
