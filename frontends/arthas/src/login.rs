//! Who asks, as this API's clients say it: the cookie, else `Authorization: Basic`, else
//! `?password=`, in this order.
//!
//! A request's headers and query enter; a caller and the cookie to send leave, or nothing. What is
//! remembered is remembered by the accounts. What is never true: whoever is on this machine is let
//! in for that alone, where there are accounts.

use rejoin_accounts::{
    Accounts, Authorization, Caller, Credentials, Denied, Permission, TokenKind, cookie,
};
use rejoin_http::{Request, Response, StatusCode, Url};
use std::time::Duration;

/// Somebody who was let in, and the cookie's value that they are to keep; none where they have it,
/// or need none.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) caller: Caller,
    pub(crate) cookie: Option<String>,
}

/// Lets in whoever has an account. Waits while a password is hashed that wasn't seen before.
pub(crate) async fn enter(accounts: &Accounts, http: &Request) -> Result<Entered, Denied> {
    if accounts.is_open() {
        return Ok(Entered {
            caller: Caller::local(),
            cookie: None,
        });
    }
    let headers = http.headers();
    let known = cookie(headers, COOKIE).map(|token| accounts.caller_of_token(token, TOKENS));
    if let Some(Ok(caller)) = known {
        return Ok(Entered {
            caller,
            cookie: None,
        });
    }
    let credentials = match Authorization::of(headers) {
        Authorization::Basic(credentials) => credentials,
        Authorization::Malformed => return Err(Denied::Malformed),
        // A token of elsewhere says nothing here.
        Authorization::None | Authorization::Bearer(_) => {
            of_query(http.url()).ok_or(Denied::Missing)?
        }
    };
    let address = http.peer().ip();
    let (caller, token) = accounts.login(credentials, address, TOKENS).await?;
    Ok(Entered {
        caller,
        cookie: Some(token),
    })
}

fn of_query(url: &Url) -> Option<Credentials> {
    let value = |wanted| {
        let mut pairs = url.query_pairs();
        pairs.find(|(name, _)| name == wanted).map(|(_, it)| it)
    };
    let password = value("password")?;
    let name = value("username").unwrap_or_else(|| "arthas".into());
    Some(Credentials::new(name, password))
}

/// What whoever is not let in gets, whatever the reason.
pub(crate) fn refuse() -> Response {
    Response::new(StatusCode::UNAUTHORIZED, "text/plain", "")
        .header("www-authenticate", r#"Basic realm="arthas webconsole""#)
        .close()
}

/// The header that has the client keep the cookie.
pub(crate) fn keep(http: &Request, token: &str) -> String {
    let secure = if http.is_encrypted() { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}")
}

/// What an account may not, in words; none: it may.
pub(crate) fn forbidden(caller: &Caller, wanted: Permission) -> Option<String> {
    let what = match wanted {
        Permission::Create => "create sessions",
        Permission::Run => "run commands",
        Permission::Interrupt => "interrupt jobs",
        Permission::Read | Permission::SeeAll => "see that",
        Permission::CloseOwn | Permission::CloseAny => "close that session",
    };
    (!caller.may(wanted)).then(|| format!("the role {} may not {what}", caller.role()))
}

const COOKIE: &str = "asession";

/// As long as the product's own sessions.
const TOKENS: TokenKind = TokenKind {
    name: "arthas",
    idle: Duration::from_secs(3 * 60 * 60),
    absolute: Duration::from_secs(7 * 24 * 60 * 60),
};
