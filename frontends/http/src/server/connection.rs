//! Answers the requests of one connection: checks each one, reads its body, calls its handler, and
//! prepares the response.
//!
//! Invariant: no handler is called for a request that was refused or whose body is incomplete. A
//! panic in a handler is answered with 500.

use crate::limits::HttpLimits;
use crate::observe::{Observer, RequestSpan};
use crate::server::deadlines::ConnDeadlines;
use crate::server::request_checks::{Refusal, RequestChecks, Target};
use crate::server::tls::Tls;
use crate::web::body::{Body, SentBody};
use crate::web::cors;
use crate::web::host_check::HostCheck;
use crate::web::request::{ConnectionInfo, Request};
use crate::web::response::Response;
use crate::web::router::{MountedPath, Router};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
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
    pub(crate) hosts: HostCheck,
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
        let (head, incoming) = request.into_parts();
        let (router, path) = (&self.service.router, head.uri.path());
        let direct = router.direct(path);
        let frontend = match &direct {
            Some(mounted) => Some(mounted.frontend()),
            None => router.frontend(path),
        };
        let mut span = Box::new(RequestSpan::begin(
            &self.service,
            frontend,
            self.info.peer,
            &head.method,
            path,
        ));
        let has_body = !incoming.is_end_stream();
        let checked = self.checks.check(&self.service, &head, &incoming, direct);
        let (method, headers) = (head.method, head.headers);
        let allowed_origin = self.service.hosts.allowed_origin(&headers).cloned();
        Box::pin(async move {
            let mut response = match checked {
                Err(refusal) => refusal.into_response(has_body),
                Ok(_) if allowed_origin.is_some() && cors::is_preflight(&method, &headers) => {
                    cors::preflight()
                }
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
            if self.service.hosts.allows_origins() {
                cors::allow(&mut response, allowed_origin);
            }
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

    /// Calls the handler. One that panics is answered with 500.
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

    async fn read_body(&self, mut incoming: Incoming) -> Result<Bytes, Refusal> {
        if incoming.is_end_stream() {
            return Ok(Bytes::new());
        }
        let limit = self.service.limits.body_bytes;
        self.deadlines.wait_for_body();
        let first = self.next_part(&mut incoming).await?.unwrap_or_default();
        if first.len() > limit {
            return Err(Refusal::BodyTooLarge);
        }
        let Some(mut part) = self.next_part(&mut incoming).await? else {
            return Ok(first);
        };
        let mut body = BytesMut::from(first);
        loop {
            if body.len() + part.len() > limit {
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
