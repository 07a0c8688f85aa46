//! One request: who it is from, which revision it speaks, and which method answers it.

use crate::FRONTEND;
use crate::agent::Agent;
use crate::era::{Era, LEGACY, SUPPORTED, TASKS};
use crate::error::RpcError;
use crate::limits::LISTS_KEPT;
use crate::message::{self, Call, Message};
use crate::{JSON, Mcp, resources, tasks, tools};
use rejoin_accounts::Denied;
use rejoin_engine::Engine;
use rejoin_http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// What a method needs.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) mcp: &'a Mcp,
    pub(crate) http: &'a Request,
    pub(crate) agent: Agent<'a>,
    pub(crate) era: Era,
    /// For the commands of this caller: their records say who asked.
    engine: Engine,
}

impl Context<'_> {
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Ready after this time, or when the server shuts down.
    pub(crate) fn patience(&self, wait: Duration) -> impl Future + Unpin + use<> {
        let timer = self.engine().runtime().timer(wait);
        let shutdown = self.http.shutdown();
        let shutdown = Box::pin(async move { shutdown.wait().await });
        futures::future::select(timer, shutdown)
    }
}

impl Mcp {
    pub(crate) async fn post(&self, http: &Request) -> Response {
        match self.answer(http).await {
            Ok(response) => response,
            Err((id, error)) => error.respond(&id),
        }
    }

    async fn answer(&self, http: &Request) -> Result<Response, (Value, RpcError)> {
        let agent = Agent::of(http, &self.accounts, &self.settings).await;
        let agent =
            agent.map_err(|denied| (message::id_of(http.body()), RpcError::denied(denied)))?;
        let call = match Message::parse(http.body())? {
            Message::Request(call) => call,
            // Nothing depends on them. A command goes on when its call is cancelled.
            Message::Notification | Message::Response => {
                return Ok(Response::empty(StatusCode::ACCEPTED));
            }
        };
        let era = Era::of(&call, http.headers()).map_err(|error| (call.id.clone(), error))?;
        let actor = agent.caller.actor(FRONTEND, http.address());
        let engine = self.engine.on_behalf_of(actor);
        let context = Context {
            mcp: self,
            http,
            agent,
            era,
            engine,
        };
        let answered = context.call(&call).await;
        // The wait may have been long.
        if !self.accounts.is_current(&context.agent.caller) {
            return Err((call.id, RpcError::denied(Denied::Expired)));
        }
        match answered {
            Ok(mut result) => {
                if era.is_modern() {
                    complete(&mut result);
                }
                let body = message::result(&call.id, &result);
                let response = Response::new(StatusCode::OK, JSON, body);
                Ok(response.header("cache-control", "no-store"))
            }
            Err(error) => Err((call.id, error)),
        }
    }
}

impl Context<'_> {
    async fn call(&self, call: &Call) -> Result<Value, RpcError> {
        match (call.method.as_str(), self.era) {
            ("server/discover", Era::Modern { .. }) => Ok(discover()),
            ("initialize", Era::Legacy) => Ok(initialize(call)),
            ("ping", Era::Legacy) => Ok(json!({})),
            ("tools/list", _) => Ok(self.list(json!({"tools": tools::list(&self.agent)}))),
            ("tools/call", _) => tools::call(self, call).await,
            ("resources/list", _) => resources::list(self, call),
            ("resources/templates/list", _) => {
                Ok(self.list(json!({"resourceTemplates": resources::templates()})))
            }
            ("resources/read", _) => resources::read(self, call).await,
            ("tasks/get", Era::Modern { .. }) => tasks::get(self, call).await,
            ("tasks/update", Era::Modern { .. }) => tasks::update(self, call).await,
            ("tasks/cancel", Era::Modern { .. }) => tasks::cancel(self, call).await,
            (method, era) => Err(RpcError::no_method(method).with_status(match era {
                Era::Modern { .. } => StatusCode::NOT_FOUND,
                Era::Legacy => StatusCode::OK,
            })),
        }
    }

    /// A list that changes only with the server and its accounts.
    fn list(&self, result: Value) -> Value {
        self.cached(result, LISTS_KEPT)
    }

    /// Says how long a result may be kept, which the modern era requires of lists.
    pub(crate) fn cached(&self, mut result: Value, kept: Duration) -> Value {
        if self.era.is_modern() {
            result["ttlMs"] = millis(kept).into();
            // What an agent sees depends on its account.
            result["cacheScope"] = "private".into();
        }
        result
    }
}

fn initialize(call: &Call) -> Value {
    let wanted = call.text("protocolVersion").unwrap_or_default();
    let known = LEGACY.into_iter().find(|version| *version == wanted);
    json!({
        "protocolVersion": known.unwrap_or(LEGACY[0]),
        "capabilities": {"tools": {}, "resources": {}},
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    })
}

fn discover() -> Value {
    json!({
        "supportedVersions": SUPPORTED,
        "capabilities": {"tools": {}, "resources": {}, "extensions": {TASKS: {}}},
        "instructions": INSTRUCTIONS,
        "ttlMs": millis(LISTS_KEPT),
        "cacheScope": "public",
    })
}

/// Adds what every result of the modern era has.
fn complete(result: &mut Value) {
    if result.get("resultType").is_none() {
        result["resultType"] = "complete".into();
    }
    result["_meta"][SERVER_INFO] = server_info();
}

fn server_info() -> Value {
    json!({
        "name": "rejoin",
        "title": "Rejoin",
        "version": env!("CARGO_PKG_VERSION"),
    })
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// What a model should know about this server.
const INSTRUCTIONS: &str = include_str!("instructions.txt");
