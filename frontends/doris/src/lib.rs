//! The session tables of Apache Doris' FE, told from Rejoin's views.
//!
//! `GET /rest/v1/session` and `GET /rest/v1/session/all`: a table of the open sessions in an
//! envelope, and the HTTP status is 200 whatever happened. This frontend remembers nothing; the
//! table is a fold of the log that the engine keeps.
//!
//! What the columns mean here: `Id` is the session's number, `Host` the address and port of whoever
//! created it, `Db` its service, `Command` is `Query` while a job of it runs, else `Sleep`, `Time`
//! the whole seconds since then, and `Info` the running statement.
//!
//! # What is different from the product
//!
#![doc = include_str!("../DIFFERENCES.md")]

mod limits;
mod login;
mod table;

use futures::{StreamExt, stream};
use jiff::tz::TimeZone;
use limits::{TURN, WHOLE};
use login::Refused;
use rejoin_accounts::{Accounts, Caller};
use rejoin_core::Selection;
use rejoin_engine::Engine;
use rejoin_http::{Bytes, Method, Request, Response, Route, Router, StatusCode, route};
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use table::Scene;

/// Its part of the OpenAPI document: what can be asked, and what is answered.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// What this frontend is told when it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Which columns the tables have: the documented ones.
    pub columns: Columns,
    /// What the column `FE` says: the host that has the sessions.
    pub node: Arc<str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            columns: Columns::Documented,
            node: "127.0.0.1".into(),
        }
    }
}

/// The columns of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// The nine that are documented; for all nodes `FE` is before them.
    Documented,
    /// The fourteen that newer versions (2.1, 3.x) send.
    Newer,
}

/// Mounts the tables on an application, at `/rest/v1/session` and `/rest/v1/session/all`, and what
/// clients log in with.
///
/// ```
/// use rejoin_accounts::Accounts;
/// use rejoin_doris::{Settings, mount};
/// use rejoin_engine::testing::Hold;
/// use rejoin_engine::{Engine, NewSession};
/// use rejoin_http::{HostCheck, HttpLimits, HttpServer, test_client::Client};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = smol::block_on(Engine::in_memory().service("shell", Hold).open())?;
/// smol::block_on(engine.create_session(NewSession::default()))?;
///
/// let mut router = rejoin_http::Router::default();
/// mount(&mut router, engine, Accounts::open()?, Settings::default());
/// let any_port = ([127, 0, 0, 1], 0).into();
/// let server = HttpServer::bind(any_port, router, HttpLimits::default(), HostCheck::local())?;
/// let (address, shutdown) = (server.local_addr(), server.shutdown());
/// let server = std::thread::spawn(move || smol::block_on(server.run(std::future::pending())));
///
/// let mut client = Client::connect(address)?;
/// let answer = client.get("/rest/v1/session")?;
/// assert!(answer.text().starts_with(r#"{"msg":"success","code":0,"data":{"column_names":["Id","#));
/// # shutdown.trigger();
/// # server.join().map_err(|_| "panicked")??;
/// # Ok(())
/// # }
/// ```
pub fn mount(router: &mut Router, engine: Engine, accounts: Accounts, settings: Settings) {
    let frontend = Arc::new(Doris {
        engine,
        accounts,
        settings,
        zone: TimeZone::system(),
    });
    router.mount_with("doris", frontend, ROUTES, method_not_supported);
}

/// Every method and path. `openapi.json` describes the same, which a test checks.
pub const ROUTES: &[Route<Doris>] = &[
    route!(POST "/rest/v1/login" => Doris::login),
    route!(POST "/rest/v1/logout" => Doris::logout),
    route!(GET "/rest/v1/ui/me" => Doris::me),
    route!(GET "/rest/v1/session" => Doris::sessions_of_node),
    route!(GET "/rest/v1/session/" => Doris::sessions_of_node),
    route!(GET "/rest/v1/session/all" => Doris::sessions_of_all),
    route!(GET "/rest/v1/session/all/" => Doris::sessions_of_all),
];

/// The session tables of an engine.
#[derive(Clone, Debug)]
pub struct Doris {
    engine: Engine,
    accounts: Accounts,
    settings: Settings,
    zone: TimeZone,
}

impl Doris {
    async fn sessions_of_node(&self, http: &Request) -> Response {
        self.sessions(http, false).await
    }

    async fn sessions_of_all(&self, http: &Request) -> Response {
        self.sessions(http, true).await
    }

    async fn sessions(&self, http: &Request, is_all: bool) -> Response {
        match login::enter(&self.accounts, http).await {
            Ok(entered) => {
                let table = self.table(is_all, &entered.caller).await;
                with_cookie(http, table, entered.cookie.as_deref())
            }
            Err(refused) => refuse(&refused),
        }
    }

    async fn logout(&self, http: &Request) -> Response {
        login::leave(&self.accounts, http);
        let body = r#"{"msg":"success","code":0,"data":null,"count":0}"#;
        Response::new(StatusCode::OK, JSON, body).header("set-cookie", login::forget())
    }

    async fn login(&self, http: &Request) -> Response {
        match login::enter(&self.accounts, http).await {
            Ok(entered) => {
                let body = r#"{"msg":"Login success!","code":200}"#;
                let answer = Response::new(StatusCode::OK, JSON, body);
                with_cookie(http, answer, entered.cookie.as_deref())
            }
            Err(refused) => refuse(&refused),
        }
    }

    /// Whose cookie it is. Where there are no accounts it is the product's first user.
    async fn me(&self, http: &Request) -> Response {
        if http.header("authorization").is_some() {
            return refuse(&Refused::unauthorized("Cookie is invalid"));
        }
        let user = if self.accounts.is_open() {
            Ok("root".into())
        } else {
            let entered = login::enter_by_cookie(&self.accounts, http);
            entered.map(|it| it.caller.name().cloned().unwrap_or_default())
        };
        match user {
            // Pages of elsewhere are told by their origin; the token is there for who looks.
            Ok(user) => {
                let body = format!(r#"{{"user":{},"csrfToken":"unused"}}"#, json!(*user));
                Response::new(StatusCode::OK, JSON, body)
            }
            Err(refused) => refuse(&refused),
        }
    }

    async fn table(&self, is_all: bool, caller: &Caller) -> Response {
        let columns = table::columns(self.settings.columns, is_all);
        let head = format!(
            r#"{{"msg":"success","code":0,"data":{{"column_names":{},"rows":["#,
            json!(columns)
        );
        let rows = Rows {
            engine: self.engine.clone(),
            scene: Scene {
                columns,
                node: self.settings.node.to_string(),
                now: self.engine.runtime().now(),
                zone: self.zone.clone(),
            },
            is_all,
            user: caller.shown_user().map(Into::into),
            from: Some(0),
            told: 0,
            is_over: false,
        };
        let parts = stream::unfold(rows, |mut rows| async move {
            let part = rows.next().await?;
            Some((Ok::<_, io::Error>(Bytes::from(part)), rows))
        });
        let parts = stream::iter([Ok(Bytes::from(head))]).chain(parts);
        if self.engine.view(|views| views.open_count()) > WHOLE {
            return Response::streaming(StatusCode::OK, JSON, parts);
        }
        let mut whole = Vec::new();
        let mut parts = std::pin::pin!(parts);
        while let Some(Ok(part)) = parts.next().await {
            whole.extend_from_slice(&part);
        }
        Response::new(StatusCode::OK, JSON, whole)
    }
}

/// A table that is being written: some sessions at a time, so that a long one neither holds up the
/// writer nor fills the memory.
#[derive(Debug)]
struct Rows {
    engine: Engine,
    scene: Scene,
    is_all: bool,
    /// Whose sessions; none: everybody's.
    user: Option<Arc<str>>,
    /// The number from which on it goes on; none: all are written.
    from: Option<u64>,
    told: usize,
    is_over: bool,
}

impl Rows {
    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let Some(from) = self.from else {
            if std::mem::replace(&mut self.is_over, true) {
                return None;
            }
            // Of one node it is the size of `data`, which has two members.
            let count = if self.is_all { self.told } else { 2 };
            out.extend_from_slice(format!("]}},\"count\":{count}}}").as_bytes());
            return Some(out);
        };
        let selection = Selection {
            numbers: from..=u64::MAX,
            user: self.user.as_deref(),
            ..Selection::default()
        };
        let (mut last, told) = (None, self.told);
        self.engine.view(|views| {
            for view in views.select(&selection, 0).take(TURN) {
                if self.told > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(&self.scene.row(view));
                self.told += 1;
                last = view.number.0.checked_add(1);
            }
        });
        self.from = last.filter(|_| self.told - told == TURN);
        if self.from.is_some() {
            // Gives the connections of the same thread their turn.
            self.engine.runtime().timer(Duration::ZERO).await;
        }
        Some(out)
    }
}

/// The envelope of what did not work.
fn failed(msg: &str, code: u16, reason: &str) -> Response {
    let (msg, reason) = (json!(msg), json!(reason));
    let body = format!(r#"{{"msg":{msg},"code":{code},"data":{reason},"count":0}}"#);
    Response::new(StatusCode::OK, JSON, body)
}

const JSON: &str = "application/json";

fn refuse(refused: &Refused) -> Response {
    failed(refused.msg, refused.code, &refused.reason)
}

fn with_cookie(http: &Request, answer: Response, token: Option<&str>) -> Response {
    match token {
        Some(token) => answer.header("set-cookie", login::keep(http, token)),
        None => answer,
    }
}

/// The product answers every unsupported method with its envelope, and the HTTP status 200.
fn method_not_supported(method: &Method) -> Response {
    let reason = format!("Request method '{method}' not supported");
    failed("Internal Error", 500, &reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_has_every_path_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let documented = document["paths"].as_object().unwrap().keys();
        let mounted = ROUTES
            .iter()
            .map(|route| route.path().trim_end_matches('/'));
        let mounted: BTreeSet<_> = mounted.collect();
        assert_eq!(
            documented.map(String::as_str).collect::<BTreeSet<_>>(),
            mounted
        );
    }
}
