//! A server in a thread of its own, stopped when the test ends.

use futures::FutureExt;
use futures::future::BoxFuture;
use rejoin_http::test_client::{Client, Received};
use rejoin_http::{
    HostCheck, HttpLimits, HttpServer, Method, Request, Response, Route, Router, Shutdown,
    StatusCode, Stopped,
};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

/// Longer than anything a test waits for, and still an end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A limit that no test reaches.
pub(crate) const NEVER: Duration = Duration::from_secs(3600);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    stopped: Receiver<io::Result<Stopped>>,
}

impl Running {
    /// With an application that answers `GET /` and `POST /echo`.
    pub(crate) fn usual() -> Self {
        Self::start(usual_app(), limits())
    }

    pub(crate) fn start(app: Router, limits: HttpLimits) -> Self {
        Self::checked(app, limits, HostCheck::local())
    }

    pub(crate) fn checked(app: Router, limits: HttpLimits, hosts: HostCheck) -> Self {
        Self::of(HttpServer::bind(([127, 0, 0, 1], 0).into(), app, limits, hosts).unwrap())
    }

    pub(crate) fn of(server: HttpServer) -> Self {
        let (address, shutdown) = (server.local_addr(), server.shutdown());
        let (ended, stopped) = channel();
        spawn(move || {
            let stopped = smol::block_on(server.run(std::future::pending()));
            // The test may not care.
            let _ = ended.send(stopped);
        });
        Self {
            address,
            shutdown,
            stopped,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// Sends bytes on a connection of their own and returns the answer to them.
    pub(crate) fn answer_to(&self, bytes: &[u8]) -> Received {
        let mut client = self.client();
        client.send_raw(bytes).unwrap();
        client.receive().unwrap()
    }

    /// Sends bytes on a connection of their own and returns all that comes until it is closed.
    pub(crate) fn all_answers_to(&self, bytes: &[u8]) -> String {
        let mut client = self.client();
        client.send_raw(bytes).unwrap();
        String::from_utf8(client.receive_rest().unwrap()).unwrap()
    }

    /// Whether the server still answers.
    pub(crate) fn is_well(&self) -> bool {
        self.client().get("/").unwrap().status < 500
    }

    pub(crate) fn stop(self) -> Stopped {
        self.shutdown.trigger();
        self.stopped.recv_timeout(PATIENCE).unwrap().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// Two threads, and no time that a test could reach by accident.
pub(crate) fn limits() -> HttpLimits {
    HttpLimits {
        threads: NonZeroUsize::new(2).unwrap(),
        shutdown: PATIENCE,
        idle: NEVER,
        body_read: NEVER,
        write: NEVER,
        linger: PATIENCE,
        ..HttpLimits::default()
    }
}

pub(crate) fn usual_app() -> Router {
    let mut app = Router::default();
    get(&mut app, "/", |_| async { text("Welcome!") });
    post(&mut app, "/echo", |request| async move {
        Response::new(StatusCode::OK, "text/plain", request.body().clone())
    });
    app
}

/// A response with the status 200.
pub(crate) fn text(text: impl Into<rejoin_http::Bytes>) -> Response {
    Response::new(StatusCode::OK, "text/plain; charset=utf-8", text)
}

pub(crate) fn get<F>(
    app: &mut Router,
    path: &'static str,
    handler: impl Fn(Request) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Response> + Send + 'static,
{
    mount(
        app,
        "test",
        &[Closure::row(Some(Method::GET), path)],
        handler,
    );
}

pub(crate) fn post<F>(
    app: &mut Router,
    path: &'static str,
    handler: impl Fn(Request) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Response> + Send + 'static,
{
    mount(
        app,
        "test",
        &[Closure::row(Some(Method::POST), path)],
        handler,
    );
}

/// A closure as the state of a table, and as the handler of all its rows.
pub(crate) fn mount<F>(
    app: &mut Router,
    frontend: &'static str,
    rows: &[Route<Closure>],
    handler: impl Fn(Request) -> F + Send + Sync + 'static,
) where
    F: Future<Output = Response> + Send + 'static,
{
    let closure = Closure(Box::new(move |request| handler(request).boxed()));
    app.mount(frontend, Arc::new(closure), rows);
}

type Handler = dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync;

pub(crate) struct Closure(Box<Handler>);

impl Closure {
    pub(crate) const fn row(method: Option<Method>, path: &'static str) -> Route<Self> {
        Route::new(method, path, |closure, request| (closure.0)(request))
    }
}
