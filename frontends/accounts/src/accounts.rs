//! The accounts of a server: verify passwords and tokens, and issue tokens.
//!
//! The file is read again within a second of a change. A verified password is remembered by an
//! authentication code until the file changes, so that it is hashed once. Hashing runs on a few
//! threads of its own. An unknown account costs the same time as a wrong password.

use crate::access_tokens::{AccessToken, digest};
use crate::credentials::Credentials;
use crate::entered::Entered;
use crate::failures::{self, Failures};
use crate::file::{self, Account, AccountsFile, FileError, TokenPlace, check_name};
use crate::jwt::{self, Claims};
use crate::limits::{ACCESS_TOKENS, ACCOUNTS, LOGGED_NAME_CHARS, LOOK, SHARING, VERIFIED};
use crate::links::Links;
use crate::login_key::LoginKey;
use crate::queues::{Place, Queues, Turn};
use crate::role::{AccessProof, Caller, Role, Seal};
use crate::secret::{self, Key, NoRandom, Password, Verifier};
use crate::server_user::server_user;
use crate::service_access::ServiceAccess;
use crate::shared::{SharedAccess, SharedToken};
use crate::sharing::{Known, NotChanged};
use crate::store::{SharedStore, StoreError};
use crate::tokens::{TokenKind, Tokens};
use futures::future::{Either, pending, select};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The time since 1970.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The accounts of a server. Clones share them.
#[derive(Clone)]
pub struct Accounts(pub(crate) Arc<Shared>);

/// Why a login was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The request has no credentials.
    Missing,
    /// The credentials can't be parsed.
    Malformed,
    /// The account doesn't exist or the password is wrong. Clients can't learn which.
    Wrong,
    /// The token is unknown or has expired.
    Expired,
    /// There were too many failures, or too many logins at once: try again later.
    Later,
    /// The request has a link, which shows one session and nothing else.
    Link,
    /// The request has a link that has ended or was removed, or that never was one.
    LinkEnded,
}

/// An access token of the caller's own account, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnToken {
    /// Its name, unique in the account.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// When it expires, as the time since 1970.
    pub expires: Option<Duration>,
}

/// Why an account can't see or change its access tokens.
#[derive(Debug, thiserror::Error)]
pub enum OwnTokenError {
    /// The server has no accounts.
    #[error("this server has no accounts, so there is nothing that a token could be of")]
    NoAccount,
    /// A token must not make another one, which could last longer.
    #[error(
        "an access token can't see or change the tokens of its account: log in with the password"
    )]
    ByToken,
    /// The file, or the change.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is in the accounts file, which the servers of a cluster don't change.
    #[error(
        "the token {0} is in the accounts file, which is the same on all nodes: remove it there with `rejoin token \
         remove`, on each node"
    )]
    InFile(String),
    /// The servers that keep what is shared did not answer.
    #[error("the servers of the cluster do not answer, so the tokens can't be changed now")]
    Unanswered(#[source] StoreError),
}

pub(crate) struct Shared {
    path: Option<PathBuf>,
    clock: Clock,
    /// What dates are compared with.
    wall: OnceLock<Clock>,
    key: Key,
    server_user: Arc<str>,
    /// The hash against which an unknown account's password is verified.
    stand_in: String,
    state: Mutex<State>,
    queues: Queues,
    verifier: Verifier,
    hashed: AtomicU64,
    service_access: OnceLock<Arc<ServiceAccess>>,
    /// What signs the tokens of logins. None: they are remembered by this process.
    pub(crate) login_key: OnceLock<LoginKey>,
    pub(crate) store: OnceLock<Arc<dyn SharedStore>>,
    /// Held while tokens or links are changed, so that waiting changes take no threads.
    changing: futures::lock::Mutex<()>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) file: AccountsFile,
    pub(crate) links: Links,
    access_tokens: BTreeMap<String, TokenPlace>,
    stamp: Option<Stamp>,
    /// When the file was last checked for changes.
    looked: Duration,
    /// Whether there were accounts at any time: then the server is never open to everybody again.
    pub(crate) is_closed: bool,
    verified: BTreeSet<[u8; 32]>,
    failures: Failures,
    entered: Entered,
    tokens: Tokens,
    /// What other servers, or the next process, know, too.
    pub(crate) known: Known,
    /// Accounts that were removed, of which the store may have something yet.
    pub(crate) removed: Vec<String>,
}

/// What depends on the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Accounts {
    /// No accounts: every request is accepted and may do everything.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn open() -> Result<Self, NoRandom> {
        Self::new(
            None,
            Arc::new(|| Duration::ZERO),
            AccountsFile::default(),
            None,
        )
    }

    /// The accounts of a file. While it is missing or empty, every request is accepted; once it has
    /// accounts, only theirs are. Blocks.
    ///
    /// # Errors
    ///
    /// When the file can't be read or is malformed, or the system has no random numbers.
    pub fn of_file(path: PathBuf, clock: Clock) -> Result<Self, FileError> {
        let stamp = stamp(&path);
        let file = AccountsFile::read(&path)?;
        Ok(Self::new(Some(path), clock, file, stamp)?)
    }

    /// Limits services to some accounts. Works once, before the first request.
    pub fn limit_services(&self, access: ServiceAccess) {
        let _ = self.0.service_access.set(Arc::new(access));
    }

    /// Judges the expiry of access tokens, which is a date that a person chose, by this clock: the wall's,
    /// also after it was corrected. By default by the clock of [`of_file`](Self::of_file). Works once,
    /// before the first request.
    pub fn expire_by(&self, wall: Clock) {
        let _ = self.0.wall.set(wall);
    }

    pub(crate) fn date(&self) -> Duration {
        self.0.wall.get().map_or_else(|| self.now(), |wall| wall())
    }

    pub(crate) fn service_access(&self) -> Option<Arc<ServiceAccess>> {
        self.0.service_access.get().cloned()
    }

    fn new(
        path: Option<PathBuf>,
        clock: Clock,
        file: AccountsFile,
        stamp: Option<Stamp>,
    ) -> Result<Self, NoRandom> {
        let state = State {
            is_closed: !file.accounts.is_empty(),
            access_tokens: file.token_places(),
            file,
            stamp,
            looked: clock(),
            ..State::default()
        };
        Ok(Self(Arc::new(Shared {
            path,
            clock,
            wall: OnceLock::new(),
            key: Key::new()?,
            server_user: server_user(),
            stand_in: secret::nobodys_hash()?,
            state: Mutex::new(state),
            queues: Queues::default(),
            verifier: Verifier::default(),
            hashed: AtomicU64::new(0),
            service_access: OnceLock::new(),
            login_key: OnceLock::new(),
            store: OnceLock::new(),
            changing: futures::lock::Mutex::default(),
        })))
    }

    /// Whether there are no accounts, so that every request is accepted.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.state().is_closed
    }

    /// The operating system's user that the server runs as: its name, or its number if it has none.
    #[must_use]
    pub fn server_user(&self) -> &Arc<str> {
        &self.0.server_user
    }

    /// Whom lists show a session as: its user, or the server's own for a session of nobody, whose
    /// jobs run as that user. Only for showing: such a session belongs to no account.
    #[must_use]
    pub fn shown_as<'a>(&'a self, user: Option<&'a str>) -> &'a str {
        user.filter(|user| !user.is_empty())
            .unwrap_or(&self.0.server_user)
    }

    /// Notes that a caller has entered a session of `owner` by its UUID, which is a secret: from now
    /// on, the caller's lists show it, and its number will do.
    pub fn note_entered(&self, caller: &Caller, owner: Option<&str>, session: u64) {
        if let Some(name) = caller.name()
            && !caller.sees(owner)
        {
            self.state().entered.note(name, session);
        }
    }

    /// The numbers of the sessions of others that lists show a caller because the caller has entered
    /// them, in ascending order. Empty for a caller who sees all.
    #[must_use]
    pub fn entered(&self, caller: &Caller) -> Vec<u64> {
        match caller.shown_user() {
            Some(name) => self.state().entered.all(name),
            None => vec![],
        }
    }

    /// Whether lists show a caller a session of `owner`, so that its number is enough to name it: it
    /// is the caller's own, the caller has entered it, or the caller sees all.
    #[must_use]
    pub fn shows(&self, caller: &Caller, owner: Option<&str>, session: u64) -> bool {
        caller.sees(owner)
            || caller
                .name()
                .is_some_and(|name| self.state().entered.contains(name, session))
    }

    /// Verifies credentials, and returns whose they are. Waits while the password is hashed, unless
    /// it was verified since the accounts last changed.
    ///
    /// Names that have an account are hashed in a queue of their own as well as in that of all names,
    /// whichever is first, so that attempts with other names delay none of theirs. Only a success
    /// shows it: a failure is answered when its turn in the queue of all names has come.
    ///
    /// # Errors
    ///
    /// [`Denied::Wrong`], or [`Denied::Later`] after too many failures with that name from that
    /// address, or if too many attempts are waiting.
    pub async fn verify(
        &self,
        credentials: Credentials,
        address: IpAddr,
    ) -> Result<Caller, Denied> {
        if self.is_open() {
            return Ok(Caller::local());
        }
        let Credentials { name, password } = credentials;
        let failing = (
            self.0.key.code(&[b"name", name.as_bytes()]),
            failures::network(address),
        );
        if let Some(caller) = self.known(&name, password.as_ref()) {
            return Ok(caller);
        }
        let is_known = {
            let state = self.state();
            if state.failures.wait(&failing, self.now()).is_some() {
                return Err(Denied::Later);
            }
            state.file.accounts.contains_key(&name)
        };
        let attempt = Attempt {
            name,
            password,
            failing,
        };
        let queues = &self.0.queues;
        let place = queues.enter();
        let known = is_known.then(|| queues.enter_known()).flatten();
        match (place, known) {
            (Some(place), None) => {
                let turn = place.turn().await;
                self.verify_in(turn, attempt).await
            }
            (place, Some(known)) => self.verify_known(place, known, attempt).await,
            (None, None) => {
                // As long as a known name's attempt would have taken.
                smol::Timer::after(queues.last_hash()).await;
                Err(Denied::Later)
            }
        }
    }

    async fn verify_known(
        &self,
        place: Option<Place>,
        known: Place,
        attempt: Attempt,
    ) -> Result<Caller, Denied> {
        let has_place = place.is_some();
        let turn = async {
            match place {
                Some(place) => place.turn().await,
                None => pending().await,
            }
        };
        match select(pin!(turn), pin!(known.turn())).await {
            Either::Left((turn, _)) => self.verify_in(turn, attempt).await,
            Either::Right((known_turn, turn)) => {
                let verified = self.verify_in(known_turn, attempt).await;
                let Err(denied) = verified else {
                    return verified;
                };
                if !has_place {
                    return Err(Denied::Later);
                }
                let turn = turn.await;
                if denied == Denied::Wrong {
                    let accounts = self.clone();
                    smol::unblock(move || {
                        let _held = turn;
                        accounts.0.hash_for_nobody(None);
                    })
                    .await;
                }
                Err(denied)
            }
        }
    }

    async fn verify_in(&self, turn: Turn, attempt: Attempt) -> Result<Caller, Denied> {
        let accounts = self.clone();
        // Continues when the client leaves, so that no guess goes uncounted.
        smol::unblock(move || {
            let _held = turn;
            let Attempt {
                name,
                password,
                failing,
            } = attempt;
            // An earlier request may have verified the same password.
            if let Some(caller) = accounts.known(&name, password.as_ref()) {
                return Ok(caller);
            }
            accounts.hash(&name, password.as_ref(), failing)
        })
        .await
    }

    /// Verifies credentials, and issues a token of a kind: a secret of 32 letters and digits, or a signed
    /// one with letters, digits, `-`, `_` and dots if there is a [`LoginKey`]. Without accounts, it issues one to
    /// everybody.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub async fn login(
        &self,
        credentials: Credentials,
        address: IpAddr,
        kind: TokenKind,
    ) -> Result<(Caller, String), Denied> {
        let caller = self.verify(credentials, address).await?;
        let token = self.token(&caller, kind).ok_or(Denied::Later)?;
        Ok((caller, token))
    }

    /// Issues a token to a caller. None if the account no longer exists, or the system has no random
    /// numbers.
    #[must_use]
    pub fn token(&self, caller: &Caller, kind: TokenKind) -> Option<String> {
        // A login could last longer than the access token, and do more.
        if caller.access.is_some() {
            return None;
        }
        let text = random_text()?;
        let Some(name) = caller.name() else {
            return Some(text);
        };
        if let Some(key) = self.login_key() {
            return self.signed_token(key, name, kind);
        }
        let now = self.now();
        let mut state = self.state();
        let seal = self.0.seal(state.file.accounts.get(&**name)?);
        let code = self.0.code_of(&text);
        state.tokens.add(code, kind, name.clone(), seal, now);
        Some(text)
    }

    /// Verifies a token, which counts as a use, and returns whose it is. Never waits.
    ///
    /// # Errors
    ///
    /// [`Denied::Expired`] if the token is unknown or has expired.
    pub fn caller_of_token(&self, token: &str, kind: TokenKind) -> Result<Caller, Denied> {
        if self.is_open() {
            return Ok(Caller::local());
        }
        if let Some(key) = self.login_key() {
            return self.caller_of_signed(key, token, kind);
        }
        let now = self.now();
        let code = self.0.code_of(token);
        let mut state = self.state();
        let State { tokens, file, .. } = &mut *state;
        let token = tokens.use_up(&code, kind, now).ok_or(Denied::Expired)?;
        let account = file.accounts.get(&*token.account).ok_or(Denied::Expired)?;
        if self.0.seal(account) != token.seal {
            return Err(Denied::Expired);
        }
        Ok(self.0.caller(token.account.clone(), account))
    }

    /// Revokes a token. Waits a moment until other servers that accept it know of that.
    pub async fn logout(&self, token: &str, kind: TokenKind) {
        if let Some(key) = self.login_key() {
            return self.end_signed(key, token, kind).await;
        }
        let code = self.0.code_of(token);
        self.state().tokens.end(&code, kind);
    }

    /// Issues a JSON Web Token of `issuer` to a caller; `account` is its claim about the role. None if
    /// the account no longer exists.
    #[must_use]
    pub fn jwt(
        &self,
        caller: &Caller,
        issuer: &str,
        account: &str,
        life: Duration,
    ) -> Option<String> {
        // As above.
        if caller.access.is_some() {
            return None;
        }
        let name = caller.name().map_or("admin", |name| &**name);
        let now = self.jwt_now();
        let claims = Claims {
            account: account.into(),
            aud: issuer.into(),
            exp: now.as_secs().saturating_add(life.as_secs()),
            iat: now.as_secs(),
            iss: issuer.into(),
            sub: name.into(),
        };
        let key = match caller.name() {
            Some(_) => self.jwt_key(name)?,
            None => self.0.key.derive(&[b"jwt"]),
        };
        jwt::write(&claims, &key)
    }

    /// Verifies a JSON Web Token, and returns whose it is.
    ///
    /// # Errors
    ///
    /// [`Denied::Expired`] if another process issued the token and there is no [`LoginKey`], it has expired, or the
    /// account's password has changed.
    pub fn caller_of_jwt(&self, token: &str) -> Result<Caller, Denied> {
        if self.is_open() {
            return Ok(Caller::local());
        }
        let now = self.jwt_now();
        let claims = jwt::read::<Claims>(token, now, |name| self.jwt_key(name));
        let name = claims.ok_or(Denied::Expired)?.sub;
        let state = self.state();
        let account = state.file.accounts.get(&name).ok_or(Denied::Expired)?;
        Ok(self.0.caller(name.into(), account))
    }

    /// Verifies an access token, and returns whose it is. Never waits.
    ///
    /// # Errors
    ///
    /// [`Denied::Expired`] if the token is unknown, was removed or has expired.
    pub fn caller_of_access_token(&self, token: &str) -> Result<Caller, Denied> {
        if self.is_open() {
            return Ok(Caller::local());
        }
        let digest = digest(token);
        let now = self.date();
        self.state()
            .access_caller(&digest, now)
            .ok_or(Denied::Expired)
    }

    /// Adds an access token to the caller's own account, and returns it with its text, which is kept
    /// nowhere. It may do `role` at most, and never more than the account.
    ///
    /// # Errors
    ///
    /// When the caller is no account, or was itself proved by an access token; otherwise as
    /// [`AccountsFile::add_token`].
    pub async fn add_own_token(
        &self,
        caller: &Caller,
        name: &str,
        role: Option<Role>,
        lifetime: Option<Duration>,
    ) -> Result<(OwnToken, String), OwnTokenError> {
        let account = own_account(caller)?;
        let (owner, token) = (account.clone(), name.to_owned());
        let (text, expires) = match self.shares_all() {
            true => {
                let expires = lifetime.map(|lifetime| self.date().saturating_add(lifetime));
                let made = self.add_shared_token(&account, name, role, expires);
                (made.await?, expires)
            }
            false => {
                let expires = lifetime.map(|lifetime| self.now().saturating_add(lifetime));
                let add =
                    move |file: &mut AccountsFile| file.add_token(&owner, &token, role, expires);
                (self.change_file(add).await?, expires)
            }
        };
        tracing::info!(%account, token = name, "added an access token");
        let role = role.map_or_else(|| caller.role(), |role| role.min(caller.role()));
        let added = OwnToken {
            name: name.into(),
            role,
            expires: expires.map(|at| Duration::from_secs(at.as_secs())),
        };
        Ok((added, text))
    }

    /// Removes an access token of the caller's own account: it is refused from then on.
    ///
    /// # Errors
    ///
    /// When the caller is no account, or was itself proved by an access token; otherwise as
    /// [`AccountsFile::remove_token`].
    pub async fn remove_own_token(&self, caller: &Caller, name: &str) -> Result<(), OwnTokenError> {
        let account = own_account(caller)?;
        let (owner, token) = (account.clone(), name.to_owned());
        match self.shares_all() {
            true => self.remove_shared_token(&account, name).await?,
            false => {
                self.change_file(move |file| file.remove_token(&owner, &token))
                    .await?;
            }
        }
        tracing::info!(%account, token = name, "removed an access token");
        Ok(())
    }

    /// The access tokens of the caller's own account, those that have expired, too.
    ///
    /// # Errors
    ///
    /// When the caller is no account, or was itself proved by an access token.
    pub fn own_tokens(&self, caller: &Caller) -> Result<Vec<OwnToken>, OwnTokenError> {
        let account = own_account(caller)?;
        let state = self.state();
        let own = state
            .file
            .tokens()
            .filter(|token| *token.account == *account);
        let own = own.map(|token| OwnToken {
            name: token.name.into(),
            role: token.role,
            expires: token.expires,
        });
        let shared = state.known.document.tokens.iter();
        let shared = shared.filter(|token| *token.account == *account);
        let shared = shared.map(|SharedToken { token, .. }| OwnToken {
            name: token.name.as_str().into(),
            role: token.role(caller.role()),
            expires: token.expires.map(Duration::from_secs),
        });
        Ok(own.chain(shared).collect())
    }

    /// Adds an access token where all servers of a cluster find it.
    async fn add_shared_token(
        &self,
        account: &Arc<str>,
        name: &str,
        role: Option<Role>,
        expires: Option<Duration>,
    ) -> Result<String, OwnTokenError> {
        check_name(name)?;
        let in_file: Vec<String> = {
            let state = self.state();
            let owner = state.file.accounts.get(&**account);
            let owner = owner.ok_or_else(|| FileError::Unknown((**account).into()))?;
            owner.tokens.iter().map(|it| it.name.clone()).collect()
        };
        if in_file.iter().any(|it| it == name) {
            return Err(FileError::TokenExists(name.into()).into());
        }
        let (text, token) = AccessToken::draw(name, role, expires).map_err(FileError::from)?;
        let token = SharedToken {
            account: (**account).into(),
            token,
        };
        let add = move |document: &mut SharedAccess, _| {
            let digest = &token.token.digest;
            if document.tokens.iter().any(|it| it.token.digest == *digest) {
                return Ok(());
            }
            let own = document.tokens.iter();
            let mut own = own.filter(|it| it.account == token.account);
            if own.clone().any(|it| it.token.name == token.token.name) {
                return Err(FileError::TokenExists(token.token.name.clone()));
            }
            let count = in_file.len().saturating_add(own.by_ref().count());
            if count >= ACCESS_TOKENS || !document.has_room_for_a_token() {
                return Err(FileError::TokensFull);
            }
            document.tokens.push(token.clone());
            Ok(())
        };
        self.change_shared_access(add).await?;
        Ok(text)
    }

    async fn remove_shared_token(&self, account: &str, name: &str) -> Result<(), OwnTokenError> {
        let (account, token) = (account.to_owned(), name.to_owned());
        let is_in_file = {
            let state = self.state();
            let owner = state.file.accounts.get(&account);
            owner.is_some_and(|owner| owner.tokens.iter().any(|it| it.name == name))
        };
        if is_in_file {
            return Err(OwnTokenError::InFile(name.into()));
        }
        self.change_shared_access(move |document, may_be_done| {
            let is_it = |it: &SharedToken| it.account == account && it.token.name == token;
            match document.tokens.iter().position(is_it) {
                Some(place) => drop(document.tokens.remove(place)),
                None if may_be_done => {}
                None => return Err(FileError::TokenUnknown(token.clone())),
            }
            Ok(())
        })
        .await
    }

    async fn change_shared_access(
        &self,
        change: impl FnMut(&mut SharedAccess, bool) -> Result<(), FileError> + Send + 'static,
    ) -> Result<(), OwnTokenError> {
        let store = self.0.store.get().cloned();
        let store = store.ok_or(OwnTokenError::NoAccount)?;
        let _held = self.0.changing.lock().await;
        let accounts = self.clone();
        let changed = smol::unblock(move || accounts.change_shared(&*store, SHARING, change)).await;
        changed.map_err(|error| match error {
            NotChanged::Refused(error) => error.into(),
            NotChanged::Store(error) => {
                tracing::warn!(%error, "cannot change the access tokens");
                OwnTokenError::Unanswered(error)
            }
        })
    }

    /// Changes the file on another thread, and reads it again at once.
    async fn change_file<T: Send + 'static>(
        &self,
        how: impl FnOnce(&mut AccountsFile) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, OwnTokenError> {
        let path = self.0.path.clone().ok_or(OwnTokenError::NoAccount)?;
        let _held = self.0.changing.lock().await;
        let changed = smol::unblock(move || file::change(&path, how)).await;
        let changed = changed.inspect_err(|error| {
            if let FileError::Read(..) | FileError::Write(..) | FileError::Malformed(..) = error {
                tracing::error!(%error, "cannot change the accounts file");
            }
        })?;
        // What was added works, and what was removed doesn't, when the answer is there.
        drop(self.state_at_once(true));
        Ok(changed)
    }

    /// Whether a caller's account and role are unchanged: for responses that take long.
    #[must_use]
    pub fn is_current(&self, caller: &Caller) -> bool {
        if let Some(link) = caller.link_proof() {
            return self.is_link_current(link);
        }
        let now = self.date();
        let state = self.state();
        if let Some(proof) = &caller.access {
            let current = state.access_caller(&proof.digest, now);
            return current.is_some_and(|current| current.is_same_login(caller));
        }
        match caller.name() {
            None => !state.is_closed,
            Some(name) => {
                let account = state.file.accounts.get(&**name);
                account.is_some_and(|it| self.0.caller(name.clone(), it).is_same_login(caller))
            }
        }
    }

    /// The number of passwords hashed so far.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.0.hashed.load(Ordering::Relaxed)
    }

    /// Ends with the account's password, and with the process if there is no key of logins.
    fn jwt_key(&self, name: &str) -> Option<Key> {
        let key = self.login_key().unwrap_or(&self.0.key);
        let state = self.state();
        let account = state.file.accounts.get(name)?;
        Some(key.derive(&[b"jwt", account.hash.as_bytes()]))
    }

    /// What several servers judge, they judge by the wall's clock.
    fn jwt_now(&self) -> Duration {
        match self.login_key() {
            Some(_) => self.date(),
            None => self.now(),
        }
    }

    fn known(&self, name: &str, password: Option<&Password>) -> Option<Caller> {
        let state = self.state();
        let account = state.file.accounts.get(name)?;
        let code = self.0.verified(name, password?, account);
        let is_known = state.verified.contains(&code);
        is_known.then(|| self.0.caller(name.into(), account))
    }

    /// Blocks for tens of milliseconds.
    fn hash(
        &self,
        name: &str,
        password: Option<&Password>,
        failing: failures::Key,
    ) -> Result<Caller, Denied> {
        let now = self.now();
        let account = {
            let state = self.state();
            if state.failures.wait(&failing, now).is_some() {
                return Err(Denied::Later);
            }
            state.file.accounts.get(name).cloned()
        };
        let is_right = match (&account, password) {
            (Some(account), Some(password)) => self.0.verify(password, &account.hash),
            _ => self.0.hash_for_nobody(password),
        };
        let mut state = self.state();
        let (Some(account), Some(password), true) = (account, password, is_right) else {
            state.failures.note(failing, now);
            // Quoted and escaped by the subscriber: a client chooses this text.
            let name: String = name.chars().take(LOGGED_NAME_CHARS).collect();
            tracing::warn!(name, address = %failing.1, "login failed");
            return Err(Denied::Wrong);
        };
        state.failures.forgive(&failing);
        // The file may have changed meanwhile.
        if state.file.accounts.get(name) != Some(&account) {
            return Err(Denied::Wrong);
        }
        if state.verified.len() >= VERIFIED {
            state.verified.clear();
        }
        let code = self.0.verified(name, password, &account);
        state.verified.insert(code);
        Ok(self.0.caller(name.into(), &account))
    }

    /// Held while something is changed on the disk, so that changes follow each other.
    pub(crate) async fn hold_changes(&self) -> futures::lock::MutexGuard<'_, ()> {
        self.0.changing.lock().await
    }

    pub(crate) fn now(&self) -> Duration {
        (self.0.clock)()
    }

    /// The state, with what the file says now.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state_at_once(false)
    }

    /// As [`state`](Self::state); `at_once` looks for a change now, however short the last look is ago.
    fn state_at_once(&self, at_once: bool) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        // The clock may have been set forward or back.
        if let Some(path) = &self.0.path
            && (at_once || now.abs_diff(state.looked) >= LOOK)
        {
            state.looked = now;
            let stamp = stamp(path);
            if stamp != state.stamp {
                state.stamp = stamp;
                match AccountsFile::read(path) {
                    Ok(file) => {
                        tracing::info!(
                            accounts = file.accounts.len(),
                            "loaded the changed accounts"
                        );
                        state.is_closed |= !file.accounts.is_empty();
                        let State {
                            entered,
                            removed,
                            file: before,
                            ..
                        } = &mut *state;
                        entered.retain(|account| file.accounts.contains_key(account));
                        if self.shares_all() {
                            let gone = before.accounts.keys();
                            let gone = gone.filter(|name| !file.accounts.contains_key(*name));
                            let room = ACCOUNTS.saturating_sub(removed.len());
                            removed.extend(gone.take(room).cloned());
                        }
                        state.access_tokens = file.token_places();
                        state.file = file;
                        state.verified.clear();
                    }
                    // The accounts last read stay in use until the file can be read again.
                    Err(error) => {
                        tracing::error!(%error, "cannot read the accounts file; keeping the old accounts")
                    }
                }
            }
        }
        state
    }
}

impl State {
    /// Whose access token this is, if it is valid.
    pub(crate) fn access_caller(&self, digest: &str, now: Duration) -> Option<Caller> {
        // Looked up by the digest, so that the time reveals nothing about the token.
        let (name, account, token) = match self.access_tokens.get(digest) {
            Some((name, place)) => {
                let account = self.file.accounts.get(name)?;
                (name, account, account.tokens.get(*place)?)
            }
            None => {
                let place = self.known.tokens.get(digest)?;
                let SharedToken { account, token } = self.known.document.tokens.get(*place)?;
                (account, self.file.accounts.get(account)?, token)
            }
        };
        if token.is_expired(now) {
            return None;
        }
        let role = token.role(account.role);
        let proof = AccessProof {
            name: token.name.as_str().into(),
            digest: digest.into(),
        };
        Some(Caller::of_access(name.as_str().into(), role, proof))
    }
}

impl Shared {
    /// Blocks for tens of milliseconds.
    #[expect(
        clippy::disallowed_methods,
        reason = "what is measured is how long a processor takes"
    )]
    fn verify(&self, password: &Password, hash: &str) -> bool {
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let is_right = self.verifier.verify(password, hash);
        self.queues.note_hash(begun.elapsed());
        is_right
    }

    /// Takes as long as [`verify`](Self::verify), for a name without an account or a password that
    /// can't be right. Never true.
    fn hash_for_nobody(&self, password: Option<&Password>) -> bool {
        let any = Credentials::new("", "?").password;
        if let Some(password) = password.or(any.as_ref()) {
            self.verify(password, &self.stand_in);
        }
        false
    }

    fn code_of(&self, token: &str) -> [u8; 32] {
        self.key.code(&[b"token", token.as_bytes()])
    }

    pub(crate) fn caller(&self, name: Arc<str>, account: &Account) -> Caller {
        Caller::new(name, account.role, Seal(self.seal(account)))
    }

    fn seal(&self, account: &Account) -> [u8; 32] {
        self.key.code(&[b"seal", account.hash.as_bytes()])
    }

    fn verified(&self, name: &str, password: &Password, account: &Account) -> [u8; 32] {
        let hash = account.hash.as_bytes();
        let parts = [b"verified", name.as_bytes(), password.bytes(), hash];
        self.key.code(&parts)
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts(…)")
    }
}

/// The account of a caller that may see and change its access tokens.
fn own_account(caller: &Caller) -> Result<Arc<str>, OwnTokenError> {
    if caller.access.is_some() {
        return Err(OwnTokenError::ByToken);
    }
    caller.name().cloned().ok_or(OwnTokenError::NoAccount)
}

/// What a client tries.
struct Attempt {
    name: String,
    password: Option<Password>,
    failing: failures::Key,
}

fn stamp(path: &std::path::Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Some(Stamp {
        modified: metadata.modified().ok(),
        bytes: metadata.len(),
        inode,
    })
}

/// 32 random letters and digits. None when the system has no random numbers.
pub(crate) fn random_text() -> Option<String> {
    let mut text = String::with_capacity(32);
    while text.len() < 32 {
        let bytes: [u8; 64] = secret::random().ok()?;
        // 248 is four times the number of characters. Higher bytes would make some more likely.
        let letters = bytes.iter().filter(|byte| **byte < 248);
        let letters = letters.map(|byte| char::from(LETTERS[usize::from(byte % 62)]));
        text.extend(letters.take(32 - text.len()));
    }
    Some(text)
}

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
