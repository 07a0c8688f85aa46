//! Reads credentials and cookies from the headers of a request. Pure.

use crate::secret::Password;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rejoin_http::HeaderMap;
use std::fmt;

/// A name and a password that is not verified yet. `Debug` doesn't show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account's name, as it was sent.
    pub name: String,
    /// None if it was empty or too long, so that it can't be valid.
    pub password: Option<Password>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, …)", self.name)
    }
}

impl Credentials {
    /// Credentials as they were typed.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            password: Password::new(password),
        }
    }

    /// Reads what follows the word `Basic`: the base64 of `name:password`; the password may have colons.
    ///
    /// ```
    /// use rejoin_accounts::Credentials;
    ///
    /// let read = Credentials::basic("YWRhOmE6Yg==").unwrap();
    /// assert_eq!(read, Credentials::new("ada", "a:b"));
    /// assert_eq!(Credentials::basic("YWRh"), None);
    /// ```
    #[must_use]
    pub fn basic(encoded: &str) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (name, password) = text.split_once(':')?;
        Some(Self::new(name, password))
    }
}

/// The header `Authorization`.
#[derive(Clone, PartialEq, Eq)]
pub enum Authorization {
    /// There is none.
    None,
    /// A name and a password.
    Basic(Credentials),
    /// A token.
    Bearer(String),
    /// It can't be parsed, or is of another scheme.
    Malformed,
}

impl Authorization {
    /// Reads the header.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all("authorization").iter();
        let value = match (given.next(), given.next()) {
            (None, _) => return Self::None,
            (Some(value), None) => value.to_str().unwrap_or_default(),
            _ => return Self::Malformed,
        };
        let Some((scheme, rest)) = value.trim().split_once(' ') else {
            return Self::Malformed;
        };
        if scheme.eq_ignore_ascii_case("basic") {
            Credentials::basic(rest).map_or(Self::Malformed, Self::Basic)
        } else if scheme.eq_ignore_ascii_case("bearer") {
            Self::Bearer(rest.trim().into())
        } else {
            Self::Malformed
        }
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic(_) => "Basic(…)",
            Self::Bearer(_) => "Bearer(…)",
            Self::Malformed => "Malformed",
        })
    }
}

/// The first cookie of that name.
#[must_use]
pub fn cookie<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    let values = headers.get_all("cookie").iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_http::HeaderValue;

    fn authorization(value: &'static str) -> Authorization {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static(value));
        Authorization::of(&headers)
    }

    #[test]
    fn authorization_is_basic_bearer_or_malformed() {
        let ada = Authorization::Basic(Credentials::new("ada", "pw"));
        assert_eq!(authorization("Basic YWRhOnB3"), ada);
        assert_eq!(authorization("basic  YWRhOnB3 "), ada);
        let token = Authorization::Bearer("abc".into());
        assert_eq!(authorization("Bearer abc"), token);
        for wrong in [
            "",
            "Basic",
            "Basic YWRh",
            "Basic ###",
            "Digest x",
            "YWRhOnB3",
        ] {
            assert_eq!(authorization(wrong), Authorization::Malformed, "{wrong}");
        }
        assert_eq!(Authorization::of(&HeaderMap::new()), Authorization::None);
        assert_eq!(format!("{ada:?} {token:?}"), "Basic(…) Bearer(…)");
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", HeaderValue::from_static("a=1; asession=x=y;b=2"));
        headers.append("cookie", HeaderValue::from_static("c=\"3\""));
        let found = |name| cookie(&headers, name);
        assert_eq!(found("asession"), Some("x=y"));
        assert_eq!((found("c"), found("session")), (Some("3"), None));
    }
}
