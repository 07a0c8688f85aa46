//! The consumers of a session and how far each has read.

use crate::collections::packed::{PackedId, PackedSequence};
use crate::collections::{ChunkedVec, Entry};
use crate::{ConsumerId, Event, Record, Sequence};

/// A consumer for lists and readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerView {
    /// The sequence of its joining.
    pub joined: Sequence,
    /// The last sequence that it was given according to the log.
    pub cursor: Sequence,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Cursors(ChunkedVec<Cursor>);

/// Equality ignores how entries are chunked.
impl PartialEq for Cursors {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Cursors {}

impl Cursors {
    /// The consumers of a snapshot.
    pub(crate) fn restored(
        consumers: impl IntoIterator<Item = (ConsumerId, ConsumerView)>,
    ) -> Self {
        let mut cursors = Self::default();
        for (id, view) in consumers {
            cursors.join(id, view);
        }
        cursors
    }

    pub(super) fn apply(&mut self, record: &Record) {
        match record.event {
            Event::ConsumerJoined { consumer, .. } => {
                let joined = ConsumerView {
                    joined: record.sequence,
                    cursor: Sequence::START,
                };
                self.join(consumer, joined);
            }
            Event::CursorAdvanced { consumer, to, .. } => {
                self.0
                    .change(consumer, |(), known| known.cursor = to.into());
            }
            Event::ConsumerLeft { consumer, .. } => {
                self.0.remove(consumer);
            }
            _ => {}
        }
    }

    pub(super) fn get(&self, id: ConsumerId) -> Option<ConsumerView> {
        self.0.get(id).map(|((), cursor)| cursor.view())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConsumerId, ConsumerView)> {
        self.0
            .iter()
            .map(|((), cursor)| (cursor.id(), cursor.view()))
    }

    fn join(&mut self, id: ConsumerId, view: ConsumerView) {
        let cursor = Cursor {
            id: id.into(),
            joined: view.joined.into(),
            cursor: view.cursor.into(),
        };
        self.0.push(cursor, (), |(), ()| true);
    }
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    id: PackedId,
    joined: PackedSequence,
    cursor: PackedSequence,
}

impl Entry for Cursor {
    type Summary = ();

    fn id(&self) -> ConsumerId {
        self.id.into()
    }

    fn summarize((): &mut (), _: &[Self]) {}
}

impl Cursor {
    fn view(&self) -> ConsumerView {
        ConsumerView {
            joined: self.joined.into(),
            cursor: self.cursor.into(),
        }
    }
}
