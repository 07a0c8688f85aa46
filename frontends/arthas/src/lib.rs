//! The HTTP API of Arthas, told from Rejoin's log.
//!
//! One path, `POST /api`: a JSON object with an `action` enters, a JSON object with a `state`
//! leaves, and the HTTP status is 200 whatever happened. Real clients of that API work unchanged;
//! what they are shown is translated from records at the moment they ask. This frontend remembers
//! nothing: what a consumer has seen is its cursor, which the engine keeps.
//!
//! # What is different from the product
//!
#![doc = include_str!("../DIFFERENCES.md")]

mod error;
mod handlers;
mod limits;
mod login;
mod request;
mod statement;
mod translate;
mod wire;

use crate::error::Fault;
use crate::login::SCHEME;
use crate::request::Request;
use crate::wire::Answer;
use jiff::tz::TimeZone;
use rejoin_accounts::{Accounts, Caller, Login};
use rejoin_core::{JobId, SessionId};
use rejoin_engine::Engine;
use rejoin_http::{Method, Request as HttpRequest, Response, Route, Router, StatusCode, route};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Its part of the OpenAPI document: what can be asked, and what is answered.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// What this frontend is told when it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The service that runs the statements; none means the engine's own choice.
    pub service: Option<Arc<str>>,
    /// How long a pull waits when there is nothing: 2 seconds, as in the product.
    pub pull_wait: Duration,
    /// How long an `exec` may take that doesn't say: 30 seconds, as in the product.
    pub exec_timeout: Duration,
    /// How many bytes of results a job of `exec` may emit, since its answer is one piece, held in
    /// memory: 64 MiB.
    pub exec_output: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: None,
            pull_wait: Duration::from_secs(2),
            exec_timeout: Duration::from_secs(30),
            exec_output: limits::EXEC_OUTPUT,
        }
    }
}

/// Mounts the API on an application, at `/api`.
///
/// ```
/// use rejoin_accounts::Accounts;
/// use rejoin_arthas::{Settings, mount};
/// use rejoin_engine::testing::Hold;
/// use rejoin_engine::Engine;
/// use rejoin_http::{HostCheck, HttpLimits, HttpServer, test_client::Client};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = smol::block_on(Engine::in_memory().service("shell", Hold).open())?;
///
/// let mut router = rejoin_http::Router::default();
/// mount(&mut router, engine, Accounts::open()?, Settings::default());
/// let any_port = ([127, 0, 0, 1], 0).into();
/// let server = HttpServer::bind(any_port, router, HttpLimits::default(), HostCheck::local())?;
/// let (address, shutdown) = (server.local_addr(), server.shutdown());
/// let server = std::thread::spawn(move || smol::block_on(server.run(std::future::pending())));
///
/// let mut client = Client::connect(address)?;
/// let answer = client.post("/api", r#"{"action":"exec","command":"version"}"#)?;
/// let version = r#""results":[{"jobId":1,"type":"version","version":"0.1.0"},"#;
/// assert!(answer.text().contains(version));
/// # shutdown.trigger();
/// # server.join().map_err(|_| "panicked")??;
/// # Ok(())
/// # }
/// ```
pub fn mount(router: &mut Router, engine: Engine, accounts: Accounts, settings: Settings) {
    let frontend = Frontend {
        arthas: Arthas::new(engine, settings),
        accounts,
    };
    router.mount("arthas", Arc::new(frontend), ROUTES);
}

/// The one path of the API; the action is in the body.
pub const ROUTES: &[Route<Frontend>] = &[
    // Clients pull all the time, and tide would be a quarter of what a pull costs: a pull of three
    // results takes 32,745 instructions without it.
    route!(ANY "/api" => Frontend::api).direct(),
];

/// The API with its accounts, as it is mounted.
#[derive(Clone, Debug)]
pub struct Frontend {
    arthas: Arthas,
    accounts: Accounts,
}

/// The API apart from HTTP: the body of a request enters, the body of its answer leaves.
///
/// Nothing of it changes: clones are as good as the one that they were made from.
#[derive(Clone, Debug)]
pub struct Arthas {
    engine: Engine,
    settings: Settings,
    zone: TimeZone,
}

impl Arthas {
    /// The API of an engine, which shows times in the zone of the system.
    pub fn new(engine: Engine, settings: Settings) -> Self {
        Self {
            engine,
            settings,
            zone: TimeZone::system(),
        }
    }

    /// Answers a request of `caller` that came from the network address `remote`, where it came
    /// from one.
    ///
    /// The answer is one JSON object, whatever `body` is. Waits as long as the request asks for;
    /// it may be given up at any time.
    pub async fn answer(
        &self,
        body: &[u8],
        remote: Option<SocketAddr>,
        caller: &Caller,
    ) -> Vec<u8> {
        self.answer_noting(body, remote, caller, |_, _| ()).await
    }

    /// As [`Self::answer`]. Notes which session and job the request is about as soon as it is known.
    async fn answer_noting(
        &self,
        body: &[u8],
        remote: Option<SocketAddr>,
        caller: &Caller,
        note: impl Fn(Option<SessionId>, Option<JobId>),
    ) -> Vec<u8> {
        let mut request = match Request::parse(body) {
            Ok(request) => request,
            Err(fault) => return Answer::from(fault).encode(None),
        };
        let named = request.session.as_ref().and_then(|it| it.parse().ok());
        note(named, None);
        // Nobody poses as somebody else.
        if let Some(name) = caller.name() {
            request.user = Some((**name).into());
        }
        let answer = self.handle(&request, named, remote, caller).await;
        let answer = answer.unwrap_or_else(Answer::from);
        note(answer.session.filter(|it| named != Some(*it)), answer.job);
        answer.encode(request.id.as_deref())
    }
}

impl Frontend {
    async fn api(&self, http: &HttpRequest) -> Response {
        let login = self.accounts.authenticate(http, &SCHEME).await;
        let Ok(Login {
            caller,
            by_token,
            token,
        }) = login
        else {
            return login::refuse();
        };
        let body = if http.method() == Method::POST {
            // A request that came from no connection has no address.
            let peer = http.peer();
            let remote = (!peer.ip().is_unspecified()).then_some(peer);
            let log = |session: Option<SessionId>, job: Option<JobId>| {
                session.inspect(|session| http.log_session(*session));
                job.inspect(|job| http.log_job(*job));
            };
            let arthas = &self.arthas;
            arthas
                .answer_noting(http.body(), remote, &caller, log)
                .await
        } else {
            let fault = Fault::MethodUnsupported(http.method().to_string());
            Answer::from(fault).encode(None)
        };
        let response = Response::new(StatusCode::OK, JSON, body);
        match token {
            Some(token) if !by_token => {
                response.header("set-cookie", SCHEME.cookie.set(&token, http))
            }
            _ => response,
        }
    }
}

const JSON: &str = "application/json; charset=utf-8";
