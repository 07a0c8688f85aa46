//! The promises about records, checked in the dumbest way: no code of the engine is used here but
//! its words. Feed it every record of a log, in the log's order.

use crate::{
    CloseCause, ConsumerId, Event, JobId, LeaveCause, LossCause, Record, Retention, Sequence,
    SessionId, SessionNumber, Timestamp,
};
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

/// What the records so far allow the next one to be.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    at: Timestamp,
    numbers: BTreeSet<u64>,
    all_jobs: BTreeSet<JobId>,
    sessions: BTreeMap<SessionId, Told>,
    retention: Retention,
    /// The bytes of all that is closed and was not removed.
    closed_bytes: u64,
}

#[derive(Clone, Debug, Default)]
struct Told {
    last: Sequence,
    closed: Option<Timestamp>,
    is_removed: bool,
    bytes: u64,
    used: Timestamp,
    timeout: Duration,
    running: BTreeMap<JobId, Timestamp>,
    consumers: BTreeMap<ConsumerId, (Timestamp, Duration)>,
}

impl Promises {
    /// As the default, for a log whose closed sessions are kept so.
    pub fn keeping(retention: Retention) -> Self {
        Self {
            retention,
            ..Self::default()
        }
    }

    /// Takes the next record.
    ///
    /// # Panics
    ///
    /// When it breaks a promise; the message names it by its number.
    pub fn take(&mut self, record: &Record) {
        let Record {
            session,
            sequence,
            at,
            event,
        } = record;
        assert!(
            *at >= self.at,
            "promise 2: {record:?} is stamped before the record before it"
        );
        self.at = *at;
        let told = self.sessions.entry(*session).or_default();
        assert_eq!(
            *sequence,
            told.last.next(),
            "promise 2: a gap before {record:?}"
        );
        let is_removal = matches!(event, Event::RecordsLost { .. });
        assert!(
            told.closed.is_none() || (is_removal && !told.is_removed),
            "promise 7: {record:?} follows the end of its session"
        );
        let last = told.last;
        told.last = *sequence;
        told.bytes += event.bytes();
        match event {
            Event::SessionCreated {
                number, timeout, ..
            } => {
                assert!(
                    self.numbers.insert(number.0),
                    "promise 2: {number} was used before"
                );
                told.timeout = *timeout;
            }
            Event::JobSubmitted { job, timeout, .. } => {
                let newest = self.all_jobs.last().copied().unwrap_or(JobId(0));
                assert!(*job > newest, "promise 2: job {job} does not grow");
                self.all_jobs.insert(*job);
                told.running.insert(*job, *at + *timeout);
            }
            Event::JobStarted { job, .. }
            | Event::InputWritten { job, .. }
            | Event::ResultEmitted { job, .. } => {
                assert!(
                    told.running.contains_key(job),
                    "promise 7: {record:?} after its job's end"
                );
            }
            Event::InterruptRequested { job, cause, .. } => {
                let due = told.running.get(job);
                let due =
                    due.unwrap_or_else(|| panic!("promise 7: {record:?} after its job's end"));
                if *cause == crate::InterruptCause::Timeout {
                    assert!(at >= due, "promise 8: {record:?} is early");
                }
            }
            Event::JobFinished { job, .. } => {
                assert!(
                    told.running.remove(job).is_some(),
                    "promise 7: {job} ends twice"
                );
            }
            Event::SessionClosed { cause } => {
                assert!(
                    told.running.is_empty(),
                    "promises 6, 7: closed while {:?} run",
                    told.running
                );
                if *cause == CloseCause::Idle {
                    assert!(
                        *at >= told.used + told.timeout,
                        "promise 8: {record:?} is early"
                    );
                }
                told.closed = Some(*at);
                self.closed_bytes += told.bytes;
            }
            Event::ConsumerJoined {
                consumer, timeout, ..
            } => {
                let twin = told.consumers.insert(*consumer, (*at, *timeout));
                assert_eq!(twin, None, "promise 2: {consumer} joined twice");
            }
            Event::CursorAdvanced { consumer, to, seen } => {
                assert!(
                    to < sequence,
                    "promise 2: {record:?} is ahead of its session"
                );
                let known = told.consumers.get_mut(consumer);
                let (pulled, _) = known.unwrap_or_else(|| panic!("{consumer} has not joined"));
                *pulled = (*pulled).max(*seen);
            }
            Event::ConsumerLeft { consumer, cause } => {
                let known = told.consumers.remove(consumer);
                let (pulled, timeout) = known.unwrap_or_else(|| panic!("{consumer} left twice"));
                if *cause == LeaveCause::Expired {
                    assert!(*at >= pulled + timeout, "promise 6: {record:?} is early");
                }
            }
            Event::SessionResumed => {
                told.consumers
                    .values_mut()
                    .for_each(|(pulled, _)| *pulled = *at);
            }
            Event::RecordsLost {
                first,
                last: lost,
                cause:
                    LossCause::Retention {
                        last_number,
                        last_job,
                    },
            } => {
                assert_eq!(
                    (*first, *lost),
                    (Sequence(1), last),
                    "promise 5: {record:?} does not say what is gone"
                );
                let newest = self.numbers.last().copied().map(SessionNumber);
                let newest_job = self.all_jobs.last().copied().unwrap_or(JobId(0));
                assert_eq!(
                    (Some(*last_number), *last_job),
                    (newest, newest_job),
                    "promise 2: numbers would be used again"
                );
                let Some(closed) = told.closed else {
                    panic!("promise 5: {record:?} removes an open session");
                };
                let is_old = self.retention.age.is_some_and(|age| *at >= closed + age);
                let is_too_much = self
                    .retention
                    .bytes
                    .is_some_and(|bytes| self.closed_bytes > bytes);
                assert!(is_old || is_too_much, "promise 5: {record:?} is early");
                // Without the record that says so.
                self.closed_bytes -= told.bytes - event.bytes();
                told.is_removed = true;
                return;
            }
            Event::RecordsLost { .. } => panic!("promise 5: no engine loses records: {record:?}"),
            Event::SessionTouched { .. }
            | Event::StatementRefused { .. }
            | Event::UserSet { .. } => {}
        }
        let used = match event {
            Event::SessionTouched { seen } | Event::CursorAdvanced { seen, .. } => *seen,
            // Who is expired, or sent away, has not used the session.
            Event::ConsumerLeft {
                cause: LeaveCause::Expired | LeaveCause::SessionClosed,
                ..
            } => return,
            _ => *at,
        };
        told.used = told.used.max(used);
    }

    /// Whether every job of these records has finished.
    pub fn all_jobs_finished(&self) -> bool {
        self.sessions.values().all(|told| told.running.is_empty())
    }
}
