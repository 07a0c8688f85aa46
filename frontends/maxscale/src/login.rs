//! Authenticates a request by the cookie, else by `Authorization`; and `/v1/auth`, which issues a
//! token for either. Tokens are signed and not stored: a token is invalid after its lifetime, a change
//! of the account's password or a restart of the process.

use crate::error::Fault;
use crate::query::Query;
use rejoin_accounts::{
    Accounts, Authorization, Caller, Cookie, Denied, Login, Permission, SameSite, Scheme, Source,
    Tokens,
};
use rejoin_http::{Method, Request, Response, StatusCode};
use std::time::Duration;

const SCHEME: Scheme = Scheme {
    sources: &[Source::Cookie, Source::Authorization],
    tokens: Tokens::Signed,
    cookie: Cookie {
        name: COOKIE,
        same_site: SameSite::Strict,
        max_age: None,
    },
    // Only `/v1/auth` sends it.
    sends_cookie: false,
};

pub(crate) async fn log_in(accounts: &Accounts, http: &Request) -> Result<Login, Fault> {
    let login = accounts.authenticate(http, &SCHEME).await;
    login.map_err(|denied| refusal(denied, http))
}

/// As [`log_in`] and [`permit`], of a request whose body has not been taken yet.
pub(crate) async fn admit(accounts: &Accounts, http: &Request) -> Result<(), Fault> {
    let admitted = accounts.admit(http, &SCHEME).await;
    let login = admitted.map_err(|denied| refusal(denied, http))?;
    permit(&login, http, http.method())
}

fn refusal(denied: Denied, http: &Request) -> Fault {
    match denied {
        Denied::Expired => Fault::Denied { challenges: false },
        _ => challenge(http),
    }
}

/// Refuses a request that writes if the account may only read: 403 for a token, a challenge for a
/// password.
pub(crate) fn permit(login: &Login, http: &Request, method: &Method) -> Result<(), Fault> {
    // Both the overriding method and the real one must be allowed.
    let reads = [method, http.method()]
        .iter()
        .all(|method| matches!(**method, Method::GET | Method::HEAD | Method::OPTIONS));
    match (
        reads || login.caller.may(Permission::CloseOwn),
        login.by_token,
    ) {
        (true, _) => Ok(()),
        (false, true) => Err(Fault::NotAdministrator),
        (false, false) => Err(challenge(http)),
    }
}

/// `GET /v1/auth`: issues a token in the product's form, as JSON or as a cookie, or deletes the
/// cookie. It needs a password (not a token), and TLS or a client on the same machine.
pub(crate) async fn auth(
    accounts: &Accounts,
    http: &Request,
    query: &Query,
) -> Result<AuthResponse, Fault> {
    if query.is_yes("logout") {
        let path = http.cookie_path();
        return Ok(AuthResponse::DeleteCookie(format!(
            "{COOKIE}=; Path={path}; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Strict; HttpOnly"
        )));
    }
    let peer = http.ip();
    if !http.is_encrypted() && !peer.is_loopback() && !accounts.is_open() {
        return Err(Fault::NotEncrypted);
    }
    let denied = Fault::Denied { challenges: false };
    let caller = match Authorization::of(http.headers()) {
        _ if accounts.is_open() => Caller::local(),
        Authorization::Basic(credentials) => {
            let verified = accounts.verify(credentials, peer).await;
            verified.map_err(|_| denied.clone())?
        }
        _ => return Err(denied),
    };
    let account = match caller.may(Permission::CloseOwn) {
        true => "admin",
        false => "basic",
    };
    let seconds = query.max_age();
    let lifetime = seconds.map_or(DEFAULT_LIFETIME, Duration::from_secs);
    let token = accounts.jwt(&caller, "maxscale", account, lifetime);
    let token = token.ok_or(denied)?;
    if !query.is_yes("persist") {
        return Ok(AuthResponse::Body(token));
    }
    let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let secure = if http.is_encrypted() { "; Secure" } else { "" };
    let path = http.cookie_path();
    let cookie = format!("{COOKIE}={token}; Path={path}{age}{secure}; SameSite=Strict; HttpOnly");
    Ok(AuthResponse::Cookie(cookie))
}

/// How `/v1/auth` responds.
pub(crate) enum AuthResponse {
    /// With the token in the body.
    Body(String),
    /// With this `Set-Cookie` header, which has the token.
    Cookie(String),
    /// With this `Set-Cookie` header, which deletes the cookie.
    DeleteCookie(String),
}

/// A refused login, with the product's spacing and without a content type.
pub(crate) fn refuse(status: StatusCode, detail: &str, challenges: bool) -> Response {
    let body = format!(r#"{{"errors": [ {{ "detail": "{detail}" }} ] }}"#);
    let response = Response::untyped(status, body);
    match challenges {
        true => response.header("www-authenticate", r#"Basic realm="maxscale""#),
        false => response,
    }
}

/// A challenge makes browsers show a password dialog, so requests of scripts get none.
fn challenge(http: &Request) -> Fault {
    let with = http.header("x-requested-with");
    Fault::Denied {
        challenges: with != Some("XMLHttpRequest"),
    }
}

const COOKIE: &str = "token_sig";

/// How long a token is valid without `max-age`.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
