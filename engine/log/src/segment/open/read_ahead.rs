//! Reading ahead while a log is opened: one thread reads, checks and decodes what is to be told
//! next, the other adds up what was read before. A start takes as long as the longer of the two,
//! where there are two processors.
//!
//! What enters: records, in the order in which they are read. What leaves: the same, in the same
//! order. What is never true: that more is held between the two than [`AHEAD`] says, or that the
//! reading thread goes on when this returns.

use crate::segment::open::Replay;
use rejoin_core::Record;
use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Records that are handed over together take about so many bytes.
const PART_BYTES: u64 = 128 * 1024;

/// How many parts may be read before the one that is added up.
const AHEAD: usize = 2;

/// Runs `read` on a thread of its own, and adds to `replay`, on this one, what it tells.
///
/// # Errors
///
/// When there can be no other thread. Nothing has been read then.
pub(crate) fn read_ahead<T: Send>(
    replay: &mut dyn Replay,
    read: impl FnOnce(&mut dyn FnMut(Record)) -> T + Send,
) -> io::Result<(T, u64)> {
    thread::scope(|scope| {
        let (full, parts) = sync_channel::<Vec<Record>>(AHEAD);
        // One more is being filled, and one added up.
        let (added_up, empty) = sync_channel(AHEAD + 2);
        let reading = thread::Builder::new().name("rejoin-read-ahead".to_owned());
        let reading = reading.spawn_scoped(scope, move || {
            let mut ahead = Ahead {
                part: Vec::new(),
                filled: 0,
                bytes: 0,
                full,
                empty,
            };
            let done = read(&mut |record| ahead.add(record));
            ahead.hand_over();
            done
        })?;
        let mut count = 0;
        for part in parts {
            count += part.len() as u64;
            part.iter().for_each(|record| replay.add(record));
            // Whoever made the records drops them: an allocator is slow at what another thread
            // gives back.
            let _ = added_up.try_send(part);
        }
        let done = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok((done, count))
    })
}

/// The reading thread's end.
struct Ahead {
    part: Vec<Record>,
    /// How many of the part's records are new. The others have been told, and go one by one as new
    /// ones take their places: so an allocator has room of just the right length at hand.
    filled: usize,
    bytes: u64,
    full: SyncSender<Vec<Record>>,
    empty: Receiver<Vec<Record>>,
}

impl Ahead {
    fn add(&mut self, record: Record) {
        self.bytes = self.bytes.saturating_add(record.event.bytes());
        match self.part.get_mut(self.filled) {
            Some(told) => *told = record,
            None => self.part.push(record),
        }
        self.filled += 1;
        if self.bytes >= PART_BYTES {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let next = self.empty.try_recv().unwrap_or_default();
        self.part.truncate(self.filled);
        self.filled = 0;
        self.bytes = 0;
        // Nobody takes it when `replay` has panicked, which is what the caller is told.
        let _ = self.full.send(std::mem::replace(&mut self.part, next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::{Event, Sequence, SessionId, Timestamp};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Far more than may be held at once: each fills half a part.
    const MANY: u64 = 1_000;

    fn record(sequence: u64) -> Record {
        Record {
            session: SessionId::from_bytes([1; 16]),
            sequence: Sequence(sequence),
            at: Timestamp::EPOCH,
            event: Event::UserSet {
                user: "x".repeat(PART_BYTES as usize / 2).into(),
            },
        }
    }

    struct Adding<F>(F);

    impl<F: FnMut(&Record)> Replay for Adding<F> {
        fn add(&mut self, record: &Record) {
            (self.0)(record);
        }
    }

    #[test]
    fn all_is_told_in_order_and_what_waits_is_bounded() {
        let read = AtomicU64::new(0);
        let mut last = 0;
        let mut most = 0;
        let mut adding = Adding(|record: &Record| {
            last += 1;
            assert_eq!(record.sequence, Sequence(last));
            most = most.max(read.load(Ordering::SeqCst) - last);
        });
        let told = read_ahead(&mut adding, |visit| {
            for sequence in 1..=MANY {
                read.store(sequence, Ordering::SeqCst);
                visit(record(sequence));
            }
            "all"
        });
        assert_eq!(told.unwrap(), ("all", MANY));
        assert_eq!(last, MANY);
        // Two to a part: those that wait, the one that is added up, the one that is filled.
        assert!(most <= 2 * (AHEAD as u64 + 2), "{most}");
    }

    #[test]
    fn a_panic_on_either_thread_is_the_callers() {
        let mut added = 0;
        let mut adding = Adding(|_: &Record| {
            added += 1;
            assert!(added < 10, "enough");
        });
        let told = AssertUnwindSafe(|| {
            read_ahead(&mut adding, |visit| (1..=MANY).map(record).for_each(visit))
        });
        assert!(catch_unwind(told).is_err());
        assert_eq!(added, 10);

        let mut last = 0;
        let mut adding = Adding(|record: &Record| last = record.sequence.0);
        let told = AssertUnwindSafe(|| {
            read_ahead(&mut adding, |visit| {
                (1..=9).map(record).for_each(visit);
                panic!("no more");
            })
        });
        assert!(catch_unwind(told).is_err());
        assert_eq!(last, 8, "the ninth is not half of a part");
    }
}
