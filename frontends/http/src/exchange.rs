//! One request: checked, its body collected, handed to a handler, by tide or past it, and its answer
//! handed back.
//!
//! No handler sees a request that was refused, nor one whose body isn't complete. Everything from
//! outside that could fail does so here, as a status: nothing here panics, and a handler that does
//! is answered with 500.

use crate::answer::Answer;
use crate::app::{App, Direct};
use crate::host::{HostCheck, Refused};
use crate::limits::Limits;
use crate::pace::Pace;
use crate::reply::{Reply, Sending};
use crate::request::{Arrival, Line};
use crate::tls::Tls;
use crate::watch::{Seen, Watch};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, Version, request};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::cell::RefCell;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use tide::http::Url;

pub(crate) type Response = http::Response<Reply>;

/// What the connections of one thread share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) app: App,
    pub(crate) limits: Limits,
    pub(crate) hosts: HostCheck,
    pub(crate) watch: Watch,
    pub(crate) tls: Option<Tls>,
}

/// One connection's part: answers its requests, one after the other.
pub(crate) struct Exchange {
    shared: Rc<Shared>,
    line: Arc<Line>,
    pace: Rc<Pace>,
    /// What the last request was judged by; most clients send the same again and again.
    last: RefCell<Last>,
}

/// Copies, since what hyper lends would keep a whole read buffer from being used again.
#[derive(Default)]
struct Last {
    target: Option<(Box<str>, Url)>,
    /// A host that has passed with HTTP/1.1 and without an origin.
    host: Option<Box<[u8]>>,
}

impl Exchange {
    pub(crate) fn new(shared: Rc<Shared>, line: Line, pace: Rc<Pace>) -> Self {
        Self {
            shared,
            line: Arc::new(line),
            pace,
            last: RefCell::default(),
        }
    }

    /// Never fails. The future has a place of its own while it lasts: a connection, which always keeps
    /// room for one, keeps a pointer.
    pub(crate) fn respond(
        self: Rc<Self>,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<Sending>, Infallible>> {
        let (head, incoming) = request.into_parts();
        let path = head.uri.path();
        let mut seen = Box::new(Seen::begin(
            &self.shared,
            self.line.peer,
            &head.method,
            path,
        ));
        let whole = incoming.is_end_stream();
        let judged = self.judge(&head, &incoming);
        let (method, headers) = (head.method, head.headers);
        let target = head.uri.into_parts().path_and_query;
        Box::pin(async move {
            let response = match judged {
                Err(refusal) => refusal.into_response(whole),
                Ok(asked) => match self.collect(incoming).await {
                    Err(refusal) => refusal.into_response(false),
                    Ok(body) => {
                        self.pace.request_is_whole();
                        let arrival = Arrival {
                            method,
                            target,
                            headers,
                            body,
                            line: self.line.clone(),
                            notes: seen.notes(),
                        };
                        self.ask(asked, arrival).await
                    }
                },
            };
            let pace = self.pace.clone();
            seen.answered(
                response.status(),
                matches!(response.body(), Reply::Parts(_)),
            );
            Ok(response.map(|reply| Sending { reply, pace, seen }))
        })
    }

    /// Asks a handler, and answers for one that fails.
    async fn ask(&self, asked: Asked, arrival: Arrival) -> Response {
        let to_head = arrival.method == http::Method::HEAD;
        let direct = match &asked {
            Asked::Direct(direct) => Some(direct.path),
            Asked::Tide(..) | Asked::Server => None,
        };
        let path = || direct.map_or_else(|| self.path(), Into::into);
        let answering = async {
            match asked {
                Asked::Direct(direct) => Ok(of_answer(direct.answer(arrival).await)),
                Asked::Tide(method, url) => {
                    let mut request = tide::http::Request::new(method, url);
                    request.ext_mut().insert(arrival);
                    // Boxed, so that the others need no room for it.
                    Box::pin(self.shared.app.respond(request))
                        .await
                        .map(of_tide)
                }
                // `OPTIONS *` asks about the server, not about anything on it.
                Asked::Server => Ok(plain(StatusCode::NO_CONTENT, None)),
            }
        };
        let mut response = match AssertUnwindSafe(answering).catch_unwind().await {
            Ok(Ok(response)) => hand_back(response, to_head),
            Ok(Err(error)) => {
                tracing::error!(%error, path = path(), "a handler failed");
                plain(StatusCode::INTERNAL_SERVER_ERROR, Some(FAILED))
            }
            Err(panic) => {
                let panic = panic_text(&*panic);
                tracing::error!(panic, path = path(), "a handler panicked");
                plain(StatusCode::INTERNAL_SERVER_ERROR, Some(FAILED))
            }
        };
        if self.line.closing.has_begun() {
            close(&mut response);
        }
        response
    }

    /// The path that tide was asked for last.
    fn path(&self) -> String {
        let last = self.last.borrow();
        let target = last.target.as_ref();
        target.map_or_else(String::new, |(_, url)| url.path().to_owned())
    }

    /// Everything that can be refused before the body is read.
    fn judge(&self, head: &request::Parts, body: &Incoming) -> Result<Asked, Refusal> {
        let method = method(&head.method).ok_or(Refusal::Method)?;
        let path = head.uri.path();
        let asked = if let Some(direct) = self.shared.app.find(path) {
            Asked::Direct(direct.clone())
        // No target may have a backslash, and URLs take it for a slash.
        } else if path.starts_with('/') && !path.contains('\\') {
            Asked::Tide(method, self.url(&head.uri).ok_or(Refusal::Target)?)
        } else if path == "*" && head.method == http::Method::OPTIONS {
            Asked::Server
        } else {
            return Err(Refusal::Target);
        };
        self.judge_host(head)?;
        // hyper goes by the last coding and ignores those before it; nobody here undoes them. A
        // body whose length is known has none.
        if body.size_hint().exact().is_none() {
            let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
            let is_chunked =
                |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            if !codings.next().is_some_and(is_chunked) || codings.next().is_some() {
                return Err(Refusal::Coding);
            }
        }
        if body.size_hint().lower() > self.shared.limits.body_bytes as u64 {
            return Err(Refusal::BodyTooLarge);
        }
        Ok(asked)
    }

    fn judge_host(&self, head: &request::Parts) -> Result<(), Refused> {
        let (headers, hosts) = (&head.headers, &self.shared.hosts);
        let cacheable = head.version == Version::HTTP_11
            && head.uri.authority().is_none()
            && !headers.contains_key(ORIGIN);
        let mut last = self.last.borrow_mut();
        let mut given = headers.get_all(HOST).iter();
        let host = given.next().map(HeaderValue::as_bytes);
        if cacheable && host.is_some() && host == last.host.as_deref() && given.next().is_none() {
            return Ok(());
        }
        hosts.judge(head.version, &head.uri, headers)?;
        if cacheable {
            last.host = host.map(Box::from);
        }
        Ok(())
    }

    fn url(&self, uri: &Uri) -> Option<Url> {
        let target = uri.path_and_query()?.as_str();
        let last = &mut self.last.borrow_mut().target;
        if let Some((last, url)) = last
            && **last == *target
        {
            return Some(url.clone());
        }
        let url = parse_url(target)?;
        *last = Some((target.into(), url.clone()));
        Some(url)
    }

    async fn collect(&self, mut incoming: Incoming) -> Result<Bytes, Refusal> {
        if incoming.is_end_stream() {
            return Ok(Bytes::new());
        }
        let most = self.shared.limits.body_bytes;
        self.pace.wait_for_body();
        let first = self.next_part(&mut incoming).await?.unwrap_or_default();
        if first.len() > most {
            return Err(Refusal::BodyTooLarge);
        }
        let Some(mut part) = self.next_part(&mut incoming).await? else {
            return Ok(first);
        };
        let mut body = BytesMut::from(first);
        loop {
            if body.len() + part.len() > most {
                return Err(Refusal::BodyTooLarge);
            }
            body.extend_from_slice(&part);
            match self.next_part(&mut incoming).await? {
                Some(next) => part = next,
                None => return Ok(body.freeze()),
            }
        }
    }

    /// The next bytes of a body; trailers are dropped.
    async fn next_part(&self, incoming: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
        if incoming.is_end_stream() {
            return Ok(None);
        }
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|_| {
                if self.pace.is_late() {
                    Refusal::BodyTooSlow
                } else {
                    // It breaks off or is badly coded.
                    Refusal::Body
                }
            })?;
            if let Ok(part) = frame.into_data() {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }
}

/// The URL that tide is asked for.
pub(crate) fn parse_url(target: &str) -> Option<Url> {
    Url::parse(&[BASE, target].concat()).ok()
}

/// The method as tide knows it. Methods are case-sensitive (RFC 9110, 9.1); tide's parser isn't.
/// CONNECT asks for a tunnel, which this is none of.
pub(crate) fn method(method: &http::Method) -> Option<tide::http::Method> {
    Some(match *method {
        http::Method::GET => tide::http::Method::Get,
        http::Method::POST => tide::http::Method::Post,
        http::Method::CONNECT => return None,
        _ => {
            let known: tide::http::Method = method.as_str().parse().ok()?;
            let known_as: &str = known.as_ref();
            return (known_as == method.as_str()).then_some(known);
        }
    })
}

/// An answer as hyper's response.
pub(crate) fn of_answer(answer: Answer) -> Response {
    let (status, headers, content) = answer.into_parts();
    let mut given = Response::new(Reply::from(content));
    *given.status_mut() = status;
    *given.headers_mut() = headers;
    given
}

/// tide's response as hyper's, with a header of its own only where the handler has given none.
pub(crate) fn of_tide(mut response: tide::http::Response) -> Response {
    let answer = response.ext_mut().remove::<Answer>();
    let mut given = match answer {
        Some(answer) => of_answer(answer),
        None => {
            let status = StatusCode::from_u16(response.status().into())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if response.is_empty() == Some(true) && response.iter().next().is_none() {
                // tide's own answers, and a handler's error, say nothing but the status.
                plain(status, own_text(status))
            } else {
                let mut given = Response::new(Reply::from(response.take_body()));
                *given.status_mut() = status;
                given
            }
        }
    };
    for (name, values) in response.iter() {
        for value in values {
            append(given.headers_mut(), name.as_str(), value.as_str());
        }
    }
    given
}

/// The response as it is sent, whatever the handler says of its length.
pub(crate) fn hand_back(mut given: Response, to_head: bool) -> Response {
    // The length is the body's, whatever the handler says; hyper writes it, or chunks. But of an
    // empty body hyper doesn't tell HEAD.
    let length = given.body().size_hint().exact();
    let empty_to_head = to_head && length == Some(0) && given.status() != StatusCode::NO_CONTENT;
    let headers = given.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    if empty_to_head || headers.contains_key(CONTENT_LENGTH) {
        match length {
            Some(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
            None => drop(headers.remove(CONTENT_LENGTH)),
        }
    }
    given
}

fn append(headers: &mut HeaderMap, name: &str, value: &str) {
    match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        (Ok(name), Ok(value)) => {
            headers.append(name, value);
        }
        _ => tracing::error!(name, "a response's header is not valid and was left out"),
    }
}

/// Says that this is the connection's last answer, and makes it so.
fn close(response: &mut Response) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

/// A short text, or none.
fn plain(status: StatusCode, text: Option<&'static str>) -> Response {
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = status;
    if let Some(text) = text {
        let html = status == StatusCode::NOT_FOUND;
        let content_type = if html { HTML } else { TEXT };
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        *response.body_mut() = Reply::Whole(Bytes::from_static(text.as_bytes()));
    }
    response
}

fn own_text(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::NOT_FOUND => Some("Not found"),
        _ if status.is_client_error() || status.is_server_error() => status.canonical_reason(),
        _ => None,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

/// Who is asked.
enum Asked {
    Direct(Direct),
    Tide(tide::http::Method, Url),
    Server,
}

/// Why a request doesn't reach a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Access(Refused),
    Body,
    BodyTooLarge,
    BodyTooSlow,
    Coding,
    Method,
    Target,
}

impl Refusal {
    /// The connection is closed when the request's body hasn't been read.
    fn into_response(self, whole: bool) -> Response {
        let (status, text) = match self {
            Self::Access(Refused::BadHost) => (
                StatusCode::BAD_REQUEST,
                Some("The Host header is missing, doubled or malformed."),
            ),
            Self::Access(Refused::ForeignHost) => (
                StatusCode::FORBIDDEN,
                Some("This server answers to local names only, and Host is none."),
            ),
            Self::Access(Refused::ForeignOrigin) => (
                StatusCode::FORBIDDEN,
                Some("This server doesn't answer to pages of another origin."),
            ),
            Self::Body => (StatusCode::BAD_REQUEST, Some("The body is malformed.")),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, Some("The body took too long.")),
            Self::Coding => (
                StatusCode::BAD_REQUEST,
                Some("The only transfer coding understood is chunked."),
            ),
            Self::Method => (
                StatusCode::NOT_IMPLEMENTED,
                Some("The method is not implemented."),
            ),
            Self::Target => (StatusCode::BAD_REQUEST, Some("The target is malformed.")),
        };
        let mut response = plain(status, text);
        if !whole {
            close(&mut response);
        }
        response
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::Access(refused)
    }
}

/// Where tide believes to be; the host that was asked for is in the headers.
const BASE: &str = "http://localhost";
const FAILED: &str = "Internal server error";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
