//! The Model Context Protocol: sessions, jobs and their output as tools for agents, at `POST /mcp`.
//!
//! Two revisions are spoken side by side, and each request is judged alone: 2026-07-28, without a
//! handshake, and 2025-11-25 (or 2025-06-18), which begins with `initialize`. A call waits 45 seconds
//! at most. What takes longer has a handle, the session and the job, or a task whose ID is made of the
//! two.
//!
//! Invariants:
//!
//! - Every answer is computed from the log. A restart changes no handle, task or place in output.
//! - A handle or task is returned only when it is durable.
//! - An exit status is that of the command; a job that was interrupted or lost is never reported as a
//!   success.
//! - A client that leaves ends no command.

mod agent;
mod dispatch;
mod era;
mod error;
mod job;
mod limits;
mod message;
mod output;
mod report;
mod resources;
mod tasks;
mod tools;

use crate::agent::Agent;
use crate::error::RpcError;
use rejoin_accounts::{Accounts, Permission, Role};
use rejoin_engine::Engine;
use rejoin_http::{Admission, Gate, Refused, Request, Response, Route, Router, route};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// This frontend's OpenAPI document (version 3.1), to be merged with others.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// The settings of this frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The services that agents may use; empty means all.
    pub services: Vec<Arc<str>>,
    /// The most that an agent may do, whatever the role of its account.
    pub role: Role,
}

/// Agents may use all services, and do what their accounts may.
impl Default for Settings {
    fn default() -> Self {
        Self {
            services: Vec::new(),
            role: Role::Admin,
        }
    }
}

/// Mounts the protocol on a router, at `/mcp`.
///
/// ```
/// use rejoin_accounts::Accounts;
/// use rejoin_engine::Engine;
/// use rejoin_http::test_server::TestServer;
/// use rejoin_mcp::Settings;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = smol::block_on(Engine::in_memory().open())?;
/// let mut router = rejoin_http::Router::default();
/// rejoin_mcp::mount(&mut router, engine, Accounts::open()?, Settings::default());
/// let server = TestServer::start(router);
/// let received = server.client().post("/mcp", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)?;
/// assert_eq!(received.text(), r#"{"id":1,"jsonrpc":"2.0","result":{}}"#);
/// # Ok(())
/// # }
/// ```
pub fn mount(router: &mut Router, engine: Engine, accounts: Accounts, settings: Settings) {
    let mcp = Arc::new(Mcp {
        engine,
        accounts,
        settings,
        keyed: Arc::default(),
    });
    let gate = Gate::<Mcp> {
        admit: |mcp, http| Box::pin(mcp.admit(http)),
        refuse,
    };
    router.mount_gated(FRONTEND, mcp, ROUTES, gate);
}

/// Every method and path. `openapi.json` describes the same, which a test checks.
pub const ROUTES: &[Route<Mcp>] = &[route!(POST "/mcp" => Mcp::post)];

const FRONTEND: &str = "mcp";

pub(crate) const JSON: &str = "application/json";

/// The protocol on an engine.
#[derive(Clone, Debug)]
pub struct Mcp {
    engine: Engine,
    accounts: Accounts,
    settings: Settings,
    keyed: Arc<KeyedCalls>,
}

/// The calls of `run` with a key and without a session.
#[derive(Debug, Default)]
pub(crate) struct KeyedCalls {
    /// Held while a key is looked for, and its job is submitted.
    pub(crate) one_at_a_time: futures::lock::Mutex<()>,
    pub(crate) under_way: AtomicUsize,
}

impl Mcp {
    /// What a request may send, before its body is taken.
    async fn admit(&self, http: &Request) -> Admission {
        match self.accounts.admit(http, &agent::SCHEME).await {
            Ok(login) => {
                let agent = Agent::new(login.caller, &self.settings);
                match agent.may(Permission::Run) {
                    true => Admission::Any,
                    // The tool is in the body. Those that this agent may use need little room.
                    false => Admission::Small,
                }
            }
            Err(denied) => Admission::RefusedWith(Box::new(move |body| {
                RpcError::denied(denied).respond(&message::id_of(body))
            })),
        }
    }
}

/// What is refused before its body is taken.
fn refuse(refused: &Refused) -> Response {
    let reason = match refused {
        Refused::Method(method) => format!("this path takes POST, not {method}"),
        refused => refused.to_string(),
    };
    RpcError::invalid_request(&reason)
        .with_status(refused.status())
        .respond(&Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_http::test_openapi::assert_documented;

    #[test]
    fn the_document_describes_every_route_and_no_other() {
        assert_documented(OPENAPI, ROUTES);
    }
}
