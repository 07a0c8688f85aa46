//! How clients of this API log in: by the cookie, else `Authorization`; and `/v1/auth`, which gives
//! them a token for either. Tokens are signed and not stored: they end with their time, their
//! account's password and the process.

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
    login.map_err(|denied| match denied {
        Denied::Expired => Fault::Denied { challenges: false },
        _ => challenge(http),
    })
}

/// Refuses a request that writes to an account that may only read: a token with 403, a password by
/// asking for another one.
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

/// `GET /v1/auth`: a token of the product's form, as JSON or as a cookie; or the end of the cookie.
/// A password alone gets one, and only where nobody listens in.
pub(crate) async fn auth(
    accounts: &Accounts,
    http: &Request,
    query: &Query,
) -> Result<Token, Fault> {
    if query.is_yes("logout") {
        return Ok(Token::Forgotten);
    }
    let peer = http.peer().ip();
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
    let life = seconds.map_or(LIFE, Duration::from_secs);
    let token = accounts.jwt(&caller, "maxscale", account, life);
    let token = token.ok_or(denied)?;
    if !query.is_yes("persist") {
        return Ok(Token::Told(token));
    }
    let age = seconds.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    let secure = if http.is_encrypted() { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; Path=/{age}{secure}; SameSite=Strict; HttpOnly");
    Ok(Token::Kept(cookie))
}

/// What becomes of a token.
pub(crate) enum Token {
    /// It is in the answer's body.
    Told(String),
    /// It is in the header that has the client keep it.
    Kept(String),
    /// The client forgets it.
    Forgotten,
}

/// The header with which the client forgets its token.
pub(crate) const FORGET: &str =
    "token_sig=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=Strict; HttpOnly";

/// A refusal of somebody's login, in the product's spacing and without a type.
pub(crate) fn refuse(status: StatusCode, detail: &str, challenges: bool) -> Response {
    let body = format!(r#"{{"errors": [ {{ "detail": "{detail}" }} ] }}"#);
    let answer = Response::untyped(status, body);
    match challenges {
        true => answer.header("www-authenticate", r#"Basic realm="maxscale""#),
        false => answer,
    }
}

/// Browsers ask for a password themselves unless a script has sent the request.
fn challenge(http: &Request) -> Fault {
    let with = http.header("x-requested-with");
    Fault::Denied {
        challenges: with != Some("XMLHttpRequest"),
    }
}

const COOKIE: &str = "token_sig";

/// How long a token lives that nobody said the age of.
const LIFE: Duration = Duration::from_secs(8 * 60 * 60);
