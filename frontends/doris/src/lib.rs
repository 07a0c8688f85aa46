//! The session tables of the REST API of Apache Doris' frontend node (FE), for Rejoin's sessions.
//!
//! `GET /rest/v1/session` and `GET /rest/v1/session/all` return a table of the open sessions in an
//! envelope, always with HTTP status 200; `/rest/v1/ui/me` is the one path that refuses with 401. The tables are made from the engine's views; this crate
//! has no state of its own.
//!
//! | column | in Rejoin |
//! | --- | --- |
//! | `Id` | the session's number |
//! | `Host` | the address and port of the client that created the session |
//! | `User` | the account or the `userId` that a client gave, else the server's own user |
//! | `Db` | the session's service |
//! | `Command` | `Query` while a job of the session runs, otherwise `Sleep` |
//! | `Time` | whole seconds since `Command` last changed |
//! | `Info` | the running statement |
//!
//! # Differences from the product
//!
#![doc = include_str!("../DIFFERENCES.md")]

mod limits;
mod login;
mod table;

use futures::{StreamExt, stream};
use jiff::tz::TimeZone;
use limits::BUFFER_MAX;
use login::Refusal;
use rejoin_accounts::{Accounts, Caller};
use rejoin_engine::{Engine, Selection, SessionPager};
use rejoin_http::{Gate, Refused, Request, Response, Route, Router, StatusCode, route};
use serde_json::json;
use std::ops::ControlFlow;
use std::sync::Arc;
use table::RowContext;

/// This API's part of the OpenAPI document.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// Settings of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Which columns the tables have; by default the documented ones.
    pub columns: Columns,
    /// The value of the column `FE`: the host that runs the sessions. `127.0.0.1` by default. Of several nodes, it
    /// is the name of the one that runs the session.
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
    /// The nine documented columns, preceded by `FE` in the table of all nodes.
    Documented,
    /// The fourteen columns of newer versions (2.1, 3.x).
    Newer,
}

/// Mounts the tables (`/rest/v1/session`, `/rest/v1/session/all`) and the login endpoints.
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
    // No request needs a body.
    let gate = Gate {
        refuse: refuse_early,
        ..Gate::SMALL
    };
    router.mount_gated("doris", frontend, ROUTES, gate);
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
        match login::log_in(&self.accounts, http).await {
            Ok(login) => {
                let table = self.table(is_all, &login.caller).await;
                with_cookie(http, table, login.token.as_deref())
            }
            Err(refusal) => refuse(&refusal),
        }
    }

    async fn logout(&self, http: &Request) -> Response {
        login::log_out(&self.accounts, http).await;
        let body = r#"{"msg":"success","code":0,"data":null,"count":0}"#;
        let response = Response::new(StatusCode::OK, JSON, body);
        response.header("set-cookie", login::COOKIE.delete(http))
    }

    async fn login(&self, http: &Request) -> Response {
        match login::log_in(&self.accounts, http).await {
            Ok(login) => {
                let body = r#"{"msg":"Login success!","code":200}"#;
                let response = Response::new(StatusCode::OK, JSON, body);
                with_cookie(http, response, login.token.as_deref())
            }
            Err(refusal) => refuse(&refusal),
        }
    }

    /// The account of the cookie. Without accounts this is `root`, the product's first user.
    ///
    /// This path is the newer web UI's: it takes every 200 for a login, so that a refusal is a real
    /// 401, and an error has the members that this UI reads.
    async fn me(&self, http: &Request) -> Response {
        if http.header("authorization").is_some() {
            return self.signed_out();
        }
        match login::log_in_by_cookie(&self.accounts, http).await {
            // Cross-site requests are rejected by Origin; the token only satisfies clients that
            // expect one.
            Ok(login) => {
                let user = login.caller.name().map_or("root", |name| &**name);
                let body = format!(r#"{{"user":{},"csrfToken":"unused"}}"#, json!(user));
                Response::new(StatusCode::OK, JSON, body)
            }
            Err(_) => self.signed_out(),
        }
    }

    fn signed_out(&self) -> Response {
        let request = u128::from_be_bytes(self.engine.runtime().random());
        let body = format!(
            r#"{{"code":"UI_UNAUTHENTICATED","message":"Authentication is required.","requestId":"{request:032x}"}}"#
        );
        Response::new(StatusCode::UNAUTHORIZED, JSON, body)
            .header("x-request-id", format!("{request:032x}"))
    }

    async fn table(&self, is_all: bool, caller: &Caller) -> Response {
        let entered = self.accounts.entered(caller);
        let selection = Selection {
            user: caller.shown_user(),
            also: &entered,
            ..Selection::default()
        };
        let pager = SessionPager::new(&self.engine, &selection);
        let is_long = pager.remaining() > BUFFER_MAX;
        let context = RowContext {
            columns: table::columns(self.settings.columns, is_all),
            engine: self.engine.clone(),
            only: match is_all {
                true => None,
                false => self.engine.cluster().map(|cluster| cluster.node),
            },
            node: self.settings.node.to_string(),
            now: self.engine.clocks(),
            zone: self.zone.clone(),
            accounts: self.accounts.clone(),
        };
        let head = format!(
            r#"{{"msg":"success","code":0,"data":{{"column_names":{},"rows":["#,
            json!(context.columns)
        );
        let writer = TableWriter {
            pager,
            context,
            is_all,
            row_count: 0,
            next_part: Part::Rows,
        };
        let parts = stream::unfold(writer, |mut writer| async move {
            let part = writer.next_part().await?;
            Some((part, writer))
        });
        let parts = stream::iter([head.into_bytes()]).chain(parts);
        Response::from_parts(StatusCode::OK, JSON, is_long, parts).await
    }
}

/// Writes the body of a table after its head, some rows at a time: a long table neither keeps the
/// views locked nor fills the memory.
#[derive(Debug)]
struct TableWriter {
    pager: SessionPager,
    context: RowContext,
    is_all: bool,
    row_count: usize,
    next_part: Part,
}

#[derive(Debug)]
enum Part {
    Rows,
    Tail,
    None,
}

impl TableWriter {
    async fn next_part(&mut self) -> Option<Vec<u8>> {
        match self.next_part {
            Part::Rows => {
                let (out, has_more) = self.rows();
                if has_more {
                    self.pager.yield_now().await;
                } else {
                    self.next_part = Part::Tail;
                }
                Some(out)
            }
            Part::Tail => {
                self.next_part = Part::None;
                // Without `all`, the product counts the two members of `data`.
                let count = if self.is_all { self.row_count } else { 2 };
                Some(format!("]}},\"count\":{count}}}").into_bytes())
            }
            Part::None => None,
        }
    }

    /// The rows of one step, and whether there may be more.
    fn rows(&mut self) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        let (context, row_count) = (&self.context, &mut self.row_count);
        let has_more = self.pager.step(|view| {
            if !context.shows(view.id) {
                return ControlFlow::Continue(());
            }
            if *row_count > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&context.row(view));
            *row_count += 1;
            ControlFlow::Continue(())
        });
        (out, has_more)
    }
}

/// The envelope of an error.
fn failed(msg: &str, code: u16, reason: &str) -> Response {
    let (msg, reason) = (json!(msg), json!(reason));
    let body = format!(r#"{{"msg":{msg},"code":{code},"data":{reason},"count":0}}"#);
    Response::new(StatusCode::OK, JSON, body)
}

const JSON: &str = "application/json";

fn refuse(refusal: &Refusal) -> Response {
    failed(refusal.msg, refusal.code, &refusal.reason)
}

fn with_cookie(http: &Request, response: Response, token: Option<&str>) -> Response {
    match token {
        Some(token) => response.header("set-cookie", login::COOKIE.set(token, http)),
        None => response,
    }
}

/// What is refused before its body is taken. The product answers every unsupported method with its
/// envelope, and the HTTP status 200.
fn refuse_early(refused: &Refused) -> Response {
    match refused {
        Refused::Method(method) => {
            let reason = format!("Request method '{method}' not supported");
            failed("Internal Error", 500, &reason)
        }
        refused => {
            let status = refused.status();
            let title = status.canonical_reason().unwrap_or_default();
            let response = failed(title, status.as_u16(), &refused.to_string());
            response.with_status(status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_http::test_openapi::assert_documented;

    #[test]
    fn the_document_has_every_path_and_no_other() {
        assert_documented(OPENAPI, ROUTES);
    }
}
