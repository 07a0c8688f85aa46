//! HTTP for Rejoin's frontends: requests, responses and a router in front, hyper connections on smol
//! behind.
//!
//! A frontend mounts a table of [`Route`]s on a [`Router`] and never sees a connection. Connections
//! are hyper's: what comes in is parsed, limited, timed and checked before a handler is called. The
//! router makes a tide application of the table; only `web/router.rs` names tide, and only `server`
//! names hyper.
//!
//! ```
//! use rejoin_http::{HostCheck, HttpLimits, Request, Response, Route, Router, HttpServer, StatusCode, route};
//! use std::sync::Arc;
//!
//! struct Echo;
//!
//! impl Echo {
//!     async fn echo(&self, request: &Request) -> Response {
//!         let body = request.body().clone();
//!         Response::new(StatusCode::OK, "text/plain; charset=utf-8", body)
//!     }
//! }
//!
//! const ROUTES: &[Route<Echo>] = &[route!(POST "/echo" => Echo::echo)];
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut router = Router::default();
//! router.mount("echo", Arc::new(Echo), ROUTES);
//! let any_port = ([127, 0, 0, 1], 0).into();
//! let server = HttpServer::bind(any_port, router, HttpLimits::default(), HostCheck::local())?;
//! let stop = async { /* until the process receives a signal */ };
//! smol::block_on(server.run(stop))?;
//! # Ok(())
//! # }
//! ```
//!
//! Handlers run on the threads of the connections, a few threads for all. A handler may wait but
//! must not block: move blocking work to a thread of its own.
//!
//! Invariants:
//!
//! - No handler runs for a request that was refused or whose body is incomplete.
//! - Nothing of a body is kept before the path, the method and the frontend's [`Gate`] admit it.
//! - A handler does not run on after its client has left: its future is dropped, at any `await`.
//!   Spawn what must not stop halfway.
//! - A panic in a handler does not end the process. It is answered with 500 and logged. This needs
//!   `panic = "unwind"`.
//! - A client can't make the server hold more than [`HttpLimits`] says.
//!
//! Why tide only routes: its listener never sets `TCP_NODELAY`, so every response on a kept
//! connection takes 44 ms; its parser panics on a header that is not ASCII, believes any
//! `Content-Length`, lets `Transfer-Encoding` hide a second request, and has no limits or timeouts.
//! Headers and bodies pass through tide as extensions of its requests and responses, because copying
//! both would double what tide costs.

mod limits;
mod observe;
mod server;
#[cfg(feature = "test-client")]
pub mod test_call;
#[cfg(feature = "test-client")]
pub mod test_client;
#[cfg(feature = "test-client")]
pub mod test_openapi;
#[cfg(feature = "test-client")]
pub mod test_server;
#[cfg(feature = "test-client")]
pub mod test_tls;
mod web;

pub use limits::{HttpLimits, MAX_HEADER_BYTES};
pub use observe::Observer;
pub use observe::metrics::{FrontendMetrics, HttpMetrics, STATUS_CLASSES};
pub use observe::request_log::RequestLog;
pub use server::budget::{Budget, Exhausted, Share};
pub use server::listening::{ListenAddress, UnixSocket};
pub use server::shutdown::Shutdown;
pub use server::tls::{Tls, TlsError};
pub use server::{BindError, HttpServer, Stopped};
pub use web::client_address::ClientAddress;
pub use web::host_check::HostCheck;
pub use web::proxies::{PathPrefix, Proxies, TrustedProxy};
pub use web::request::Request;
pub use web::response::Response;
pub use web::router::{Admission, AdmitFn, Gate, RefuseFn, Refused, Route, Router};

pub use bytes::Bytes;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
pub use url::Url;
