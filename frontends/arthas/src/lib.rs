//! The HTTP API of Arthas, served from Rejoin's log.
//!
//! There is one path, `POST /api`. The request is a JSON object with an `action`, the response is a
//! JSON object with a `state`, and the HTTP status is always 200. Real clients of that API work
//! unchanged. The frontend has no state: responses are translated from records on each request, and
//! the engine keeps each consumer's cursor.
//!
//! # Differences from the product
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
use crate::handlers::logged_results::{LoggedAnswer, LoggedResults};
use crate::login::SCHEME;
use crate::request::Request;
use crate::wire::{Answer, State};
use futures::{StreamExt, stream};
use jiff::tz::TimeZone;
use rejoin_accounts::{Accounts, Caller, Login, Permission};
use rejoin_engine::{Engine, JobId, SessionId};
use rejoin_http::{
    Admission, Budget, Bytes, ClientAddress, Gate, Method, Refused, Request as HttpRequest,
    Response, Route, Router, Share, StatusCode, route,
};
use std::sync::Arc;
use std::time::Duration;

/// This frontend's part of the OpenAPI document.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// Settings of the frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The service that runs the statements; `None` means the engine's default service.
    pub service: Option<Arc<str>>,
    /// How long a pull waits when there is nothing to return. The default is 2 seconds, as in the
    /// product.
    pub pull_wait: Duration,
    /// A pull with results goes on until no more have come for this long, 20 are there, the job in
    /// the foreground has ended, or `pull_wait` is over. Clients count their pulls, or ask again at
    /// once: without this, they would get one result for each pull. The default is 250 ms; the
    /// product takes 105 to 300 ms.
    pub pull_gather: Duration,
    /// How long an `exec` without `execTimeout` may take. The default is 30 seconds, as in the
    /// product.
    pub exec_timeout: Duration,
    /// How many bytes of results a job of `exec` may emit. The default is 64 MiB.
    pub exec_output: u64,
    /// The bytes of results of all `exec`s together that are held until their clients have taken them: up
    /// to 256 KiB of each. Others are read from the log when their clients take them. The default is
    /// 256 MiB.
    pub exec_answers: Budget,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service: None,
            pull_wait: Duration::from_secs(2),
            pull_gather: Duration::from_millis(250),
            exec_timeout: Duration::from_secs(30),
            exec_output: limits::EXEC_OUTPUT,
            exec_answers: Budget::new(limits::EXEC_ANSWERS),
        }
    }
}

/// Mounts the API on a router, at `/api`.
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
    let gate = Gate::<Frontend> {
        admit: |frontend, http| Box::pin(frontend.admit(http)),
        refuse,
    };
    router.mount_gated(FRONTEND, Arc::new(frontend), ROUTES, gate);
}

const FRONTEND: &str = "arthas";

/// The one path of the API; the action is in the body.
pub const ROUTES: &[Route<Frontend>] = &[
    // Clients poll this path all the time. A pull of three results takes 32,156 instructions when
    // dispatched directly; through tide, a quarter of the cost of a pull would be tide.
    route!(ANY "/api" => Frontend::api).direct(),
];

/// The API with its accounts, as it is mounted.
#[derive(Clone, Debug)]
pub struct Frontend {
    arthas: Arthas,
    accounts: Accounts,
}

/// The API without HTTP: it maps a request body to a response body. Clones share the engine.
#[derive(Clone, Debug)]
pub struct Arthas {
    engine: Engine,
    settings: Settings,
    zone: TimeZone,
}

impl Arthas {
    /// The API of an engine. Times are shown in the system's time zone.
    pub fn new(engine: Engine, settings: Settings) -> Self {
        Self {
            engine,
            settings,
            zone: TimeZone::system(),
        }
    }

    /// The API for commands of a caller: their records say who asked.
    fn on_behalf_of(&self, caller: &Caller, remote: Option<ClientAddress>) -> Self {
        Self {
            engine: self.engine.on_behalf_of(caller.actor(FRONTEND, remote)),
            ..self.clone()
        }
    }

    /// Answers a request that `caller` sent from the network address `remote`, if there is one.
    ///
    /// The response body is always one JSON object, whatever `body` is. Waits as long as the request
    /// asks for. The future can be dropped at any time; an `exec` then goes on in the background.
    ///
    /// Calls `log` with the session and the job of the request as soon as each is known.
    pub async fn answer(
        &self,
        body: &[u8],
        remote: Option<ClientAddress>,
        caller: &Caller,
        log: impl Fn(LogField),
    ) -> Vec<u8> {
        let (mut json, mut logged, after) = match self.reply(body, remote, caller, log).await {
            Reply::Whole(json, _) => return json,
            Reply::Logged {
                before,
                logged,
                after,
            } => (before, logged, after),
        };
        loop {
            match logged.next().await {
                Some(Ok(part)) => json.extend_from_slice(&part),
                Some(Err(error)) => {
                    let fault = Fault::StatementFailed {
                        action: "Exec",
                        reason: error.to_string(),
                    };
                    return Answer::from(fault).encode(None);
                }
                None => break,
            }
        }
        json.extend_from_slice(&after);
        json
    }

    /// [`Self::answer`], with long results still in the log.
    async fn reply(
        &self,
        body: &[u8],
        remote: Option<ClientAddress>,
        caller: &Caller,
        log: impl Fn(LogField),
    ) -> Reply {
        let mut request = match Request::parse(body) {
            Ok(request) => request,
            Err(fault) => return Reply::Whole(Answer::from(fault).encode(None), None),
        };
        let named = request.session.as_ref().and_then(|name| name.parse().ok());
        if let Some(session) = named {
            log(LogField::Session(session));
        }
        // With accounts, a client cannot use another user's name.
        if let Some(name) = caller.name() {
            request.user = Some((**name).into());
        }
        let mut answer = match self.dispatch(&request, named, remote, caller).await {
            Ok(answer) => answer,
            Err(fault) => Answer::from(self.or_removed(fault, named).await),
        };
        if let Some(session) = answer.session.filter(|session| named != Some(*session)) {
            log(LogField::Session(session));
        }
        if let Some(job) = answer.job {
            log(LogField::Job(job));
        }
        let id = request.id.as_deref();
        match answer.logged.take() {
            Some(LoggedAnswer { begin, logged }) => {
                let (before, after) = answer.encode_around(begin, id);
                Reply::Logged {
                    before,
                    logged: Box::new(logged),
                    after,
                }
            }
            None => {
                let share = answer.share.take();
                Reply::Whole(answer.encode(id), share)
            }
        }
    }
}

/// The body of a response.
enum Reply {
    /// All of it, and what it takes of the budget of all `exec`s.
    Whole(Vec<u8>, Option<Share>),
    /// Most of it is in the log.
    Logged {
        before: Vec<u8>,
        logged: Box<LoggedResults>,
        after: Vec<u8>,
    },
}

impl Reply {
    fn respond(self) -> Response {
        match self {
            Self::Whole(json, share) => {
                let response = Response::new(StatusCode::OK, JSON, json);
                match share {
                    Some(share) => response.holding(share),
                    None => response,
                }
            }
            Self::Logged {
                before,
                logged,
                after,
            } => {
                let begin = stream::once(async { Ok(before.into()) });
                // A read that fails ends the connection: then the client knows that a part is missing.
                let results = stream::unfold(logged, |mut logged| async {
                    let part = logged.next().await?;
                    Some((part.map(Bytes::from), logged))
                });
                let end = stream::once(async { Ok(after.into()) });
                Response::streaming(StatusCode::OK, JSON, begin.chain(results).chain(end))
            }
        }
    }
}

/// What a request is about, for the server's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogField {
    /// The session that the request names or creates.
    Session(SessionId),
    /// The job that the request starts or interrupts.
    Job(JobId),
}

impl Frontend {
    async fn admit(&self, http: &HttpRequest) -> Admission {
        match self.accounts.admit(http, &SCHEME).await {
            Ok(login) if login.caller.may(Permission::Run) => Admission::Any,
            // The action is in the body. Only those that this caller may not do need much room.
            Ok(_) => Admission::Small,
            Err(_) => Admission::Refused(login::unauthorized()),
        }
    }

    async fn api(&self, http: &HttpRequest) -> Response {
        let login = self.accounts.authenticate(http, &SCHEME).await;
        let Ok(Login {
            caller,
            by_token,
            token,
        }) = login
        else {
            return login::unauthorized();
        };
        let reply = if http.method() == Method::POST {
            let remote = http.address();
            let log = |field| match field {
                LogField::Session(session) => {
                    http.log_session(session);
                    self.note_entered(&caller, session);
                }
                LogField::Job(job) => http.log_job(job),
            };
            let arthas = &self.arthas;
            arthas.reply(http.body(), remote, &caller, log).await
        } else {
            let fault = Fault::MethodUnsupported(http.method().to_string());
            Reply::Whole(Answer::from(fault).encode(None), None)
        };
        let response = reply.respond();
        match token {
            Some(token) if !by_token => {
                response.header("set-cookie", SCHEME.cookie.set(&token, http))
            }
            _ => response,
        }
    }
}

impl Frontend {
    /// Shows the caller the session in lists of other frontends.
    fn note_entered(&self, caller: &Caller, session: SessionId) {
        if caller.shown_user().is_none() {
            return;
        }
        let found = self.arthas.engine.view(|views| {
            let view = views.session(session);
            view.map(|view| (view.user.clone(), view.number.0))
        });
        if let Some((owner, number)) = found {
            self.accounts.note_entered(caller, owner.as_deref(), number);
        }
    }
}

/// What is refused before its body is taken. The product answers 413 with an empty body.
fn refuse(refused: &Refused) -> Response {
    match refused {
        Refused::BodyTooLarge { .. } => Response::empty(refused.status()),
        refused => {
            let answer = Answer::new(State::Refused).message(&refused.to_string());
            Response::new(StatusCode::OK, JSON, answer.encode(None))
        }
    }
}

const JSON: &str = "application/json; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_http::test_openapi::assert_documented;

    #[test]
    fn the_document_has_every_path_and_no_other() {
        assert_documented(OPENAPI, ROUTES);
    }
}
