//! Access tokens: long-lived secrets of an account, for programs and agents. Pure.
//!
//! The accounts file has their SHA-256 digests. A token has 190 random bits, so that a slow hash would
//! protect nothing. A token may have less rights than its account, never more, and it ends at its
//! expiry, when it is removed, and with its account.

use crate::accounts::random_text;
use crate::file::{AccountsFile, FileError, check_name};
use crate::limits::{ACCESS_TOKENS, ALL_ACCESS_TOKENS};
use crate::role::Role;
use crate::secret::NoRandom;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::time::Duration;

/// An access token, as the file has it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessToken {
    pub(crate) name: String,
    /// The digest of its text, in hexadecimal.
    pub(crate) digest: String,
    /// Its role, if that is less than its account's.
    pub(crate) role: Option<Role>,
    /// Seconds since 1970.
    pub(crate) expires: Option<u64>,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken({})", self.name)
    }
}

/// What can be shown of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedToken<'a> {
    /// Its account.
    pub account: &'a str,
    /// Its name, unique in the account.
    pub name: &'a str,
    /// What it may do.
    pub role: Role,
    /// When it expires, as the time since 1970.
    pub expires: Option<Duration>,
}

impl AccessToken {
    /// A new one, with its text.
    pub(crate) fn draw(
        name: &str,
        role: Option<Role>,
        expires: Option<Duration>,
    ) -> Result<(String, Self), NoRandom> {
        let text = random_text().ok_or(NoRandom)?;
        let text = format!("{PREFIX}{text}");
        let token = Self {
            name: name.into(),
            digest: digest(&text),
            role,
            expires: expires.map(|at| at.as_secs()),
        };
        Ok((text, token))
    }

    pub(crate) fn is_expired(&self, now: Duration) -> bool {
        self.expires.is_some_and(|expires| now.as_secs() >= expires)
    }

    /// Its role, which is at most its account's.
    pub(crate) fn role(&self, of_account: Role) -> Role {
        self.role.map_or(of_account, |role| role.min(of_account))
    }
}

impl AccountsFile {
    /// Adds an access token to an account, and returns its text, which is kept nowhere.
    ///
    /// # Errors
    ///
    /// When there is no such account, it has a token of that name or too many, the name is none, or
    /// the system has no random numbers.
    pub fn add_token(
        &mut self,
        account: &str,
        name: &str,
        role: Option<Role>,
        expires: Option<Duration>,
    ) -> Result<String, FileError> {
        check_name(name)?;
        let all: usize = self.accounts.values().map(|it| it.tokens.len()).sum();
        let owner = self.accounts.get_mut(account);
        let owner = owner.ok_or_else(|| FileError::Unknown(account.into()))?;
        if owner.tokens.iter().any(|token| token.name == name) {
            return Err(FileError::TokenExists(name.into()));
        }
        if owner.tokens.len() >= ACCESS_TOKENS || all >= ALL_ACCESS_TOKENS {
            return Err(FileError::TokensFull);
        }
        let (text, token) = AccessToken::draw(name, role, expires)?;
        owner.tokens.push(token);
        Ok(text)
    }

    /// Removes an access token: it is refused from then on.
    ///
    /// # Errors
    ///
    /// When there is no such account or token.
    pub fn remove_token(&mut self, account: &str, name: &str) -> Result<(), FileError> {
        let owner = self.accounts.get_mut(account);
        let owner = owner.ok_or_else(|| FileError::Unknown(account.into()))?;
        let place = owner.tokens.iter().position(|token| token.name == name);
        let place = place.ok_or_else(|| FileError::TokenUnknown(name.into()))?;
        owner.tokens.remove(place);
        Ok(())
    }

    /// The access tokens, by account.
    pub fn tokens(&self) -> impl Iterator<Item = ListedToken<'_>> {
        self.accounts.iter().flat_map(|(account, owner)| {
            owner.tokens.iter().map(move |token| ListedToken {
                account,
                name: &token.name,
                role: token.role(owner.role),
                expires: token.expires.map(Duration::from_secs),
            })
        })
    }
}

/// The digest of a token's text.
pub(crate) fn digest(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text is a digest.
pub(crate) fn is_digest(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(is_digit)
}

/// How the text of every access token begins, so that it is told from the token of a login, and found
/// where it does not belong.
pub(crate) const PREFIX: &str = "rejoin_";
