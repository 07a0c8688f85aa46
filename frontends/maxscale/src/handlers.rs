//! The handlers of the routes, and what every request goes through before them.

use crate::condition::{Conditions, Verdict, Version};
use crate::context::RenderContext;
use crate::error::Fault;
use crate::fields;
use crate::json_style::JsonStyle;
use crate::limits::PENDING_CLOSES;
use crate::login::{self, AuthResponse};
use crate::query::Query;
use crate::request;
use crate::resource;
use crate::route::{self, Target};
use crate::session::{Services, Session};
use crate::{FRONTEND, MaxScale};
use futures::future::select;
use rejoin_accounts::Caller;
use rejoin_engine::{
    CommandError, Engine, Selection, SessionId, SessionNumber, SessionView, Timestamp, Views,
};
use rejoin_http::{Admission, ClientAddress, Method, Refused, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A request after the login, and all that its handler needs.
#[derive(Debug)]
pub(crate) struct Call<'request> {
    pub(crate) query: Query,
    pub(crate) style: JsonStyle,
    pub(crate) context: RenderContext,
    pub(crate) caller: Caller,
    pub(crate) address: Option<ClientAddress>,
    /// The `{id}` of the path, or empty.
    id: &'request str,
    body: Option<Value>,
}

impl MaxScale {
    /// What a request may send, before its body is taken.
    pub(crate) async fn admit(&self, http: &Request) -> Admission {
        match login::admit(&self.accounts, http).await {
            Ok(()) => Admission::Any,
            Err(fault) => {
                let response = error_response(&fault, JsonStyle::new(true));
                Admission::Refused(with_headers(response))
            }
        }
    }

    /// Answers a request to any path below the mount points.
    pub(crate) async fn answer(&self, http: &Request) -> Response {
        let query = Query::parse(http.url());
        let style = JsonStyle::new(query.is_pretty());
        let response = self.try_answer(http, query, style).await;
        let response = response.unwrap_or_else(|fault| error_response(&fault, style));
        with_headers(response)
    }

    /// In the product's order: login, method, body, path, preconditions, handler.
    async fn try_answer(
        &self,
        http: &Request,
        query: Query,
        style: JsonStyle,
    ) -> Result<Response, Fault> {
        let method = match http.header("x-http-method-override") {
            Some(name) => request::known_method(name),
            None => Some(http.method().clone()),
        };
        let target = Target::find(http.url().path());
        let is_auth = |target: &Target<'_>| target.resource.path == route::AUTH;
        if method == Some(Method::GET) && target.as_ref().is_some_and(is_auth) {
            return self.issue_token(http, &query, style).await;
        }
        let login = login::log_in(&self.accounts, http).await?;
        let method = method.ok_or(Fault::MethodUnknown)?;
        login::permit(&login, http, &method)?;
        let caller = login.caller;
        let body = match &http.body()[..] {
            [] => None,
            bytes => Some(request::parse_body(bytes)?),
        };
        let Target {
            prefix,
            resource,
            id,
        } = target.ok_or(Fault::NotFound)?;
        if method == Method::OPTIONS {
            let (accept, allow) = resource.options();
            let response = Response::empty(StatusCode::OK);
            return Ok(response.header("accept", accept).header("allow", allow));
        }
        let handler = resource.handler(&method).ok_or(Fault::NotFound)?;
        if resource.is_about_session() {
            if let Some(number) = route::session_number(id) {
                let known = self.engine.know_number(number).await;
                known.map_err(CommandError::Unavailable)?;
            }
            self.log_session(http, id);
        }
        let host = http.header("host").unwrap_or("localhost");
        let scheme = match http.is_encrypted() {
            true => "https",
            false => "http",
        };
        let call = Call {
            query,
            style,
            context: RenderContext {
                base: format!("{scheme}://{host}{}/{prefix}", http.prefix()),
                now: self.engine.clocks(),
                zone: self.zone.clone(),
                accounts: self.accounts.clone(),
            },
            caller,
            address: http.address(),
            id,
            body,
        };
        let version = (resource.version)(self, &call)?;
        let conditions = Conditions {
            if_match: http.header("if-match"),
            if_none_match: http.header("if-none-match"),
            if_modified_since: http.header("if-modified-since"),
            if_unmodified_since: http.header("if-unmodified-since"),
        };
        let is_read = matches!(method, Method::GET | Method::HEAD);
        let response = match version.check(conditions, is_read) {
            Verdict::Failed => return Err(Fault::PreconditionFailed),
            Verdict::NotModified => Response::empty(StatusCode::NOT_MODIFIED),
            Verdict::Proceed => handler(self, call).await?,
        };
        Ok(if is_read {
            response
                .header("last-modified", version.last_modified())
                .header("etag", version.etag())
        } else {
            response
        })
    }

    /// Names the session in the access log.
    fn log_session(&self, http: &Request, id: &str) {
        let Some(number) = route::session_number(id) else {
            return;
        };
        let session = |views: &Views| views.numbered(number).map(|view| view.id);
        if let Some(session) = self.engine.view(session) {
            http.log_session(session);
        }
    }

    /// The version of what doesn't change while the server runs.
    #[expect(clippy::unnecessary_wraps, reason = "a version function of the table")]
    pub(crate) fn server_version(&self, _: &Call<'_>) -> Result<Version, Fault> {
        Ok(Version::new("maxscale", 0, Timestamp::EPOCH))
    }

    /// The version of the sessions that the caller sees. Services have it too, because they show
    /// how many sessions they have.
    #[expect(clippy::unnecessary_wraps, reason = "a version function of the table")]
    pub(crate) fn list_version(&self, call: &Call<'_>) -> Result<Version, Fault> {
        let name = match call.caller.shown_user() {
            Some(user) => {
                let entered = self.accounts.entered(&call.caller);
                format!("sessions of {user} {entered:?}")
            }
            None => "sessions".into(),
        };
        let version = |views: &Views| Version::new(&name, views.revision(), views.changed());
        Ok(self.engine.view(version))
    }

    pub(crate) fn service_version(&self, call: &Call<'_>) -> Result<Version, Fault> {
        if !self.engine.services().any(|name| **name == *call.id) {
            return Err(Fault::NotAService(call.id.into()));
        }
        self.list_version(call)
    }

    pub(crate) fn session_version(&self, call: &Call<'_>) -> Result<Version, Fault> {
        let number = route::session_number(call.id);
        let number = number.ok_or_else(|| Fault::NotASession(call.id.into()))?;
        self.open_session(number, &call.caller, |view| {
            Version::new(&format!("sessions/{number}"), view.revision.0, view.changed)
        })
    }

    /// Changes nothing: a session has no connections of its own that could be restarted.
    pub(crate) async fn ok(&self, _: Call<'_>) -> Result<Response, Fault> {
        Ok(Response::empty(StatusCode::OK))
    }

    pub(crate) async fn show_server(&self, call: Call<'_>) -> Result<Response, Fault> {
        let version = &self.engine.config().server.version;
        Ok(call.resource("maxscale/", resource::server(&call.context, version)))
    }

    pub(crate) async fn list_services(&self, call: Call<'_>) -> Result<Response, Fault> {
        let services = self.engine.services();
        let services = services.map(|name| self.service(&call, name)).collect();
        Ok(call.resource("services/", Value::Array(services)))
    }

    pub(crate) async fn show_service(&self, call: Call<'_>) -> Result<Response, Fault> {
        let service = self.service(&call, call.id);
        Ok(call.resource(&format!("services/{}", call.id), service))
    }

    pub(crate) async fn show_session(&self, call: Call<'_>) -> Result<Response, Fault> {
        if call.query.has_path_filters() {
            return Err(Fault::FilterOfOne);
        }
        let session = self.session(&call, |view| Session::new(&call.context, view).to_value())?;
        Ok(call.resource(&format!("sessions/{}", call.id), session))
    }

    pub(crate) async fn show_services_of_session(&self, call: Call<'_>) -> Result<Response, Fault> {
        let services = self.session(&call, |view| Services::new(&call.context, view).to_value())?;
        let path = format!("sessions/{}/relationships/services", call.id);
        let links = call.context.link(&path);
        Ok(call.json(&json!({"data": services["data"], "links": links})))
    }

    /// Refuses what would change something, because a session has no log and no filters.
    pub(crate) async fn alter_session(&self, call: Call<'_>) -> Result<Response, Fault> {
        let body = call.body.ok_or(Fault::BodyMissing)?;
        request::check_log_levels(body.pointer("/data/attributes/parameters"))?;
        request::check_filters(body.pointer("/data/relationships/filters/data"))?;
        Ok(Response::empty(StatusCode::OK))
    }

    /// Refuses filters, because there are none; having none changes nothing.
    pub(crate) async fn alter_filters_of_session(&self, call: Call<'_>) -> Result<Response, Fault> {
        request::check_filters(call.body.ok_or(Fault::BodyMissing)?.get("data"))?;
        Ok(Response::empty(StatusCode::OK))
    }

    /// Closes a session, at once or after its `ttl`. Whether the caller may write was checked with
    /// the login.
    pub(crate) async fn close_session(&self, call: Call<'_>) -> Result<Response, Fault> {
        let (session, owner) = self.session(&call, |view| (view.id, view.user.clone()))?;
        // A session of another that the caller has entered is in the caller's lists, too.
        if !call.caller.may_close(owner.as_deref()) {
            return Err(Fault::NotAdministrator);
        }
        let actor = call.caller.actor(FRONTEND, call.address);
        let engine = self.engine.on_behalf_of(actor);
        match call.query.ttl() {
            0 => engine.close_session(session).await?,
            seconds => self.close_later(engine, session, Duration::from_secs(seconds))?,
        }
        Ok(Response::empty(StatusCode::OK))
    }

    fn close_later(
        &self,
        engine: Engine,
        session: SessionId,
        after: Duration,
    ) -> Result<(), Fault> {
        if self.engine.config().read_only {
            return Err(CommandError::ReadOnly.into());
        }
        let pending = PendingClose::new(&self.pending_closes).ok_or(Fault::TooManyClosings)?;
        self.engine.runtime().spawn(Box::pin(async move {
            let _pending = pending;
            let timer = engine.runtime().timer(after);
            select(timer, pin!(engine.ended())).await;
            // Fails if the session was closed meanwhile or the engine has ended: nothing is left
            // to do then.
            let _ = engine.close_session(session).await;
        }));
        Ok(())
    }

    async fn issue_token(
        &self,
        http: &Request,
        query: &Query,
        style: JsonStyle,
    ) -> Result<Response, Fault> {
        Ok(match login::auth(&self.accounts, http, query).await? {
            AuthResponse::Body(token) => {
                json_response(StatusCode::OK, &json!({"meta": {"token": token}}), style)
            }
            AuthResponse::Cookie(cookie) => {
                Response::empty(StatusCode::NO_CONTENT).header("set-cookie", cookie)
            }
            AuthResponse::DeleteCookie(cookie) => {
                Response::empty(StatusCode::OK).header("set-cookie", cookie)
            }
        })
    }

    fn service(&self, call: &Call<'_>, name: &str) -> Value {
        let entered = self.accounts.entered(&call.caller);
        let sessions = Selection {
            service: Some(name),
            user: call.caller.shown_user(),
            also: &entered,
            ..Selection::default()
        };
        let connections = self.engine.view(|views| views.count(&sessions));
        resource::service(&call.context, name, connections)
    }

    /// Reads the session of the path.
    fn session<T>(
        &self,
        call: &Call<'_>,
        read: impl FnOnce(&SessionView) -> T,
    ) -> Result<T, Fault> {
        let number = route::session_number(call.id).ok_or(Fault::NotFound)?;
        self.open_session(number, &call.caller, read)
    }

    /// Reads an open session. For a caller who may not see it, it does not exist.
    fn open_session<T>(
        &self,
        number: SessionNumber,
        caller: &Caller,
        read: impl FnOnce(&SessionView) -> T,
    ) -> Result<T, Fault> {
        let found = self.engine.view(|views| {
            let view = views.open_session(number);
            view.map(|view| (view.user.clone(), read(view)))
        });
        let shown =
            found.filter(|(owner, _)| self.accounts.shows(caller, owner.as_deref(), number.0));
        shown.map(|(_, read)| read).ok_or(Fault::NotFound)
    }
}

impl Call<'_> {
    /// A response with resources other than a list of sessions. `path` is where they are.
    fn resource(&self, path: &str, mut data: Value) -> Response {
        match &mut data {
            Value::Array(resources) => resources
                .iter_mut()
                .for_each(|resource| self.apply_fieldset(resource)),
            resource => self.apply_fieldset(resource),
        }
        self.json(&json!({"data": data, "links": self.context.link(path)}))
    }

    /// Removes what the sparse fieldset of the resource's type leaves out.
    fn apply_fieldset(&self, resource: &mut Value) {
        let kind = resource["type"].as_str().unwrap_or_default();
        if let Some(fields) = self.query.fields(kind) {
            fields::retain(resource, &fields);
        }
    }

    fn json(&self, body: &Value) -> Response {
        json_response(StatusCode::OK, body, self.style)
    }
}

/// Counts a session that waits for its `ttl`, until it is dropped.
#[derive(Debug)]
struct PendingClose(Arc<AtomicUsize>);

impl PendingClose {
    fn new(count: &Arc<AtomicUsize>) -> Option<Self> {
        let increment = |count| (count < PENDING_CLOSES).then_some(count + 1);
        count
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, increment)
            .ok()
            .map(|_| Self(count.clone()))
    }
}

impl Drop for PendingClose {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The headers of every response of the product.
fn with_headers(response: Response) -> Response {
    response
        .header("x-frame-options", "Deny")
        .header("x-xss-protection", "1")
        .header("referrer-policy", "same-origin")
        .header("cache-control", "no-cache, no-store")
}

/// The response to what is refused before its body is taken.
pub(crate) fn refuse(refused: &Refused) -> Response {
    let errors = json!({"errors": [{"detail": refused.to_string()}]});
    let style = JsonStyle::new(true);
    with_headers(json_response(refused.status(), &errors, style))
}

fn error_response(fault: &Fault, style: JsonStyle) -> Response {
    let detail = fault.detail();
    if let Fault::Denied { .. } | Fault::NotAdministrator | Fault::NotEncrypted = fault {
        let challenges = *fault == Fault::Denied { challenges: true };
        return login::refuse(fault.status(), &detail.unwrap_or_default(), challenges);
    }
    let response = match detail {
        Some(detail) => {
            let errors = json!({"errors": [{"detail": detail}]});
            json_response(fault.status(), &errors, style)
        }
        None => Response::empty(fault.status()),
    };
    match fault.status() {
        StatusCode::SERVICE_UNAVAILABLE => response.header("retry-after", "1"),
        _ => response,
    }
}

fn json_response(status: StatusCode, body: &Value, style: JsonStyle) -> Response {
    let mut out = Vec::new();
    style.write(&mut out, body, 0);
    Response::new(status, JSON, out)
}

pub(crate) const JSON: &str = "application/json";
