//! A test suite that every implementation of a log must pass.
//!
//! [`conformance!`](crate::conformance!) generates a test for each function here; [`all`] runs them
//! all.
//!
//! ```
//! use rejoin_log::{MemoryLog, conformance};
//!
//! conformance::all(&mut || Box::new(MemoryLog::new()));
//! ```
//!
//! A function panics if the log fails it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test suite panics when it fails"
)]

use crate::testing::{record, session};
use crate::{AppendError, Log, LogReader, ReadLimit};
use rejoin_core::{Event, JobId, LossCause, Record, Sequence, SessionNumber, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Creates a new, empty log.
pub type Factory<'a> = &'a mut dyn FnMut() -> Box<dyn Log>;

macro_rules! suite {
    ($($(#[$doc:meta])* fn $name:ident($new:ident) $body:block)*) => {
        $($(#[$doc])* pub fn $name($new: Factory<'_>) $body)*

        /// Runs the whole suite.
        pub fn all(new: Factory<'_>) {
            $($name(new);)*
        }

        /// Generates a test for each function of the suite. The expression is evaluated in each
        /// test and must be a `FnMut() -> Box<dyn Log>` that creates empty logs.
        ///
        /// ```
        /// rejoin_log::conformance!(|| Box::new(rejoin_log::MemoryLog::new()));
        /// # fn main() {}
        /// ```
        #[macro_export]
        macro_rules! conformance {
            ($factory:expr) => {
                $(#[test]
                fn $name() {
                    $crate::conformance::$name(&mut $factory);
                })*
            };
        }
    };
}

suite! {
    /// A read returns the appended records of its session, in order, and no others.
    fn a_session_reads_what_was_appended_to_it(new) {
        let mut log = new();
        let reader = log.reader();
        let batches = [
            vec![record(1, 1), record(2, 1), record(1, 2)],
            vec![record(2, 2)],
            vec![record(1, 3), record(1, 4), record(3, 1), record(1, 5)],
        ];
        for batch in &batches {
            log.append(batch).unwrap();
        }
        for number in 0..=4 {
            let expected: Vec<_> = batches
                .iter()
                .flatten()
                .filter(|record| record.session == session(number))
                .cloned()
                .collect();
            assert_eq!(read(&*reader, number, 0), expected);
        }
    }

    /// The sessions are listed in their order, a part in each call.
    fn sessions_are_listed_in_their_order(new) {
        let mut log = new();
        let reader = log.reader();
        assert_eq!(reader.sessions(None, 10), []);
        log.append(&[record(3, 1), record(1, 1), record(2, 1), record(1, 2)]).unwrap();
        let all = [session(1), session(2), session(3)];
        assert_eq!(reader.sessions(None, 10), all);
        assert_eq!(reader.sessions(None, 2), all[..2]);
        assert_eq!(reader.sessions(Some(session(1)), 10), all[1..]);
        assert_eq!(reader.sessions(Some(session(3)), 10), []);
    }

    /// Once a redaction is appended, what it names reads as it leaves it, and all else as before.
    fn a_redacted_record_reads_as_its_redaction_leaves_it(new) {
        let mut log = new();
        let reader = log.reader();
        let batch = [record(1, 1), record(1, 2), record(1, 3), record(2, 1), record(2, 2)];
        log.append(&batch).unwrap();
        let redaction = Arc::new(Record {
            sequence: Sequence(4),
            event: Event::RecordsRedacted { records: [Sequence(2)].into() },
            ..(*record(1, 1)).clone()
        });
        log.append(std::slice::from_ref(&redaction)).unwrap();
        let redacted = batch[1].redacted_by(&redaction).unwrap();
        let own = read(&*reader, 1, 0);
        assert_eq!(*own[1], redacted);
        assert!(own[1].redacted.is_some());
        assert_eq!([&own[0], &own[2], &own[3]], [&batch[0], &batch[2], &redaction]);
        assert_eq!(read(&*reader, 2, 0), batch[3..]);
    }

    /// A read starts after the given sequence, wherever that is.
    fn a_read_begins_after_any_sequence(new) {
        let mut log = new();
        let batches = [records(1, 1..=3), records(1, 4..=4), records(1, 5..=9)];
        for batch in &batches {
            log.append(batch).unwrap();
        }
        let reader = log.reader();
        for after in 0..=9 {
            assert_eq!(read(&*reader, 1, after), records(1, after + 1..=9), "after {after}");
        }
        for after in [10, u64::MAX] {
            assert_eq!(read(&*reader, 1, after), [], "after {after}");
        }
    }

    /// A read stops at either limit, but returns at least one record.
    fn a_read_keeps_to_its_limits_and_gives_at_least_one_record(new) {
        let mut log = new();
        for sequence in 1..=8 {
            log.append(&[record(1, sequence)]).unwrap();
        }
        let reader = log.reader();
        let count = |after, records, bytes| {
            let limit = ReadLimit { records, bytes };
            reader.read(session(1), Sequence(after), limit).unwrap().len()
        };
        for limit in 0..=10 {
            assert_eq!(count(0, limit, usize::MAX), limit.clamp(1, 8), "{limit} records");
            assert_eq!(count(6, limit, usize::MAX), limit.clamp(1, 2), "{limit} records");
        }
        let sizes: Vec<_> = (1..=8).map(|sequence| encoded(&record(1, sequence))).collect();
        for limit in 0..=sizes.iter().sum::<usize>() + 1 {
            // The record that reaches the limit is the last one.
            let mut sum = 0;
            let reaching = sizes.iter().position(|size| { sum += size; sum >= limit });
            let expected = reaching.map_or(8, |place| place + 1);
            assert_eq!(count(0, usize::MAX, limit), expected, "{limit} bytes");
        }
    }

    /// A batch without records changes nothing.
    fn an_empty_batch_is_nothing(new) {
        let mut log = new();
        log.append(&[]).unwrap();
        log.append(&[record(1, 1)]).unwrap();
        log.append(&[]).unwrap();
        assert_eq!(read(&*log.reader(), 1, 0), [record(1, 1)]);
    }

    /// A batch with a gap or a repetition is refused as a whole, and the log can still be used.
    fn a_gap_in_a_session_is_refused_with_all_of_its_batch(new) {
        let mut log = new();
        log.append(&[record(1, 1)]).unwrap();
        let wrong = [
            vec![record(1, 1)],
            vec![record(1, 3)],
            vec![record(1, 2), record(1, 2)],
            vec![record(1, 2), record(2, 2)],
            vec![record(1, 2), record(1, 0)],
            vec![record(2, u64::MAX)],
        ];
        for batch in wrong {
            let Err(AppendError::Refused(_)) = log.append(&batch) else {
                panic!("{batch:?} was not refused");
            };
        }
        log.append(&[record(1, 2), record(2, 1)]).unwrap();
        assert_eq!(read(&*log.reader(), 1, 0), records(1, 1..=2));
        assert_eq!(read(&*log.reader(), 2, 0), records(2, 1..=1));
    }

    /// A declared gap is accepted, and reads return it in its place.
    fn a_declared_gap_stands_where_the_records_would_have_been(new) {
        let mut log = new();
        log.append(&records(1, 1..=3)).unwrap();
        let wrong = [
            // Does not follow the last record (twice); is empty; has a sequence other than its end.
            lost(1, 9, (5, 9)),
            lost(1, 9, (3, 9)),
            lost(1, 3, (4, 3)),
            lost(1, 8, (4, 9)),
        ];
        for record in wrong {
            let Err(AppendError::Refused(_)) = log.append(std::slice::from_ref(&record)) else {
                panic!("{record:?} was not refused");
            };
        }
        let gap = lost(1, 9, (4, 9));
        let behind = [Arc::clone(&gap), record(1, 10), record(2, 1)];
        log.append(&behind).unwrap();
        log.append(&records(1, 11..=12)).unwrap();
        let reader = log.reader();
        let all = [records(1, 1..=3), vec![gap], records(1, 10..=12)].concat();
        for after in 0..=12 {
            let mut expected = all.clone();
            expected.retain(|record| record.sequence.0 > after);
            assert_eq!(read(&*reader, 1, after), expected, "after {after}");
        }
        assert_eq!(read(&*reader, 2, 0), records(2, 1..=1));
    }

    /// The rest of a removed session can be read, however much of it has been dropped.
    fn a_removal_stands_behind_what_is_left_of_its_session(new) {
        for left in 0..=5 {
            let mut log = new();
            log.append(&records(1, 1..=left)).unwrap();
            for wrong in [removed(1, 5, 5), removed(1, 7, 5)] {
                let Err(AppendError::Refused(_)) = log.append(std::slice::from_ref(&wrong)) else {
                    panic!("{wrong:?} was not refused");
                };
            }
            let removal = removed(1, 6, 5);
            log.append(std::slice::from_ref(&removal)).unwrap();
            let reader = log.reader();
            assert_eq!(read(&*reader, 1, left), [Arc::clone(&removal)]);
            assert_eq!(read(&*reader, 1, 5), [removal]);
            assert_eq!(read(&*reader, 1, 0).len() as u64, left + 1);
            assert_eq!(read(&*reader, 1, 6), []);
        }
    }

    /// A large batch of large records is handled like any other batch.
    fn a_large_batch_is_read_as_it_was_written(new) {
        let mut log = new();
        let batch: Vec<_> = (1..=40_u64)
            .map(|sequence| {
                let text = "é".repeat(usize::try_from(sequence).unwrap() * 1_000);
                Arc::new(Record {
                    session: session(u8::from(sequence > 20)),
                    sequence: Sequence((sequence - 1) % 20 + 1),
                    at: Timestamp::from_millis(sequence),
                    clock: Timestamp::from_millis(sequence).into(),
                    actor: None, redacted: None,
                    event: Event::UserSet { user: text.into() },
                })
            })
            .collect();
        log.append(&batch).unwrap();
        let reader = log.reader();
        assert_eq!(read(&*reader, 0, 0), batch[..20]);
        assert_eq!(read(&*reader, 1, 0), batch[20..]);
        assert_eq!(read(&*reader, 1, 15), batch[35..]);
    }

    /// A closed log refuses appends, closing it again does nothing, and readers keep working.
    fn a_closed_log_is_read_and_not_written(new) {
        let mut log = new();
        let reader = log.reader();
        log.append(&records(1, 1..=2)).unwrap();
        log.close().unwrap();
        log.close().unwrap();
        let Err(AppendError::Poisoned(_)) = log.append(&[record(1, 3)]) else {
            panic!("a closed log accepted a batch");
        };
        assert_eq!(read(&*reader, 1, 0), records(1, 1..=2));
        drop(log);
        assert_eq!(read(&*reader, 1, 0), records(1, 1..=2));
    }

    /// Readers on other threads see whole batches, in order, and never fewer than before.
    fn readers_see_whole_batches_while_they_are_written(new) {
        const BATCHES: u64 = 200;
        let mut log = new();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for number in [1, 2] {
                let reader = log.reader();
                let done = &done;
                scope.spawn(move || {
                    let mut seen = 0;
                    loop {
                        let last = done.load(Ordering::Acquire);
                        let read = read(&*reader, number, seen);
                        let next = seen + read.len() as u64;
                        assert_eq!(read, records(number, seen + 1..=next));
                        assert_eq!(next % 3, 0, "part of a batch was visible");
                        seen = next;
                        if last {
                            break;
                        }
                    }
                    assert_eq!(seen, 3 * BATCHES);
                });
            }
            for batch in 0..BATCHES {
                let start = 3 * batch + 1;
                let mut mixed = records(1, start..=start + 1);
                mixed.extend(records(2, start..=start + 2));
                mixed.extend(records(1, start + 2..=start + 2));
                log.append(&mixed).unwrap();
            }
            done.store(true, Ordering::Release);
        });
    }
}

fn records(number: u8, sequences: std::ops::RangeInclusive<u64>) -> Vec<Arc<Record>> {
    sequences.map(|sequence| record(number, sequence)).collect()
}

/// A gap caused by damage.
fn lost(number: u8, sequence: u64, (first, last): (u64, u64)) -> Arc<Record> {
    Arc::new(Record {
        sequence: Sequence(sequence),
        event: Event::RecordsLost {
            first: Sequence(first),
            last: Sequence(last),
            cause: LossCause::Damage,
        },
        ..(*record(number, 1)).clone()
    })
}

/// The removal of a session whose last sequence is `last`.
fn removed(number: u8, sequence: u64, last: u64) -> Arc<Record> {
    Arc::new(Record {
        sequence: Sequence(sequence),
        event: Event::RecordsLost {
            first: Sequence(1),
            last: Sequence(last),
            cause: LossCause::Retention {
                last_number: SessionNumber(1),
                last_job: JobId(1),
            },
        },
        ..(*record(number, 1)).clone()
    })
}

fn read(reader: &dyn LogReader, number: u8, after: u64) -> Vec<Arc<Record>> {
    reader
        .read(session(number), Sequence(after), ReadLimit::NONE)
        .unwrap()
}

fn encoded(record: &Record) -> usize {
    let mut bytes = Vec::new();
    crate::schema::encode(record, &mut bytes);
    bytes.len()
}
