//! A request as a handler gets it: complete, checked, and within the limits.

use crate::observe::request_log::RequestFields;
use crate::server::budget::Share;
use crate::server::shutdown::Shutdown;
use crate::web::client_address::ClientAddress;
use crate::web::proxies::PathPrefix;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
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

    /// The client's address, behind a trusted proxy as that says; none for a request that came from no
    /// connection.
    #[must_use]
    pub fn address(&self) -> Option<ClientAddress> {
        self.connection.client
    }

    /// The client's address without a port; 0.0.0.0 for a request that came from no connection.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        let client = self.address();
        client.map_or_else(|| Ipv4Addr::UNSPECIFIED.into(), |client| client.ip())
    }

    /// Whether the client uses TLS, so that links back begin with `https://` and cookies may be
    /// `Secure`. Behind a proxy that terminates TLS, only a trusted one can say so.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.connection.encrypted
    }

    /// What is before the path for clients: empty, or the path at which a proxy has the server, without a
    /// slash at its end. A `Location` that begins with a slash gets it by itself.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.connection.prefix.as_str()
    }

    /// The attribute `Path` of cookies: other programs behind the same proxy don't get them.
    #[must_use]
    pub fn cookie_path(&self) -> &str {
        match self.prefix() {
            "" => "/",
            prefix => prefix,
        }
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

    /// Names the link that the request was made with, in the request log: its ID, and not its secret.
    pub fn log_link(&self, link: impl Display + Send + 'static) {
        if let Some(fields) = &self.fields {
            fields.set_link(link);
        }
    }

    /// Names the job in the request log.
    pub fn log_job(&self, job: impl Display + Send + 'static) {
        if let Some(fields) = &self.fields {
            fields.set_job(job);
        }
    }
}

/// What all requests of one connection share, unless a proxy says something else of one.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionInfo {
    pub(crate) client: Option<ClientAddress>,
    pub(crate) shutdown: Shutdown,
    pub(crate) encrypted: bool,
    pub(crate) prefix: PathPrefix,
}

impl ConnectionInfo {
    /// For a request that came from no connection of ours.
    pub(crate) fn none() -> Self {
        Self {
            client: None,
            shutdown: Shutdown::new(),
            encrypted: false,
            prefix: PathPrefix::default(),
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
