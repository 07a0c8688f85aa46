//! Checks the promises about records in the simplest possible way, without code of the engine. Give it
//! every record of a log in order.

use crate::{
    CloseCause, ConsumerId, Event, Instant, JobId, LeaveCause, LossCause, Moment, Record,
    Retention, Sequence, SessionId, SessionNumber,
};
use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

/// What is known from the records so far, to check the next one.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    last: Moment,
    numbers: BTreeSet<u64>,
    all_jobs: BTreeSet<JobId>,
    sessions: BTreeMap<SessionId, SessionHistory>,
    retention: Retention,
    /// The bytes of all sessions that are closed and not removed.
    closed_bytes: u64,
}

#[derive(Clone, Debug, Default)]
struct SessionHistory {
    last: Sequence,
    closed: Option<Instant>,
    is_removed: bool,
    bytes: u64,
    used: Instant,
    timeout: Duration,
    running: BTreeMap<JobId, Instant>,
    consumers: BTreeMap<ConsumerId, (Instant, Duration)>,
}

impl Promises {
    /// Checks for a log with this retention.
    pub fn keeping(retention: Retention) -> Self {
        Self {
            retention,
            ..Self::default()
        }
    }

    /// Checks the next record.
    ///
    /// # Panics
    ///
    /// When it breaks a promise. The message contains the number of the promise.
    pub fn take(&mut self, record: &Record) {
        let Record {
            session,
            sequence,
            at,
            clock,
            actor,
            redacted,
            event,
        } = record;
        assert!(
            *at >= self.last.at && *clock >= self.last.clock,
            "promise 2: {record:?} is stamped before the record before it"
        );
        assert!(
            actor.is_none() || can_be_asked_for(event),
            "promise 13: nobody can have asked for {record:?}"
        );
        assert!(
            redacted.is_none() || record.is_redactable(),
            "nothing in {record:?} can be redacted"
        );
        self.last = record.moment();
        let history = self.sessions.entry(*session).or_default();
        assert_eq!(
            *sequence,
            history.last.next(),
            "promise 2: a gap before {record:?}"
        );
        let is_removal = matches!(event, Event::RecordsLost { .. });
        let is_redaction = matches!(event, Event::RecordsRedacted { .. });
        assert!(
            history.closed.is_none() || ((is_removal || is_redaction) && !history.is_removed),
            "promise 7: {record:?} follows the end of its session"
        );
        let last = history.last;
        history.last = *sequence;
        history.bytes += record.bytes();
        if history.closed.is_some() && is_redaction {
            self.closed_bytes += record.bytes();
        }
        match event {
            Event::SessionCreated {
                number, timeout, ..
            } => {
                assert!(
                    self.numbers.insert(number.0),
                    "promise 2: {number} was used before"
                );
                history.timeout = *timeout;
            }
            Event::JobSubmitted { job, timeout, .. } => {
                let newest = self.all_jobs.last().copied().unwrap_or(JobId(0));
                assert!(*job > newest, "promise 2: job {job} does not grow");
                self.all_jobs.insert(*job);
                history.running.insert(*job, *clock + *timeout);
            }
            Event::JobStarted { job, .. }
            | Event::InputWritten { job, .. }
            | Event::InputHidden { job, .. }
            | Event::LeftoversChosen { job, .. }
            | Event::TerminalResized { job, .. }
            | Event::ControllerChanged { job, .. }
            | Event::ScreenCaptured { job, .. }
            | Event::ResultEmitted { job, .. } => {
                assert!(
                    history.running.contains_key(job),
                    "promise 7: {record:?} after its job's end"
                );
            }
            Event::InterruptRequested { job, cause, .. } => {
                let due = history.running.get(job);
                let due =
                    due.unwrap_or_else(|| panic!("promise 7: {record:?} after its job's end"));
                if *cause == crate::InterruptCause::Timeout {
                    assert!(clock >= due, "promise 8: {record:?} is early");
                }
            }
            Event::JobFinished { job, .. } => {
                assert!(
                    history.running.remove(job).is_some(),
                    "promise 7: {job} ends twice"
                );
            }
            Event::SessionClosed { cause } => {
                assert!(
                    history.running.is_empty(),
                    "promises 6, 7: closed while {:?} run",
                    history.running
                );
                if *cause == CloseCause::Idle {
                    assert!(
                        *clock >= history.used + history.timeout,
                        "promise 8: {record:?} is early"
                    );
                }
                history.closed = Some(*clock);
                self.closed_bytes += history.bytes;
            }
            Event::ConsumerJoined {
                consumer, timeout, ..
            } => {
                let twin = history.consumers.insert(*consumer, (*clock, *timeout));
                assert_eq!(twin, None, "promise 2: {consumer} joined twice");
            }
            Event::CursorAdvanced { consumer, to, seen } => {
                assert!(
                    to < sequence,
                    "promise 2: {record:?} is ahead of its session"
                );
                let consumer_entry = history.consumers.get_mut(consumer);
                let (pulled, _) =
                    consumer_entry.unwrap_or_else(|| panic!("{consumer} has not joined"));
                *pulled = (*pulled).max(*seen);
            }
            Event::ConsumerLeft { consumer, cause } => {
                let consumer_entry = history.consumers.remove(consumer);
                let (pulled, timeout) =
                    consumer_entry.unwrap_or_else(|| panic!("{consumer} left twice"));
                if *cause == LeaveCause::Expired {
                    assert!(*clock >= pulled + timeout, "promise 6: {record:?} is early");
                }
            }
            Event::SessionResumed | Event::SessionTakenOver { .. } => {
                history
                    .consumers
                    .values_mut()
                    .for_each(|(pulled, _)| *pulled = *clock);
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
                let Some(closed) = history.closed else {
                    panic!("promise 5: {record:?} removes an open session");
                };
                let is_old = self.retention.age.is_some_and(|age| *clock >= closed + age);
                let is_too_much = self
                    .retention
                    .bytes
                    .is_some_and(|bytes| self.closed_bytes > bytes);
                assert!(
                    actor.is_some() || is_old || is_too_much,
                    "promise 5: {record:?} is early"
                );
                // Without the removal record itself.
                self.closed_bytes -= history.bytes - record.bytes();
                history.is_removed = true;
                return;
            }
            Event::RecordsLost { .. } => panic!("promise 5: no engine loses records: {record:?}"),
            Event::RecordsRedacted { records } => {
                assert!(
                    records.is_sorted() && records.last().is_some_and(|it| it < sequence),
                    "promise 2: {record:?} is for records that are not there"
                );
                // Redacting is no use of the session.
                return;
            }
            Event::SessionTouched { .. }
            | Event::StatementRefused { .. }
            | Event::UserSet { .. }
            | Event::LinkChanged { .. }
            | Event::SessionDescribed { .. } => {}
        }
        let used = match event {
            Event::SessionTouched { seen } | Event::CursorAdvanced { seen, .. } => *seen,
            // A consumer that expired or left with the session has not used it.
            Event::ConsumerLeft {
                cause: LeaveCause::Expired | LeaveCause::SessionClosed,
                ..
            } => return,
            _ => *clock,
        };
        history.used = history.used.max(used);
    }

    /// Whether every job has finished.
    pub fn all_jobs_finished(&self) -> bool {
        self.sessions
            .values()
            .all(|history| history.running.is_empty())
    }
}

/// Whether an event can be what somebody asked for. Nobody asks for what runners report, for what is
/// due, or for what a start or salvage finds.
const fn can_be_asked_for(event: &Event) -> bool {
    !matches!(
        event,
        Event::SessionResumed
            | Event::SessionTakenOver { .. }
            | Event::SessionTouched { .. }
            | Event::CursorAdvanced { .. }
            | Event::JobStarted { .. }
            | Event::ResultEmitted { .. }
            | Event::RecordsLost {
                cause: LossCause::Damage,
                ..
            }
            | Event::SessionClosed {
                cause: CloseCause::Idle
            }
            | Event::ConsumerLeft {
                cause: LeaveCause::Expired,
                ..
            }
    )
}
