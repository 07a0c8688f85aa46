//! A request as a handler gets it: complete, checked, and within the limits.

use crate::observe::request_log::RequestFields;
use crate::server::budget::Share;
use crate::server::shutdown::Shutdown;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, OnceLock};
use url::Url;

/// A request. Its body is complete and at most [`HttpLimits::body_bytes`](crate::HttpLimits::body_bytes)
/// long.
///
/// ```
/// use rejoin_http::{Request, Response, Route, Router, StatusCode, route};
/// use std::sync::Arc;
///
/// struct Shop;
///
/// impl Shop {
///     async fn echo(&self, request: &Request) -> Response {
///         let agent = request.header("user-agent").unwrap_or("stranger");
///         let name = request.param("name").unwrap_or("nothing");
///         let text = format!("{agent} asks for {name}");
///         Response::new(StatusCode::OK, "text/plain; charset=utf-8", text)
///     }
/// }
///
/// const ROUTES: &[Route<Shop>] = &[route!(GET "/echo/:name" => Shop::echo)];
///
/// let mut router = Router::default();
/// router.mount("shop", Arc::new(Shop), ROUTES);
/// # use rejoin_http::test_call::call;
/// # let headers: &[(&str, &[u8])] = &[("user-agent", b"curl")];
/// # let called = smol::block_on(call(&router, "GET", "/echo/pear", headers, b"")).unwrap();
/// # assert_eq!(&*called.body, b"curl asks for pear");
/// ```
#[derive(Debug)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    /// Parsed when a handler first asks for it.
    pub(crate) url: OnceLock<Url>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What the body takes of the server's budget.
    pub(crate) body_share: Option<Share>,
    pub(crate) connection: Arc<ConnectionInfo>,
    /// None if requests are not logged.
    pub(crate) fields: Option<Arc<RequestFields>>,
    pub(crate) params: Vec<(&'static str, String)>,
}

impl Request {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The target as a URL: dot segments are resolved, and the query can be read with
    /// `query_pairs`. The host in it is a placeholder; the one that the client sent is in the
    /// headers. Parsed on the first call.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.url.get_or_init(|| {
            // A target that no URL can be made of is refused before a handler sees it.
            parse_url(self.target.as_str()).unwrap_or_else(|| NO_URL.clone())
        })
    }

    /// The part of the path that the route names `:name`, as it was sent (not percent-decoded).
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The headers, in the order in which they came.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first header of this name (lower or upper case), if it is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether a person looks with a browser, which asks for `text/html` when it opens an address.
    #[must_use]
    pub fn wants_page(&self) -> bool {
        self.header("accept")
            .is_some_and(|accept| accept.contains("text/html"))
    }

    /// The complete body. Cloning it copies no bytes.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The client's address; 0.0.0.0:0 for a request that came from no connection.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.connection.peer
    }

    /// The client's address and port; none for a request that came from no connection.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        Some(self.peer()).filter(|peer| !peer.ip().is_unspecified())
    }

    /// Whether the request came over TLS, so that links back begin with `https://` and cookies may
    /// be `Secure`. False behind a proxy that terminates TLS itself.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.connection.encrypted
    }

    /// The signal that the server is shutting down, for a handler that keeps its request open.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.connection.shutdown.clone()
    }

    /// Names the session in the request log.
    pub fn log_session(&self, session: impl Display + Send + 'static) {
        if let Some(fields) = &self.fields {
            fields.set_session(session);
        }
    }

    /// Names the account that is logged in, in the request log.
    pub fn log_account(&self, account: impl Display + Send + 'static) {
        if let Some(fields) = &self.fields {
            fields.set_account(account);
        }
    }

    /// Names the job in the request log.
    pub fn log_job(&self, job: impl Display + Send + 'static) {
        if let Some(fields) = &self.fields {
            fields.set_job(job);
        }
    }
}

/// What all requests of one connection share.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    pub(crate) peer: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) encrypted: bool,
}

impl ConnectionInfo {
    /// For a request that came from no connection of ours.
    pub(crate) fn none() -> Self {
        Self {
            peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            shutdown: Shutdown::new(),
            encrypted: false,
        }
    }
}

/// The target as a URL on a placeholder host.
pub(crate) fn parse_url(target: &str) -> Option<Url> {
    Url::parse(&["http://localhost", target].concat()).ok()
}

static NO_URL: LazyLock<Url> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant")]
    Url::parse("http://localhost/").expect("a URL")
});
