//! One connection's requests: each is checked, its body read, routed to a handler, and its response
//! made ready to send.
//!
//! Invariant: no handler sees a request that was refused or whose body is incomplete. Whatever can
//! fail because of what came from outside fails here, with a status. A panic in a handler is
//! answered with 500.

use crate::limits::HttpLimits;
use crate::observe::{Observer, RequestSpan};
use crate::server::deadlines::ConnDeadlines;
use crate::server::tls::Tls;
use crate::web::body::{Body, SentBody};
use crate::web::host_check::{HostCheck, HostError};
use crate::web::request::{ConnectionInfo, Request, parse_url};
use crate::web::response::Response;
use crate::web::router::{MountedPath, Router, is_known_method};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Version, request};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::cell::RefCell;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use url::Url;

/// What a connection is served with: shared by all connections of a thread.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) router: Router,
    pub(crate) limits: HttpLimits,
    pub(crate) hosts: HostCheck,
    pub(crate) observer: Observer,
    pub(crate) tls: Option<Tls>,
}

/// Answers the requests of one connection, one after the other.
pub(crate) struct ConnHandler {
    service: Rc<Service>,
    info: Arc<ConnectionInfo>,
    deadlines: Rc<ConnDeadlines>,
    /// What the last request was checked by: most clients send the same again and again.
    last: RefCell<LastChecks>,
}

/// Copies, because what hyper lends would keep a whole read buffer from being used again.
#[derive(Default)]
struct LastChecks {
    target: Option<(Box<str>, Url)>,
    /// A host that was accepted with HTTP/1.1 and without an origin.
    host: Option<Box<[u8]>>,
}

type HttpResponse = http::Response<Body>;

impl ConnHandler {
    pub(crate) fn new(
        service: Rc<Service>,
        info: ConnectionInfo,
        deadlines: Rc<ConnDeadlines>,
    ) -> Self {
        Self {
            service,
            info: Arc::new(info),
            deadlines,
            last: RefCell::default(),
        }
    }

    /// Never fails. The future is boxed: an idle connection keeps a pointer for it, not its size.
    pub(crate) fn respond(
        self: Rc<Self>,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<SentBody>, Infallible>> {
        let (head, incoming) = request.into_parts();
        let frontend = self.service.router.frontend(head.uri.path());
        let mut span = Box::new(RequestSpan::begin(
            &self.service,
            frontend,
            self.info.peer,
            &head.method,
            head.uri.path(),
        ));
        let has_body = !incoming.is_end_stream();
        let checked = self.check(&head, &incoming);
        let (method, headers) = (head.method, head.headers);
        Box::pin(async move {
            let response = match checked {
                Err(refusal) => refusal.into_response(has_body),
                Ok(route) => match self.read_body(incoming).await {
                    Err(refusal) => refusal.into_response(true),
                    Ok(body) => {
                        self.deadlines.request_is_complete();
                        match route {
                            // `OPTIONS *` asks about the server, not about anything on it.
                            Target::Server => {
                                into_http(Response::empty(StatusCode::NO_CONTENT), false)
                            }
                            Target::Path {
                                target,
                                url,
                                direct,
                            } => {
                                let request = Request {
                                    method,
                                    target,
                                    url,
                                    headers,
                                    body,
                                    connection: self.info.clone(),
                                    fields: span.fields(),
                                    params: Vec::new(),
                                };
                                self.call(direct, request).await
                            }
                        }
                    }
                },
            };
            let deadlines = self.deadlines.clone();
            let is_stream = matches!(response.body(), Body::Parts(_));
            span.responded(response.status(), is_stream);
            Ok(response.map(|body| SentBody {
                body,
                deadlines,
                span,
            }))
        })
    }

    /// Calls the handler, and answers for one that panics.
    async fn call(&self, direct: Option<Arc<MountedPath>>, request: Request) -> HttpResponse {
        let to_head = request.method == http::Method::HEAD;
        let path = request.target.clone();
        let responding = async {
            match direct {
                Some(mounted) => Ok(mounted.respond(request).await),
                // Boxed, so that direct requests need no room for it.
                None => Box::pin(self.service.router.respond(request)).await,
            }
        };
        let response = match AssertUnwindSafe(responding).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::error!(error, path = path.path(), "a handler failed");
                failed()
            }
            Err(panic) => {
                let panic = panic_text(&*panic);
                tracing::error!(panic, path = path.path(), "a handler panicked");
                failed()
            }
        };
        let response = match self.info.shutdown.is_triggered() {
            true => response.close(),
            false => response,
        };
        into_http(response, to_head)
    }

    /// Everything that can be refused before the body is read.
    fn check(&self, head: &request::Parts, body: &Incoming) -> Result<Target, Refusal> {
        if !is_known_method(&head.method) {
            return Err(Refusal::Method);
        }
        let path = head.uri.path();
        // A backslash is not valid in a target, and URL parsers take it for a slash.
        let target = if path.starts_with('/') && !path.contains('\\') {
            let target = head.uri.path_and_query().ok_or(Refusal::Target)?;
            let direct = self.service.router.direct(path);
            let url = match direct {
                Some(_) => OnceLock::new(),
                None => OnceLock::from(self.url(target).ok_or(Refusal::Target)?),
            };
            Target::Path {
                target: target.clone(),
                url,
                direct,
            }
        } else if path == "*" && head.method == http::Method::OPTIONS {
            Target::Server
        } else {
            return Err(Refusal::Target);
        };
        self.check_host(head)?;
        // hyper goes by the last coding and ignores those before it, and nothing here decodes them.
        // A body of known length has none.
        if body.size_hint().exact().is_none() {
            let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
            let is_chunked =
                |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            if !codings.next().is_some_and(is_chunked) || codings.next().is_some() {
                return Err(Refusal::Coding);
            }
        }
        if body.size_hint().lower() > self.service.limits.body_bytes as u64 {
            return Err(Refusal::BodyTooLarge);
        }
        Ok(target)
    }

    fn check_host(&self, head: &request::Parts) -> Result<(), HostError> {
        let (headers, hosts) = (&head.headers, &self.service.hosts);
        let cacheable = head.version == Version::HTTP_11
            && head.uri.authority().is_none()
            && !headers.contains_key(ORIGIN);
        let mut last = self.last.borrow_mut();
        let mut given = headers.get_all(HOST).iter();
        let host = given.next().map(HeaderValue::as_bytes);
        if cacheable && host.is_some() && host == last.host.as_deref() && given.next().is_none() {
            return Ok(());
        }
        hosts.check(head.version, &head.uri, headers)?;
        if cacheable {
            last.host = host.map(Box::from);
        }
        Ok(())
    }

    fn url(&self, target: &PathAndQuery) -> Option<Url> {
        let target = target.as_str();
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

    async fn read_body(&self, mut incoming: Incoming) -> Result<Bytes, Refusal> {
        if incoming.is_end_stream() {
            return Ok(Bytes::new());
        }
        let most = self.service.limits.body_bytes;
        self.deadlines.wait_for_body();
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
                if self.deadlines.is_missed() {
                    Refusal::BodyTooSlow
                } else {
                    // It ends early or is badly encoded.
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

/// What a request is for.
enum Target {
    Path {
        target: PathAndQuery,
        /// Parsed already if tide is to route it.
        url: OnceLock<Url>,
        /// Its path, if its handler is called without tide.
        direct: Option<Arc<MountedPath>>,
    },
    Server,
}

/// The response as hyper sends it, whatever the handler says about its length.
pub(crate) fn into_http(response: Response, to_head: bool) -> HttpResponse {
    let (status, headers, body) = response.into_parts();
    let mut given = HttpResponse::new(body);
    *given.status_mut() = status;
    *given.headers_mut() = headers;
    // hyper writes the body's length, or chunks; but it doesn't tell HEAD of an empty body.
    let length = given.body().size_hint().exact();
    let empty_to_head = to_head && length == Some(0) && status != StatusCode::NO_CONTENT;
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

fn failed() -> Response {
    Response::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        TEXT,
        "Internal server error",
    )
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

/// Why a request doesn't reach a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Host(HostError),
    Body,
    BodyTooLarge,
    BodyTooSlow,
    Coding,
    Method,
    Target,
}

impl Refusal {
    /// The connection is closed if the request has a body that was not read.
    fn into_response(self, has_unread_body: bool) -> HttpResponse {
        let (status, text) = match self {
            Self::Host(error) => (error.status(), error.to_string()),
            Self::Body => (StatusCode::BAD_REQUEST, "The body is malformed.".into()),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, String::new()),
            Self::BodyTooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "The body took too long.".into(),
            ),
            Self::Coding => (
                StatusCode::BAD_REQUEST,
                "The only transfer coding understood is chunked.".into(),
            ),
            Self::Method => (
                StatusCode::NOT_IMPLEMENTED,
                "The method is not implemented.".into(),
            ),
            Self::Target => (StatusCode::BAD_REQUEST, "The target is malformed.".into()),
        };
        let mut response = HttpResponse::new(Body::empty());
        *response.status_mut() = status;
        if !text.is_empty() {
            response
                .headers_mut()
                .insert(http::header::CONTENT_TYPE, HeaderValue::from_static(TEXT));
            *response.body_mut() = Body::Whole(text.into());
        }
        if has_unread_body {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
