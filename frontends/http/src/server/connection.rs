//! Answers the requests of one connection: checks each one, reads its body, calls its handler, and
//! prepares the response.
//!
//! Invariant: no handler is called for a request that was refused or whose body is incomplete. A
//! panic in a handler is answered with 500.

use crate::limits::{HttpLimits, SKIPPED_BODY_BYTES, SMALL_BODY_BYTES};
use crate::observe::{Observer, RequestSpan};
use crate::server::body_reader::{BodyError, BodyReader};
use crate::server::budget::Budget;
use crate::server::deadlines::ConnDeadlines;
use crate::server::request_checks::{RequestChecks, Target};
use crate::server::tls::Tls;
use crate::web::body::{Body, SentBody};
use crate::web::compression::{accepts_gzip, compress};
use crate::web::cors;
use crate::web::host_check::HostCheck;
use crate::web::proxies::{PathPrefix, Proxies};
use crate::web::request::{ConnectionInfo, Request};
use crate::web::response::Response;
use crate::web::router::{Admission, MountedPath, Refused, Router};
use bytes::Bytes;
use futures::FutureExt;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, EXPECT, LOCATION, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, request};
use http_body::Body as _;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;

/// What a server serves, and how. All connections of a thread share one.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) router: Router,
    pub(crate) limits: HttpLimits,
    /// Bytes of all bodies.
    pub(crate) bodies: Budget,
    /// Bytes of all responses that are not taken.
    pub(crate) unread: Budget,
    pub(crate) hosts: HostCheck,
    pub(crate) proxies: Proxies,
    pub(crate) observer: Observer,
    pub(crate) tls: Option<Tls>,
}

/// Answers the requests of one connection, one at a time.
pub(crate) struct ConnHandler {
    service: Rc<Service>,
    info: Arc<ConnectionInfo>,
    deadlines: Rc<ConnDeadlines>,
    checks: RequestChecks,
}

pub(crate) type HttpResponse = http::Response<Body>;

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
            checks: RequestChecks::default(),
        }
    }

    /// Answers a request. The future is boxed, so that an idle connection needs no room for it.
    pub(crate) fn respond(
        self: Rc<Self>,
        request: hyper::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<SentBody>, Infallible>> {
        self.deadlines.note_head();
        let (mut head, incoming) = request.into_parts();
        let info = self.info_of(&head.headers);
        let prefix = self.service.proxies.prefix();
        let stripped = prefix.and_then(|prefix| strip(prefix, &mut head.uri));
        let (router, path) = (&self.service.router, head.uri.path());
        let direct = router.direct(path);
        let frontend = match &direct {
            Some(mounted) => Some(mounted.frontend()),
            None => router.frontend(path),
        };
        let mut span = Box::new(RequestSpan::begin(
            &self.service,
            frontend,
            info.client,
            &head.method,
            path,
        ));
        let is_compressed = self.is_compressed(&head);
        let is_encrypted = info.encrypted;
        let checks = &self.checks;
        let checked = checks.check(&self.service, &head, &incoming, direct, is_encrypted);
        let allowed_origin = self.service.hosts.allowed_origin(&head.headers).cloned();
        Box::pin(async move {
            let is_preflight =
                allowed_origin.is_some() && cors::is_preflight(&head.method, &head.headers);
            let mut response = match checked {
                Err(refusal) => refusal.into_response(!incoming.is_end_stream()),
                Ok(_) if is_preflight => cors::preflight(),
                Ok(_) if stripped == Some(Stripped::All) && is_reading(&head.method) => {
                    to_slash(&head.uri)
                }
                // `OPTIONS *` asks about the server, not about anything on it.
                Ok(Target::Server) => {
                    let response = into_http(Response::empty(StatusCode::NO_CONTENT), false);
                    self.refuse(|_| response, incoming, &head.headers).await
                }
                Ok(Target::Path {
                    target,
                    url,
                    direct,
                }) => {
                    let request = Request {
                        method: head.method,
                        target,
                        url,
                        headers: head.headers,
                        body: Bytes::new(),
                        body_share: None,
                        connection: info.clone(),
                        fields: span.fields(),
                        params: Vec::new(),
                    };
                    if incoming.is_end_stream() {
                        self.deadlines.request_is_complete();
                        self.call(direct, request).await
                    } else {
                        // Boxed, so that requests without a body need no room for it.
                        Box::pin(self.call_with_body(direct, request, incoming)).await
                    }
                }
            };
            protect(response.headers_mut());
            mount(response.headers_mut(), &info);
            if self.service.hosts.allows_origins() {
                cors::allow(&mut response, allowed_origin);
            }
            let deadlines = self.deadlines.clone();
            let is_stream = matches!(response.body(), Body::Parts(_));
            span.responded(response.status(), is_stream);
            if is_compressed {
                let open = &self.service.observer.metrics.compressed;
                response = compress(response, open, self.service.limits.compressed);
            }
            Ok(response.map(|body| SentBody {
                body,
                deadlines,
                span,
            }))
        })
    }

    /// Whether the response to a request may be compressed.
    fn is_compressed(&self, head: &request::Parts) -> bool {
        head.version == Version::HTTP_11
            && head.method != Method::HEAD
            && self.service.limits.compressed > 0
            && accepts_gzip(&head.headers)
    }

    /// What is known of a request's client: what the connection says, or a trusted proxy.
    fn info_of(&self, headers: &HeaderMap) -> Arc<ConnectionInfo> {
        let peer = self.info.client.as_ref();
        let forwarded = peer.and_then(|peer| self.service.proxies.forwarded(peer, headers));
        let Some(forwarded) = forwarded else {
            return self.info.clone();
        };
        let mut info = ConnectionInfo::clone(&self.info);
        info.client = forwarded.client.or(info.client);
        info.encrypted |= forwarded.encrypted.unwrap_or_default();
        info.prefix = forwarded.prefix.unwrap_or(info.prefix);
        Arc::new(info)
    }

    /// Takes the body if the head allows it, and calls the handler.
    async fn call_with_body(
        &self,
        direct: Option<Arc<MountedPath>>,
        mut request: Request,
        incoming: Incoming,
    ) -> HttpResponse {
        let to_head = request.method == Method::HEAD;
        let found = match &direct {
            Some(mounted) => Some(mounted.clone()),
            None => self.service.router.find(request.url().path()),
        };
        let Some(mounted) = found else {
            let response = into_http(self.service.router.not_found(&request), to_head);
            return self.refuse(|_| response, incoming, &request.headers).await;
        };
        let admitted = AssertUnwindSafe(mounted.admit(&request)).catch_unwind();
        let most = self.service.limits.body_bytes;
        let limit = match admitted.await {
            Ok(Admission::Any) => most,
            Ok(Admission::Small) => most.min(SMALL_BODY_BYTES),
            Ok(Admission::Refused(response)) => {
                let response = into_http(response, to_head);
                return self.refuse(|_| response, incoming, &request.headers).await;
            }
            Ok(Admission::RefusedWith(refuse)) => {
                let refuse = |body: &[u8]| into_http(refuse(body), to_head);
                return self.refuse(refuse, incoming, &request.headers).await;
            }
            Err(panic) => {
                let response = handler_panicked(&*panic, request.target.path());
                return into_http(response.close(), to_head);
            }
        };
        let reader = BodyReader {
            deadlines: &self.deadlines,
            budget: &self.service.bodies,
            limit,
        };
        let refused = match reader.read(incoming).await {
            Ok((body, share)) => {
                request.body = body;
                request.body_share = Some(share);
                self.deadlines.request_is_complete();
                return self.call(direct, request).await;
            }
            Err(BodyError::Refused(refusal)) => return refusal.into_response(true),
            Err(BodyError::TooLarge) => Refused::BodyTooLarge { limit },
            Err(BodyError::Full) => Refused::BodiesFull,
        };
        into_http(mounted.refuse(&refused).close(), to_head)
    }

    /// The response to a request whose body no handler needs. A short body is read, so that the connection
    /// can be used again; otherwise it is closed, and the response made of nothing.
    async fn refuse(
        &self,
        respond: impl FnOnce(&[u8]) -> HttpResponse,
        incoming: Incoming,
        headers: &HeaderMap,
    ) -> HttpResponse {
        if incoming.is_end_stream() {
            self.deadlines.request_is_complete();
            return respond(b"");
        }
        let length = incoming.size_hint().exact();
        let is_short = length.is_some_and(|length| length <= SKIPPED_BODY_BYTES);
        let reader = BodyReader {
            deadlines: &self.deadlines,
            budget: &self.service.bodies,
            limit: SMALL_BODY_BYTES,
        };
        // A client that waits to be asked for the body is not asked.
        if is_short
            && !headers.contains_key(EXPECT)
            && let Ok((body, _share)) = reader.read(incoming).await
        {
            self.deadlines.request_is_complete();
            return respond(&body);
        }
        let mut response = respond(b"");
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
        response
    }

    /// Calls the handler. One that panics is answered with 500.
    async fn call(&self, direct: Option<Arc<MountedPath>>, request: Request) -> HttpResponse {
        let to_head = request.method == Method::HEAD;
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
            Err(panic) => handler_panicked(&*panic, path.path()),
        };
        let response = match self.info.shutdown.is_triggered() {
            true => response.close(),
            false => response,
        };
        into_http(response, to_head)
    }
}

/// The response as hyper sends it. A length that the handler has set is corrected.
pub(crate) fn into_http(response: Response, to_head: bool) -> HttpResponse {
    let (status, headers, body) = response.into_parts();
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    // hyper sets the length or sends chunks, except that it sets no length for HEAD of an empty body.
    let length = response.body().size_hint().exact();
    let is_empty_to_head = to_head && length == Some(0) && status != StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    if is_empty_to_head || headers.contains_key(CONTENT_LENGTH) {
        match length {
            Some(length) => drop(headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
            None => drop(headers.remove(CONTENT_LENGTH)),
        }
    }
    response
}

/// No browser may guess another type than the one that was sent, and nothing is kept that its frontend
/// did not allow to be kept: most of it is personal.
fn protect(headers: &mut HeaderMap) {
    let default = |name, value| (name, HeaderValue::from_static(value));
    for (name, value) in [
        default(X_CONTENT_TYPE_OPTIONS, "nosniff"),
        default(CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(value);
    }
}

/// What is left of a path without the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stripped {
    /// A path.
    Rest,
    /// Nothing: the prefix is all of it.
    All,
}

/// Takes the prefix from the target's path, if it is there.
fn strip(prefix: &PathPrefix, uri: &mut Uri) -> Option<Stripped> {
    let rest = prefix.strip(uri.path())?;
    let stripped = match rest {
        "" => Stripped::All,
        _ => Stripped::Rest,
    };
    let path = if rest.is_empty() { "/" } else { rest };
    let target = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")).ok()?,
        None => PathAndQuery::try_from(path).ok()?,
    };
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = Some(target);
    *uri = Uri::from_parts(parts).ok()?;
    Some(stripped)
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Leads from the prefix to the page there, whose own links are relative.
fn to_slash(uri: &Uri) -> HttpResponse {
    let query = uri.query().map(|query| format!("?{query}"));
    let location = format!("/{}", query.unwrap_or_default());
    let response = Response::empty(StatusCode::PERMANENT_REDIRECT).header("location", location);
    into_http(response, false)
}

/// A location on this server is below the path at which the client has the server.
fn mount(headers: &mut HeaderMap, info: &ConnectionInfo) {
    if info.prefix.as_str().is_empty() {
        return;
    }
    if let Some(location) = headers.get_mut(LOCATION)
        && location.as_bytes().starts_with(b"/")
        && let Ok(path) = location.to_str()
        && let Ok(mounted) = HeaderValue::try_from(format!("{}{path}", info.prefix))
    {
        *location = mounted;
    }
}

/// Logs the panic.
fn handler_panicked(panic: &(dyn std::any::Any + Send), path: &str) -> Response {
    let panic = panic_text(panic);
    tracing::error!(panic, path, "a handler panicked");
    failed()
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
        .unwrap_or("no message")
}

pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
