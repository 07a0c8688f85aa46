//! Validates the records of a damaged log, as far as they can be read.
//!
//! Invariant: never panics, and never reports a violation that only follows from a missing record.

use rejoin_core::{Limits, Moment, Record, Sequence, SessionId, State, Violation};
use std::collections::BTreeMap;

/// Validates every record of sessions that have no gap. After a gap, a session's state is unknown,
/// so only the order of its records is checked.
#[derive(Clone, Debug)]
pub struct RecordValidator {
    state: State,
    streams: BTreeMap<SessionId, Stream>,
    last: Moment,
    checked: u64,
    unchecked: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    last: Sequence,
    /// Whether a record is missing or invalid.
    is_broken: bool,
}

impl Default for RecordValidator {
    fn default() -> Self {
        Self {
            state: State::new(Limits::DEFAULT),
            streams: BTreeMap::new(),
            last: Moment::default(),
            checked: 0,
            unchecked: 0,
        }
    }
}

impl RecordValidator {
    /// Checks the next readable record.
    ///
    /// # Errors
    ///
    /// When the record is invalid. Of the session's later records, only the order is checked.
    pub fn take(&mut self, record: &Record) -> Result<(), Violation> {
        let stream = self.streams.entry(record.session).or_default();
        let expected = stream.last.next();
        stream.is_broken |= *record.covered_sequences().start() > expected;
        let outcome = if stream.is_broken {
            self.unchecked += 1;
            let reason = if record.sequence < expected {
                Some("it is not the next of its session")
            } else {
                let (now, last) = (record.moment(), self.last);
                let is_back = now.at < last.at || now.clock < last.clock;
                is_back.then_some("it is stamped before the record before it")
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
        self.last = record.moment().not_before(self.last);
        outcome
    }

    /// How many records were validated.
    pub fn checked(&self) -> u64 {
        self.checked
    }

    /// How many records were only checked for their order.
    pub fn unchecked(&self) -> u64 {
        self.unchecked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::testing::{created, instant, record_at};
    use rejoin_core::{CloseCause, Event, JobId};

    fn record(sequence: u64, event: Event) -> Record {
        record_at(sequence, instant(sequence), event)
    }

    #[test]
    fn an_invalid_record_is_reported_once() {
        let mut validator = RecordValidator::default();
        let started = |sequence| {
            record(
                sequence,
                Event::JobStarted {
                    job: JobId(1),
                    private: false,
                },
            )
        };
        assert_eq!(validator.take(&record(1, created())), Ok(()));
        let violation = validator.take(&started(2)).unwrap_err();
        assert_eq!(violation.sequence, Sequence(2));
        assert_eq!(violation.reason, "its job is not running");
        assert_eq!(validator.take(&started(3)), Ok(()));
        assert_eq!((validator.checked(), validator.unchecked()), (2, 1));
    }

    #[test]
    fn after_a_gap_only_the_order_is_checked() {
        let mut validator = RecordValidator::default();
        let closed = Event::SessionClosed {
            cause: CloseCause::Requested,
        };
        assert_eq!(validator.take(&record(1, created())), Ok(()));
        // It is unknown whether job 1 runs.
        let started = Event::JobStarted {
            job: JobId(1),
            private: false,
        };
        assert_eq!(validator.take(&record(7, started)), Ok(()));
        assert_eq!(validator.take(&record(8, closed.clone())), Ok(()));
        let again = validator.take(&record(8, closed)).unwrap_err();
        assert_eq!(again.reason, "it is not the next of its session");
    }

    #[test]
    fn a_gap_in_one_session_does_not_affect_others() {
        let mut validator = RecordValidator::default();
        assert_eq!(validator.take(&record(2, Event::SessionResumed)), Ok(()));
        let other = Record {
            session: SessionId::from_bytes([9; 16]),
            ..record(3, Event::SessionResumed)
        };
        let other = |sequence, event| Record {
            sequence: Sequence(sequence),
            event,
            ..other.clone()
        };
        assert_eq!(validator.take(&other(1, created())), Ok(()));
        let resumed = validator.take(&other(2, Event::SessionResumed));
        assert_eq!(resumed, Ok(()));
        assert_eq!((validator.checked(), validator.unchecked()), (2, 1));
    }
}
