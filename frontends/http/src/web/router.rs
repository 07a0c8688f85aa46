//! The table of routes: what frontends mount, and the tide application that is made of it.
//!
//! This is the only file that names tide.
//!
//! A frontend is a list of [`Route`]s: method, path, handler. The same list gives the routing, the
//! `Allow` header, and the frontend's name in metrics.

use crate::limits::HttpLimits;
use crate::web::body::Body;
use crate::web::client_address::ClientAddress;
use crate::web::request::{ConnectionInfo, Request};
use crate::web::response::Response;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{AsyncReadExt, Stream, TryStreamExt};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use tide::http::url::Position;

/// One row of a frontend's table: a method, a path and the handler of both.
///
/// A path is made of literal segments, of `:name` for any one segment, and of `*` at its end for
/// all that follows. Rows are written with [`route!`](crate::route).
pub struct Route<S: 'static> {
    /// The method; none means all methods.
    method: Option<Method>,
    path: &'static str,
    handler: fn(Arc<S>, Request) -> BoxFuture<'static, Response>,
    is_direct: bool,
}

impl<S> Route<S> {
    /// A row. `method` none means all methods.
    #[must_use]
    pub const fn new(
        method: Option<Method>,
        path: &'static str,
        handler: fn(Arc<S>, Request) -> BoxFuture<'static, Response>,
    ) -> Self {
        Self {
            method,
            path,
            handler,
            is_direct: false,
        }
    }

    /// Calls the handler without going through tide, whose own requests and responses cost as much
    /// as a short handler. For rows whose measured gain is stated next to them; the path has no
    /// parameters. Checks, limits, logs and metrics are the same, and other spellings of the path
    /// (`/a/../api`) reach the same handler through tide.
    #[must_use]
    pub const fn direct(mut self) -> Self {
        self.is_direct = true;
        self
    }

    /// The method; none means all methods.
    #[must_use]
    pub const fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// The path.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        self.path
    }
}

impl<S> fmt::Debug for Route<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_ref().map_or("ANY", Method::as_str);
        write!(f, "{method} {}", self.path)
    }
}

/// A row of a frontend's table: `route!(GET "/sessions/:session" => Shop::show)`.
///
/// The handler is an `async fn(&S, &Request)` that returns a [`Response`], or a `Result` whose
/// error turns into one. `ANY` stands for all methods. Its future is dropped when the client leaves,
/// at any `await`; spawn what must not stop halfway.
#[macro_export]
macro_rules! route {
    (ANY $path:literal => $handler:expr) => {
        $crate::route!(@row ::std::option::Option::None, $path, $handler)
    };
    ($method:ident $path:literal => $handler:expr) => {
        $crate::route!(@row ::std::option::Option::Some($crate::Method::$method), $path, $handler)
    };
    (@row $method:expr, $path:literal, $handler:expr) => {
        $crate::Route::new($method, $path, |state, request| {
            ::std::boxed::Box::pin(async move {
                $crate::Response::from($handler(&state, &request).await)
            })
        })
    };
}

/// What a frontend says to a request before its body is taken: the head alone tells whether it may send
/// one.
///
/// `admit` is asked for requests with a body whose path and method the frontend has. The request that it
/// sees has no body yet. `refuse` says no to those for which it is not asked, in the frontend's own shape.
pub struct Gate<S: 'static> {
    /// What the request may send.
    pub admit: AdmitFn<S>,
    /// The response to a request that is refused.
    pub refuse: fn(&Refused) -> Response,
}

impl<S: Sync> Gate<S> {
    /// Admits every body, and refuses in plain text.
    pub const OPEN: Self = Self {
        admit: |_, _| Box::pin(async { Admission::Any }),
        refuse: refuse_plainly,
    };

    /// Admits small bodies, and refuses in plain text: for frontends whose requests have none.
    pub const SMALL: Self = Self {
        admit: |_, _| Box::pin(async { Admission::Small }),
        refuse: refuse_plainly,
    };
}

impl<S> fmt::Debug for Gate<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

/// The body that a request may send.
pub enum Admission {
    /// One up to [`HttpLimits::body_bytes`].
    Any,
    /// One up to 16 KiB, because nobody has logged in.
    Small,
    /// None: this is the response, such as a demand to log in.
    Refused(Response),
    /// None, and the response repeats something of the body, such as an ID, if that is short: it is called
    /// with the body, or with nothing.
    RefusedWith(Box<RefuseFn>),
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "Any",
            Self::Small => "Small",
            Self::Refused(_) => "Refused",
            Self::RefusedWith(_) => "RefusedWith",
        })
    }
}

/// Why a request is refused before its handler is called. [`status`](Self::status) and `Display` are
/// for frontends that need no more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The path has no such method.
    Method(Method),
    /// The body is longer than allowed.
    BodyTooLarge {
        /// The most bytes that it may have.
        limit: usize,
    },
    /// Too much of other requests' bodies is held.
    BodiesFull,
}

impl Refused {
    /// The status of HTTP.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodiesFull => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(method) => write!(f, "this path does not allow {method}"),
            Self::BodyTooLarge { limit } => write!(f, "the body may have {limit} bytes"),
            Self::BodiesFull => {
                f.write_str("the server receives too many large requests; try again")
            }
        }
    }
}

/// All that a server serves: the routes of its frontends.
///
/// A path that is not mounted is answered with 404 `Not found`, and a method for which a path has no
/// row with 405 and `Allow`. OPTIONS gets 204 with `Allow`, and HEAD the response to GET without its
/// body.
///
/// ```
/// use rejoin_http::{Request, Response, Route, Router, StatusCode, route};
/// use std::sync::Arc;
///
/// struct Shop;
///
/// impl Shop {
///     async fn list(&self, _: &Request) -> Response {
///         Response::new(StatusCode::OK, "application/json", "[]")
///     }
///     async fn create(&self, _: &Request) -> Response {
///         Response::empty(StatusCode::CREATED)
///     }
/// }
///
/// const ROUTES: &[Route<Shop>] = &[
///     route!(GET "/pears" => Shop::list),
///     route!(POST "/pears" => Shop::create),
/// ];
///
/// let mut router = Router::default();
/// router.mount("shop", Arc::new(Shop), ROUTES);
/// # use rejoin_http::test_call::call;
/// # let called = smol::block_on(call(&router, "PUT", "/pears", &[], b"")).unwrap();
/// # assert_eq!((called.status, &called.headers["allow"]), (405, &"GET, HEAD, POST, OPTIONS".parse()?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct Router {
    paths: Vec<Arc<MountedPath>>,
    /// Those whose handlers are called without tide: few, and looked up first.
    direct: Vec<Arc<MountedPath>>,
    tide: tide::Server<()>,
    not_found: Option<fn(&Request) -> Response>,
}

impl Router {
    /// Sets the response to [browsers](Request::wants_page) where no path is mounted. Others get 404
    /// `Not found`.
    pub fn set_not_found_page(&mut self, page: fn(&Request) -> Response) {
        self.not_found = Some(page);
    }

    /// The page for a browser where no path is mounted.
    fn not_found_page(&self, request: &Request) -> Option<Response> {
        let page = self.not_found.filter(|_| request.wants_page())?;
        let is_mounted = self.find(request.url().path()).is_some();
        (!is_mounted).then(|| page(request))
    }

    /// The response where no path is mounted.
    pub(crate) fn not_found(&self, request: &Request) -> Response {
        let page = self.not_found_page(request);
        page.unwrap_or_else(|| status_only(StatusCode::NOT_FOUND))
    }

    /// Mounts a frontend's table. `frontend` is its name in metrics and request logs.
    pub fn mount<S: Send + Sync>(
        &mut self,
        frontend: &'static str,
        state: Arc<S>,
        routes: &[Route<S>],
    ) {
        self.mount_gated(frontend, state, routes, Gate::OPEN);
    }

    /// As [`mount`](Self::mount), with a gate of the frontend's own. `Allow` is added to a refusal with
    /// the status 405, and `Retry-After` to one for [`Refused::BodiesFull`].
    pub fn mount_gated<S: Send + Sync>(
        &mut self,
        frontend: &'static str,
        state: Arc<S>,
        routes: &[Route<S>],
        gate: Gate<S>,
    ) {
        let Gate { admit, refuse } = gate;
        let mut mounted: Vec<MountedPath> = Vec::new();
        for route in routes {
            let gate = StateGate {
                state: state.clone(),
                admit,
            };
            let (state, handler) = (state.clone(), route.handler);
            let handler: Box<Handler> = Box::new(move |request| handler(state.clone(), request));
            let row = (route.method.clone(), handler);
            match mounted.iter_mut().find(|path| path.path == route.path) {
                Some(path) => path.rows.push(row),
                None => {
                    mounted.push(MountedPath {
                        path: route.path,
                        frontend,
                        is_direct: route.is_direct,
                        rows: vec![row],
                        gate: Box::new(gate),
                        refuse,
                    });
                }
            }
        }
        for path in mounted.into_iter().map(Arc::new) {
            self.tide.at(path.path).all(TideEndpoint(path.clone()));
            if path.is_direct {
                self.direct.push(path.clone());
            }
            self.paths.push(path);
        }
    }

    /// The name of the frontend that a path belongs to, as the client spelled it.
    pub(crate) fn frontend(&self, path: &str) -> Option<&'static str> {
        let found = self.paths.iter().find(|mounted| mounted.matches(path));
        found.map(|mounted| mounted.frontend)
    }

    /// The mounted path, if its handlers are called without tide.
    pub(crate) fn direct(&self, path: &str) -> Option<Arc<MountedPath>> {
        let mut direct = self.direct.iter();
        direct.find(|mounted| mounted.path == path).cloned()
    }

    /// The mounted path that tide would route a path to; none if tide would answer 404.
    pub(crate) fn find(&self, path: &str) -> Option<Arc<MountedPath>> {
        let found = self.paths.iter().filter(|mounted| mounted.matches(path));
        // Of several, tide takes the one with the most literal segments. Of equals, the first one.
        found
            .rev()
            .max_by_key(|mounted| mounted.precedence())
            .cloned()
    }

    /// Finds the request's route by tide, and calls its handler.
    ///
    /// # Errors
    ///
    /// When tide's application fails: only with routes that were added to it elsewhere.
    pub(crate) async fn respond(&self, request: Request) -> Result<Response, String> {
        let Some(method) = tide_method(&request.method) else {
            return Ok(Response::empty(StatusCode::NOT_IMPLEMENTED));
        };
        if let Some(page) = self.not_found_page(&request) {
            return Ok(page);
        }
        let mut carrier = tide::http::Request::new(method, request.url().clone());
        carrier.ext_mut().insert(request);
        let answered: tide::Result<tide::http::Response> = self.tide.respond(carrier).await;
        let mut response = answered.map_err(|error| error.to_string())?;
        let carried = response.ext_mut().remove::<CarriedResponse>();
        Ok(match carried {
            Some(CarriedResponse(response)) => response
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            // tide's own responses have nothing but a status.
            None => status_only(
                StatusCode::from_u16(response.status().into())
                    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            ),
        })
    }

    /// The routes as a tide application, to be nested in one of your own, whose listener then reads
    /// requests: none of this crate's limits, deadlines and checks apply.
    ///
    /// `examples/nest_in_tide.rs` is a program that does so.
    #[must_use]
    pub fn into_tide(self) -> tide::Server<()> {
        self.tide
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.paths.iter().map(|path| (path.frontend, path.path));
        f.debug_list().entries(paths).finish()
    }
}

/// Whether [`Router::respond`] can route a method. Methods are case-sensitive (RFC 9110, 9.1);
/// tide's parser is not. CONNECT is not supported.
pub(crate) fn is_known_method(method: &Method) -> bool {
    tide_method(method).is_some()
}

type Handler = dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync;

/// A path with all its rows.
pub(crate) struct MountedPath {
    path: &'static str,
    frontend: &'static str,
    is_direct: bool,
    rows: Vec<(Option<Method>, Box<Handler>)>,
    gate: Box<dyn Admits>,
    refuse: fn(&Refused) -> Response,
}

/// A gate together with the state of its frontend.
struct StateGate<S: 'static> {
    state: Arc<S>,
    admit: AdmitFn<S>,
}

/// See [`Admission::RefusedWith`].
pub type RefuseFn = dyn FnOnce(&[u8]) -> Response + Send;

/// See [`Gate::admit`].
pub type AdmitFn<S> = for<'a> fn(&'a S, &'a Request) -> BoxFuture<'a, Admission>;

trait Admits: Send + Sync {
    fn admit<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Admission>;
}

impl<S: Send + Sync> Admits for StateGate<S> {
    fn admit<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Admission> {
        (self.admit)(&self.state, request)
    }
}

impl MountedPath {
    pub(crate) fn frontend(&self) -> &'static str {
        self.frontend
    }

    pub(crate) async fn respond(&self, request: Request) -> Response {
        if let Some(handler) = self.handler(&request.method) {
            return handler(request).await;
        }
        self.without_handler(&request.method)
    }

    /// Which body the request may send, or the response to it. The request has none yet.
    pub(crate) async fn admit(&self, request: &Request) -> Admission {
        match self.handler(&request.method) {
            Some(_) => self.gate.admit(request).await,
            None => Admission::Refused(self.without_handler(&request.method)),
        }
    }

    pub(crate) fn refuse(&self, refused: &Refused) -> Response {
        let response = (self.refuse)(refused);
        match refused {
            Refused::BodiesFull => response.header(RETRY_AFTER, "1"),
            _ => response,
        }
    }

    fn without_handler(&self, method: &Method) -> Response {
        if method == Method::OPTIONS {
            return Response::empty(StatusCode::NO_CONTENT).header(ALLOW, self.allow());
        }
        let response = self.refuse(&Refused::Method(method.clone()));
        match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => response.header(ALLOW, self.allow()),
            _ => response,
        }
    }

    fn handler(&self, method: &Method) -> Option<&Handler> {
        let found = self
            .rows
            .iter()
            .find(|(known, _)| known.as_ref().is_none_or(|known| known == method));
        match found {
            Some((_, handler)) => Some(&**handler),
            None if method == Method::HEAD => self.handler(&Method::GET),
            None => None,
        }
    }

    /// The value of `Allow`, in the order of the rows.
    fn allow(&self) -> String {
        let methods = || self.rows.iter().filter_map(|(method, _)| method.as_ref());
        let mut allow = Vec::new();
        for method in methods() {
            allow.push(method.as_str());
            if method == Method::GET && !methods().any(|other| other == Method::HEAD) {
                allow.push("HEAD");
            }
        }
        if !methods().any(|method| method == Method::OPTIONS) {
            allow.push("OPTIONS");
        }
        allow.join(", ")
    }

    fn matches(&self, path: &str) -> bool {
        // The text before the first parameter rules out most paths.
        let literal = self.path.find([':', '*']).unwrap_or(self.path.len());
        if !path.starts_with(&self.path[..literal]) {
            return false;
        }
        let (mut pattern, mut actual) = (self.path.split('/'), path.split('/'));
        loop {
            match (pattern.next(), actual.next()) {
                (None, None) => return true,
                (Some("*"), Some(rest)) => return !rest.is_empty() || actual.next().is_some(),
                (Some(wanted), Some(segment)) => {
                    let fits =
                        wanted == segment || (wanted.starts_with(':') && !segment.is_empty());
                    if !fits {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }

    /// As tide's router compares patterns that match the same path: literal segments, then parameters.
    fn precedence(&self) -> (usize, usize) {
        let segments = || self.path.split('/').filter(|segment| !segment.is_empty());
        let parameters = segments().filter(|it| it.starts_with(':')).count();
        let stars = segments().filter(|it| *it == "*").count();
        (segments().count() - parameters - stars, parameters)
    }

    fn param_names(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|segment| segment.strip_prefix(':'))
    }
}

impl fmt::Debug for MountedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountedPath")
            .field("path", &self.path)
            .field("frontend", &self.frontend)
            .finish_non_exhaustive()
    }
}

/// A path in a tide application.
struct TideEndpoint(Arc<MountedPath>);

/// A response of ours inside one of tide's: bodies and headers are not copied.
struct CarriedResponse(
    // Never locked: tide wants its extensions to be `Sync`, and a stream need not be.
    Mutex<Response>,
);

#[tide::utils::async_trait]
impl tide::Endpoint<()> for TideEndpoint {
    async fn call(&self, mut request: tide::Request<()>) -> tide::Result {
        let params = |request: &tide::Request<()>| {
            self.0
                .param_names()
                .filter_map(|name| Some((name, request.param(name).ok()?.to_owned())))
                .collect()
        };
        let inner: &mut tide::http::Request = request.as_mut();
        if let Some(mut ours) = inner.ext_mut().remove::<Request>() {
            ours.params = params(&request);
            let response = self.0.respond(ours).await;
            let mut carrier = tide::Response::new(tide::StatusCode::Ok);
            let inner: &mut tide::http::Response = carrier.as_mut();
            inner
                .ext_mut()
                .insert(CarriedResponse(Mutex::new(response)));
            return Ok(carrier);
        }
        // The request comes from tide's own listener or from another program's tide application.
        let params = params(&request);
        let mut ours = from_tide(&mut request).await?;
        ours.params = params;
        Ok(into_tide(self.0.respond(ours).await))
    }
}

async fn from_tide(request: &mut tide::Request<()>) -> tide::Result<Request> {
    let bad_request = |text: &'static str| tide::Error::from_str(400, text);
    let mut headers = HeaderMap::new();
    for (name, values) in request.iter() {
        for value in values {
            let name = HeaderName::try_from(name.as_str());
            let value = HeaderValue::try_from(value.as_str());
            headers.append(
                name.map_err(|_| bad_request("malformed header"))?,
                value.map_err(|_| bad_request("malformed header"))?,
            );
        }
    }
    let most = HttpLimits::default().body_bytes;
    let mut body = Vec::new();
    let mut incoming = request.take_body().into_reader().take(most as u64 + 1);
    incoming.read_to_end(&mut body).await?;
    if body.len() > most {
        return Err(tide::Error::from_str(413, "the body is too large"));
    }
    let url = request.url().clone();
    let target = url[Position::BeforePath..Position::AfterQuery].parse();
    let mut connection = ConnectionInfo::none();
    connection.encrypted = url.scheme() == "https";
    if let Some(peer) = request.peer_addr().and_then(|peer| peer.parse().ok()) {
        connection.client = Some(ClientAddress::Tcp(peer));
    }
    Ok(Request {
        method: request.method().as_ref().parse()?,
        target: target.map_err(|_| bad_request("malformed target"))?,
        url: OnceLock::from(url),
        headers,
        body: body.into(),
        connection: Arc::new(connection),
        fields: None,
        body_share: None,
        params: Vec::new(),
    })
}

fn into_tide(response: Response) -> tide::Response {
    let (status, headers, body) = response.into_parts();
    let status = tide::StatusCode::try_from(status.as_u16());
    let mut given = tide::Response::new(status.unwrap_or(tide::StatusCode::Ok));
    given.set_body(match body {
        Body::Whole(bytes) => tide::Body::from_bytes(bytes.to_vec()),
        Body::Parts(parts) => {
            tide::Body::from_reader(SyncStream(Mutex::new(parts)).into_async_read(), None)
        }
    });
    // The body's own type is only a guess.
    given.remove_header(CONTENT_TYPE.as_str());
    for (name, value) in &headers {
        // tide knows ASCII values only.
        if let Ok(value) = value.to_str() {
            given.append_header(name.as_str(), value);
        }
    }
    given
}

/// A stream that tide may share between threads. It never does: the lock is never taken.
struct SyncStream(Mutex<BoxStream<'static, io::Result<Bytes>>>);

impl Stream for SyncStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        stream.as_mut().poll_next(context)
    }
}

fn tide_method(method: &Method) -> Option<tide::http::Method> {
    Some(match *method {
        Method::GET => tide::http::Method::Get,
        Method::POST => tide::http::Method::Post,
        Method::CONNECT => return None,
        _ => {
            let known: tide::http::Method = method.as_str().parse().ok()?;
            let name: &str = known.as_ref();
            return (name == method.as_str()).then_some(known);
        }
    })
}

fn refuse_plainly(refused: &Refused) -> Response {
    let text = match refused {
        Refused::Method(_) => "Method Not Allowed".into(),
        refused => refused.to_string(),
    };
    Response::new(refused.status(), "text/plain; charset=utf-8", text)
}

/// A short text for a status that no handler has given.
pub(crate) fn status_only(status: StatusCode) -> Response {
    match status {
        StatusCode::NOT_FOUND => Response::new(status, "text/html; charset=utf-8", "Not found"),
        _ if status.is_client_error() || status.is_server_error() => {
            let text = status.canonical_reason().unwrap_or_default();
            Response::new(status, "text/plain; charset=utf-8", text)
        }
        _ => Response::empty(status),
    }
}
