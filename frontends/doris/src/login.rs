//! Who asks, as this API's clients say it: an `Authorization` header, else the cookie.
//!
//! A request's headers enter; a caller and the cookie to send leave, or a refusal in the words that
//! the clients know. What is remembered is remembered by the accounts.

use rejoin_accounts::{Accounts, Caller, Credentials, TokenKind, cookie};
use rejoin_http::Request;
use std::time::Duration;

/// Somebody who was let in, and the cookie's value that they are to keep; none where there are no
/// accounts and nobody logs in.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) caller: Caller,
    pub(crate) cookie: Option<String>,
}

/// Why somebody was not let in: a code and its words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) msg: &'static str,
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Refused {
    pub(crate) fn unauthorized(reason: impl Into<String>) -> Self {
        Self {
            msg: "Unauthorized",
            code: 401,
            reason: reason.into(),
        }
    }
}

/// Lets in whoever has an account. The header goes before the cookie.
pub(crate) async fn enter(accounts: &Accounts, http: &Request) -> Result<Entered, Refused> {
    if accounts.is_open() {
        return Ok(Entered {
            caller: Caller::local(),
            cookie: None,
        });
    }
    match http.headers().get("authorization") {
        Some(value) => enter_by_header(accounts, http, value.to_str().unwrap_or_default()).await,
        None => enter_by_cookie(accounts, http),
    }
}

async fn enter_by_header(
    accounts: &Accounts,
    http: &Request,
    header: &str,
) -> Result<Entered, Refused> {
    // Which word comes first is not minded.
    let mut words = header.split_ascii_whitespace();
    let (Some(_), Some(encoded), None) = (words.next(), words.next(), words.next()) else {
        return Err(Refused::unauthorized("Need auth information."));
    };
    let mut credentials = Credentials::basic(encoded).ok_or_else(|| Refused {
        msg: "Internal Error",
        code: 500,
        reason: "the credentials are not the base64 of user:password".into(),
    })?;
    if let Some((user, _cluster)) = credentials.name.split_once('@') {
        credentials.name = user.into();
    }
    let address = http.peer().ip();
    let using = if credentials.password.is_some() {
        "YES"
    } else {
        "NO"
    };
    let denied = format!(
        "Access denied for user '{}@{address}' (using password: {using})",
        credentials.name
    );
    match accounts.login(credentials, address, TOKENS).await {
        Ok((caller, token)) => Ok(Entered {
            caller,
            cookie: Some(token),
        }),
        Err(_) => Err(Refused::unauthorized(denied)),
    }
}

/// By the cookie alone.
pub(crate) fn enter_by_cookie(accounts: &Accounts, http: &Request) -> Result<Entered, Refused> {
    let token = cookie(http.headers(), COOKIE);
    let caller = token.and_then(|token| accounts.caller_of_token(token, TOKENS).ok());
    let caller = caller.ok_or_else(|| Refused::unauthorized("Cookie is invalid"))?;
    Ok(Entered {
        caller,
        cookie: token.map(Into::into),
    })
}

/// Ends the login that the cookie is of.
pub(crate) fn leave(accounts: &Accounts, http: &Request) {
    if let Some(token) = cookie(http.headers(), COOKIE) {
        accounts.logout(token, TOKENS);
    }
}

/// The header that has the client keep the cookie.
pub(crate) fn keep(http: &Request, token: &str) -> String {
    let secure = if http.is_encrypted() { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax{secure}")
}

/// The header that has the client forget it.
pub(crate) fn forget() -> String {
    format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")
}

const COOKIE: &str = "PALO_SESSION_ID";

const TOKENS: TokenKind = TokenKind {
    name: "doris",
    idle: Duration::from_secs(2 * 60 * 60),
    absolute: Duration::from_secs(24 * 60 * 60),
};
