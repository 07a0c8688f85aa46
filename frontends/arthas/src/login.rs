//! Authenticates a request as the product does: by the cookie, else `Authorization: Basic`, else
//! `?password=`, in this order.
//!
//! Unlike in the product, clients on the same machine have to log in too when there are accounts.

use rejoin_accounts::{
    Caller, Cookie, Credentials, Denied, Permission, SameSite, Scheme, Source, TokenKind, Tokens,
};
use rejoin_http::{Request, Response, StatusCode};
use std::time::Duration;

pub(crate) const SCHEME: Scheme = Scheme {
    sources: &[
        Source::ValidCookie,
        Source::Basic,
        Source::Password(password_in_query),
    ],
    tokens: Tokens::Stored(TokenKind {
        name: "arthas",
        // The same times as the product's HTTP sessions.
        idle: Duration::from_secs(3 * 60 * 60),
        absolute: Duration::from_secs(7 * 24 * 60 * 60),
    }),
    cookie: Cookie {
        name: "asession",
        same_site: SameSite::Strict,
        max_age: None,
    },
    sends_cookie: true,
};

fn password_in_query(http: &Request) -> Option<Result<Credentials, Denied>> {
    let url = http.url();
    let value = |wanted| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value)
    };
    let password = value("password")?;
    let name = value("username").unwrap_or_else(|| "arthas".into());
    Some(Ok(Credentials::new(name, password)))
}

/// The response to every request that is not authenticated.
pub(crate) fn unauthorized() -> Response {
    Response::new(StatusCode::UNAUTHORIZED, "text/plain", "")
        .header("www-authenticate", r#"Basic realm="arthas webconsole""#)
        .close()
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
