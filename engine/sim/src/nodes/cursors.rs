//! What consumers were given, through whichever node they pulled.

use super::truth::Truth;
use crate::oracle::{ensure, filter_of};
use rejoin_core::{ConsumerId, Event, Record, Sequence, SessionId};
use rejoin_engine::Pulled;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A consumer, by its session.
pub(super) type Key = (SessionId, ConsumerId);

/// All consumers.
#[derive(Debug, Default)]
pub(super) struct Cursors(BTreeMap<Key, Cursor>);

#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    /// The last sequence that the consumer was given.
    given: Sequence,
    /// The last sequence that it was ever given, with all before it.
    highest: Sequence,
    /// How often the log was disturbed by then: after that, records may come again.
    disturbed: u64,
    /// The process through which a pull is open.
    puller: Option<usize>,
}

impl Cursors {
    /// A consumer that nobody pulls for, if `draw` picks one of that number.
    pub(super) fn free(&self, draw: impl FnOnce(usize) -> usize) -> Option<Key> {
        let free: Vec<_> = self
            .0
            .iter()
            .filter(|(_, it)| it.puller.is_none())
            .collect();
        free.get(draw(free.len())).map(|(key, _)| **key)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.0.keys().copied().collect()
    }

    pub(super) fn join(&mut self, key: Key) {
        self.0.entry(key).or_default();
    }

    pub(super) fn begin(&mut self, key: Key, process: usize) {
        self.0.entry(key).or_default().puller = Some(process);
    }

    pub(super) fn end(&mut self, key: Key) {
        if let Some(cursor) = self.0.get_mut(&key) {
            cursor.puller = None;
        }
    }

    /// The consumer is gone.
    pub(super) fn remove(&mut self, key: Key) {
        self.0.remove(&key);
    }

    /// A process is dead, with all its clients.
    pub(super) fn lose(&mut self, process: usize) {
        for cursor in self.0.values_mut() {
            if cursor.puller == Some(process) {
                cursor.puller = None;
            }
        }
    }

    /// Checks what a pull gave, when the log was `disturbed` that often, and may be moving: a former owner that
    /// does not know it yet keeps cursors in vain. Returns whether some records came again.
    ///
    /// # Errors
    ///
    /// The promise that it breaks.
    pub(super) fn give(
        &mut self,
        (session, consumer): Key,
        pulled: &Pulled,
        (disturbed, is_moving): (u64, bool),
        truth: &Truth,
    ) -> Result<bool, String> {
        let cursor = self.0.entry((session, consumer)).or_default();
        let wants = filter_of(consumer);
        let wanted = |after: Sequence, to: Sequence| -> Vec<&Arc<Record>> {
            let own = truth.of(session);
            own.filter(|it| it.sequence > after && it.sequence <= to && wants(it))
                .collect()
        };
        if pulled.after < cursor.given {
            // With no records, another pull of the consumer may be open yet.
            ensure!(
                pulled.records.is_empty() || cursor.disturbed < disturbed,
                "promise 2: consumer {consumer} was at {} and is given records after {} again",
                cursor.given,
                pulled.after
            );
        } else if let Some(missed) = wanted(cursor.highest, pulled.after).first() {
            return Err(format!(
                "promise 2: consumer {consumer}, which was at {}, never got {missed:?}",
                cursor.highest
            ));
        }
        let is_again = pulled.after < cursor.given && !pulled.records.is_empty();
        let Some(last) = pulled.records.last().map(|last| last.sequence) else {
            return Ok(is_again);
        };
        let expected = wanted(pulled.after, last);
        ensure!(
            expected.iter().copied().eq(pulled.records.iter()),
            "promises 2, 3: consumer {consumer} got {:?} of what is stored as {expected:?}",
            pulled.records
        );
        cursor.given = last;
        cursor.highest = cursor.highest.max(last);
        cursor.disturbed = match is_moving {
            true => disturbed.saturating_sub(1),
            false => disturbed,
        };
        Ok(is_again)
    }

    /// Checks that a consumer was given all that it wants.
    ///
    /// # Errors
    ///
    /// If not.
    pub(super) fn check_caught_up(
        &self,
        (session, consumer): Key,
        truth: &Truth,
    ) -> Result<(), String> {
        let Some(cursor) = self.0.get(&(session, consumer)) else {
            return Ok(());
        };
        let wants = filter_of(consumer);
        // Pulling makes records of its own.
        let is_own = |record: &Record| {
            matches!(
                record.event,
                Event::CursorAdvanced { .. } | Event::SessionTouched { .. }
            )
        };
        let last = truth
            .of(session)
            .rfind(|record| wants(record) && !is_own(record));
        let last = last.map_or(Sequence::START, |record| record.sequence);
        ensure!(
            cursor.given >= last,
            "promise 2: {consumer} has not caught up: it is at {} of {last}",
            cursor.given
        );
        Ok(())
    }
}
