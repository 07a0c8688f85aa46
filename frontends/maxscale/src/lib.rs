//! The session resources of MaxScale's REST API, for Rejoin's sessions.
//!
//! It serves `/v1/sessions` and everything below it, and the parts of `/v1/maxscale` and
//! `/v1/services` that clients request and links lead to, with or without `/v1`. Clients of the
//! product work unchanged. Lists are made from the engine's views; the only state of this crate is
//! the number of sessions that wait for their `ttl`.
//!
//! A session's `id` is its number, its service is the one that runs its jobs, its queries are its
//! jobs, and it is idle while none of its jobs runs.
//!
//! # Differences from the product
//!
#![doc = include_str!("../DIFFERENCES.md")]

mod condition;
mod context;
mod dates;
mod error;
mod fields;
mod filter;
mod handlers;
mod json_style;
mod limits;
mod list;
mod login;
mod query;
mod request;
mod resource;
mod route;
mod session;
#[cfg(feature = "testing")]
pub mod testing;

use jiff::tz::TimeZone;
use rejoin_accounts::Accounts;
use rejoin_engine::Engine;
use rejoin_http::{Gate, Route, Router, route};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// This API's part of the OpenAPI document.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// Mounts the API with and without its version, for an address of its own: it answers every path
/// that no other frontend has.
///
/// ```
/// use rejoin_accounts::Accounts;
/// use rejoin_engine::testing::Hold;
/// use rejoin_engine::{Engine, NewSession};
/// use rejoin_http::{HostCheck, HttpLimits, HttpServer, test_client::Client};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = smol::block_on(Engine::in_memory().service("shell", Hold).open())?;
/// smol::block_on(engine.create_session(NewSession::default()))?;
///
/// let mut router = rejoin_http::Router::default();
/// rejoin_maxscale::mount(&mut router, engine, Accounts::open()?);
/// let any_port = ([127, 0, 0, 1], 0).into();
/// let server = HttpServer::bind(any_port, router, HttpLimits::default(), HostCheck::local())?;
/// let (address, shutdown) = (server.local_addr(), server.shutdown());
/// let server = std::thread::spawn(move || smol::block_on(server.run(std::future::pending())));
///
/// let mut client = Client::connect(address)?;
/// let answer = client.get("/v1/sessions/1?fields[sessions]=state&pretty=false")?;
/// assert!(answer.text().starts_with(
///     r#"{"data":{"attributes":{"state":"Session ready for routing"},"id":"1","#
/// ));
/// # shutdown.trigger();
/// # server.join().map_err(|_| "panicked")??;
/// # Ok(())
/// # }
/// ```
pub fn mount(router: &mut Router, engine: Engine, accounts: Accounts) {
    mount_versioned(router, engine.clone(), accounts.clone());
    let state = MaxScale::new(engine, accounts);
    router.mount_gated(FRONTEND, state, UNVERSIONED, GATE);
}

/// Mounts the API below `/v1` only, beside other frontends that may own `/sessions`.
pub fn mount_versioned(router: &mut Router, engine: Engine, accounts: Accounts) {
    router.mount_gated(FRONTEND, MaxScale::new(engine, accounts), VERSIONED, GATE);
}

const FRONTEND: &str = "maxscale";

const GATE: Gate<MaxScale> = Gate {
    admit: |state, http| Box::pin(state.admit(http)),
    refuse: handlers::refuse,
};

/// Where the API is mounted. Which paths there are, and their methods and handlers, is the table
/// `route::RESOURCES`.
const VERSIONED: &[Route<MaxScale>] = &[
    route!(ANY "/v1" => MaxScale::answer),
    route!(ANY "/v1/" => MaxScale::answer),
    route!(ANY "/v1/*" => MaxScale::answer),
];

/// Where it is mounted without the version, at an address of its own. There, every other path is the
/// API's too: it answers `/` for health checks, and an unknown path as the product does.
const UNVERSIONED: &[Route<MaxScale>] = &[
    route!(ANY "/" => MaxScale::answer),
    route!(ANY "/*" => MaxScale::answer),
];

#[derive(Clone, Debug)]
struct MaxScale {
    engine: Engine,
    accounts: Accounts,
    zone: TimeZone,
    /// How many sessions wait for their `ttl`.
    pending_closes: Arc<AtomicUsize>,
}

impl MaxScale {
    fn new(engine: Engine, accounts: Accounts) -> Arc<Self> {
        Arc::new(Self {
            engine,
            accounts,
            zone: TimeZone::system(),
            pending_closes: Arc::default(),
        })
    }
}
