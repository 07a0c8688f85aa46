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
}

impl Viewers {
    pub(crate) fn enter(self: &Arc<Self>, session: SessionId, viewer: Viewer) -> Watch {
        let mut watched = lock(&self.0);
        let has_room = watched.listed < LISTED_VIEWERS;
        watched.last_place += 1;
        let place = watched.last_place;
        let entry = watched.sessions.entry(session).or_default();
        entry.count += 1;
        let is_listed = has_room && entry.listed.len() < LISTED_VIEWERS_OF_SESSION;
        if is_listed {
            entry.listed.insert(place, viewer);
            watched.listed += 1;
        }
        Watch {
            viewers: self.clone(),
            session,
            place: is_listed.then_some(place),
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
        }
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
