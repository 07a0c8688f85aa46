//! Requests to a router without a connection, for tests and fuzzers of frontends.
//!
//! A request is checked, routed and answered as on a connection to a server that accepts local
//! names, except for limits and timeouts.
//!
//! ```
//! use rejoin_http::{Router, test_call::call};
//!
//! let router = Router::default();
//! let called = smol::block_on(call(&router, "GET", "/", &[], b"")).expect("a valid request");
//! assert_eq!((called.status, &*called.body), (404, &b"Not found"[..]));
//! assert!(smol::block_on(call(&router, "GET", "no path", &[], b"")).is_none());
//! ```

use crate::server::connection::into_http;
use crate::server::shutdown::Shutdown;
use crate::web::client_address::ClientAddress;
use crate::web::host_check::HostCheck;
use crate::web::proxies::PathPrefix;
use crate::web::request::{ConnectionInfo, Request, parse_url};
use crate::web::router::{Router, is_known_method};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use http_body_util::BodyExt;
use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

/// The response to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The status.
    pub status: u16,
    /// The headers that the handler gave, in their order.
    pub headers: HeaderMap,
    /// The complete body, also of a stream, and also for HEAD, to which it would not be sent.
    pub body: Vec<u8>,
}

/// Calls the router, as a client at 127.0.0.1:1. Waits as long as the handler does.
///
/// None: no such request reaches a handler, because its method, its target or a header is
/// malformed, or its host or origin is not local. Without a host it is a request of HTTP/1.0.
///
/// # Panics
///
/// When the handler panics, or a streamed body ends with an error.
pub async fn call(
    router: &Router,
    method: &str,
    target: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> Option<Called> {
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let uri = Uri::try_from(target).ok()?;
    if !is_known_method(&method) || !uri.path().starts_with('/') || uri.path().contains('\\') {
        return None;
    }
    let target = uri.path_and_query()?.clone();
    let url = parse_url(target.as_str())?;
    let mut arrived = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).ok()?;
        arrived.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    let version = match arrived.contains_key(HOST) {
        true => Version::HTTP_11,
        false => Version::HTTP_10,
    };
    HostCheck::local()
        .check(&method, version, &uri, &arrived, false)
        .ok()?;
    let direct = router.direct(uri.path());
    let to_head = method == Method::HEAD;
    let request = Request {
        method,
        target,
        url: OnceLock::from(url),
        headers: arrived,
        body: Bytes::copy_from_slice(body),
        body_share: None,
        connection: Arc::new(ConnectionInfo {
            client: Some(ClientAddress::Tcp((Ipv4Addr::LOCALHOST, 1).into())),
            shutdown: Shutdown::new(),
            encrypted: false,
            prefix: PathPrefix::default(),
        }),
        fields: None,
        params: Vec::new(),
    };
    let response = match direct {
        Some(mounted) => mounted.respond(request).await,
        None => router.respond(request).await.expect("the handler failed"),
    };
    let (head, body) = into_http(response, to_head).into_parts();
    let body = body.collect().await.expect("the body broke off");
    Some(Called {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.to_bytes().to_vec(),
    })
}
