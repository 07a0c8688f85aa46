//! The sessions that were removed last, and what is gone with them.

use crate::limits::REMEMBERED_SESSIONS;
use crate::{Sequence, SessionId};
use alloc::collections::{BTreeMap, VecDeque};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Removals {
    last: BTreeMap<SessionId, Sequence>,
    oldest_first: VecDeque<SessionId>,
}

impl Removals {
    /// All records of the session up to `last` are gone.
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
