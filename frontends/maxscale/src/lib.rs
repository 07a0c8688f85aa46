//! The session resources of MaxScale's REST API, told from Rejoin's views.
//!
//! `/v1/sessions` and what is below it, with or without `/v1`, and as much of `/v1/maxscale` and
//! `/v1/services` as clients and links lead to. Real clients of that API work unchanged. This
//! frontend remembers nothing; lists are folds of the log that the engine keeps.
//!
//! What a session is here: its `id` is the session's number, its service the one that runs its
//! jobs, its queries are its jobs, and it is idle while no job of it runs.
//!
//! # What is different from the product
//!
#![doc = include_str!("../DIFFERENCES.md")]

mod condition;
mod error;
mod fields;
mod filter;
mod handlers;
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
mod wire;

use jiff::tz::TimeZone;
use rejoin_accounts::Accounts;
use rejoin_engine::Engine;
use rejoin_http::{Route, Router, route};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Its part of the OpenAPI document: what can be asked, and what is answered.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// Mounts the API on an application: at `/v1`, `/auth`, `/sessions`, `/services` and
/// `/maxscale`.
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
    router.mount(FRONTEND, MaxScale::new(engine, accounts), UNVERSIONED);
}

/// Mounts the API below `/v1` only, beside other frontends that may own `/sessions`.
pub fn mount_versioned(router: &mut Router, engine: Engine, accounts: Accounts) {
    router.mount(FRONTEND, MaxScale::new(engine, accounts), VERSIONED);
}

const FRONTEND: &str = "maxscale";

/// Everything below `/v1`. What there is at each of these paths, and for which methods, is the table
/// of `route.rs`: the product looks at the login before it looks at the path, and at a header that
/// overrides the method.
const VERSIONED: &[Route<MaxScale>] = &[
    route!(ANY "/v1" => MaxScale::answer),
    route!(ANY "/v1/" => MaxScale::answer),
    route!(ANY "/v1/*" => MaxScale::answer),
];

/// What clients ask for without the version.
const UNVERSIONED: &[Route<MaxScale>] = &[
    route!(ANY "/maxscale" => MaxScale::answer),
    route!(ANY "/maxscale/" => MaxScale::answer),
    route!(ANY "/maxscale/*" => MaxScale::answer),
    route!(ANY "/services" => MaxScale::answer),
    route!(ANY "/services/" => MaxScale::answer),
    route!(ANY "/services/*" => MaxScale::answer),
    route!(ANY "/sessions" => MaxScale::answer),
    route!(ANY "/sessions/" => MaxScale::answer),
    route!(ANY "/sessions/*" => MaxScale::answer),
    route!(ANY "/auth" => MaxScale::answer),
    route!(ANY "/auth/" => MaxScale::answer),
];

/// What there is to answer with. Only the number of those who wait changes.
#[derive(Clone, Debug)]
struct MaxScale {
    engine: Engine,
    accounts: Accounts,
    zone: TimeZone,
    waiting_closings: Arc<AtomicUsize>,
}

impl MaxScale {
    fn new(engine: Engine, accounts: Accounts) -> Arc<Self> {
        Arc::new(Self {
            engine,
            accounts,
            zone: TimeZone::system(),
            waiting_closings: Arc::default(),
        })
    }
}
