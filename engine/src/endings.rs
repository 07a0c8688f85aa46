//! What has ended, over all sessions, for programs that notify others of it.

use async_channel::{Receiver, Sender, TrySendError};
use rejoin_core::{Event, Record};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The records that say that a job has finished or a session was closed, of all sessions, in the order of
/// the log, from when this was made on: see [`Engine::endings`](crate::Engine::endings).
///
/// A bounded number waits here ([`ENDINGS`](crate::limits::ENDINGS)). Further ones are counted and left
/// out, so that a reader that is too slow costs bounded memory and delays nothing.
pub struct Endings {
    records: Receiver<Arc<Record>>,
    missed: Arc<AtomicU64>,
}

impl fmt::Debug for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting();
        f.debug_struct("Endings")
            .field("waiting", &waiting)
            .finish()
    }
}

/// Where the records for one [`Endings`] are put.
#[derive(Debug)]
pub(crate) struct EndingsFeed {
    records: Sender<Arc<Record>>,
    missed: Arc<AtomicU64>,
}

impl Endings {
    pub(crate) fn new(capacity: usize) -> (EndingsFeed, Self) {
        let (sender, records) = async_channel::bounded(capacity);
        let missed = Arc::new(AtomicU64::new(0));
        let feed = EndingsFeed {
            records: sender,
            missed: missed.clone(),
        };
        (feed, Self { records, missed })
    }

    /// The next record. None: the engine has ended, and there are no more.
    ///
    /// If this future is dropped, no record is lost.
    pub async fn next(&mut self) -> Option<Arc<Record>> {
        self.records.recv().await.ok()
    }

    /// How many records wait.
    pub fn waiting(&self) -> usize {
        self.records.len()
    }

    /// How many records were left out since this was asked last.
    pub fn take_missed(&mut self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

impl EndingsFeed {
    /// Puts a record in, unless too many wait. False: the feed is not read any more.
    pub(crate) fn put(&self, record: &Arc<Record>) -> bool {
        match self.records.try_send(record.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

/// Whether a record says that something has ended.
pub(crate) const fn is_ending(record: &Record) -> bool {
    matches!(
        record.event,
        Event::JobFinished { .. } | Event::SessionClosed { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use rejoin_core::{CloseCause, Sequence, SessionId, Timestamp};

    #[test]
    fn what_a_slow_reader_has_no_room_for_is_counted_and_left_out() {
        let record = |sequence| {
            Arc::new(Record {
                session: SessionId::from_bytes([1; 16]),
                sequence: Sequence(sequence),
                at: Timestamp::EPOCH,
                clock: Timestamp::EPOCH.into(),
                actor: None,
                redacted: None,
                event: Event::SessionClosed {
                    cause: CloseCause::Idle,
                },
            })
        };
        let (feed, mut endings) = Endings::new(2);
        for sequence in 1..=5 {
            assert!(feed.put(&record(sequence)));
        }
        assert_eq!((endings.waiting(), endings.take_missed()), (2, 3));
        assert_eq!(endings.take_missed(), 0);
        let mut next = || endings.next().now_or_never().flatten();
        assert_eq!(next().map(|it| it.sequence), Some(Sequence(1)));
        assert_eq!(next().map(|it| it.sequence), Some(Sequence(2)));
        assert!(next().is_none());
        assert!(feed.put(&record(6)));
        drop(endings);
        assert!(!feed.put(&record(7)), "nobody reads it");
    }
}
