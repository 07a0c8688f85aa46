//! How clients of this API log in: by `Authorization`, else by the cookie; and the paths that give
//! and end a login. Without accounts anyone can do anything.

use crate::Native;
use crate::error::Fault;
use crate::handlers::{HandlerResult, json_answer, ok};
use crate::request::{Login, body};
use rejoin_accounts::{
    Authorization, Caller, Cookie, Credentials, Denied, Permission, SameSite, Scheme, Source,
    TokenKind, Tokens,
};
use rejoin_http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

impl Native {
    /// Lets in whoever has an account that may do that.
    pub(crate) async fn enter(&self, http: &Request, wanted: Permission) -> Result<Caller, Fault> {
        let login = self.accounts.authenticate(http, &SCHEME).await;
        let caller = login.map_err(Fault::Denied)?.caller;
        if !caller.may(wanted) {
            let what = match wanted {
                Permission::Create => "create sessions",
                Permission::Run => "run statements",
                Permission::Interrupt => "interrupt jobs",
                Permission::Read | Permission::SeeAll => "read that",
                Permission::CloseOwn | Permission::CloseAny => "close that session",
            };
            let role = caller.role();
            return Err(Fault::Forbidden(format!("the role {role} may not {what}")));
        }
        Ok(caller)
    }

    pub(crate) async fn login(&self, http: &Request) -> HandlerResult {
        let Login { name, password } = body(http.body())?;
        let credentials = Credentials::new(name, password);
        let address = http.peer().ip();
        let login = self.accounts.login(credentials, address, TOKENS).await;
        let (caller, token) = login.map_err(Fault::Denied)?;
        let mut told = self.told(&caller);
        told["token"] = token.as_str().into();
        let cookie = SCHEME.cookie.set(&token, http);
        Ok(json_answer(StatusCode::OK, &told).header("set-cookie", cookie))
    }

    pub(crate) async fn logout(&self, http: &Request) -> HandlerResult {
        if let Some(token) = SCHEME.cookie.get(http) {
            self.accounts.logout(token, TOKENS);
        }
        if let Authorization::Bearer(token) = Authorization::of(http.headers()) {
            self.accounts.logout(&token, TOKENS);
        }
        Ok(Response::empty(StatusCode::NO_CONTENT).header("set-cookie", SCHEME.cookie.delete()))
    }

    pub(crate) async fn me(&self, http: &Request) -> HandlerResult {
        let caller = self.enter(http, Permission::Read).await?;
        Ok(ok(&self.told(&caller)))
    }

    fn told(&self, caller: &Caller) -> Value {
        json!({
            "accounts": !self.accounts.is_open(),
            "name": caller.name().map(|name| &**name),
            "role": caller.role().as_str(),
        })
    }
}

/// In which words somebody is told that they were not let in.
pub(crate) fn why(denied: Denied) -> &'static str {
    match denied {
        Denied::Missing => "log in first: POST /login, or send Authorization",
        Denied::Malformed => "the header Authorization is neither Basic nor Bearer",
        Denied::Wrong => "there is no such account with that password",
        Denied::Expired => "that login has ended",
        Denied::Later => "too many logins have failed; try again later",
    }
}

const SCHEME: Scheme = Scheme {
    sources: &[Source::Authorization, Source::Cookie],
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
