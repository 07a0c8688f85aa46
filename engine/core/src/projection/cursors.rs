//! How far each consumer of a session has come.

use crate::few::Few;
use crate::{ConsumerId, Event, Record, Sequence, Timestamp};

/// Somebody who reads a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerView {
    /// The sequence of the record that says that it joined.
    pub joined: Sequence,
    /// The last sequence that it was given, as far as the log knows.
    pub cursor: Sequence,
    /// When it joined.
    pub since: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursors(pub(crate) Few<ConsumerId, ConsumerView>);

impl Cursors {
    pub(super) fn apply(&mut self, record: &Record) {
        match record.event {
            Event::ConsumerJoined { consumer, .. } => {
                let joined = ConsumerView {
                    joined: record.sequence,
                    cursor: Sequence::START,
                    since: record.at,
                };
                self.0.insert(consumer, joined);
            }
            Event::CursorAdvanced { consumer, to, .. } => {
                if let Some(view) = self.0.get_mut(&consumer) {
                    view.cursor = to;
                }
            }
            Event::ConsumerLeft { consumer, .. } => {
                self.0.remove(&consumer);
            }
            _ => {}
        }
    }
}
