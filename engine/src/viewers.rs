//! Who watches which session now. In memory: a viewer is there while its connection is.

use crate::committed::lock;
use crate::limits::{LISTED_VIEWERS, LISTED_VIEWERS_OF_SESSION};
use rejoin_core::{Actor, SessionId, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Somebody who watches a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Who it is, if the frontend said so.
    pub actor: Option<Arc<Actor>>,
    /// Since when.
    pub since: Timestamp,
    /// The name that its client has chosen for itself. What the same account reads under the same name is
    /// one viewer: a page and what is embedded in it, for example.
    pub client: Option<Arc<str>>,
}

/// The viewers of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionViewers {
    /// In the order in which they came; some are left out where there are too many:
    /// [`LISTED_VIEWERS_OF_SESSION`](crate::limits::LISTED_VIEWERS_OF_SESSION).
    pub listed: Vec<Viewer>,
    /// How many there are in all.
    pub count: usize,
}

/// The place of one viewer, which leaves when this is dropped.
pub struct Watch {
    viewers: Arc<Viewers>,
    session: SessionId,
    /// None if it is only counted.
    place: Option<u64>,
    client: Option<Client>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, place, .. } = self;
        f.debug_struct("Watch")
            .field("session", session)
            .field("place", place)
            .finish()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Viewers(Mutex<Watched>);

/// Invariant: a session is here while somebody watches it.
#[derive(Debug, Default)]
struct Watched {
    sessions: BTreeMap<SessionId, WatchedSession>,
    listed: usize,
    last_place: u64,
}

#[derive(Debug, Default)]
struct WatchedSession {
    listed: BTreeMap<u64, Viewer>,
    count: usize,
    /// How many of each client's there are, and their place.
    clients: BTreeMap<Client, (usize, Option<u64>)>,
}

/// An account, and what it calls its client.
type Client = (Option<Arc<str>>, Arc<str>);

impl Viewers {
    pub(crate) fn enter(self: &Arc<Self>, session: SessionId, viewer: Viewer) -> Watch {
        let mut watched = lock(&self.0);
        let has_room = watched.listed < LISTED_VIEWERS;
        watched.last_place += 1;
        let place = watched.last_place;
        let account = |viewer: &Viewer| viewer.actor.as_ref()?.account.clone();
        let client = viewer.client.clone().map(|name| (account(&viewer), name));
        let entry = watched.sessions.entry(session).or_default();
        let same = client.as_ref().and_then(|it| entry.clients.get_mut(it));
        let place = match same {
            Some((count, place)) => {
                *count += 1;
                *place
            }
            None => {
                entry.count += 1;
                let is_listed = has_room && entry.listed.len() < LISTED_VIEWERS_OF_SESSION;
                let place = is_listed.then_some(place);
                if let Some(client) = &client {
                    entry.clients.insert(client.clone(), (1, place));
                }
                if let Some(place) = place {
                    entry.listed.insert(place, viewer);
                    watched.listed += 1;
                }
                place
            }
        };
        Watch {
            viewers: self.clone(),
            session,
            place,
            client,
        }
    }

    pub(crate) fn of(&self, session: SessionId) -> SessionViewers {
        let watched = lock(&self.0);
        let entry = watched.sessions.get(&session);
        entry.map_or_else(SessionViewers::default, |entry| SessionViewers {
            listed: entry.listed.values().cloned().collect(),
            count: entry.count,
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = lock(&self.viewers.0);
        let Some(entry) = watched.sessions.get_mut(&self.session) else {
            return;
        };
        if let Some(client) = &self.client
            && let Some((count, _)) = entry.clients.get_mut(client)
        {
            *count -= 1;
            if *count > 0 {
                return;
            }
            entry.clients.remove(client);
        }
        entry.count -= 1;
        let was_listed = self
            .place
            .is_some_and(|place| entry.listed.remove(&place).is_some());
        if entry.count == 0 {
            watched.sessions.remove(&self.session);
        }
        watched.listed -= usize::from(was_listed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(at: u64) -> Viewer {
        Viewer {
            actor: None,
            since: Timestamp::from_millis(at),
            client: None,
        }
    }

    #[test]
    fn all_that_a_client_watches_is_one_viewer_until_the_last_ends() {
        let viewers = Arc::new(Viewers::default());
        let session = SessionId::from_bytes([1; 16]);
        let enter = |account: &str, client: &str| {
            let actor = Actor {
                account: Some(account.into()),
                token: None,
                frontend: "native".into(),
                address: None,
            };
            let viewer = Viewer {
                actor: Some(Arc::new(actor)),
                since: Timestamp::from_millis(1),
                client: Some(client.into()),
            };
            viewers.enter(session, viewer)
        };
        let count = || {
            let viewers = viewers.of(session);
            assert_eq!(viewers.listed.len(), viewers.count);
            viewers.count
        };
        let (page, frame) = (enter("ada", "window"), enter("ada", "window"));
        assert_eq!(count(), 1);
        let other = enter("ada", "another window");
        // No client hides behind a name that another one has chosen.
        let olga = enter("olga", "window");
        assert_eq!(count(), 3);
        drop(page);
        assert_eq!(count(), 3);
        drop(frame);
        assert_eq!(count(), 2);
        drop((other, olga));
        assert_eq!(viewers.of(session), SessionViewers::default());
        assert!(lock(&viewers.0).sessions.is_empty());
    }

    #[test]
    fn a_viewer_is_there_from_entering_to_dropping_and_nothing_of_it_is_left() {
        let viewers = Arc::new(Viewers::default());
        let [one, other] = [1, 2].map(|byte| SessionId::from_bytes([byte; 16]));
        let first = viewers.enter(one, viewer(1));
        let second = viewers.enter(one, viewer(2));
        let third = viewers.enter(other, viewer(3));
        let since = |session| {
            let viewers = viewers.of(session);
            assert_eq!(viewers.listed.len(), viewers.count);
            let since = viewers.listed.iter();
            since
                .map(|viewer| viewer.since.as_millis())
                .collect::<Vec<_>>()
        };
        assert_eq!((since(one), since(other)), (vec![1, 2], vec![3]));
        drop(first);
        assert_eq!((since(one), since(other)), (vec![2], vec![3]));
        drop((second, third));
        assert_eq!(viewers.of(one), SessionViewers::default());
        let left = lock(&viewers.0);
        assert_eq!((left.sessions.len(), left.listed), (0, 0));
    }

    #[test]
    fn viewers_beyond_the_limit_are_counted_and_not_listed() {
        let viewers = Arc::new(Viewers::default());
        let session = SessionId::from_bytes([1; 16]);
        let enter = |_| viewers.enter(session, viewer(1));
        let watches: Vec<_> = (0..LISTED_VIEWERS_OF_SESSION + 5).map(enter).collect();
        let found = viewers.of(session);
        assert_eq!(found.listed.len(), LISTED_VIEWERS_OF_SESSION);
        assert_eq!(found.count, LISTED_VIEWERS_OF_SESSION + 5);
        drop(watches);
        assert_eq!(viewers.of(session), SessionViewers::default());
    }
}
