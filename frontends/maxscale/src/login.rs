//! Who asks, as this API's clients say it: the cookie, else `Authorization`; and `/v1/auth`, which
//! gives them a token for either.
//!
//! A request's headers and query enter; a caller or a refusal in the product's words leaves. Tokens
//! are signed, not remembered: they end with their time, their account's password and the process.

use crate::error::Fault;
use crate::query::Query;
use rejoin_accounts::{Accounts, Authorization, Caller, Permission, cookie};
use rejoin_http::{Method, Request, Response, StatusCode};
use std::time::Duration;

/// Somebody who was let in.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) caller: Caller,
    /// By a token, and not by a password.
    by_token: bool,
}

/// Lets in whoever has an account. Waits while a password is hashed that wasn't seen before.
pub(crate) async fn enter(accounts: &Accounts, http: &Request) -> Result<Entered, Fault> {
    if accounts.is_open() {
        return Ok(Entered {
            caller: Caller::local(),
            by_token: false,
        });
    }
    let headers = http.headers();
    let token = match (cookie(headers, COOKIE), Authorization::of(headers)) {
        (Some(token), _) => token.to_owned(),
        (None, Authorization::Bearer(token)) => token,
        (None, Authorization::Basic(credentials)) => {
            let address = http.peer().ip();
            let caller = accounts.verify(credentials, address).await;
            return Ok(Entered {
                caller: caller.map_err(|_| challenge(http))?,
                by_token: false,
            });
        }
        (None, Authorization::None | Authorization::Malformed) => return Err(challenge(http)),
    };
    let caller = accounts.caller_of_jwt(&token);
    Ok(Entered {
        caller: caller.map_err(|_| Fault::Denied { challenges: false })?,
        by_token: true,
    })
}

impl Entered {
    /// Whether they may do that: who may only read is told so, or asked for another password.
    pub(crate) fn permit(&self, http: &Request, method: &Method) -> Result<(), Fault> {
        // Which of the two counts is the product's to say; here neither may write.
        let reads = [method, http.method()]
            .iter()
            .all(|it| matches!(**it, Method::GET | Method::HEAD | Method::OPTIONS));
        match (
            reads || self.caller.may(Permission::CloseOwn),
            self.by_token,
        ) {
            (true, _) => Ok(()),
            (false, true) => Err(Fault::NotAdministrator),
            (false, false) => Err(challenge(http)),
        }
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
