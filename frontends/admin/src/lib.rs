//! The endpoints for operators: `/metrics` in the text format of Prometheus (version 0.0.4), and
//! `/healthz` and `/readyz` for load balancers and container runtimes.
//!
//! Invariant: the number of metrics does not depend on what clients send. Labels come from fixed
//! lists, never from sessions, users or addresses.
//!
//! The format is written by `text`, without a library: the metrics are plain atomics of the
//! components that count, and a library would own them and lock for each label.

mod describe;
mod files;
mod health;
mod process;
mod text;

use rejoin_accounts::Accounts;
use rejoin_engine::{Engine, ShellRunner};
use rejoin_http::{Budget, Gate, HttpMetrics, Request, Response, Route, Router, StatusCode, route};
use rejoin_metrics::{Counter, Gauge};
use std::path::PathBuf;
use std::sync::Arc;
use text::Text;

/// What the endpoints report.
#[derive(Clone, Debug)]
pub struct AdminState {
    /// The engine.
    pub engine: Engine,
    /// The accounts, whose links are counted.
    pub accounts: Accounts,
    /// The runner of the shell service, whose keepers are counted; none if no command is run.
    pub shell: Option<ShellRunner>,
    /// Metrics of the log's writer; none if nothing is written.
    pub log: Option<Arc<rejoin_log::segment::LogMetrics>>,
    /// The directory of the log's files.
    pub log_directory: PathBuf,
    /// Metrics of the HTTP servers.
    pub http: Arc<HttpMetrics>,
    /// Connections that may be open at all addresses together.
    pub connections_limit: usize,
    /// Bytes of the bodies of all requests.
    pub bodies: Budget,
    /// Bytes of the responses that clients do not take.
    pub unread: Budget,
    /// Bytes of the results of all `exec` commands of Arthas that are held.
    pub exec_answers: Budget,
    /// Log lines that could not be written to standard error.
    pub lost_lines: Arc<Counter>,
    /// What webhooks were sent.
    pub webhooks: Arc<WebhookMetrics>,
    /// The version of the program.
    pub version: &'static str,
    /// When the process started, in milliseconds since 1970.
    pub started_millis: u64,
}

/// What webhooks were sent, of all of them together.
#[derive(Debug, Default)]
pub struct WebhookMetrics {
    /// Messages that arrived.
    pub delivered: Counter,
    /// Attempts that failed.
    pub failed: Counter,
    /// Messages that were given up after too many attempts.
    pub given_up: Counter,
    /// Messages whose session was removed before they were held in memory.
    pub dropped: Counter,
    /// Messages that wait or are being sent.
    pub waiting: Gauge,
}

/// Mounts the three paths.
///
/// ```
/// use rejoin_accounts::Accounts;
/// use rejoin_engine::Engine;
/// use rejoin_http::test_call::call;
/// use rejoin_admin::AdminState;
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = smol::block_on(Engine::in_memory().open())?;
/// let mut router = rejoin_http::Router::default();
/// rejoin_admin::mount(&mut router, AdminState {
///     engine,
///     accounts: Accounts::open()?,
///     shell: None,
///     log: None,
///     log_directory: "rejoin-data/log".into(),
///     http: Arc::default(),
///     connections_limit: 10_000,
///     bodies: rejoin_http::Budget::new(64 * 1024 * 1024),
///     unread: rejoin_http::Budget::new(64 * 1024 * 1024),
///     exec_answers: rejoin_http::Budget::new(256 * 1024 * 1024),
///     lost_lines: Arc::default(),
///     webhooks: Arc::default(),
///     version: "1.0.0",
///     started_millis: 0,
/// });
/// let ready = smol::block_on(call(&router, "GET", "/readyz", &[], b"")).ok_or("an invalid request")?;
/// assert_eq!((ready.status, &*ready.body), (200, &b"ready\n"[..]));
/// # Ok(())
/// # }
/// ```
pub fn mount(router: &mut Router, state: AdminState) {
    router.mount_gated(FRONTEND, Arc::new(state), ROUTES, Gate::SMALL);
}

/// The routes of the endpoints.
pub const ROUTES: &[Route<AdminState>] = &[
    route!(GET "/metrics" => AdminState::metrics),
    route!(GET "/healthz" => AdminState::healthz),
    route!(GET "/readyz" => AdminState::readyz),
];

/// The label of these paths in metrics. Dashboards rely on it, so it keeps its first name.
const FRONTEND: &str = "operate";

impl AdminState {
    async fn metrics(self: &Arc<Self>, _: &Request) -> Response {
        let state = self.clone();
        // This reads directories, and handlers must not block.
        smol::unblock(move || metrics(&state)).await
    }

    async fn healthz(&self, _: &Request) -> Response {
        health::health(&self.engine)
    }

    async fn readyz(&self, _: &Request) -> Response {
        health::readiness(&self.engine)
    }
}

fn metrics(state: &AdminState) -> Response {
    let mut text = Text::default();
    describe::build(&mut text, state);
    describe::engine(&mut text, &state.engine.stats());
    describe::links(&mut text, &state.accounts);
    describe::takeover(&mut text, state.engine.takeover());
    let keepers = state.shell.as_ref().map(ShellRunner::keeper_status);
    describe::keepers(&mut text, &keepers.unwrap_or_default());
    describe::webhooks(&mut text, &state.webhooks);
    if let Some(log) = &state.log {
        describe::log(&mut text, log);
    }
    files::describe(&mut text, &state.log_directory);
    describe::http(&mut text, &state.http);
    describe::http_bounds(&mut text, state);
    process::describe(&mut text, state.started_millis);
    Response::new(StatusCode::OK, text::CONTENT_TYPE, text.finish())
}
