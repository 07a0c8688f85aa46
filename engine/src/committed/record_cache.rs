//! A cache of the last records of all sessions, up to a number of bytes. The oldest record of all
//! sessions is evicted first.

use crate::limits::RECORD_OVERHEAD;
use rejoin_core::{Event, Record, Sequence, SessionId};
use rejoin_log::ReadLimit;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct RecordCache {
    capacity: usize,
    bytes: usize,
    sessions: BTreeMap<SessionId, VecDeque<Arc<Record>>>,
    oldest_first: VecDeque<SessionId>,
}

impl RecordCache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            bytes: 0,
            sessions: BTreeMap::new(),
            oldest_first: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, record: &Arc<Record>) {
        self.redact(record);
        self.bytes += cost(record);
        self.sessions
            .entry(record.session)
            .or_default()
            .push_back(record.clone());
        self.oldest_first.push_back(record.session);
        while self.bytes > self.capacity {
            self.evict_oldest();
        }
    }

    /// The records after `after`, if the very next one is cached; otherwise the log has to be read.
    pub(crate) fn read(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Option<Vec<Arc<Record>>> {
        let records = self.sessions.get(&session)?;
        if *records.front()?.covered_sequences().start() > after.next() {
            return None;
        }
        let skip = records.partition_point(|record| record.sequence <= after);
        let mut bytes = 0;
        let read: Vec<_> = records
            .iter()
            .skip(skip)
            .take(limit.records)
            .take_while(|record| {
                let before = bytes;
                bytes += cost(record);
                before < limit.bytes.max(1)
            })
            .cloned()
            .collect();
        (!read.is_empty()).then_some(read)
    }

    /// The bytes in the cache, and their limit.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.bytes as u64, self.capacity as u64)
    }

    /// Replaces what is redacted by this record, if it redacts.
    fn redact(&mut self, redaction: &Record) {
        if !matches!(redaction.event, Event::RecordsRedacted { .. }) {
            return;
        }
        // Their cost stays the same.
        for record in self
            .sessions
            .get_mut(&redaction.session)
            .into_iter()
            .flatten()
        {
            if let Some(redacted) = record.redacted_by(redaction) {
                *record = Arc::new(redacted);
            }
        }
    }

    /// Drops the records of a session that is gone.
    pub(crate) fn forget(&mut self, session: SessionId) {
        for record in self.sessions.remove(&session).into_iter().flatten() {
            self.bytes -= cost(&record);
        }
    }

    fn evict_oldest(&mut self) {
        let Some(session) = self.oldest_first.pop_front() else {
            return;
        };
        let Some(records) = self.sessions.get_mut(&session) else {
            return;
        };
        if let Some(record) = records.pop_front() {
            self.bytes -= cost(&record);
        }
        if records.is_empty() {
            self.sessions.remove(&session);
        }
    }
}

/// The approximate size of a record in memory, in bytes.
pub(crate) fn cost(record: &Record) -> usize {
    let actor = record.actor.as_ref();
    RECORD_OVERHEAD
        + actor.map_or(0, |actor| RECORD_OVERHEAD + actor.text_bytes())
        + match &record.event {
            Event::ResultEmitted { result, .. } => result.len(),
            Event::JobSubmitted { statement, .. } => statement.len(),
            Event::InputWritten { bytes, .. } => bytes.len(),
            Event::ScreenCaptured { content, .. } => content.len(),
            _ => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::{JobId, LossCause, SessionNumber, Timestamp};

    const ALL: ReadLimit = ReadLimit {
        records: 1_000,
        bytes: usize::MAX,
    };

    fn record(session: u8, sequence: u64) -> Arc<Record> {
        Arc::new(Record {
            session: SessionId::from_bytes([session; 16]),
            sequence: Sequence(sequence),
            at: Timestamp::EPOCH,
            clock: Timestamp::EPOCH.into(),
            actor: None,
            redacted: None,
            event: Event::SessionResumed,
        })
    }

    fn sequences(read: Option<Vec<Arc<Record>>>) -> Option<Vec<u64>> {
        read.map(|records| records.iter().map(|record| record.sequence.0).collect())
    }

    #[test]
    fn the_oldest_record_of_all_sessions_is_evicted_first() {
        let mut cache = RecordCache::new(3 * RECORD_OVERHEAD);
        for (session, sequence) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
            cache.push(&record(session, sequence));
        }
        let read = |session, after| {
            sequences(cache.read(SessionId::from_bytes([session; 16]), Sequence(after), ALL))
        };
        assert_eq!(
            read(1, 0),
            None,
            "evicted records have to be read from the log"
        );
        assert_eq!(read(1, 1), Some(vec![2]));
        assert_eq!(read(2, 0), Some(vec![1, 2]));
        assert_eq!(read(2, 2), None);
        assert_eq!(read(3, 0), None);
    }

    #[test]
    fn a_removal_is_read_after_any_sequence_that_it_covers() {
        let mut cache = RecordCache::new(usize::MAX);
        let removed = Record {
            event: Event::RecordsLost {
                first: Sequence(1),
                last: Sequence(6),
                cause: LossCause::Retention {
                    last_number: SessionNumber(1),
                    last_job: JobId(1),
                },
            },
            ..(*record(1, 7)).clone()
        };
        cache.push(&Arc::new(removed));
        let read =
            |after| sequences(cache.read(SessionId::from_bytes([1; 16]), Sequence(after), ALL));
        for after in 0..=6 {
            assert_eq!(read(after), Some(vec![7]), "after {after}");
        }
        assert_eq!(read(7), None);
    }

    #[test]
    fn a_read_stops_at_its_limits_but_not_before_the_first_record() {
        let mut cache = RecordCache::new(usize::MAX);
        (1..=5).for_each(|sequence| cache.push(&record(1, sequence)));
        let read = |records, bytes| {
            let limit = ReadLimit { records, bytes };
            sequences(cache.read(SessionId::from_bytes([1; 16]), Sequence(1), limit))
        };
        assert_eq!(read(2, usize::MAX), Some(vec![2, 3]));
        assert_eq!(read(100, 0), Some(vec![2]));
        assert_eq!(read(100, RECORD_OVERHEAD + 1), Some(vec![2, 3]));
    }
}
