//! Validates the records of a damaged log, as far as they can be read.
//!
//! Invariant: never panics, and never reports a violation that only follows from a missing record.

use rejoin_core::{Limits, Record, Sequence, SessionId, State, Timestamp, Violation};
use std::collections::BTreeMap;

/// Checks every transition of the sessions whose records are all there. Behind a gap only a
/// session's order can be checked: what its state was there is not known.
#[derive(Clone, Debug)]
pub struct RecordValidator {
    state: State,
    streams: BTreeMap<SessionId, Stream>,
    last_at: Timestamp,
    checked: u64,
    unchecked: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    last: Sequence,
    /// Whether something is missing, or broke a promise.
    is_broken: bool,
}

impl Default for RecordValidator {
    fn default() -> Self {
        Self {
            state: State::new(Limits::DEFAULT),
            streams: BTreeMap::new(),
            last_at: Timestamp::EPOCH,
            checked: 0,
            unchecked: 0,
        }
    }
}

impl RecordValidator {
    /// Takes the next record that is readable.
    ///
    /// # Errors
    ///
    /// Which promise it breaks. The session's later records are only checked for their order.
    pub fn take(&mut self, record: &Record) -> Result<(), Violation> {
        let stream = self.streams.entry(record.session).or_default();
        let expected = stream.last.next();
        stream.is_broken |= *record.covered_sequences().start() > expected;
        let outcome = if stream.is_broken {
            self.unchecked += 1;
            let reason = if record.sequence < expected {
                Some("it is not the next of its session")
            } else {
                (record.at < self.last_at).then_some("it is stamped before the record before it")
            };
            reason.map_or(Ok(()), |reason| {
                Err(Violation {
                    session: record.session,
                    sequence: record.sequence,
                    reason,
                })
            })
        } else {
            self.checked += 1;
            self.state.validate(record)
        };
        match outcome {
            Ok(()) if !stream.is_broken => self.state.apply(record),
            Ok(()) => {}
            Err(_) => stream.is_broken = true,
        }
        stream.last = stream.last.max(record.sequence);
        self.last_at = self.last_at.max(record.at);
        outcome
    }

    /// How many records were checked as transitions.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// How many records were checked for their order only.
    pub fn unchecked(&self) -> u64 {
        self.unchecked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::{SESSION, created, instant};
    use rejoin_core::{CloseCause, Event, JobId};

    fn record(sequence: u64, event: Event) -> Record {
        Record {
            session: SESSION,
            sequence: Sequence(sequence),
            at: instant(sequence),
            event,
        }
    }

    #[test]
    fn a_transition_that_breaks_a_promise_is_named_once() {
        let mut transitions = RecordValidator::default();
        let started = |sequence| {
            record(
                sequence,
                Event::JobStarted {
                    job: JobId(1),
                    private: false,
                },
            )
        };
        assert_eq!(transitions.take(&record(1, created())), Ok(()));
        let violation = transitions.take(&started(2)).unwrap_err();
        assert_eq!(violation.sequence, Sequence(2));
        assert_eq!(violation.reason, "its job is not running");
        assert_eq!(transitions.take(&started(3)), Ok(()));
        assert_eq!((transitions.checked(), transitions.unchecked()), (2, 1));
    }

    #[test]
    fn what_follows_a_gap_is_checked_for_its_order_only() {
        let mut transitions = RecordValidator::default();
        let closed = Event::SessionClosed {
            cause: CloseCause::Requested,
        };
        assert_eq!(transitions.take(&record(1, created())), Ok(()));
        // Whether job 1 runs, and a session that its end does not name, cannot be known.
        let started = Event::JobStarted {
            job: JobId(1),
            private: false,
        };
        assert_eq!(transitions.take(&record(7, started)), Ok(()));
        assert_eq!(transitions.take(&record(8, closed.clone())), Ok(()));
        let again = transitions.take(&record(8, closed)).unwrap_err();
        assert_eq!(again.reason, "it is not the next of its session");
    }

    #[test]
    fn one_session_with_a_gap_leaves_the_others_checked() {
        let mut transitions = RecordValidator::default();
        assert_eq!(transitions.take(&record(2, Event::SessionResumed)), Ok(()));
        let other = Record {
            session: SessionId::from_bytes([9; 16]),
            ..record(3, Event::SessionResumed)
        };
        let other = |sequence, event| Record {
            sequence: Sequence(sequence),
            event,
            ..other.clone()
        };
        assert_eq!(transitions.take(&other(1, created())), Ok(()));
        let resumed = transitions.take(&other(2, Event::SessionResumed));
        assert_eq!(resumed, Ok(()));
        assert_eq!((transitions.checked(), transitions.unchecked()), (2, 1));
    }
}
