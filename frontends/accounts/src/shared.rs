//! What servers share about logins: which have ended and when others were last used, links, and the access
//! tokens that people made at one of them. Pure: the time is an argument.
//!
//! Nothing in it is a secret: digests of tokens and of the secrets of links, and names.

use crate::access_tokens::{AccessToken, is_digest};
use crate::limits::{SHARED_BYTES, SHARED_LINKS, SHARED_TOKENS};
use crate::links::Link;
use crate::login_notes::LoginNotes;
use serde::{Deserialize, Serialize};

/// The document, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SharedAccess {
    version: u32,
    #[serde(default)]
    pub(crate) links: Vec<Link>,
    #[serde(default)]
    pub(crate) tokens: Vec<SharedToken>,
    #[serde(default)]
    pub(crate) logins: LoginNotes,
    /// What a newer version has in it is kept.
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

/// An access token that was made at a server, and is not in the accounts file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SharedToken {
    pub(crate) account: String,
    #[serde(flatten)]
    pub(crate) token: AccessToken,
}

/// The version of the document's format.
const VERSION: u32 = 1;

impl Default for SharedAccess {
    fn default() -> Self {
        Self {
            version: VERSION,
            links: vec![],
            tokens: vec![],
            logins: LoginNotes::default(),
            others: serde_json::Map::new(),
        }
    }
}

impl SharedAccess {
    /// The document with these bytes; an empty one if there are none. None: it is not one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        if bytes.len() > SHARED_BYTES {
            return None;
        }
        let read: Self = serde_json::from_slice(bytes).ok()?;
        let is_sound = read.version == VERSION
            && read.links.iter().all(Link::is_sound)
            && read.tokens.iter().all(|it| is_digest(&it.token.digest));
        is_sound.then_some(read)
    }

    /// Its bytes. None: it is too large for a store.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let bytes = serde_json::to_vec(self).ok()?;
        (bytes.len() <= SHARED_BYTES).then_some(bytes)
    }

    /// Whether there is room for one more link.
    pub(crate) fn has_room_for_a_link(&self) -> bool {
        self.links.len() < SHARED_LINKS
    }

    /// Whether there is room for one more access token.
    pub(crate) fn has_room_for_a_token(&self) -> bool {
        self.tokens.len() < SHARED_TOKENS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ALL_SHARED_LOGINS;
    use crate::login_notes::LoginNote;

    #[test]
    fn what_a_newer_version_has_in_it_is_kept_and_what_is_no_document_is_refused() {
        let text = br#"{"version":1,"links":[],"sea":{"deep":true}}"#;
        let read = SharedAccess::decode(text).unwrap();
        let written = String::from_utf8(read.encode().unwrap()).unwrap();
        assert!(written.contains(r#""sea":{"deep":true}"#), "{written}");
        let bad_token = br#"{"version":1,"tokens":[{"account":"a","name":"b","digest":"x","role":null,"expires":null}]}"#;
        for other in [&b"[]"[..], b"{}", br#"{"version":2}"#, bad_token] {
            assert!(SharedAccess::decode(other).is_none());
        }
        assert!(SharedAccess::decode(&vec![b' '; SHARED_BYTES + 1]).is_none());
    }

    #[test]
    fn a_full_document_fits_into_a_message() {
        let name = "a".repeat(crate::limits::NAME_BYTES);
        let mut shared = SharedAccess::default();
        for made in 0..ALL_SHARED_LOGINS as u64 {
            let note = LoginNote {
                account: format!("{}{:02}", &name[2..], made % 50),
                made: 1_800_000_000 + made,
                used: 1_800_000_000,
                until: 1_800_000_000,
                ended: true,
            };
            shared.logins.note(&format!("{made:032}"), note);
        }
        assert_eq!(shared.logins.len(), ALL_SHARED_LOGINS);
        let token = SharedToken {
            account: name.clone(),
            token: AccessToken {
                name,
                digest: "0".repeat(64),
                role: Some(crate::Role::Operator),
                expires: Some(1_800_000_000),
            },
        };
        shared.tokens = vec![token; SHARED_TOKENS];
        shared.links = vec![Link::largest(); SHARED_LINKS];
        assert!(shared.encode().is_some());
    }
}
