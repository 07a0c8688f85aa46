//! What a handler can ask of a request, beyond what tide knows.
//!
//! hyper's headers and the body, both as they came, are one extension of tide's request. So tide's
//! own `header` and `body_*` find nothing; these functions do. A handler that is mounted past tide
//! gets that extension itself: an [`Arrival`].

use crate::closing::Closing;
use crate::exchange::parse_url;
use crate::watch::Notes;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use tide::Request;
use tide::http::Url;
use tide::http::url::Position;

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
    arrival(request).map_or(NOWHERE, Arrival::peer)
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
    arrival(request).is_some_and(Arrival::is_encrypted)
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
    arrival(request).map_or_else(Closing::new, Arrival::closing)
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
pub fn note_session<State>(request: &Request<State>, session: impl Display + Send + 'static) {
    if let Some(arrival) = arrival(request) {
        arrival.note_session(session);
    }
}

/// As [`note_session`], which job it is about.
pub fn note_job<State>(request: &Request<State>, job: impl Display + Send + 'static) {
    if let Some(arrival) = arrival(request) {
        arrival.note_job(job);
    }
}

/// A request as it came, for handlers that are mounted past tide: see [`App::direct`].
///
/// [`App::direct`]: crate::App::direct
#[derive(Debug)]
pub struct Arrival {
    pub(crate) method: Method,
    pub(crate) target: Option<PathAndQuery>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) line: Arc<Line>,
    /// None where requests are not told.
    pub(crate) notes: Option<Arc<Notes>>,
}

impl Arrival {
    /// Its method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// What was asked for, as tide would have it: parsed now, each time. The host in it is none;
    /// the one that was asked for is in the headers.
    #[must_use]
    pub fn url(&self) -> Option<Url> {
        parse_url(self.target.as_ref()?.as_str())
    }

    /// Its headers, in the order in which they came.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Its body, complete and at most [`Limits::body_bytes`](crate::Limits::body_bytes) long.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The client's address; 0.0.0.0:0 for a request that came from no connection.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.line.peer
    }

    /// As [`is_encrypted`].
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.line.encrypted
    }

    /// As [`closing`].
    #[must_use]
    pub fn closing(&self) -> Closing {
        self.line.closing.clone()
    }

    /// As [`note_session`].
    pub fn note_session(&self, session: impl Display + Send + 'static) {
        if let Some(notes) = &self.notes {
            notes.session(session);
        }
    }

    /// As [`note_job`].
    pub fn note_job(&self, job: impl Display + Send + 'static) {
        if let Some(notes) = &self.notes {
            notes.job(job);
        }
    }

    /// What tide was asked; of a request that came from no connection, no more than it says itself.
    pub(crate) fn of(mut request: Request<()>) -> Self {
        let inner: &mut tide::http::Request = request.as_mut();
        inner.ext_mut().remove::<Self>().unwrap_or_else(|| Self {
            method: request.method().as_ref().parse().unwrap_or_default(),
            target: request.url()[Position::BeforePath..Position::AfterQuery]
                .parse()
                .ok(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            line: Arc::new(Line {
                peer: NOWHERE,
                closing: Closing::new(),
                encrypted: false,
            }),
            notes: None,
        })
    }
}

/// What all requests of one connection share.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) peer: SocketAddr,
    pub(crate) closing: Closing,
    pub(crate) encrypted: bool,
}

const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn arrival<State>(request: &Request<State>) -> Option<&Arrival> {
    request.ext()
}
