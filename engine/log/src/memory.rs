//! A log in memory, for tests and for embedding without persistence.

use crate::log::{AppendError, Log, LogReader, ReadError, ReadLimit};
use crate::schema;
use crate::sequence::find_gap;
use rejoin_core::{Event, Record, Sequence, SessionId};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

/// A log in memory. Its contents are lost when the process ends.
///
/// Behaves like any [`Log`], but nothing is durable. It grows without bound, and neither appends
/// nor reads block for long.
///
/// ```
/// use rejoin_core::{Event, Record, Sequence, SessionId, Timestamp};
/// use rejoin_log::{Log, MemoryLog, ReadLimit};
/// use std::sync::Arc;
///
/// let session = SessionId::from_bytes([7; 16]);
/// let record = Arc::new(Record {
///     session,
///     sequence: Sequence(1),
///     at: Timestamp::EPOCH,
///     clock: Timestamp::EPOCH.into(),
///     actor: None, redacted: None,
///     event: Event::SessionResumed,
/// });
/// let mut log = MemoryLog::new();
/// let reader = log.reader();
/// log.append(std::slice::from_ref(&record))?;
/// let read = reader.read(session, Sequence::START, ReadLimit { records: 10, bytes: 1_000 })?;
/// assert_eq!(read, [record]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryLog {
    streams: Arc<Streams>,
    closed: bool,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Log for MemoryLog {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        if self.closed {
            return Err(AppendError::closed());
        }
        let lengths = encoded_lengths(records);
        let mut streams = self
            .streams
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let last = |session| {
            let stream: &Vec<Stored> = streams.get(&session)?;
            stream.last().map(|stored| stored.record.sequence)
        };
        if let Some(gap) = find_gap(records, last) {
            return Err(AppendError::refused(io::Error::new(
                io::ErrorKind::InvalidInput,
                gap,
            )));
        }
        for (record, encoded) in records.iter().zip(lengths) {
            streams.entry(record.session).or_default().push(Stored {
                record: Arc::clone(record),
                encoded,
            });
            if let (Event::RecordsRedacted { .. }, Some(stream)) =
                (&record.event, streams.get_mut(&record.session))
            {
                for stored in stream {
                    if let Some(redacted) = stored.record.redacted_by(record) {
                        stored.record = Arc::new(redacted);
                    }
                }
            }
        }
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        let streams: Arc<Streams> = Arc::clone(&self.streams);
        streams
    }

    fn close(&mut self) -> Result<(), AppendError> {
        self.closed = true;
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Streams {
    sessions: RwLock<BTreeMap<SessionId, Vec<Stored>>>,
}

#[derive(Debug)]
struct Stored {
    record: Arc<Record>,
    /// Encoded length in bytes, which the limit of a read counts.
    encoded: usize,
}

impl LogReader for Streams {
    fn sessions(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionId> {
        let streams = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let all = streams.range((from, Bound::Unbounded));
        all.map(|(session, _)| *session).take(limit).collect()
    }

    fn read(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        let streams = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let Some(stream) = streams.get(&session) else {
            return Ok(Vec::new());
        };
        let start = stream.partition_point(|stored| stored.record.sequence <= after);
        let mut read = Vec::new();
        let mut bytes: usize = 0;
        for stored in stream.iter().skip(start) {
            read.push(Arc::clone(&stored.record));
            bytes = bytes.saturating_add(stored.encoded);
            if limit.is_reached(read.len(), bytes) {
                break;
            }
        }
        Ok(read)
    }
}

fn encoded_lengths(records: &[Arc<Record>]) -> Vec<usize> {
    let mut encoded = Vec::new();
    records
        .iter()
        .map(|record| {
            encoded.clear();
            schema::encode(record, &mut encoded);
            encoded.len()
        })
        .collect()
}
