//! Reads ahead while a log is opened: a helper thread reads, checks and decodes records, and the
//! calling thread folds them in the same order. With two processors, opening takes as long as the
//! slower of the two threads.
//!
//! Invariants: at most [`AHEAD`] parts wait between the two threads; the helper thread has ended
//! when [`read_ahead`] returns.

use crate::segment::open::Replay;
use rejoin_core::Record;
use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// About how many bytes of records are handed over at once.
const PART_BYTES: u64 = 128 * 1024;

/// How many parts may be queued behind the one that is being folded.
const AHEAD: usize = 2;

/// Runs `read` on a helper thread, and adds the records that it reads to `replay` on this thread.
/// Returns the result of `read` and the number of records.
///
/// # Errors
///
/// If no thread can be started. Nothing has been read then.
pub(crate) fn read_ahead<T: Send>(
    replay: &mut dyn Replay,
    read: impl FnOnce(&mut dyn FnMut(Record)) -> T + Send,
) -> io::Result<(T, u64)> {
    thread::scope(|scope| {
        let (full, parts) = sync_channel::<Vec<Record>>(AHEAD);
        // One more is being filled, and one is being folded.
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
            // Send the records back, so that the thread that allocated them frees them: freeing on
            // another thread is slow.
            let _ = added_up.try_send(part);
        }
        let done = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok((done, count))
    })
}

/// The helper thread's side.
struct Ahead {
    part: Vec<Record>,
    /// How many of the part's records are new. The others were already folded. Each is dropped when
    /// a new record replaces it, so the allocator has free memory of the right size.
    filled: usize,
    bytes: u64,
    full: SyncSender<Vec<Record>>,
    empty: Receiver<Vec<Record>>,
}

impl Ahead {
    fn add(&mut self, record: Record) {
        self.bytes = self.bytes.saturating_add(record.bytes());
        match self.part.get_mut(self.filled) {
            Some(place) => *place = record,
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
        // The send fails only if `replay` has panicked. The panic reaches the caller.
        let _ = self.full.send(std::mem::replace(&mut self.part, next));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::{Event, Sequence, SessionId, Timestamp};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Far more records than may be in memory at once: each fills half a part.
    const MANY: u64 = 1_000;

    fn record(sequence: u64) -> Record {
        Record {
            session: SessionId::from_bytes([1; 16]),
            sequence: Sequence(sequence),
            at: Timestamp::EPOCH,
            clock: Timestamp::EPOCH.into(),
            actor: None,
            redacted: None,
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
    fn all_is_passed_on_in_order_and_what_waits_is_bounded() {
        let read = AtomicU64::new(0);
        let mut last = 0;
        let mut most = 0;
        let mut adding = Adding(|record: &Record| {
            last += 1;
            assert_eq!(record.sequence, Sequence(last));
            most = most.max(read.load(Ordering::SeqCst) - last);
        });
        let read = read_ahead(&mut adding, |visit| {
            for sequence in 1..=MANY {
                read.store(sequence, Ordering::SeqCst);
                visit(record(sequence));
            }
            "all"
        });
        assert_eq!(read.unwrap(), ("all", MANY));
        assert_eq!(last, MANY);
        // Two records per part: the queued parts, the one being folded, and the one being filled.
        assert!(most <= 2 * (AHEAD as u64 + 2), "{most}");
    }

    #[test]
    fn a_panic_on_either_thread_is_the_callers() {
        let mut added = 0;
        let mut adding = Adding(|_: &Record| {
            added += 1;
            assert!(added < 10, "enough");
        });
        let reading = AssertUnwindSafe(|| {
            read_ahead(&mut adding, |visit| (1..=MANY).map(record).for_each(visit))
        });
        assert!(catch_unwind(reading).is_err());
        assert_eq!(added, 10);

        let mut last = 0;
        let mut adding = Adding(|record: &Record| last = record.sequence.0);
        let reading = AssertUnwindSafe(|| {
            read_ahead(&mut adding, |visit| {
                (1..=9).map(record).for_each(visit);
                panic!("no more");
            })
        });
        assert!(catch_unwind(reading).is_err());
        assert_eq!(last, 8, "the ninth record was in an unfinished part");
    }
}
