//! What Rejoin's frontends share: tide applications behind hyper connections, on smol.
//!
//! A frontend mounts its endpoints on one tide application and never sees a connection. Connections
//! are hyper's: what comes in is parsed, limited, timed and checked here before a handler is asked,
//! and what goes out is written here. tide only routes, and where that costs too much, a path goes past
//! it ([`App::direct`]). Nobody else knows hyper.
//!
//! ```
//! use rejoin_http::{Answer, HostCheck, Limits, Methods, Server, StatusCode};
//!
//! async fn echo(request: tide::Request<()>) -> tide::Result<Answer> {
//!     Ok(Answer::new(StatusCode::OK, "text/plain; charset=utf-8", rejoin_http::body(&request)))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut app = rejoin_http::app();
//! app.at("/echo").all(Methods::new().post(echo));
//! let any_port = ([127, 0, 0, 1], 0).into();
//! let server = Server::bind(any_port, app, Limits::default(), HostCheck::local())?;
//! let signal = async { /* until the process is told to stop */ };
//! smol::block_on(server.run(signal))?;
//! # Ok(())
//! # }
//! ```
//!
//! Handlers run on the threads of the connections, a few for all. So a handler may wait, but not
//! block: work that does belongs on a thread of its own.
//!
//! What is never true:
//!
//! - A handler runs for a request that was refused, or whose body isn't complete.
//! - A handler runs on after its client has left: its future is dropped, at any `await`. What must
//!   not stop half-way is to be spawned.
//! - A handler's panic ends the process. It is answered with 500 and logged. That needs
//!   `panic = "unwind"`.
//! - A client makes the server hold more than [`Limits`] says.
//!
//! tide's listener, headers and bodies are not used, which is why: its listener never sets
//! `TCP_NODELAY`, so that every answer on a kept connection takes 44 ms; its parser panics on a
//! header that is no ASCII, believes any `Content-Length`, lets `Transfer-Encoding` hide a second
//! request, and knows no limit and no timeout. Headers and bodies travel around tide as extensions
//! of its requests and responses, since copying both doubles what tide costs.

mod answer;
mod app;
mod closing;
mod encrypted;
mod exchange;
mod host;
mod limits;
mod methods;
mod pace;
mod reply;
mod request;
mod server;
mod socket;
mod stream;
#[cfg(feature = "test-client")]
pub mod test_call;
#[cfg(feature = "test-client")]
pub mod test_client;
#[cfg(feature = "test-client")]
pub mod test_server;
#[cfg(feature = "test-client")]
pub mod test_tls;
mod timers;
mod tls;
mod watch;
mod worker;

pub use answer::{Answer, answer};
pub use app::App;
pub use closing::Closing;
pub use host::HostCheck;
pub use limits::{HEADER_BYTES_MOST, Limits};
pub use methods::Methods;
pub use request::{
    Arrival, body, closing, header, headers, is_encrypted, note_job, note_session, peer,
};
pub use server::{BindError, Server, Stopped};
pub use tls::{Tls, TlsError};
pub use watch::{CLASSES, Numbers, OfFrontend, Requests, Watch};

pub use bytes::Bytes;
pub use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// An application for frontends to mount their endpoints on, on which there is nothing yet.
#[must_use]
pub fn app() -> App {
    App::default()
}
