//! How the clients of a frontend log in: one procedure for all frontends, with their rules as data.

use crate::access_tokens::PREFIX;
use crate::accounts::{Accounts, Denied};
use crate::credentials::{Authorization, Credentials, cookie};
use crate::links::secret_of;
use crate::role::Caller;
use crate::tokens::TokenKind;
use rejoin_http::Request;

/// The rules by which a frontend finds out who a request is from.
///
/// ```
/// use rejoin_accounts::{Cookie, SameSite, Scheme, Source, TokenKind, Tokens};
/// use std::time::Duration;
///
/// const SCHEME: Scheme = Scheme {
///     sources: &[Source::Authorization, Source::Cookie],
///     tokens: Tokens::Stored(TokenKind {
///         name: "example",
///         idle: Duration::from_secs(2 * 60 * 60),
///         absolute: Duration::from_secs(24 * 60 * 60),
///     }),
///     cookie: Cookie { name: "example_session", same_site: SameSite::Strict, max_age: None },
///     sends_cookie: false,
/// };
/// # let _ = SCHEME;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    /// Where credentials are looked for, in this order. The first source that has some decides.
    pub sources: &'static [Source],
    /// What the tokens are.
    pub tokens: Tokens,
    /// The cookie that holds a token.
    pub cookie: Cookie,
    /// Whether a client that logs in with a password is given a token, in the cookie.
    pub sends_cookie: bool,
}

/// A place in a request where credentials are looked for.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// A token in the scheme's cookie.
    Cookie,
    /// As `Cookie`, but an invalid token is ignored, so that the next source decides.
    ValidCookie,
    /// The header `Authorization`: `Basic` with a password, or `Bearer` with a token.
    Authorization,
    /// As `Authorization`, but a `Bearer` token is ignored.
    Basic,
    /// An access token of an account, as `Bearer`. Anything else is left to the next source.
    AccessToken,
    /// A name and a password, read by a function of the frontend. None if there are none.
    Password(fn(&Request) -> Option<Result<Credentials, Denied>>),
}

/// The tokens of a scheme.
#[derive(Clone, Copy, Debug)]
pub enum Tokens {
    /// Random texts that the accounts remember.
    Stored(TokenKind),
    /// JSON Web Tokens: see [`Accounts::jwt`].
    Signed,
}

/// A cookie that holds a token. Scripts can't read it.
#[derive(Clone, Copy, Debug)]
pub struct Cookie {
    /// Its name.
    pub name: &'static str,
    /// Whether browsers send it with requests from other sites.
    pub same_site: SameSite,
    /// Seconds after which the browser drops it; none: when the browser is closed.
    pub max_age: Option<u32>,
}

/// The attribute `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Not sent with any request from another site.
    Strict,
    /// Sent when a link of another site is followed.
    Lax,
}

impl Cookie {
    /// The value of `Set-Cookie` that stores a token.
    #[must_use]
    pub fn set(&self, token: &str, request: &Request) -> String {
        let secure = if request.is_encrypted() {
            "; Secure"
        } else {
            ""
        };
        let max_age = self.max_age.map(|seconds| format!("; Max-Age={seconds}"));
        let max_age = max_age.unwrap_or_default();
        let (name, same_site) = (self.name, self.same_site.as_str());
        let path = request.cookie_path();
        format!("{name}={token}; Path={path}{max_age}; HttpOnly; SameSite={same_site}{secure}")
    }

    /// The value of `Set-Cookie` that deletes it.
    #[must_use]
    pub fn delete(&self, request: &Request) -> String {
        let (name, same_site) = (self.name, self.same_site.as_str());
        let path = request.cookie_path();
        format!("{name}=; Path={path}; Max-Age=0; HttpOnly; SameSite={same_site}")
    }

    /// Its value in a request.
    #[must_use]
    pub fn get<'request>(&self, request: &'request Request) -> Option<&'request str> {
        cookie(request.headers(), self.name)
    }
}

impl SameSite {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
        }
    }
}

/// A successful login.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who the request is from.
    pub caller: Caller,
    /// Whether a token proved it, not a password.
    pub by_token: bool,
    /// The token that the client was given, or that its cookie holds.
    pub token: Option<String>,
}

impl Accounts {
    /// Finds out who a request is from. Without accounts that is everybody's
    /// [`Caller::local`].
    ///
    /// Waits while a password is hashed that was not verified before.
    ///
    /// # Errors
    ///
    /// [`Denied::Missing`] if no source has credentials, [`Denied::Malformed`] if a source can't be
    /// read, [`Denied::Expired`] for an invalid token, [`Denied::Link`] for a link, and [`Denied::Wrong`] or [`Denied::Later`]
    /// for a password.
    pub async fn authenticate(&self, request: &Request, scheme: &Scheme) -> Result<Login, Denied> {
        let mut login = self
            .find_login(request, scheme, scheme.sends_cookie)
            .await?;
        login.caller.services = self.service_access();
        if let Some(name) = login.caller.name() {
            request.log_account(name.clone());
        }
        Ok(login)
    }

    /// As [`authenticate`](Self::authenticate), without giving the client a token. For a request whose
    /// body has not been taken yet; the password is then not hashed a second time.
    ///
    /// # Errors
    ///
    /// As [`authenticate`](Self::authenticate).
    pub async fn admit(&self, request: &Request, scheme: &Scheme) -> Result<Login, Denied> {
        let mut login = self.find_login(request, scheme, false).await?;
        login.caller.services = self.service_access();
        Ok(login)
    }

    async fn find_login(
        &self,
        request: &Request,
        scheme: &Scheme,
        gives_token: bool,
    ) -> Result<Login, Denied> {
        // Also where nobody has to log in: who is given a link is shown no more than that.
        if secret_of(request).is_some() {
            return Err(Denied::Link);
        }
        if self.is_open() {
            return Ok(Login {
                caller: Caller::local(),
                by_token: false,
                token: None,
            });
        }
        for source in scheme.sources {
            match source {
                Source::Cookie | Source::ValidCookie => {
                    let Some(token) = scheme.cookie.get(request) else {
                        continue;
                    };
                    match self.login_by_token(token, scheme) {
                        Err(_) if matches!(source, Source::ValidCookie) => continue,
                        Ok(login) => {
                            let token = Some(token.to_owned());
                            return Ok(Login { token, ..login });
                        }
                        denied => return denied,
                    }
                }
                Source::Authorization | Source::Basic => {
                    match Authorization::of(request.headers()) {
                        Authorization::None => continue,
                        Authorization::Malformed => return Err(Denied::Malformed),
                        Authorization::Bearer(_) if matches!(source, Source::Basic) => continue,
                        Authorization::Bearer(token) => {
                            return self.login_by_token(&token, scheme);
                        }
                        Authorization::Basic(credentials) => {
                            let kind = token_kind(scheme, gives_token);
                            return self.login_by_password(credentials, request, kind).await;
                        }
                    }
                }
                Source::AccessToken => match Authorization::of(request.headers()) {
                    Authorization::Bearer(token) if token.starts_with(PREFIX) => {
                        return Ok(Login {
                            caller: self.caller_of_access_token(&token)?,
                            by_token: true,
                            token: None,
                        });
                    }
                    _ => continue,
                },
                Source::Password(read) => {
                    if let Some(credentials) = read(request) {
                        let kind = token_kind(scheme, gives_token);
                        return self.login_by_password(credentials?, request, kind).await;
                    }
                }
            }
        }
        Err(Denied::Missing)
    }

    fn login_by_token(&self, token: &str, scheme: &Scheme) -> Result<Login, Denied> {
        let caller = match scheme.tokens {
            Tokens::Stored(kind) => self.caller_of_token(token, kind)?,
            Tokens::Signed => self.caller_of_jwt(token)?,
        };
        Ok(Login {
            caller,
            by_token: true,
            token: None,
        })
    }

    async fn login_by_password(
        &self,
        credentials: Credentials,
        request: &Request,
        gives: Option<TokenKind>,
    ) -> Result<Login, Denied> {
        let address = request.ip();
        let (caller, token) = match gives {
            Some(kind) => {
                let (caller, token) = self.login(credentials, address, kind).await?;
                (caller, Some(token))
            }
            None => (self.verify(credentials, address).await?, None),
        };
        Ok(Login {
            caller,
            by_token: false,
            token,
        })
    }
}

/// The kind of token that a login by password gives, if it gives one.
fn token_kind(scheme: &Scheme, gives_token: bool) -> Option<TokenKind> {
    match scheme.tokens {
        Tokens::Stored(kind) if gives_token => Some(kind),
        _ => None,
    }
}
