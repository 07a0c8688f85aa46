//! What each path and method does.

use crate::MaxScale;
use crate::condition::{Conditions, Verdict, Version};
use crate::error::Fault;
use crate::fields;
use crate::limits::WAITING_CLOSINGS;
use crate::login::{self, Token};
use crate::query::Query;
use crate::request;
use crate::resource::Scene;
use crate::route::{self, Route, Target};
use crate::wire::Form;
use futures::future::select;
use rejoin_accounts::Caller;
use rejoin_core::{Selection, SessionNumber, SessionView, Timestamp, Views};
use rejoin_http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A request, understood.
#[derive(Debug)]
pub(crate) struct Asked<'request> {
    pub(crate) query: Query,
    pub(crate) form: Form,
    pub(crate) scene: Scene,
    pub(crate) caller: Caller,
    /// The resource's own name.
    pub(crate) path: String,
    method: Method,
    route: &'request Route,
    body: Option<Value>,
}

impl MaxScale {
    pub(crate) async fn answer(&self, http: &Request) -> Response {
        let query = Query::parse(http.url());
        let form = Form::of(query.is_pretty());
        let answer = self.try_answer(http, query, form).await;
        let answer = answer.unwrap_or_else(|fault| refuse(&fault, form));
        answer
            .header("x-frame-options", "Deny")
            .header("x-xss-protection", "1")
            .header("referrer-policy", "same-origin")
            .header("cache-control", "no-cache, no-store")
    }

    async fn try_answer(
        &self,
        http: &Request,
        query: Query,
        form: Form,
    ) -> Result<Response, Fault> {
        let method = match http.header("x-http-method-override") {
            Some(name) => request::known_method(name),
            None => Some(http.method().clone()),
        };
        let target = Target::parse(http.url().path());
        let is_auth = |target: &Target| target.route == Route::Auth && method == Some(Method::GET);
        if target.as_ref().is_some_and(is_auth) {
            return self.auth(http, &query, form).await;
        }
        let login = login::log_in(&self.accounts, http).await?;
        let method = method.ok_or(Fault::MethodUnknown)?;
        login::permit(&login, http, &method)?;
        let caller = login.caller;
        let body = match &http.body()[..] {
            [] => None,
            bytes => Some(request::parse_body(bytes)?),
        };
        let target = target.ok_or(Fault::NotFound)?;
        if !target.route.answers(&method) {
            return Err(Fault::NotFound);
        }
        if method == Method::OPTIONS {
            let (accept, allow) = request::options(&target.route);
            let answer = Response::empty(StatusCode::OK);
            return Ok(answer.header("accept", accept).header("allow", allow));
        }
        let host = http.header("host").unwrap_or("localhost");
        let scheme = match http.is_encrypted() {
            true => "https",
            false => "http",
        };
        let reads = matches!(method, Method::GET | Method::HEAD);
        let asked = Asked {
            query,
            form,
            scene: Scene {
                base: format!("{scheme}://{host}/{}", target.prefix),
                now: self.engine.runtime().now(),
                zone: self.zone.clone(),
            },
            caller,
            path: String::new(),
            method,
            route: &target.route,
            body,
        };
        let session = target.route.session().and_then(route::number);
        let known =
            session.and_then(|it| self.engine.view(|views| views.numbered(it).map(|it| it.id)));
        known.inspect(|session| http.log_session(*session));
        let version = self.version(&target.route, &asked.caller)?;
        let header = |name| http.header(name);
        let conditions = Conditions {
            if_match: header("if-match"),
            if_none_match: header("if-none-match"),
            if_modified_since: header("if-modified-since"),
            if_unmodified_since: header("if-unmodified-since"),
        };
        let answer = match version.judge(conditions, reads) {
            Verdict::Failed => return Err(Fault::PreconditionFailed),
            Verdict::NotModified => Response::empty(StatusCode::NOT_MODIFIED),
            Verdict::Proceed => self.carry_out(asked).await?,
        };
        Ok(if reads {
            answer
                .header("last-modified", version.last_modified())
                .header("etag", version.etag())
        } else {
            answer
        })
    }

    /// Which revision of what the route names there is; an error where there is none of it.
    fn version(&self, route: &Route, caller: &Caller) -> Result<Version, Fault> {
        if let Some(id) = route.session() {
            let number = route::number(id).ok_or_else(|| Fault::NotASession(id.into()))?;
            let version = |view: &SessionView| {
                Version::new(&format!("sessions/{number}"), view.revision.0, view.changed)
            };
            return self.open_session(number, caller, version);
        }
        if let Route::Service(name) = route
            && !self.engine.services().any(|it| **it == **name)
        {
            return Err(Fault::NotAService(name.clone()));
        }
        Ok(match route {
            Route::Root | Route::Auth | Route::MaxScale => {
                Version::new("maxscale", 0, Timestamp::EPOCH)
            }
            // Services tell how many sessions they have.
            _ => {
                let name = match caller.shown_user() {
                    Some(user) => format!("sessions of {user}"),
                    None => "sessions".into(),
                };
                let version =
                    |views: &Views| Version::new(&name, views.revision(), views.changed());
                self.engine.view(version)
            }
        })
    }

    async fn carry_out(&self, mut asked: Asked<'_>) -> Result<Response, Fault> {
        let route = asked.route;
        match route {
            Route::Root | Route::Auth => Ok(Response::empty(StatusCode::OK)),
            Route::MaxScale => {
                let version = &self.engine.config().server.version;
                Ok(asked.one("maxscale/", asked.scene.maxscale(version)))
            }
            Route::Services => {
                let all = self.engine.services().map(|it| self.service(&asked, it));
                Ok(asked.one("services/", Value::Array(all.collect())))
            }
            Route::Service(name) => {
                let service = self.service(&asked, &name.as_str().into());
                Ok(asked.one(&format!("services/{name}"), service))
            }
            Route::Sessions => {
                asked.path = "sessions/".into();
                self.list(asked).await
            }
            Route::RestartAll => Ok(Response::empty(StatusCode::OK)),
            Route::Restart(_) => Ok(Response::empty(StatusCode::OK)),
            Route::SessionServices(id) => {
                let resource = self.session(id, &asked.caller, |view| {
                    asked.scene.services_of(view).value()
                })?;
                let path = format!("sessions/{id}/relationships/services");
                let links = asked.scene.link(&path);
                Ok(asked.body(&json!({"data": resource["data"], "links": links})))
            }
            Route::SessionFilters(_) => {
                request::check_filters(asked.body.ok_or(Fault::BodyMissing)?.get("data"))?;
                Ok(Response::empty(StatusCode::OK))
            }
            Route::Session(id) => match asked.method {
                Method::DELETE => self.close(id, &asked.caller, asked.query.ttl()).await,
                Method::PATCH => {
                    let body = asked.body.ok_or(Fault::BodyMissing)?;
                    request::check_filters(body.pointer("/data/relationships/filters/data"))?;
                    Ok(Response::empty(StatusCode::OK))
                }
                _ => {
                    if asked.query.filters_by_path() {
                        return Err(Fault::FilterOfOne);
                    }
                    let resource =
                        self.session(id, &asked.caller, |view| asked.scene.session(view).value())?;
                    Ok(asked.one(&format!("sessions/{id}"), resource))
                }
            },
        }
    }

    async fn auth(&self, http: &Request, query: &Query, form: Form) -> Result<Response, Fault> {
        Ok(match login::auth(&self.accounts, http, query).await? {
            Token::Told(token) => {
                json_answer(StatusCode::OK, &json!({"meta": {"token": token}}), form)
            }
            Token::Kept(cookie) => {
                Response::empty(StatusCode::NO_CONTENT).header("set-cookie", cookie)
            }
            Token::Forgotten => Response::empty(StatusCode::OK).header("set-cookie", login::FORGET),
        })
    }

    /// Whoever is shown a session and may write may close it.
    async fn close(&self, id: &str, caller: &Caller, ttl: u64) -> Result<Response, Fault> {
        let session = self.session(id, caller, |view| view.id)?;
        if ttl == 0 {
            self.engine.close_session(session).await?;
            return Ok(Response::empty(StatusCode::OK));
        }
        if self.engine.config().read_only {
            return Err(rejoin_engine::CommandError::ReadOnly.into());
        }
        let place = Place::take(&self.waiting_closings).ok_or(Fault::TooManyClosings)?;
        let engine = self.engine.clone();
        self.engine.runtime().spawn(Box::pin(async move {
            let _place = place;
            let timer = engine.runtime().timer(Duration::from_secs(ttl));
            select(timer, pin!(engine.ended())).await;
            // It may have been closed meanwhile, or the engine has ended: either way it is over.
            let _ = engine.close_session(session).await;
        }));
        Ok(Response::empty(StatusCode::OK))
    }

    fn service(&self, asked: &Asked<'_>, name: &Arc<str>) -> Value {
        let on_it = Selection {
            service: Some(name),
            user: asked.caller.shown_user(),
            ..Selection::default()
        };
        let connections = self.engine.view(|views| views.count(&on_it));
        asked.scene.service(name, connections)
    }

    fn session<T>(
        &self,
        id: &str,
        caller: &Caller,
        tell: impl FnOnce(&SessionView) -> T,
    ) -> Result<T, Fault> {
        self.open_session(route::number(id).ok_or(Fault::NotFound)?, caller, tell)
    }

    /// One that is not the caller's is there for an administrator alone.
    fn open_session<T>(
        &self,
        number: SessionNumber,
        caller: &Caller,
        tell: impl FnOnce(&SessionView) -> T,
    ) -> Result<T, Fault> {
        self.engine
            .view(|views| {
                let view = views.open_session(number);
                let view = view.filter(|view| caller.sees(view.user.as_deref()));
                view.map(tell)
            })
            .ok_or(Fault::NotFound)
    }
}

impl Asked<'_> {
    /// Resources that are not a list of sessions, under their own name.
    fn one(&self, path: &str, mut data: Value) -> Response {
        match &mut data {
            Value::Array(all) => all.iter_mut().for_each(|it| self.thin(it)),
            one => self.thin(one),
        }
        self.body(&json!({"data": data, "links": self.scene.link(path)}))
    }

    /// Leaves only what is asked for of a resource of its type.
    pub(crate) fn thin(&self, resource: &mut Value) {
        let kind = resource["type"].as_str().unwrap_or_default();
        if let Some(fields) = self.query.fields(kind) {
            fields::keep(resource, &fields);
        }
    }

    fn body(&self, body: &Value) -> Response {
        json_answer(StatusCode::OK, body, self.form)
    }
}

/// One of those who wait to be closed.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>) -> Option<Self> {
        let one_more = |taken| (taken < WAITING_CLOSINGS).then_some(taken + 1);
        taken
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .ok()
            .map(|_| Self(taken.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn refuse(fault: &Fault, form: Form) -> Response {
    let detail = fault.detail();
    if let Fault::Denied { .. } | Fault::NotAdministrator | Fault::NotEncrypted = fault {
        let challenges = *fault == Fault::Denied { challenges: true };
        return login::refuse(fault.status(), &detail.unwrap_or_default(), challenges);
    }
    match detail {
        Some(detail) => {
            let errors = json!({"errors": [{"detail": detail}]});
            json_answer(fault.status(), &errors, form)
        }
        None => Response::empty(fault.status()),
    }
}

fn json_answer(status: StatusCode, body: &Value, form: Form) -> Response {
    let mut out = Vec::new();
    form.write(&mut out, body, 0);
    Response::new(status, JSON, out)
}

pub(crate) const JSON: &str = "application/json";
