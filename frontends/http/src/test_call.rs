//! Requests to an application without a connection, for tests and fuzzers of frontends.
//!
//! What enters is what hyper has parsed; it is judged, handed to a handler and taken back as on a
//! connection to a server that answers to local names, but for limits and timeouts.
//!
//! ```
//! use rejoin_http::test_call::call;
//!
//! let mut app = rejoin_http::app();
//! app.at("/").get(|_| async { Ok("Welcome!") });
//! let called = smol::block_on(call(&app, "GET", "/", &[], b"")).expect("it is a request");
//! assert_eq!((called.status, &*called.body), (200, &b"Welcome!"[..]));
//! assert!(smol::block_on(call(&app, "GET", "no path", &[], b"")).is_none());
//! ```

use crate::app::App;
use crate::closing::Closing;
use crate::exchange::{hand_back, method, of_answer, of_tide, parse_url};
use crate::host::HostCheck;
use crate::request::{Arrival, Line};
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use http_body_util::BodyExt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The status.
    pub status: u16,
    /// The headers that the application gave, in their order.
    pub headers: HeaderMap,
    /// The whole body, of a stream too; what HEAD would not be sent included.
    pub body: Vec<u8>,
}

/// Asks the application, from 127.0.0.1:1. Waits as long as the handler does.
///
/// None: no such request reaches an application, because its method, its target or a header is
/// malformed, or its host or origin is not local. Without a host it is one of HTTP/1.0.
///
/// # Panics
///
/// When the handler panics or fails, or a streamed body breaks off.
pub async fn call(
    app: &App,
    name: &str,
    target: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
) -> Option<Called> {
    let name = Method::from_bytes(name.as_bytes()).ok()?;
    let method = method(&name)?;
    let uri = Uri::try_from(target).ok()?;
    if !uri.path().starts_with('/') || uri.path().contains('\\') {
        return None;
    }
    let url = parse_url(uri.path_and_query()?.as_str())?;
    let mut arrived = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).ok()?;
        arrived.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    let version = match arrived.contains_key(HOST) {
        true => Version::HTTP_11,
        false => Version::HTTP_10,
    };
    HostCheck::local().judge(version, &uri, &arrived).ok()?;
    let direct = app.find(uri.path());
    let to_head = name == Method::HEAD;
    let arrival = Arrival {
        method: name,
        target: uri.path_and_query().cloned(),
        headers: arrived,
        body: Bytes::copy_from_slice(body),
        line: Arc::new(Line {
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            closing: Closing::new(),
            encrypted: false,
        }),
        notes: None,
    };
    let response = match direct {
        Some(direct) => of_answer(direct.answer(arrival).await),
        None => {
            let mut request = tide::http::Request::new(method, url);
            request.ext_mut().insert(arrival);
            of_tide(app.respond(request).await.expect("the handler failed"))
        }
    };
    let (head, reply) = hand_back(response, to_head).into_parts();
    let body = reply.collect().await.expect("the body broke off");
    Some(Called {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.to_bytes().to_vec(),
    })
}
