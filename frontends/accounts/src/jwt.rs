//! JSON Web Tokens with HS256. Only tokens of this process are accepted, or of the servers with the same key.
//!
//! A token is a constant header, a few claims and an HMAC. A library would add other algorithms, a
//! common source of vulnerabilities with such tokens.

use crate::secret::Key;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a token claims.
pub(crate) trait Claimed: Serialize + DeserializeOwned {
    /// Whom it is about.
    fn subject(&self) -> &str;

    /// When it expires, in seconds since 1970.
    fn expires(&self) -> u64;
}

/// The claims of a product's token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Claims {
    pub(crate) account: String,
    pub(crate) aud: String,
    pub(crate) exp: u64,
    pub(crate) iat: u64,
    pub(crate) iss: String,
    pub(crate) sub: String,
}

impl Claimed for Claims {
    fn subject(&self) -> &str {
        &self.sub
    }

    fn expires(&self) -> u64 {
        self.exp
    }
}

/// The claims of a login that holds at several servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginClaims {
    pub(crate) exp: u64,
    pub(crate) iat: u64,
    /// Random, so that no two logins have the same token.
    pub(crate) jti: String,
    pub(crate) sub: String,
}

impl Claimed for LoginClaims {
    fn subject(&self) -> &str {
        &self.sub
    }

    fn expires(&self) -> u64 {
        self.exp
    }
}

pub(crate) fn write(claims: &impl Claimed, key: &Key) -> Option<String> {
    let claims = serde_json::to_vec(claims).ok()?;
    let claims = URL_SAFE_NO_PAD.encode(claims);
    let head = URL_SAFE_NO_PAD.encode(HEAD);
    let signed = format!("{head}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    Some(format!("{signed}.{signature}"))
}

/// The claims of a token that is signed with the key which `key` gives for whom it is about, and
/// that has not expired.
pub(crate) fn read<C: Claimed>(
    token: &str,
    now: Duration,
    key: impl FnOnce(&str) -> Option<Key>,
) -> Option<C> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    if URL_SAFE_NO_PAD.decode(head).ok()? != HEAD {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let claims: C = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    // The claims are trusted only from here on.
    let is_signed = key(claims.subject())?.is_signed(signed.as_bytes(), &signature);
    (is_signed && now.as_secs() < claims.expires()).then_some(claims)
}

const HEAD: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_signed_with_the_key_is_read_until_it_expires() {
        let key = Key::new().unwrap();
        let claims = Claims {
            account: "admin".into(),
            aud: "maxscale".into(),
            exp: 100,
            iat: 1,
            iss: "maxscale".into(),
            sub: "ada".into(),
        };
        let token = write(&claims, &key).unwrap();
        let at = |token: &str, key: &Key, seconds| {
            read::<Claims>(token, Duration::from_secs(seconds), |_| Some(key.clone()))
        };
        assert_eq!(at(&token, &key, 99), Some(claims.clone()));
        assert_eq!(at(&token, &key, 100), None);
        assert_eq!(at(&token, &Key::new().unwrap(), 1), None);
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        let (_, rest) = token.split_once('.').unwrap();
        let (unsigned, _) = rest.split_once('.').unwrap();
        for forged in [
            format!("{none}.{unsigned}."),
            format!("{none}.{rest}"),
            format!("{token}A"),
            token.replacen('.', "..", 1),
            String::new(),
        ] {
            assert_eq!(at(&forged, &key, 1), None, "{forged}");
        }
    }
}
