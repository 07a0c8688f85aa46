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
//! | here | because |
//! | --- | --- |
//! | `state` is `Session ready for routing`, `connected` is `Mon Jul 17 11:10:39 2017` in UTC | it is so documented |
//! | DELETE answers 200 with an empty body, not the documented 204 | the product does, and its GUI insists |
//! | numbers in `le`, `lt`, `ge`, `gt`, `eq` compare with an `id`, which is a text; whole numbers compare with real ones; what has no order is not in order | the documented examples filter by number, and keep every session in the product |
//! | a page is cut even where all would fit | `page[number]=1` is not the first page |
//! | links to other pages repeat the filters and fields of the request | the next page of a filtered list is filtered |
//! | the last page of an empty list is 0 | -1 leads nowhere |
//! | preconditions are judged before the method runs | a DELETE that fails has killed nothing |
//! | an ETag names the revision of what is shown, not a hash of the body; passing time doesn't change it, filters, pages and fields don't either | a page of a list costs nothing of the rest, and `If-Match` can hold |
//! | `Cache-Control` has `no-store` beside `no-cache` | `idle` changes while the ETag does not |
//! | `Last-Modified` is when a session last changed | the product's is when its server started |
//! | a conditional request that passes gets its validators, and its filter, page and fields | they were asked for |
//! | HEAD has the ETag and the length of what GET would send | that is what HEAD is for |
//! | every filter must be sound | the product forgives a wrong one before a right one |
//! | OPTIONS also has `Allow`, with all methods | the product's `Accept` leaves PATCH out |
//! | the links of `relationships` lead to `/v1/services/`, which is there, with what a link needs | they are documented, and lead nowhere in the product |
//! | `queries` has the running statements first, then the last 10 | `maxctrl list queries` looks at the first alone |
//! | PATCH and `restart` check the request and change nothing | a session has no log, no filters and no connections of its own |
//! | `connections` and `log` are empty, `io_activity`, `thread` and the buffers of `memory` are 0 | there is no such thing here |
//! | `rdns` is not minded | looking up a name tells others who is connected |
//! | real numbers are as short as they can be: `5.2`, not `5.2000000000000002` | it is the same number |
//! | `Date` has a year of four digits | RFC 9110 |
//! | errors are written like every other body, with a `Content-Type` | one form is enough |
//! | a `ttl` is forgotten when the server ends | nothing but the log outlives it |

mod condition;
mod error;
mod fields;
mod filter;
mod handlers;
mod limits;
mod list;
mod query;
mod request;
mod resource;
mod route;
mod wire;

use jiff::tz::TimeZone;
use rejoin_engine::Engine;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Mounts the API on an application: at `/v1`, `/sessions`, `/services` and `/maxscale`.
///
/// ```
/// use rejoin_engine::{Config, Engine, NewSession, Replayed, Services, SmolRuntime};
/// use rejoin_http::{HostCheck, Limits, Server, test_client::Client};
/// use rejoin_log::MemoryLog;
/// use std::sync::Arc;
///
/// # use futures::future::BoxFuture;
/// # use rejoin_engine::{Exit, Runner, RunnerJob};
/// # #[derive(Debug)]
/// # struct Shell;
/// # impl Runner for Shell {
/// #     fn run(&self, _: RunnerJob) -> BoxFuture<'static, Exit> {
/// #         Box::pin(async { Exit::default() })
/// #     }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default();
/// let services = Services::from([("shell".into(), Arc::new(Shell) as _)]);
/// let (log, replayed) = (Box::new(MemoryLog::new()), Replayed::new(&config));
/// let engine = Engine::start(config, Arc::new(SmolRuntime), log, replayed, services)?;
/// smol::block_on(engine.create_session(NewSession::default()))?;
///
/// let mut app = rejoin_http::app();
/// rejoin_maxscale::mount(&mut app, engine);
/// let any_port = ([127, 0, 0, 1], 0).into();
/// let server = Server::bind(any_port, app, Limits::default(), HostCheck::local())?;
/// let (address, closing) = (server.local_addr(), server.closing());
/// let server = std::thread::spawn(move || smol::block_on(server.run(std::future::pending())));
///
/// let mut client = Client::connect(address)?;
/// let answer = client.get("/v1/sessions/1?fields[sessions]=state&pretty=false")?;
/// assert!(answer.text().starts_with(
///     r#"{"data":{"attributes":{"state":"Session ready for routing"},"id":"1","#
/// ));
/// # closing.begin();
/// # server.join().map_err(|_| "panicked")??;
/// # Ok(())
/// # }
/// ```
pub fn mount(app: &mut tide::Server<()>, engine: Engine) {
    let frontend = Arc::new(MaxScale {
        engine,
        zone: TimeZone::system(),
        waiting_closings: Arc::default(),
    });
    for path in PATHS {
        let frontend = frontend.clone();
        app.at(path).all(move |request: tide::Request<()>| {
            let frontend = frontend.clone();
            async move { Ok(frontend.answer(&request).await) }
        });
    }
}

/// What there is to answer with. Only the number of those who wait changes.
#[derive(Clone, Debug)]
struct MaxScale {
    engine: Engine,
    zone: TimeZone,
    waiting_closings: Arc<AtomicUsize>,
}

/// Everything below `/v1`, and what clients ask for without it. Which of it there is, and what is
/// not there, is the table of routes.
const PATHS: [&str; 12] = [
    "/v1",
    "/v1/",
    "/v1/*",
    "/maxscale",
    "/maxscale/",
    "/services",
    "/services/",
    "/services/*",
    "/sessions",
    "/sessions/",
    "/sessions/*",
    "/maxscale/*",
];
