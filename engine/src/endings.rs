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
    all: Receiver<Ended>,
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

/// What [`Endings::next`] answers.
#[derive(Clone, Debug)]
pub enum Ended {
    /// This record says it.
    Record(Arc<Record>),
    /// A log of another node has become visible, which may have taken a while after the start of this one: what ended
    /// in its sessions before is in the views and in the log, and not here.
    Unseen,
}

/// Where the records for one [`Endings`] are put.
#[derive(Debug)]
pub(crate) struct EndingsFeed {
    all: Sender<Ended>,
    missed: Arc<AtomicU64>,
}

impl Endings {
    pub(crate) fn new(capacity: usize) -> (EndingsFeed, Self) {
        let (sender, all) = async_channel::bounded(capacity);
        let missed = Arc::new(AtomicU64::new(0));
        let feed = EndingsFeed {
            all: sender,
            missed: missed.clone(),
        };
        (feed, Self { all, missed })
    }

    /// What ended next. None: the engine has ended, and there is no more.
    ///
    /// If this future is dropped, nothing is lost.
    pub async fn next(&mut self) -> Option<Ended> {
        self.all.recv().await.ok()
    }

    /// How many of them wait.
    pub fn waiting(&self) -> usize {
        self.all.len()
    }

    /// How many were left out since this was asked last.
    pub fn take_missed(&mut self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

impl EndingsFeed {
    /// Puts it in, unless too much waits. False: the feed is not read any more.
    pub(crate) fn put(&self, ended: Ended) -> bool {
        match self.all.try_send(ended) {
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
    use crate::committed::Committed;
    use crate::config::Config;
    use futures::FutureExt;
    use rejoin_core::{CloseCause, Sequence, SessionId, SessionNumber, Timestamp, Views};
    use rejoin_log::{Log, MemoryLog};
    use std::time::Duration;

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
            assert!(feed.put(Ended::Record(record(sequence))));
        }
        assert_eq!((endings.waiting(), endings.take_missed()), (2, 3));
        assert_eq!(endings.take_missed(), 0);
        let mut next = || match endings.next().now_or_never().flatten() {
            Some(Ended::Record(record)) => Some(record.sequence),
            _ => None,
        };
        assert_eq!(next(), Some(Sequence(1)));
        assert_eq!(next(), Some(Sequence(2)));
        assert!(next().is_none());
        assert!(feed.put(Ended::Record(record(6))));
        drop(endings);
        assert!(!feed.put(Ended::Unseen), "nobody reads it");
    }

    #[test]
    fn a_log_that_becomes_visible_later_with_sessions_is_said_once() {
        let created = Record {
            session: SessionId::from_bytes([1; 16]),
            sequence: Sequence(1),
            at: Timestamp::EPOCH,
            clock: Timestamp::EPOCH.into(),
            actor: None,
            redacted: None,
            event: Event::SessionCreated {
                number: SessionNumber(1),
                service: "shell".into(),
                user: None,
                remote: None,
                server: Config::default().server,
                timeout: Duration::from_secs(60),
            },
        };
        let committed = Committed::new(Views::default(), 1_000);
        let mut endings = committed.endings();
        let mut log = MemoryLog::new();
        log.append(&[Arc::new(created.clone())]).unwrap();
        let mut said = || endings.next().now_or_never().flatten();
        let include = |views| committed.include(views, |_| true, &*log.reader()).unwrap();
        include(Views::default());
        assert!(said().is_none(), "it has no session");
        for is_first in [true, false] {
            let mut views = Views::default();
            views.apply(&created);
            include(views);
            assert_eq!(matches!(said(), Some(Ended::Unseen)), is_first);
        }
    }
}
