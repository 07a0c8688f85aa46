//! Logins: who sent a request, and the paths `/login`, `/logout` and `/me`.
//!
//! A request is authenticated by `Authorization` (Basic, or Bearer with the token of a login or an
//! access token), else by the cookie. Without
//! accounts, every caller may do everything.

use crate::Native;
use crate::answer::{HandlerResult, json, ok};
use crate::error::Fault;
use crate::request::{Login, body};
use rejoin_accounts::{
    Authorization, Caller, Cookie, Credentials, Permission, SameSite, Scheme, Source, TokenKind,
    Tokens,
};
use rejoin_http::{Admission, Method, Request, Response, StatusCode};
use serde_json::Value;
use std::time::Duration;

impl Native {
    /// The caller who sent a request, if the caller has this permission.
    pub(crate) async fn authorize(
        &self,
        http: &Request,
        wanted: Permission,
    ) -> Result<Caller, Fault> {
        let login = self.accounts.authenticate(http, &SCHEME).await;
        let caller = login.map_err(Fault::Denied)?.caller;
        permit(http, &caller, wanted)?;
        Ok(caller)
    }

    /// What a request may send, before its body is taken. Logins need no login, but little room.
    pub(crate) async fn admit(&self, http: &Request) -> Admission {
        let path = http.url().path();
        if let "/login" | "/logout" = path {
            return Admission::Small;
        }
        let (wanted, admission) = match path.rsplit('/').next() {
            Some("sessions") => (Permission::Create, Admission::Any),
            Some("jobs" | "input") => (Permission::Run, Admission::Any),
            Some("interrupt") => (Permission::Interrupt, Admission::Small),
            // Nothing in the body matters.
            _ => (Permission::Read, Admission::Small),
        };
        // What a link may read is for the handler to say. Nothing that it may do has a body.
        if *http.method() == Method::GET && self.accounts.link_caller(http).is_some() {
            return Admission::Small;
        }
        let login = self.accounts.admit(http, &SCHEME).await;
        let permitted = login.map_err(Fault::Denied).and_then(|login| {
            // To read these paths needs no body, and less permission.
            match *http.method() == Method::POST {
                true => permit(http, &login.caller, wanted),
                false => Ok(()),
            }
        });
        match permitted {
            Ok(()) => admission,
            Err(fault) => Admission::Refused(fault.into()),
        }
    }

    pub(crate) async fn login(&self, http: &Request) -> HandlerResult {
        let Login { name, password } = body(http.body())?;
        let credentials = Credentials::new(name, password);
        let address = http.ip();
        let login = self.accounts.login(credentials, address, TOKENS).await;
        let (caller, token) = login.map_err(Fault::Denied)?;
        let mut body = self.describe(&caller);
        body["token"] = token.as_str().into();
        let cookie = SCHEME.cookie.set(&token, http);
        Ok(json(StatusCode::OK, &body).header("set-cookie", cookie))
    }

    pub(crate) async fn logout(&self, http: &Request) -> HandlerResult {
        if let Some(token) = SCHEME.cookie.get(http) {
            self.accounts.logout(token, TOKENS).await;
        }
        if let Authorization::Bearer(token) = Authorization::of(http.headers()) {
            self.accounts.logout(&token, TOKENS).await;
        }
        Ok(
            Response::empty(StatusCode::NO_CONTENT)
                .header("set-cookie", SCHEME.cookie.delete(http)),
        )
    }

    pub(crate) async fn me(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        Ok(ok(&self.describe(&caller)))
    }

    fn describe(&self, caller: &Caller) -> Value {
        serde_json::json!({
            "accounts": !self.accounts.is_open(),
            "name": caller.name().map(|name| &**name),
            "role": caller.role().as_str(),
        })
    }
}

/// Refuses a caller whose role has no such permission. Says what the request asked for.
fn permit(http: &Request, caller: &Caller, wanted: Permission) -> Result<(), Fault> {
    if caller.may(wanted) {
        return Ok(());
    }
    let path = http.url().path();
    let what = match (
        http.method().as_str(),
        path.rsplit('/').next().unwrap_or_default(),
    ) {
        (_, "redactions") => "redact records",
        ("DELETE", "records") => "delete sessions",
        ("PATCH", _) => "change titles and labels",
        (_, "input") => "write input",
        (_, "size") => "resize terminals",
        (_, "controller") => "control terminals",
        _ => match wanted {
            Permission::Create => "create sessions",
            Permission::Run => "run commands",
            Permission::Interrupt => "interrupt jobs",
            Permission::Read | Permission::SeeAll => "read that",
            Permission::CloseOwn | Permission::CloseAny => "close sessions",
        },
    };
    let role = caller.role();
    Err(Fault::Forbidden(format!("the role {role} may not {what}")))
}

const SCHEME: Scheme = Scheme {
    sources: &[Source::AccessToken, Source::Authorization, Source::Cookie],
    tokens: Tokens::Stored(TOKENS),
    cookie: Cookie {
        name: "rejoin_session",
        same_site: SameSite::Strict,
        max_age: None,
    },
    // Only `/login` sends it.
    sends_cookie: false,
};

const TOKENS: TokenKind = TokenKind {
    name: "native",
    idle: Duration::from_secs(12 * 60 * 60),
    absolute: Duration::from_secs(7 * 24 * 60 * 60),
};
