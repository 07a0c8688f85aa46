//! Logins, links and access tokens that hold at several servers, or at the next process of one.
//!
//! With a [`LoginKey`], the token of a login says whose it is and until when, and is signed. So each server
//! with the key accepts it at once, and asks nobody. What a token can't say is in a document that they share:
//! see [`SharedStore`].

use crate::access_tokens::digest;
use crate::accounts::{Accounts, Denied, Shared, State, random_text};
use crate::jwt::{self, LoginClaims};
use crate::limits::{AFTER_NOTICE, AGAIN, CLOCK_DIFFERENCE, LOGOUT, LOOK, NOTED_USE, SHARING};
use crate::login_key::LoginKey;
use crate::login_notes::{LoginNote, LoginNotes};
use crate::role::Caller;
use crate::secret::Key;
use crate::shared::SharedAccess;
use crate::store::{Replaced, SharedStore, StoreError, Stored};
use crate::tokens::TokenKind;
use futures::future::{Either, select};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Why what is shared was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotChanged<E> {
    /// The change can't be made.
    #[error("{0}")]
    Refused(E),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What this process knows of what is shared.
#[derive(Default)]
pub(crate) struct Known {
    /// The revision of the document, and what it said; and what was noted since then.
    revision: Option<u64>,
    pub(crate) document: SharedAccess,
    /// Where the access token with each digest is.
    pub(crate) tokens: BTreeMap<String, usize>,
    /// What the store does not have yet.
    noted: LoginNotes,
}

impl Accounts {
    /// Signs the tokens of logins with this key, so that all servers that have it accept them. Works once,
    /// before the first request.
    pub fn sign_logins(&self, key: LoginKey) {
        let _ = self.0.login_key.set(key);
    }

    /// Shares ends of logins with other servers, or keeps them for the next process; and links and access
    /// tokens, if the store is shared. Works once, before the first request. Blocks until the document is
    /// read, for a while if the store does not answer.
    ///
    /// # Errors
    ///
    /// When the store does not answer, or has something else.
    pub fn share(&self, store: Arc<dyn SharedStore>) -> Result<(), StoreError> {
        let begun = elapsed();
        let stored = loop {
            match store.read() {
                Ok(stored) => break stored,
                Err(error) if elapsed().saturating_sub(begun) >= SHARING => return Err(error),
                Err(_) => std::thread::sleep(AGAIN),
            }
        };
        let is_shared = store.is_shared();
        if !self.adopt(&stored, is_shared) {
            return Err(StoreError(NO_DOCUMENT.to_owned()));
        }
        let _ = self.0.store.set(store.clone());
        let accounts = Arc::downgrade(&self.0);
        let thread = std::thread::Builder::new().name("rejoin-logins".to_owned());
        let started = thread.spawn(move || keep_up(&accounts, &*store));
        started.map_err(|error| StoreError(error.to_string()))?;
        Ok(())
    }

    /// A code of the accounts and of the login key: servers with the same one accept each other's logins. None
    /// without a login key.
    #[must_use]
    pub fn mark(&self) -> Option<String> {
        let key = self.0.login_key.get()?.key();
        let state = self.state();
        let mut code = key.code(&[b"accounts"]);
        for (name, account) in &state.file.accounts {
            let key = key.derive(&[&code]);
            let role = account.role.as_str().as_bytes();
            code = key.code(&[name.as_bytes(), role, account.hash.as_bytes()]);
            for token in &account.tokens {
                let role = token.role.map_or("", |role| role.as_str()).as_bytes();
                let expires = token.expires.unwrap_or(u64::MAX).to_le_bytes();
                let key = key.derive(&[&code]);
                let digest = token.digest.as_bytes();
                code = key.code(&[token.name.as_bytes(), digest, role, &expires]);
            }
        }
        let first = code.iter().take(8);
        Some(first.map(|byte| format!("{byte:02x}")).collect())
    }

    /// How many notes about logins there are: ends, and uses.
    #[must_use]
    pub fn noted_logins(&self) -> usize {
        self.state().known.document.logins.len()
    }

    /// Whether links and access tokens are shared, too.
    pub(crate) fn shares_all(&self) -> bool {
        self.0.store.get().is_some_and(|store| store.is_shared())
    }

    pub(crate) fn login_key(&self) -> Option<&Key> {
        self.0.login_key.get().map(LoginKey::key)
    }

    /// A signed token for an account.
    pub(crate) fn signed_token(&self, key: &Key, account: &str, kind: TokenKind) -> Option<String> {
        let now = self.date().as_secs();
        let claims = LoginClaims {
            exp: now.saturating_add(kind.absolute.as_secs()),
            iat: now,
            jti: random_text()?,
            sub: account.into(),
        };
        let state = self.state();
        let account = state.file.accounts.get(account)?;
        jwt::write(&claims, &login_key_of(key, kind, &account.hash))
    }

    /// Whose signed token this is. Counts as a use.
    pub(crate) fn caller_of_signed(
        &self,
        key: &Key,
        token: &str,
        kind: TokenKind,
    ) -> Result<Caller, Denied> {
        let now = self.date();
        let mut state = self.state();
        let login = SignedLogin::read(&state, key, token, kind, now).ok_or(Denied::Expired)?;
        let notes = &state.known.document.logins;
        if notes.has_ended(&login.digest, &login.note.account, login.note.made) {
            return Err(Denied::Expired);
        }
        let used = notes
            .get(&login.digest)
            .map_or(login.note.made, |note| note.used.max(login.note.made));
        let unused = now.saturating_sub(Duration::from_secs(used));
        if unused >= kind.idle.saturating_add(NOTED_USE) {
            return Err(Denied::Expired);
        }
        if unused >= NOTED_USE {
            let note = LoginNote {
                used: now.as_secs(),
                ..login.note.clone()
            };
            state.known.note(&login.digest, note);
        }
        let account = state.file.accounts.get(&login.note.account);
        let account = account.ok_or(Denied::Expired)?;
        Ok(self.0.caller(login.note.account.as_str().into(), account))
    }

    /// Ends a login by its signed token, here at once, and elsewhere when the store has it: waits for that, but
    /// not for long.
    pub(crate) async fn end_signed(&self, key: &Key, token: &str, kind: TokenKind) {
        {
            let now = self.date();
            let mut state = self.state();
            let Some(login) = SignedLogin::read(&state, key, token, kind, now) else {
                return;
            };
            let note = LoginNote {
                ended: true,
                ..login.note
            };
            state.known.note(&login.digest, note);
        }
        let Some(store) = self.0.store.get().cloned() else {
            return;
        };
        let accounts = self.clone();
        // Goes on when the client leaves.
        let written = smol::unblock(move || accounts.write_notes(&*store, LOGOUT));
        if let Either::Right(_) = select(pin!(written), smol::Timer::after(LOGOUT)).await {
            tracing::warn!("a logout is not known to other servers yet");
        }
    }

    /// Changes what is shared, in the store and here. `change` is made again if another server's was faster, or
    /// if it is unknown what became of it: then its second argument is true, and it may be done already. Blocks.
    pub(crate) fn change_shared<T, E>(
        &self,
        store: &dyn SharedStore,
        patience: Duration,
        mut change: impl FnMut(&mut SharedAccess, bool) -> Result<T, E>,
    ) -> Result<T, NotChanged<E>> {
        let begun = elapsed();
        let mut is_unknown = false;
        loop {
            let tried = self.try_change(store, is_unknown, &mut change);
            let failed = match tried {
                Ok(Some(changed)) => return Ok(changed),
                Ok(None) => StoreError("other servers change it all the time".to_owned()),
                Err(NotChanged::Store(error)) => {
                    is_unknown = true;
                    error
                }
                Err(NotChanged::Refused(why)) => return Err(NotChanged::Refused(why)),
            };
            if elapsed().saturating_sub(begun) >= patience {
                return Err(failed.into());
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// None: another server's change was faster.
    fn try_change<T, E>(
        &self,
        store: &dyn SharedStore,
        is_unknown: bool,
        change: &mut impl FnMut(&mut SharedAccess, bool) -> Result<T, E>,
    ) -> Result<Option<T>, NotChanged<E>> {
        let stored = store.read()?;
        let document = SharedAccess::decode(&stored.bytes);
        let mut document = document.ok_or_else(|| StoreError(NO_DOCUMENT.to_owned()))?;
        let changed = change(&mut document, is_unknown).map_err(NotChanged::Refused)?;
        let bytes = document.encode();
        let bytes = bytes.ok_or_else(|| StoreError("there is too much in it".to_owned()))?;
        Ok(match store.replace(stored.revision, &bytes)? {
            Replaced::Done(revision) => {
                self.adopt(&Stored { revision, bytes }, store.is_shared());
                Some(changed)
            }
            Replaced::Conflict => None,
        })
    }

    /// Gives the store what it does not have yet. Blocks.
    fn write_notes(&self, store: &dyn SharedStore, patience: Duration) {
        let noted = self.state().known.noted.clone();
        if noted.is_empty() {
            return;
        }
        let now = self.date().as_secs();
        let added = self.change_shared(store, patience, |document, _| {
            document.logins.add(&noted, now);
            Ok::<_, StoreError>(())
        });
        match added {
            Ok(()) => self.state().known.noted.remove(&noted),
            // It is tried again with the next look.
            Err(error) => tracing::debug!(%error, "cannot share what is known of logins"),
        }
    }

    /// Takes a document over. False: it is not one.
    fn adopt(&self, stored: &Stored, is_shared: bool) -> bool {
        let is_known = self.state().known.revision == Some(stored.revision);
        if is_known {
            return true;
        }
        let Some(mut document) = SharedAccess::decode(&stored.bytes) else {
            return false;
        };
        let (date, now) = (self.date(), self.now());
        let mut state = self.state();
        document.logins.add(&state.known.noted, date.as_secs());
        if is_shared {
            let links = std::mem::take(&mut document.links);
            state.links.adopt(links, date, now);
        }
        let tokens = document.tokens.iter().enumerate();
        let tokens = tokens.map(|(place, token)| (token.token.digest.clone(), place));
        state.known.tokens = tokens.collect();
        state.known.document = document;
        state.known.revision = Some(stored.revision);
        true
    }

    /// Accounts that were removed lose what they made: one of the same name may be somebody else's.
    fn forget_removed(&self, store: &dyn SharedStore) {
        let removed = std::mem::take(&mut self.state().removed);
        if removed.is_empty() {
            return;
        }
        let is_removed = |account: &str| removed.iter().any(|it| it == account);
        let changed = self.change_shared(store, SHARING, |document, _| {
            let is_kept = |account: Option<&str>| !account.is_some_and(is_removed);
            document
                .links
                .retain(|link| is_kept(link.account.as_deref()));
            document
                .tokens
                .retain(|token| is_kept(Some(&token.account)));
            Ok::<_, StoreError>(())
        });
        if let Err(error) = changed {
            tracing::warn!(%error, "cannot remove the links and tokens of removed accounts yet");
            self.state().removed.extend(removed);
        }
    }
}

impl Known {
    /// Notes something, which holds here at once.
    fn note(&mut self, digest: &str, note: LoginNote) {
        self.document.logins.note(digest, note.clone());
        self.noted.note(digest, note);
    }
}

/// A login as its signed token says.
struct SignedLogin {
    digest: String,
    note: LoginNote,
}

impl SignedLogin {
    /// None: another key or another password signed it, or it has expired by its age.
    fn read(state: &State, key: &Key, token: &str, kind: TokenKind, now: Duration) -> Option<Self> {
        let claims = jwt::read::<LoginClaims>(token, now, |name| {
            let account = state.file.accounts.get(name)?;
            Some(login_key_of(key, kind, &account.hash))
        })?;
        let made = Duration::from_secs(claims.iat);
        let is_possible = made <= now.saturating_add(CLOCK_DIFFERENCE)
            && claims.exp <= claims.iat.saturating_add(kind.absolute.as_secs());
        let mut digest = digest(token);
        digest.truncate(DIGEST_DIGITS);
        is_possible.then_some(Self {
            digest,
            note: LoginNote {
                account: claims.sub,
                made: claims.iat,
                used: claims.iat,
                until: claims.exp,
                ended: false,
            },
        })
    }
}

/// Ends with the account's password. A token of one kind is not accepted as another.
fn login_key_of(key: &Key, kind: TokenKind, hash: &str) -> Key {
    key.derive(&[b"token", kind.name.as_bytes(), hash.as_bytes()])
}

/// Looks at the store until nobody has the accounts any more.
fn keep_up(accounts: &Weak<Shared>, store: &dyn SharedStore) {
    let mut is_away = false;
    let mut is_foreign = false;
    loop {
        let is_noticed = store.wait(LOOK);
        let Some(accounts) = accounts.upgrade().map(Accounts) else {
            return;
        };
        let before = accounts.state().known.revision;
        for pause in AFTER_NOTICE {
            std::thread::sleep(pause);
            match store.read() {
                Ok(stored) => {
                    if std::mem::take(&mut is_away) {
                        tracing::info!("what servers share about logins can be read again");
                    }
                    let is_taken = accounts.adopt(&stored, store.is_shared());
                    if !is_taken && !is_foreign {
                        tracing::error!("{NO_DOCUMENT}; keeping what was known of logins");
                    }
                    is_foreign = !is_taken;
                }
                Err(error) if !is_away => {
                    is_away = true;
                    tracing::warn!(%error, "cannot read what servers share about logins");
                }
                Err(_) => {}
            }
            if !is_noticed || accounts.state().known.revision != before {
                break;
            }
        }
        accounts.write_notes(store, Duration::ZERO);
        if store.is_shared() {
            accounts.forget_removed(store);
        }
    }
}

/// How long this process has run, about.
#[expect(
    clippy::disallowed_methods,
    reason = "another program is waited for, in real time"
)]
fn elapsed() -> Duration {
    static BEGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGIN.get_or_init(Instant::now).elapsed()
}

const NO_DOCUMENT: &str =
    "what servers share about logins is not what this version writes: did a newer one write it?";

/// Digits of a token's digest in a note: 128 bits.
const DIGEST_DIGITS: usize = 32;
