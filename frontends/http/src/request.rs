//! What a handler can ask of a request, beyond what tide knows.
//!
//! hyper's headers and the body, both as they came, are one extension of tide's request. So tide's
//! own `header` and `body_*` find nothing; these functions do.

use crate::closing::Closing;
use crate::watch::Notes;
use bytes::Bytes;
use http::HeaderMap;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use tide::Request;

/// The request's body, complete and at most [`Limits::body_bytes`](crate::Limits::body_bytes)
/// long. Doesn't copy.
///
/// ```
/// async fn echo(request: tide::Request<()>) -> tide::Result {
///     let body = rejoin_http::body(&request);
///     Ok(rejoin_http::answer(rejoin_http::StatusCode::OK, "application/octet-stream", body))
/// }
/// rejoin_http::app().at("/echo").post(echo);
/// ```
#[must_use]
pub fn body<State>(request: &Request<State>) -> Bytes {
    arrival(request).map_or_else(Bytes::new, |arrival| arrival.body.clone())
}

/// The request's headers, in the order in which they came.
#[must_use]
pub fn headers<State>(request: &Request<State>) -> &HeaderMap {
    static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    arrival(request).map_or(&NONE, |arrival| &arrival.headers)
}

/// The first header of that name (lower or upper case), if it is there and is visible ASCII.
///
/// ```
/// async fn greet(request: tide::Request<()>) -> tide::Result<String> {
///     let agent = rejoin_http::header(&request, "user-agent").unwrap_or("stranger");
///     Ok(format!("Hello, {agent}"))
/// }
/// rejoin_http::app().at("/greet").get(greet);
/// ```
#[must_use]
pub fn header<'request, State>(
    request: &'request Request<State>,
    name: &str,
) -> Option<&'request str> {
    headers(request).get(name)?.to_str().ok()
}

/// The client's address; 0.0.0.0:0 for a request that came from no connection.
#[must_use]
pub fn peer<State>(request: &Request<State>) -> SocketAddr {
    arrival(request).map_or(NOWHERE, |arrival| arrival.line.peer)
}

/// Whether the request came encrypted, so that links back begin with `https://` and cookies may be
/// `Secure`. Not so behind a proxy that ends the encryption itself.
///
/// ```
/// fn base<State>(request: &tide::Request<State>) -> &'static str {
///     if rejoin_http::is_encrypted(request) { "https://" } else { "http://" }
/// }
/// # let _ = base::<()>;
/// ```
#[must_use]
pub fn is_encrypted<State>(request: &Request<State>) -> bool {
    arrival(request).is_some_and(|arrival| arrival.line.encrypted)
}

/// The signal that the server is stopping, for a handler that keeps its request open.
///
/// ```
/// use futures::future::{Either, select};
/// use std::pin::pin;
///
/// # async fn next_result() -> String { String::new() }
/// async fn pull(request: tide::Request<()>) -> tide::Result<String> {
///     let closing = rejoin_http::closing(&request);
///     match select(pin!(next_result()), pin!(closing.begun())).await {
///         Either::Left((result, _)) => Ok(result),
///         Either::Right(_) => Ok(String::new()),
///     }
/// }
/// rejoin_http::app().at("/pull").get(pull);
/// ```
#[must_use]
pub fn closing<State>(request: &Request<State>) -> Closing {
    arrival(request).map_or_else(Closing::new, |arrival| arrival.line.closing.clone())
}

/// Says which session a request is about, where requests are told. No secret: it stands in the
/// server's own log.
///
/// ```
/// async fn show(request: tide::Request<()>) -> tide::Result<String> {
///     let session: u64 = request.param("session")?.parse()?;
///     rejoin_http::note_session(&request, session);
///     Ok(format!("This is session {session}."))
/// }
/// rejoin_http::app().at("/sessions/:session").get(show);
/// ```
pub fn note_session<State>(request: &Request<State>, session: impl Display) {
    if let Some(notes) = notes(request) {
        notes.session(session);
    }
}

/// As [`note_session`], which job it is about.
pub fn note_job<State>(request: &Request<State>, job: impl Display) {
    if let Some(notes) = notes(request) {
        notes.job(job);
    }
}

/// What came with a request.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) line: Arc<Line>,
    /// None where requests are not told.
    pub(crate) notes: Option<Arc<Notes>>,
}

/// What all requests of one connection share.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) peer: SocketAddr,
    pub(crate) closing: Closing,
    pub(crate) encrypted: bool,
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn notes<State>(request: &Request<State>) -> Option<&Notes> {
    arrival(request)?.notes.as_deref()
}

fn arrival<State>(request: &Request<State>) -> Option<&Arrival> {
    request.ext()
}
