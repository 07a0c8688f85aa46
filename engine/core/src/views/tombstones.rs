//! The sessions that were removed most recently.

use crate::limits::REMEMBERED_SESSIONS;
use crate::{Sequence, SessionId};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tombstones {
    last: BTreeMap<SessionId, Sequence>,
    oldest_first: VecDeque<SessionId>,
}

impl Tombstones {
    /// The tombstones of a snapshot, oldest first.
    pub(crate) fn restored(removals: Vec<(SessionId, Sequence)>) -> Self {
        Self {
            oldest_first: removals.iter().map(|(session, _)| *session).collect(),
            last: removals.into_iter().collect(),
        }
    }

    /// As plain values, oldest first.
    pub(crate) fn snapshot(&self) -> Vec<(SessionId, Sequence)> {
        let sessions = self.oldest_first.iter();
        sessions
            .filter_map(|session| Some((*session, self.last(*session)?)))
            .collect()
    }

    /// Adds a session whose records up to `last` are removed.
    pub(super) fn add(&mut self, session: SessionId, last: Sequence) {
        if self.last.insert(session, last).is_none() {
            self.oldest_first.push_back(session);
        }
        if self.oldest_first.len() > REMEMBERED_SESSIONS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.last.remove(&oldest);
        }
    }

    pub(super) fn last(&self, session: SessionId) -> Option<Sequence> {
        self.last.get(&session).copied()
    }
}
