//! Links: secrets by which one session can be watched without an account.
//!
//! A file beside the log, or what servers share, has their SHA-256 digests; a secret has 190 random bits, as that of an access
//! token. A link only shows its session, and ends at its expiry, when it is removed, and with the
//! account or the access token by which it was made. It is no account: [`Accounts::authenticate`]
//! refuses it everywhere, and only what asks [`Accounts::link_caller`] accepts it.

use crate::access_tokens::{digest, is_digest};
use crate::accounts::{Accounts, Denied, State, random_text};
use crate::credentials::Authorization;
use crate::file::replace;
use crate::limits::{
    ALL_LINKS, FILE_BYTES, LINK_LIFETIME, LINKS_OF_SESSION, SHARED_LINKS, SHARING,
};
use crate::role::{Caller, LinkProof};
use crate::secret::NoRandom;
use crate::sharing::NotChanged;
use crate::store::StoreError;
use rejoin_core::SessionId;
use rejoin_http::Request;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A link, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLink {
    /// Its public name.
    pub id: Arc<str>,
    /// The account that made it; none where nobody had to log in.
    pub account: Option<Arc<str>>,
    /// When it was made, as the time since 1970.
    pub created: Duration,
    /// When it ends, as the time since 1970.
    pub expires: Duration,
}

/// Why a link can't be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It would end too late, or at once.
    #[error("a link lasts for 1 second to {} days", LINK_LIFETIME.as_secs() / 86_400)]
    Lifetime,
    /// The limit of links is reached.
    #[error(
        "there are too many links already: {LINKS_OF_SESSION} to one session, or {ALL_LINKS} in all (several \
         nodes: {SHARED_LINKS}); remove one first"
    )]
    Full,
    /// The session has no such link.
    #[error("there is no link {0:?} to this session")]
    Unknown(String),
    /// The file can't be read.
    #[error("cannot read the links in {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The file can't be written.
    #[error("cannot write the links in {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The servers that keep what is shared did not answer.
    #[error("the servers of the cluster do not answer, so the links can't be changed now")]
    Unanswered(#[source] StoreError),
    /// The file is not one of links. Never contains text of the file.
    #[error("the links in {} are wrong: {}", .0.display(), .1)]
    Malformed(PathBuf, &'static str),
    /// No secret can be drawn.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

/// All links, as the file has them and as this process judges them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Links {
    /// Where they are kept. None: nowhere, so that they end with the process.
    path: Option<PathBuf>,
    all: Vec<Link>,
}

/// A link, as the file has it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Link {
    id: String,
    session: String,
    /// The digest of its secret, in hexadecimal.
    digest: String,
    pub(crate) account: Option<String>,
    /// The digest of the access token by which it was made.
    token: Option<String>,
    /// Milliseconds since 1970.
    created: u64,
    expires: u64,
    /// When it ends by the time that has passed in this process, however the wall clock is set.
    #[serde(skip)]
    until: Option<Duration>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.id)
    }
}

/// A change of links.
enum LinkChange {
    Add(Link),
    Remove { session: String, id: String },
}

#[derive(Serialize, Deserialize)]
struct LinksFile {
    version: u32,
    links: Vec<Link>,
}

/// The version of the file's format.
const VERSION: u32 = 1;

impl Accounts {
    /// Keeps links in a file, and takes those that it has. Works before the first link is made; without
    /// a file, links end with the process. Blocks.
    ///
    /// # Errors
    ///
    /// When the file can't be read or is malformed.
    pub fn keep_links(&self, path: PathBuf) -> Result<(), LinkError> {
        let mut all = read(&path)?;
        let (date, now) = (self.date(), self.now());
        for link in &mut all {
            let left = Duration::from_millis(link.expires).saturating_sub(date);
            link.until = Some(now.saturating_add(left));
        }
        let path = Some(path);
        self.state().links = Links { path, all };
        Ok(())
    }

    /// Makes a link to a session for a caller, and returns it with its secret, which is kept nowhere.
    /// That the caller may do so is for its frontend to check. Waits until the link is on the disk.
    ///
    /// # Errors
    ///
    /// When the lifetime is out of bounds, there are too many links, or the file can't be written.
    pub async fn add_link(
        &self,
        caller: &Caller,
        session: SessionId,
        lifetime: Duration,
    ) -> Result<(ListedLink, String), LinkError> {
        if lifetime < Duration::from_secs(1) || lifetime > LINK_LIFETIME {
            return Err(LinkError::Lifetime);
        }
        let random = || random_text().ok_or(NoRandom);
        let (id, secret) = (random()?, format!("{LINK_PREFIX}{}", random()?));
        let date = self.date();
        let link = Link {
            id: id[..ID_CHARS].into(),
            session: session.to_string(),
            digest: digest(&secret),
            account: caller.name().map(|name| (**name).into()),
            token: caller.access.as_ref().map(|proof| (*proof.digest).into()),
            created: millis(date),
            expires: millis(date.saturating_add(lifetime)),
            until: Some(self.now().saturating_add(lifetime)),
        };
        let listed = link.listed();
        let change = LinkChange::Add(link);
        match self.shares_all() {
            true => self.change_shared_links(change).await?,
            false => self.change_links(change).await?,
        }
        Ok((listed, secret))
    }

    /// Removes a link to a session: it is refused from then on. Waits until that is on the disk.
    ///
    /// # Errors
    ///
    /// When the session has no such link, or the file can't be written.
    pub async fn remove_link(&self, session: SessionId, id: &str) -> Result<(), LinkError> {
        let change = LinkChange::Remove {
            session: session.to_string(),
            id: id.into(),
        };
        match self.shares_all() {
            true => self.change_shared_links(change).await,
            false => self.change_links(change).await,
        }
    }

    /// The links to a session that have not ended, in the order in which they were made.
    #[must_use]
    pub fn links(&self, session: SessionId) -> Vec<ListedLink> {
        let (date, now) = (self.date(), self.now());
        let session = session.to_string();
        let state = self.state();
        let here = state.links.all.iter();
        let here = here.filter(|it| it.session == session && state.is_valid(it, date, now));
        here.map(Link::listed).collect()
    }

    /// How many links there are, those that have ended since the last change, too.
    #[must_use]
    pub fn link_count(&self) -> usize {
        self.state().links.all.len()
    }

    /// How many links there may be: of servers that share them, all together.
    #[must_use]
    pub fn link_limit(&self) -> usize {
        match self.shares_all() {
            true => SHARED_LINKS,
            false => ALL_LINKS,
        }
    }

    /// Who sends a request with a link: somebody who may read the session of
    /// [`Caller::link`] and nothing else. None: the request has no link.
    ///
    /// Its error is [`Denied::LinkEnded`]: there is no such link, or not any more.
    #[must_use]
    pub fn link_caller(&self, request: &Request) -> Option<Result<Caller, Denied>> {
        secret_of(request).map(|secret| self.caller_of_link(&secret))
    }

    /// As [`link_caller`](Self::link_caller), of a link's secret.
    ///
    /// # Errors
    ///
    /// [`Denied::LinkEnded`] if there is no such link, or not any more.
    pub fn caller_of_link(&self, secret: &str) -> Result<Caller, Denied> {
        let digest = digest(secret);
        let (date, now) = (self.date(), self.now());
        let caller = self.state().link_caller(&digest, date, now);
        caller.ok_or(Denied::LinkEnded)
    }

    /// Whether the link of a caller has not ended.
    pub(crate) fn is_link_current(&self, proof: &LinkProof) -> bool {
        let (date, now) = (self.date(), self.now());
        let state = self.state();
        state.link_caller(&proof.digest, date, now).is_some()
    }

    /// Changes the links of all servers.
    async fn change_shared_links(&self, change: LinkChange) -> Result<(), LinkError> {
        let Some(store) = self.0.store.get().cloned() else {
            return self.change_links(change).await;
        };
        let _held = self.hold_changes().await;
        let accounts = self.clone();
        let (date, now) = (self.date(), self.now());
        let changed = smol::unblock(move || {
            accounts.change_shared(&*store, SHARING, |document, may_be_done| {
                let has_room = document.has_room_for_a_link();
                let state = accounts.state();
                let is_valid = |link: &Link| state.is_valid(link, date, now);
                change.make(&mut document.links, has_room, may_be_done, &is_valid)
            })
        });
        changed.await.map_err(|error| match error {
            NotChanged::Refused(error) => error,
            NotChanged::Store(error) => {
                tracing::warn!(%error, "cannot change the links");
                LinkError::Unanswered(error)
            }
        })
    }

    /// Changes the links on the disk, and then here. One change at a time.
    async fn change_links(&self, change: LinkChange) -> Result<(), LinkError> {
        let _held = self.hold_changes().await;
        let (date, now) = (self.date(), self.now());
        let mut links = {
            let state = self.state();
            let mut links = state.links.clone();
            let has_room = links.all.len() < ALL_LINKS;
            let is_valid = |link: &Link| state.is_valid(link, date, now);
            change.make(&mut links.all, has_room, false, &is_valid)?;
            links
        };
        if let Some(path) = links.path.clone() {
            let file = LinksFile {
                version: VERSION,
                links: std::mem::take(&mut links.all),
            };
            let written = smol::unblock(move || write(&path, &file).map(|()| file.links)).await;
            links.all = written.inspect_err(|error| {
                tracing::error!(%error, "cannot change the file of links");
            })?;
        }
        self.state().links = links;
        Ok(())
    }
}

impl State {
    fn link_caller(&self, digest: &str, date: Duration, now: Duration) -> Option<Caller> {
        // By the digest, so that the time reveals nothing about the secret.
        let link = self.links.all.iter().find(|it| it.digest == digest)?;
        let session = link.session.parse().ok()?;
        self.is_valid(link, date, now).then(|| {
            Caller::of_link(LinkProof {
                id: link.id.as_str().into(),
                digest: digest.into(),
                session,
            })
        })
    }

    /// Whether a link has not ended. A date that was set back does not prolong it, and neither does a
    /// date that was set ahead and back.
    fn is_valid(&self, link: &Link, date: Duration, now: Duration) -> bool {
        let lasts = millis(date) < link.expires && link.until.is_none_or(|until| now < until);
        let has_maker = match &link.account {
            // Made when nobody had to log in.
            None => !self.is_closed,
            Some(account) => self.file.accounts.contains_key(account),
        };
        let token = link.token.as_deref();
        let has_token = token.is_none_or(|digest| self.access_caller(digest, date).is_some());
        lasts && has_maker && has_token
    }
}

impl LinkChange {
    /// `may_be_done`: it was tried before, and it is unknown what became of it.
    fn make(
        &self,
        links: &mut Vec<Link>,
        has_room: bool,
        may_be_done: bool,
        is_valid: &dyn Fn(&Link) -> bool,
    ) -> Result<(), LinkError> {
        match self {
            Self::Add(link) => {
                if links.iter().any(|it| it.digest == link.digest) {
                    return Ok(());
                }
                let before = links.len();
                links.retain(is_valid);
                let has_room = has_room || links.len() < before;
                let here = links.iter().filter(|it| it.session == link.session);
                if here.count() >= LINKS_OF_SESSION || !has_room {
                    return Err(LinkError::Full);
                }
                links.push(link.clone());
            }
            Self::Remove { session, id } => {
                let is_it = |link: &Link| link.id == *id && link.session == *session;
                match links.iter().position(is_it) {
                    Some(place) => drop(links.remove(place)),
                    None if may_be_done => {}
                    None => return Err(LinkError::Unknown(id.clone())),
                }
            }
        }
        Ok(())
    }
}

impl Links {
    /// Takes over the links that servers share. They end here as they did before, however the clock is set.
    pub(crate) fn adopt(&mut self, mut links: Vec<Link>, date: Duration, now: Duration) {
        let known = std::mem::take(&mut self.all).into_iter();
        let known: BTreeMap<_, _> = known.map(|link| (link.digest, link.until)).collect();
        for link in &mut links {
            let left = Duration::from_millis(link.expires).saturating_sub(date);
            let until = || Some(now.saturating_add(left));
            link.until = known.get(&link.digest).copied().unwrap_or_else(until);
        }
        self.all = links;
    }
}

impl Link {
    /// Whether it is what a server writes.
    pub(crate) fn is_sound(&self) -> bool {
        is_digest(&self.digest) && self.session.parse::<SessionId>().is_ok()
    }

    /// One with as many bytes as there can be.
    #[cfg(test)]
    pub(crate) fn largest() -> Self {
        Self {
            id: "a".repeat(ID_CHARS),
            session: "0".repeat(36),
            digest: "0".repeat(64),
            account: Some("a".repeat(crate::limits::NAME_BYTES)),
            token: Some("0".repeat(64)),
            created: 1_800_000_000_000,
            expires: 1_800_000_000_000,
            until: None,
        }
    }

    fn listed(&self) -> ListedLink {
        ListedLink {
            id: self.id.as_str().into(),
            account: self.account.as_deref().map(Into::into),
            created: Duration::from_millis(self.created),
            expires: Duration::from_millis(self.expires),
        }
    }
}

/// The secret of the link that a request has, if it has one.
pub(crate) fn secret_of(request: &Request) -> Option<String> {
    match Authorization::of(request.headers()) {
        Authorization::Bearer(token) if token.starts_with(LINK_PREFIX) => Some(token),
        _ => None,
    }
}

/// Reads a file of links. A missing one has none. Blocks.
fn read(path: &Path) -> Result<Vec<Link>, LinkError> {
    let failed = |error| LinkError::Read(path.into(), error);
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(FILE_BYTES + 1).read_to_string(&mut text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => Err(error),
    }
    .map_err(failed)?;
    let wrong = |why| LinkError::Malformed(path.into(), why);
    if text.len() as u64 > FILE_BYTES {
        return Err(wrong("the file is too large"));
    }
    // The parser's own message could show a digest.
    let file: LinksFile =
        serde_json::from_str(&text).map_err(|_| wrong("it is not what the server writes"))?;
    if file.version != VERSION {
        return Err(wrong("another version of Rejoin wrote it"));
    }
    if !file.links.iter().all(Link::is_sound) || file.links.len() > ALL_LINKS {
        return Err(wrong("it is not what the server writes"));
    }
    Ok(file.links)
}

fn write(path: &Path, file: &LinksFile) -> Result<(), LinkError> {
    let failed = |error| LinkError::Write(path.into(), error);
    let bytes = serde_json::to_vec_pretty(file).map_err(|error| failed(error.into()))?;
    replace(path, &bytes).map_err(failed)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How the secret of every link begins, so that it is told from access tokens and tokens of logins.
const LINK_PREFIX: &str = "rejoin_link_";

/// Characters of a link's public name.
const ID_CHARS: usize = 8;
