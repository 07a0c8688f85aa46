//! Authenticates a request by the header `Authorization`, else by the cookie.

use rejoin_accounts::{
    Accounts, Cookie, Credentials, Denied, Login, SameSite, Scheme, Source, TokenKind, Tokens,
};
use rejoin_http::Request;
use std::time::Duration;

const SCHEME: Scheme = Scheme {
    sources: &[Source::Password(password_in_header), Source::Cookie],
    tokens: Tokens::Stored(TOKENS),
    cookie: COOKIE,
    sends_cookie: true,
};

/// Only by the cookie.
const COOKIE_SCHEME: Scheme = Scheme {
    sources: &[Source::Cookie],
    ..SCHEME
};

pub(crate) const COOKIE: Cookie = Cookie {
    name: "PALO_SESSION_ID",
    same_site: SameSite::Lax,
    max_age: Some(86400),
};

const TOKENS: TokenKind = TokenKind {
    name: "doris",
    idle: Duration::from_secs(2 * 60 * 60),
    absolute: Duration::from_secs(24 * 60 * 60),
};

/// Why a login was refused, in the product's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) msg: &'static str,
    pub(crate) code: u16,
    pub(crate) reason: String,
}

impl Refusal {
    fn unauthorized(reason: impl Into<String>) -> Self {
        Self {
            msg: "Unauthorized",
            code: 401,
            reason: reason.into(),
        }
    }

    fn of(http: &Request) -> Self {
        match read_header(http) {
            None => Self::unauthorized("Cookie is invalid"),
            Some(Err(refusal)) => refusal,
            Some(Ok(Credentials { name, password })) => {
                let address = http.ip();
                let using = if password.is_some() { "YES" } else { "NO" };
                Self::unauthorized(format!(
                    "Access denied for user '{name}@{address}' (using password: {using})"
                ))
            }
        }
    }
}

pub(crate) async fn log_in(accounts: &Accounts, http: &Request) -> Result<Login, Refusal> {
    let login = accounts.authenticate(http, &SCHEME).await;
    login.map_err(|_| Refusal::of(http))
}

pub(crate) async fn log_in_by_cookie(accounts: &Accounts, http: &Request) -> Result<Login, Denied> {
    accounts.authenticate(http, &COOKIE_SCHEME).await
}

/// Invalidates the cookie's token.
pub(crate) async fn log_out(accounts: &Accounts, http: &Request) {
    if let Some(token) = COOKIE.get(http) {
        accounts.logout(token, TOKENS).await;
    }
}

fn password_in_header(http: &Request) -> Option<Result<Credentials, Denied>> {
    read_header(http).map(|credentials| credentials.map_err(|_| Denied::Malformed))
}

/// The credentials in `Authorization`, under any scheme, as in the product.
fn read_header(http: &Request) -> Option<Result<Credentials, Refusal>> {
    let header = http.headers().get("authorization")?;
    let mut words = header.to_str().unwrap_or_default().split_ascii_whitespace();
    let (Some(_), Some(encoded), None) = (words.next(), words.next(), words.next()) else {
        return Some(Err(Refusal::unauthorized("Need auth information.")));
    };
    let Some(mut credentials) = Credentials::basic(encoded) else {
        return Some(Err(Refusal {
            msg: "Internal Error",
            code: 500,
            reason: "the credentials are not the base64 of user:password".into(),
        }));
    };
    if let Some((user, _cluster)) = credentials.name.split_once('@') {
        credentials.name = user.into();
    }
    Some(Ok(credentials))
}
