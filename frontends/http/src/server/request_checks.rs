//! The checks of a request's head, and the responses to requests that fail them.

use crate::server::connection::{HttpResponse, Service, TEXT};
use crate::web::body::Body;
use crate::web::host_check::{HostCheck, HostError, SEC_FETCH_SITE};
use crate::web::request::parse_url;
use crate::web::router::{MountedPath, is_known_method};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Version, request};
use http_body::Body as _;
use hyper::body::Incoming;
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use url::Url;

/// Checks the requests of one connection. Remembers what the last one passed with, because most
/// clients send the same target and host again and again.
///
/// Both are copies: a slice of hyper's read buffer would keep all of it from being used again.
#[derive(Default)]
pub(crate) struct RequestChecks {
    last_target: RefCell<Option<(Box<str>, Url)>>,
    /// A host that was accepted with HTTP/1.1, without an origin and not from a browser's page.
    last_host: RefCell<Option<Box<[u8]>>>,
}

impl RequestChecks {
    /// Checks all that can be checked before the body is read.
    pub(crate) fn check(
        &self,
        service: &Service,
        head: &request::Parts,
        body: &Incoming,
        direct: Option<Arc<MountedPath>>,
        is_encrypted: bool,
    ) -> Result<Target, Refusal> {
        if !is_known_method(&head.method) {
            return Err(Refusal::Method);
        }
        let path = head.uri.path();
        // A backslash is not valid in a target, and URL parsers take it for a slash.
        let target = if path.starts_with('/') && !path.contains('\\') {
            let target = head.uri.path_and_query().ok_or(Refusal::Target)?;
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
        self.check_host(&service.hosts, head, is_encrypted)?;
        // hyper looks at the last coding alone, and nothing here decodes those before it. A body of
        // known length has none.
        if body.size_hint().exact().is_none() {
            let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
            let is_chunked =
                |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            if !codings.next().is_some_and(is_chunked) || codings.next().is_some() {
                return Err(Refusal::Coding);
            }
        }
        Ok(target)
    }

    fn check_host(
        &self,
        hosts: &HostCheck,
        head: &request::Parts,
        is_encrypted: bool,
    ) -> Result<(), HostError> {
        let headers = &head.headers;
        let cacheable = head.version == Version::HTTP_11
            && head.uri.authority().is_none()
            && !headers.contains_key(ORIGIN)
            && !headers.contains_key(SEC_FETCH_SITE);
        let mut last_host = self.last_host.borrow_mut();
        let mut hosts_sent = headers.get_all(HOST).iter();
        let host = hosts_sent.next().map(HeaderValue::as_bytes);
        if cacheable
            && host.is_some()
            && host == last_host.as_deref()
            && hosts_sent.next().is_none()
        {
            return Ok(());
        }
        hosts.check(&head.method, head.version, &head.uri, headers, is_encrypted)?;
        if cacheable {
            *last_host = host.map(Box::from);
        }
        Ok(())
    }

    fn url(&self, target: &PathAndQuery) -> Option<Url> {
        let target = target.as_str();
        let last = &mut *self.last_target.borrow_mut();
        if let Some((last, url)) = last
            && **last == *target
        {
            return Some(url.clone());
        }
        let url = parse_url(target)?;
        *last = Some((target.into(), url.clone()));
        Some(url)
    }
}

/// What a request asks for.
pub(crate) enum Target {
    Path {
        target: PathAndQuery,
        /// Parsed already, if tide routes the request.
        url: OnceLock<Url>,
        /// The mounted path, if its handler is called without tide.
        direct: Option<Arc<MountedPath>>,
    },
    Server,
}

/// Why a request was refused before its handler was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Host(HostError),
    Body,
    BodyTooSlow,
    Coding,
    Method,
    Target,
}

impl Refusal {
    /// The connection is closed if the request has a body that was not read.
    pub(crate) fn into_response(self, has_unread_body: bool) -> HttpResponse {
        let (status, text) = match self {
            Self::Host(error) => (error.status(), error.to_string()),
            Self::Body => (StatusCode::BAD_REQUEST, "The body is malformed.".into()),
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
                .insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
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
