//! Views: folds of durable records, for reading. Kept up to date record by record.
//!
//! A view never sees a record that could still be lost, so what it tells stays true.

mod cursors;
mod jobs;
mod sessions;

pub use cursors::ConsumerView;
pub use jobs::{JobState, JobView};
pub use sessions::SessionView;

use crate::limits::REMEMBERED_SESSIONS;
use crate::{Event, Record, SessionId, SessionNumber};
use alloc::collections::{BTreeMap, VecDeque};

/// Every open session, and the last ones that ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Views {
    sessions: BTreeMap<SessionId, SessionView>,
    open: BTreeMap<SessionNumber, SessionId>,
    ended: VecDeque<SessionId>,
}

impl Views {
    /// Changes the views as the record says.
    ///
    /// # Panics
    ///
    /// When the record is not the next of its session: a view of such a stream tells no truth.
    pub fn apply(&mut self, record: &Record) {
        if let Event::SessionCreated { number, .. } = &record.event {
            self.open.insert(*number, record.session);
        }
        if let Some(view) = SessionView::created(record) {
            self.sessions.insert(record.session, view);
            return;
        }
        let Some(view) = self.sessions.get_mut(&record.session) else {
            return;
        };
        view.apply(record);
        if let Event::SessionClosed { .. } = record.event {
            self.open.remove(&view.number);
            self.ended.push_back(record.session);
            if self.ended.len() > REMEMBERED_SESSIONS {
                self.ended
                    .pop_front()
                    .and_then(|oldest| self.sessions.remove(&oldest));
            }
        }
    }

    /// The session of this identity, open or remembered.
    pub fn session(&self, session: SessionId) -> Option<&SessionView> {
        self.sessions.get(&session)
    }

    /// The open sessions, by number.
    pub fn open_sessions(&self) -> impl DoubleEndedIterator<Item = &SessionView> {
        self.open.values().filter_map(|id| self.sessions.get(id))
    }

    /// How many sessions are open.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }
}
