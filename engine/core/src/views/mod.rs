//! Views: projections of durable records for readers, updated record by record.
//!
//! Invariant: a view only contains durable records, so nothing that it shows is ever undone.

mod cursors;
mod gaps;
mod jobs;
mod lists;
mod sessions;
mod tombstones;

pub use cursors::ConsumerView;
pub use gaps::Gaps;
pub use jobs::{JobState, JobView};
pub use lists::Selection;
pub use sessions::SessionView;

pub(crate) use cursors::Cursors;
pub(crate) use jobs::Jobs;
pub(crate) use lists::Lists;
pub(crate) use tombstones::Tombstones;

use crate::limits::REMEMBERED_SESSIONS;
use crate::{Event, LossCause, Record, Sequence, SessionId, SessionNumber, Timestamp};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// Every open session, and the ones that ended last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Views {
    // By number, the order of lists. Boxed, because insertion in ascending order leaves tree nodes
    // half empty.
    pub(crate) sessions: BTreeMap<SessionNumber, Box<SessionView>>,
    pub(crate) numbers: BTreeMap<SessionId, SessionNumber>,
    pub(crate) lists: Lists,
    pub(crate) ended: VecDeque<SessionId>,
    pub(crate) removals: Tombstones,
    pub(crate) revision: u64,
    pub(crate) changed: Timestamp,
}

impl Views {
    /// Applies the record.
    ///
    /// # Panics
    ///
    /// When the record is not the next one of its session.
    pub fn apply(&mut self, record: &Record) {
        self.apply_numbered(record, None);
    }

    /// Like [`Self::apply`], if the number of the record's session may be known already.
    pub(crate) fn apply_numbered(&mut self, record: &Record, number: Option<SessionNumber>) {
        if sessions::is_shown(&record.event) {
            self.revision += 1;
            self.changed = record.at;
        }
        if let Some(view) = SessionView::created(record) {
            self.lists.enter(&view);
            self.numbers.insert(record.session, view.number);
            self.sessions.insert(view.number, Box::new(view));
            return;
        }
        if let Event::RecordsLost {
            last,
            cause: LossCause::Retention { .. },
            ..
        } = record.event
        {
            self.removals.add(record.session, last);
            self.remove(record.session);
            return;
        }
        let number = number.or_else(|| self.numbers.get(&record.session).copied());
        let Some(view) = number.and_then(|number| self.sessions.get_mut(&number)) else {
            return;
        };
        if let Event::SessionClosed { .. } = record.event {
            self.lists.leave(view);
            view.apply(record);
            self.ended.push_back(record.session);
            if self.ended.len() > REMEMBERED_SESSIONS {
                self.ended
                    .pop_front()
                    .and_then(|oldest| self.numbers.remove(&oldest))
                    .and_then(|oldest| self.sessions.remove(&oldest));
            }
            return;
        }
        let was_busy = view.is_busy();
        let user_before = match record.event {
            Event::UserSet { .. } => Some(view.user.clone()),
            _ => None,
        };
        view.apply(record);
        if view.is_busy() != was_busy {
            self.lists.turn(view);
        }
        if let Some(before) = user_before {
            self.lists.rename(before.as_ref(), view);
        }
    }

    /// Removes a session whose records are gone.
    fn remove(&mut self, session: SessionId) {
        let number = self.numbers.remove(&session);
        let Some(view) = number.and_then(|number| self.sessions.remove(&number)) else {
            return;
        };
        if view.closed.is_none() {
            // The records up to its end may be dropped already.
            self.lists.leave(&view);
        } else {
            self.ended.retain(|ended| *ended != session);
        }
    }

    /// Forgets a session of which nothing is in the log any more, not even the record of its removal.
    pub fn forget(&mut self, session: SessionId) {
        self.revision += 1;
        self.remove(session);
    }

    /// The session of this identity, open or remembered.
    pub fn session(&self, session: SessionId) -> Option<&SessionView> {
        self.numbered(*self.numbers.get(&session)?)
    }

    /// The last removed sequence of a session that retention has removed. Knows the last
    /// [`REMEMBERED_SESSIONS`] of these; the log may know more.
    pub fn removed(&self, session: SessionId) -> Option<Sequence> {
        self.removals.last(session)
    }

    /// The open session of this number.
    pub fn open_session(&self, number: SessionNumber) -> Option<&SessionView> {
        self.numbered(number).filter(|view| view.closed.is_none())
    }

    /// The session of this number, open or remembered.
    pub fn numbered(&self, number: SessionNumber) -> Option<&SessionView> {
        self.sessions.get(&number).map(Box::as_ref)
    }

    /// The open sessions, by number.
    pub fn open_sessions(&self) -> impl DoubleEndedIterator<Item = &SessionView> {
        let known = self.sessions.values().map(Box::as_ref);
        known.filter(|view| view.closed.is_none())
    }

    /// All sessions, open or remembered, by number.
    pub fn sessions(&self) -> impl DoubleEndedIterator<Item = &SessionView> {
        self.sessions.values().map(Box::as_ref)
    }

    /// Takes in the views of another log, whose sessions have other identities and other numbers. Of all
    /// that have ended, the [`REMEMBERED_SESSIONS`] that ended last are remembered.
    pub fn absorb(&mut self, other: Self) {
        for (number, view) in other.sessions {
            if view.closed.is_none() {
                self.lists.enter(&view);
            }
            self.numbers.insert(view.id, number);
            self.sessions.insert(number, view);
        }
        self.ended.extend(other.ended);
        let at = |session: &SessionId| {
            let view = self.numbers.get(session);
            let view = view.and_then(|number| self.sessions.get(number));
            view.and_then(|view| view.closed).map(|(at, _)| at)
        };
        let mut ended: Vec<_> = self.ended.iter().map(|id| (at(id), *id)).collect();
        // Those of one log stay in their order.
        ended.sort_by_key(|(at, _)| *at);
        let surplus = ended.len().saturating_sub(REMEMBERED_SESSIONS);
        for (_, oldest) in ended.drain(..surplus) {
            self.numbers
                .remove(&oldest)
                .and_then(|oldest| self.sessions.remove(&oldest));
        }
        self.ended = ended.into_iter().map(|(_, session)| session).collect();
        for (session, last) in other.removals.snapshot() {
            self.removals.add(session, last);
        }
        self.revision += other.revision;
        self.changed = self.changed.max(other.changed);
    }

    /// The sessions with a number below this one, open or remembered, the newest first.
    pub fn newest_below(&self, number: SessionNumber) -> impl Iterator<Item = &SessionView> {
        let below = self.sessions.range(..number);
        below.rev().map(|(_, view)| &**view)
    }

    /// The remembered ended sessions in the order in which they ended, at most
    /// [`REMEMBERED_SESSIONS`].
    pub fn ended_sessions(&self) -> impl DoubleEndedIterator<Item = &SessionView> {
        self.ended.iter().filter_map(|ended| self.session(*ended))
    }

    /// How many sessions are open.
    pub fn open_count(&self) -> usize {
        self.lists.len()
    }

    /// How many open sessions match. The cost does not grow with their number, unless more than one
    /// of user, service and state is set: then the smallest of these sets is scanned.
    pub fn count(&self, selection: &Selection<'_>) -> usize {
        self.lists.count(selection)
    }

    /// The matching open sessions by number, without the first `skip`. Skipping costs as much as
    /// [`Self::count`].
    pub fn select(
        &self,
        selection: &Selection<'_>,
        skip: usize,
    ) -> impl Iterator<Item = &SessionView> {
        self.lists
            .select(selection, skip)
            .filter_map(|number| self.open_session(SessionNumber(number)))
    }

    /// How many records have changed what lists show. Lists are unchanged while this is.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// When the last of these records was logged.
    pub fn changed(&self) -> Timestamp {
        self.changed
    }
}
