//! The closed sessions that are still kept, and which of them are removed next.
//!
//! Takes some hundred bytes per closed session in the log, which a retention bounds.

use crate::{Instant, Retention, Sequence, SessionId};
use alloc::collections::{BTreeMap, BTreeSet};

/// A closed session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClosedSession {
    pub(crate) last_sequence: Sequence,
    pub(crate) at: Instant,
    /// The size of its records, as counted by [`Event::bytes`](crate::Event::bytes).
    pub(crate) bytes: u64,
}

/// The closed sessions, by identity and in the order in which they were closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetentionQueue {
    sessions: BTreeMap<SessionId, ClosedSession>,
    oldest_first: BTreeSet<(Instant, SessionId)>,
    bytes: u64,
}

impl RetentionQueue {
    pub(crate) fn get(&self, session: SessionId) -> Option<&ClosedSession> {
        self.sessions.get(&session)
    }

    /// All closed sessions, by identity.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionId, &ClosedSession)> {
        self.sessions.iter().map(|(id, closed)| (*id, closed))
    }

    pub(crate) fn insert(&mut self, session: SessionId, closed: ClosedSession) {
        self.remove(session);
        self.bytes = self.bytes.saturating_add(closed.bytes);
        self.oldest_first.insert((closed.at, session));
        self.sessions.insert(session, closed);
    }

    pub(crate) fn remove(&mut self, session: SessionId) {
        if let Some(closed) = self.sessions.remove(&session) {
            self.bytes = self.bytes.saturating_sub(closed.bytes);
            self.oldest_first.remove(&(closed.at, session));
        }
    }

    /// The sessions to remove at `now`, the one that was closed first at the front.
    pub(crate) fn due(
        &self,
        retention: Retention,
        now: Instant,
    ) -> impl Iterator<Item = SessionId> + '_ {
        let mut kept = self.bytes;
        self.oldest_first
            .iter()
            .take_while(move |(at, session)| {
                let is_old = retention.age.is_some_and(|age| *at + age <= now);
                let is_due = is_old || retention.bytes.is_some_and(|bound| kept > bound);
                let bytes = self.get(*session).map_or(0, |closed| closed.bytes);
                kept = kept.saturating_sub(bytes);
                is_due
            })
            .map(|(_, session)| *session)
    }

    /// When the next session is to be removed.
    pub(crate) fn next(&self, retention: Retention) -> Option<Instant> {
        let (at, _) = self.oldest_first.first()?;
        if retention.bytes.is_some_and(|bound| self.bytes > bound) {
            return Some(*at);
        }
        retention.age.map(|age| *at + age)
    }
}
