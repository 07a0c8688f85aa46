//! What an operator asks of a server: `/metrics`, `/healthz` and `/readyz`.
//!
//! What enters: the numbers that engine, log and HTTP servers have counted. What leaves: text, in
//! the format that Prometheus reads (version 0.0.4), and answers that a load balancer or a
//! container's runtime understands by their status. What is never true: a number that grows with
//! what clients say. Labels come from fixed lists; no session, user or address is one.
//!
//! The format is written here (`text`), not by a library: the numbers are plain atomics that
//! belong to whoever counts, and a library would want to own them, with a lock for each label.

mod describe;
mod files;
mod health;
mod process;
mod text;

use rejoin_engine::Engine;
use rejoin_http::{Answer, Methods, Numbers, StatusCode};
use std::path::PathBuf;
use std::sync::Arc;
use text::Text;

/// What there is to tell of.
#[derive(Clone, Debug)]
pub struct Operated {
    /// The engine.
    pub engine: Engine,
    /// What the log's writer counts; none where nothing is written.
    pub log: Option<Arc<rejoin_log::segment::Numbers>>,
    /// The directory of the log's files.
    pub log_directory: PathBuf,
    /// What the HTTP servers count.
    pub http: Arc<Numbers>,
    /// The version of the program.
    pub version: &'static str,
    /// When the process began, in milliseconds since 1970.
    pub begun_millis: u64,
}

/// Mounts the three paths on an application.
///
/// ```
/// use rejoin_engine::{Config, Engine, RecoveredState, Services, SmolRuntime};
/// use rejoin_http::test_call::call;
/// use rejoin_log::MemoryLog;
/// use rejoin_admin::Operated;
/// use std::sync::Arc;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default();
/// let (log, replayed) = (Box::new(MemoryLog::new()), RecoveredState::new(&config));
/// let engine = Engine::start(config, Arc::new(SmolRuntime), log, replayed, Services::new())?;
/// let mut app = rejoin_http::app();
/// rejoin_admin::mount(&mut app, Operated {
///     engine,
///     log: None,
///     log_directory: "rejoin-data/log".into(),
///     http: Arc::default(),
///     version: "1.0.0",
///     begun_millis: 0,
/// });
/// let ready = smol::block_on(call(&app, "GET", "/readyz", &[], b"")).ok_or("not asked")?;
/// assert_eq!((ready.status, &*ready.body), (200, &b"ready\n"[..]));
/// # Ok(())
/// # }
/// ```
pub fn mount(app: &mut tide::Server<()>, operated: Operated) {
    let operated = Arc::new(operated);
    let of = operated.clone();
    app.at("/metrics").all(Methods::new().get(move |_| {
        let of = of.clone();
        // Directories are read for it, and handlers may not block.
        async move { Ok(smol::unblock(move || metrics(&of)).await) }
    }));
    let of = operated.clone();
    app.at("/healthz").all(Methods::new().get(move |_| {
        let health = health::health(&of.engine);
        async move { Ok(health) }
    }));
    app.at("/readyz").all(Methods::new().get(move |_| {
        let readiness = health::readiness(&operated.engine);
        async move { Ok(readiness) }
    }));
}

fn metrics(operated: &Operated) -> Answer {
    let mut text = Text::default();
    describe::build(&mut text, operated);
    describe::engine(&mut text, &operated.engine.stats());
    if let Some(log) = &operated.log {
        describe::log(&mut text, log);
    }
    files::describe(&mut text, &operated.log_directory);
    describe::http(&mut text, &operated.http);
    process::describe(&mut text, operated.begun_millis);
    Answer::new(StatusCode::OK, text::CONTENT_TYPE, text.finish())
}
