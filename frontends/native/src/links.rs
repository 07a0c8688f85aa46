//! Links: `/sessions/{session}/links`, and who reads a session by one.
//!
//! The holder of a link may read one session, and nothing else: no list, no other session, no command.
//! Also not the session's UUID, by which an account could enter it and do more.

use crate::Native;
use crate::answer::{HandlerResult, json, ok, uncached};
use crate::error::Fault;
use crate::limits::{LINK_LEAVES, LINK_LIFETIME};
use crate::request::{body, lifetime};
use rejoin_accounts::{Caller, Denied, LinkError, ListedLink, Permission};
use rejoin_engine::{CommandError, Engine, LinkChange, Rejection, SessionId};
use rejoin_http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json as value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The body of `POST /sessions/{session}/links`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NewLink {
    expires: Option<String>,
}

impl Native {
    pub(crate) async fn links(&self, http: &Request) -> HandlerResult {
        let (_, session) = self.sharer(http).await?;
        let links = self.accounts.links(session);
        let links: Vec<Value> = links.iter().map(shown).collect();
        Ok(uncached(ok(&value!({"links": links}))))
    }

    pub(crate) async fn add_link(&self, http: &Request) -> HandlerResult {
        let (caller, session) = self.sharer(http).await?;
        let NewLink { expires } = match http.body().is_empty() {
            true => NewLink::default(),
            false => body(http.body())?,
        };
        let expires = expires.map(|text| lifetime("expires", &text)).transpose()?;
        let number = self.view(session, |view| view.number)?;
        let added = self
            .accounts
            .add_link(&caller, session, expires.unwrap_or(LINK_LIFETIME))
            .await;
        let (link, secret) = added.map_err(Fault::link)?;
        let change = LinkChange::Added {
            expires: timestamp(link.expires),
        };
        let engine = self.engine_for(&caller, http);
        if let Err(error) = note(&engine, session, link.id.clone(), change).await {
            // No reader has its secret yet, so it need not be there.
            let removed = self.accounts.remove_link(session, &link.id).await;
            removed.map_err(Fault::link)?;
            return Err(error.into());
        }
        let mut shown = shown(&link);
        shown["path"] = format!("/#session={number}&link={secret}").into();
        shown["secret"] = secret.into();
        Ok(uncached(json(StatusCode::CREATED, &shown)))
    }

    pub(crate) async fn remove_link(&self, http: &Request) -> HandlerResult {
        let (caller, session) = self.sharer(http).await?;
        let link = http.param("link").unwrap_or_default();
        let removed = self.accounts.remove_link(session, link).await;
        removed.map_err(Fault::link)?;
        // Who watches by it is woken by this record, and finds that the link has ended.
        let engine = self.engine_for(&caller, http);
        note(&engine, session, link.into(), LinkChange::Removed).await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    /// The caller who may share a session: its creator or an admin.
    async fn sharer(&self, http: &Request) -> Result<(Caller, SessionId), Fault> {
        let caller = self.authorize(http, Permission::Read).await?;
        let session = self.session(http, &caller).await?;
        let owner = self.view(session, |view| view.user.clone())?;
        match caller.may_close(owner.as_deref()) {
            true => Ok((caller, session)),
            false => {
                let reason = "only its creator or an admin may share the session";
                Err(Fault::Forbidden(reason.to_owned()))
            }
        }
    }

    /// Who may read the session of a request: an account, or somebody with a link to it. The latter is
    /// in the log for as long as the visit lasts. Refuses a session that was removed.
    pub(crate) async fn reader(
        &self,
        http: &Request,
    ) -> Result<(Caller, SessionId, Option<Visit>), Fault> {
        let (caller, session, visit) = self.reader_to_the_end(http).await?;
        let name = http.param("session").unwrap_or_default();
        self.check_removal(session, name).await?;
        Ok((caller, session, visit))
    }

    /// As [`Self::reader`], but also of a session that was removed, whose last event says so.
    pub(crate) async fn reader_to_the_end(
        &self,
        http: &Request,
    ) -> Result<(Caller, SessionId, Option<Visit>), Fault> {
        let Some(caller) = self.accounts.link_caller(http) else {
            let caller = self.authorize(http, Permission::Read).await?;
            let session = self.named(http, &caller).await?;
            return Ok((caller, session, None));
        };
        let caller = caller.map_err(Fault::Denied)?;
        let Some((session, link)) = caller.link() else {
            return Err(Fault::Denied(Denied::LinkEnded));
        };
        let name = http.param("session").unwrap_or_default();
        let unknown = || Fault::SessionNotFound(name.to_owned());
        self.engine.know(session).await?;
        let Ok(number) = self.view(session, |view| view.number) else {
            // Its number is forgotten, and the UUID is not for the holder of a link.
            self.check_removal(session, "of this link").await?;
            return Err(unknown());
        };
        if name != number.to_string() && name.parse() != Ok(session) {
            return Err(unknown());
        }
        http.log_session(session);
        http.log_link(link.clone());
        let visit = Visit {
            visits: self.visits.clone(),
            engine: self.engine_for(&caller, http),
            session,
            link: link.clone(),
        };
        self.visits.enter(&visit).await?;
        Ok((caller, session, Some(visit)))
    }
}

/// Logs what happened to a link, if the session still takes records.
async fn note(
    engine: &Engine,
    session: SessionId,
    link: Arc<str>,
    change: LinkChange,
) -> Result<(), CommandError> {
    match engine.note_link(session, link, change).await {
        Err(CommandError::Rejected(Rejection::SessionNotFound(_))) => Ok(()),
        noted => noted,
    }
}

/// Hides by what a session could be entered with more rights than those of a link.
pub(crate) fn for_caller(caller: &Caller, mut shown: Value) -> Value {
    if caller.link().is_some() {
        shown["id"] = shown["number"].to_string().into();
    }
    shown
}

/// Somebody reads a session by a link, until this is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    visits: Arc<Visits>,
    /// For the reader, so that the records say who it is.
    engine: Engine,
    session: SessionId,
    link: Arc<str>,
}

/// Which links are used now. In memory: it only decides what is logged, and how often. One link leads
/// to two records in [`LINK_LEAVES`] at most, whatever is done with it.
#[derive(Debug, Default)]
pub(crate) struct Visits(Mutex<BTreeMap<Arc<str>, Visited>>);

#[derive(Debug, Default)]
struct Visited {
    readers: usize,
    /// Grows with each visit.
    visits: u64,
    /// Whether a task waits for the readers to be gone.
    is_awaited: bool,
}

impl Visits {
    /// Counts a visit, and logs it if it is the first one.
    async fn enter(&self, visit: &Visit) -> Result<(), Fault> {
        let is_first = {
            let mut links = self.lock();
            let is_first = !links.contains_key(&visit.link);
            let visited = links.entry(visit.link.clone()).or_default();
            visited.readers += 1;
            visited.visits += 1;
            is_first
        };
        if !is_first {
            return Ok(());
        }
        let (engine, link) = (&visit.engine, visit.link.clone());
        match note(engine, visit.session, link, LinkChange::Joined).await {
            // It reads a copy, and nothing is written.
            Ok(()) | Err(CommandError::ReadOnly) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Visited>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut links = self.visits.lock();
        let Some(visited) = links.get_mut(&self.link) else {
            return;
        };
        visited.readers = visited.readers.saturating_sub(1);
        if visited.readers > 0 || visited.is_awaited {
            return;
        }
        visited.is_awaited = true;
        let (visits, engine) = (self.visits.clone(), self.engine.clone());
        let (session, link) = (self.session, self.link.clone());
        let leaves = async move {
            visits.wait_until_left(&engine, &link).await;
            // When the server shuts down, there is nothing to say: every viewer has left.
            let _ = note(&engine, session, link, LinkChange::Left).await;
        };
        self.engine.runtime().spawn(Box::pin(leaves));
    }
}

impl Visits {
    /// Completes when nobody has read by a link for a while. A page that reads on after a moment, or a
    /// connection that was lost, is the same visit.
    async fn wait_until_left(&self, engine: &Engine, link: &Arc<str>) {
        let visits = || self.lock().get(link).map(|it| it.visits);
        loop {
            let before = visits();
            engine.runtime().timer(LINK_LEAVES).await;
            let mut links = self.lock();
            let is_over = links
                .get(link)
                .is_none_or(|it| it.readers == 0 && Some(it.visits) == before);
            if is_over {
                links.remove(link);
                return;
            }
        }
    }
}

fn shown(link: &ListedLink) -> Value {
    value!({
        "link": &*link.id,
        "account": link.account.as_deref(),
        "created": timestamp(link.created).as_millis(),
        "expires": timestamp(link.expires).as_millis(),
    })
}

fn timestamp(at: Duration) -> rejoin_engine::Timestamp {
    rejoin_engine::Timestamp::from_millis(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
}

impl Fault {
    fn link(error: LinkError) -> Self {
        Self::Link(Arc::new(error))
    }
}
