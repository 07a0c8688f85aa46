//! Authenticates a request as the product does: by the cookie, else `Authorization: Basic`, else
//! `?password=`, in this order.
//!
//! Unlike in the product, clients on the same machine have to log in too when there are accounts.

use rejoin_accounts::{
    Accounts, Authorization, Caller, Credentials, Denied, Permission, TokenKind, cookie,
};
use rejoin_http::{Request, Response, StatusCode, Url};
use std::time::Duration;

/// An authenticated caller, and the token to set as a cookie if the client needs a new one.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) caller: Caller,
    pub(crate) cookie: Option<String>,
}

/// Authenticates the sender of a request. Waits while a password is hashed for the first time.
pub(crate) async fn authenticate(
    accounts: &Accounts,
    http: &Request,
) -> Result<Authenticated, Denied> {
    if accounts.is_open() {
        return Ok(Authenticated {
            caller: Caller::local(),
            cookie: None,
        });
    }
    let headers = http.headers();
    let by_cookie = cookie(headers, COOKIE).map(|token| accounts.caller_of_token(token, TOKENS));
    if let Some(Ok(caller)) = by_cookie {
        return Ok(Authenticated {
            caller,
            cookie: None,
        });
    }
    let credentials = match Authorization::of(headers) {
        Authorization::Basic(credentials) => credentials,
        Authorization::Malformed => return Err(Denied::Malformed),
        // Tokens of other APIs don't count here.
        Authorization::None | Authorization::Bearer(_) => {
            query_credentials(http.url()).ok_or(Denied::Missing)?
        }
    };
    let address = http.peer().ip();
    let (caller, token) = accounts.login(credentials, address, TOKENS).await?;
    Ok(Authenticated {
        caller,
        cookie: Some(token),
    })
}

fn query_credentials(url: &Url) -> Option<Credentials> {
    let value = |wanted| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    };
    let password = value("password")?;
    let name = value("username").unwrap_or_else(|| "arthas".into());
    Some(Credentials::new(name, password))
}

/// The response to every request that is not authenticated.
pub(crate) fn unauthorized() -> Response {
    Response::new(StatusCode::UNAUTHORIZED, "text/plain", "")
        .header("www-authenticate", r#"Basic realm="arthas webconsole""#)
        .close()
}

/// The `Set-Cookie` header for a token.
pub(crate) fn set_cookie(http: &Request, token: &str) -> String {
    let secure = if http.is_encrypted() { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}")
}

/// Why the caller may not do it, or `None` if it may.
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

/// The same times as the product's HTTP sessions.
const TOKENS: TokenKind = TokenKind {
    name: "arthas",
    idle: Duration::from_secs(3 * 60 * 60),
    absolute: Duration::from_secs(7 * 24 * 60 * 60),
};
