//! Tests of records after a declared gap: what the lost records may have changed is uncertain, and
//! everything else is still checked.

use rejoin_core::testing::{SESSION, created, instant};
use rejoin_core::{
    CloseCause, Command, ConsumerId, Event, JobId, JobMode, JobSlot, Limits, LossCause, Outcome,
    Record, Sequence, State, Views, Visibility,
};
use std::time::Duration;

const FOREGROUND: JobMode = JobMode {
    slot: JobSlot::Foreground,
    visibility: Visibility::Session,
};

const CLOSED: Event = Event::SessionClosed {
    cause: CloseCause::Requested,
};

/// A log of one session with its state and views.
struct Scenario {
    state: State,
    views: Views,
    last: Sequence,
}

impl Scenario {
    fn begin() -> Self {
        let scenario = Self {
            state: State::new(Limits::DEFAULT),
            views: Views::default(),
            last: Sequence::START,
        };
        scenario.then(created())
    }

    fn record(&self, event: Event) -> Record {
        Record {
            session: SESSION,
            sequence: self.last.next(),
            at: instant(1),
            clock: instant(1).into(),
            actor: None,
            redacted: None,
            event,
        }
    }

    #[track_caller]
    fn add(mut self, record: &Record) -> Self {
        assert_eq!(self.state.validate(record), Ok(()));
        self.state.apply(record);
        self.views.apply(record);
        self.last = record.sequence;
        self
    }

    #[track_caller]
    fn then(self, event: Event) -> Self {
        let record = self.record(event);
        self.add(&record)
    }

    /// Declares a gap of `count` records.
    #[track_caller]
    fn lose(self, count: u64) -> Self {
        let (first, last) = (self.last.next(), Sequence(self.last.0 + count));
        let cause = LossCause::Damage;
        let lost = Record {
            sequence: last,
            ..self.record(Event::RecordsLost { first, last, cause })
        };
        self.add(&lost)
    }

    #[track_caller]
    fn refuses(&self, event: Event, reason: &str) {
        let violation = self.state.validate(&self.record(event)).unwrap_err();
        assert_eq!(violation.reason, reason);
    }

    #[track_caller]
    fn jobs(&self) -> Vec<u64> {
        let open = self.state.session(SESSION).unwrap();
        let jobs: Vec<_> = open.jobs().map(|(job, _)| job.0).collect();
        let view = self.views.session(SESSION).unwrap();
        let shown: Vec<_> = view.unfinished_jobs().map(|job| job.job.0).collect();
        assert_eq!(jobs, shown);
        jobs
    }
}

fn submitted(job: u64) -> Event {
    Event::JobSubmitted {
        job: JobId(job),
        mode: FOREGROUND,
        statement: "statement".into(),
        timeout: Duration::from_secs(9),
        output_limit: 1_000,
        request: None,
        input: false,
        output: rejoin_core::JobOutput::Separate,
        controller: None,
    }
}

fn finished(job: u64) -> Event {
    Event::JobFinished {
        job: JobId(job),
        mode: FOREGROUND,
        outcome: Outcome::Completed,
        status: 0,
        message: None,
    }
}

fn result(job: u64) -> Event {
    Event::ResultEmitted {
        job: JobId(job),
        mode: FOREGROUND,
        result: "{}".into(),
        position: None,
    }
}

fn consumer(ordinal: u32) -> ConsumerId {
    ConsumerId {
        token: [1; 16],
        ordinal,
    }
}

fn joined(ordinal: u32) -> Event {
    Event::ConsumerJoined {
        consumer: consumer(ordinal),
        timeout: Duration::from_secs(9),
        foreground: None,
    }
}

#[test]
fn a_gap_declares_exactly_the_lost_records() {
    let scenario = Scenario::begin().then(Event::SessionResumed);
    let gap = |sequence, first, last| Record {
        sequence: Sequence(sequence),
        ..scenario.record(Event::RecordsLost {
            first: Sequence(first),
            last: Sequence(last),
            cause: LossCause::Damage,
        })
    };
    assert_eq!(scenario.state.validate(&gap(5, 3, 5)), Ok(()));
    for wrong in [
        gap(5, 2, 5),
        gap(5, 4, 5),
        gap(6, 3, 5),
        gap(3, 3, 5),
        gap(2, 3, 2),
    ] {
        assert!(scenario.state.validate(&wrong).is_err(), "{wrong:?}");
    }
    let scenario = scenario.lose(3).then(Event::SessionResumed);
    let view = scenario.views.session(SESSION).unwrap();
    assert_eq!(view.gaps.lost(), 3);
    let gaps: Vec<_> = view.gaps.iter().collect();
    assert_eq!(gaps, [Sequence(3)..=Sequence(5)]);
    assert!(scenario.state.session(SESSION).unwrap().is_incomplete());
}

#[test]
fn a_gap_is_declared_for_an_open_session_only() {
    let scenario = Scenario::begin().then(CLOSED);
    let (first, last) = (Sequence(3), Sequence(3));
    let cause = LossCause::Damage;
    let lost = Event::RecordsLost { first, last, cause };
    scenario.refuses(lost, "its session is not open");
}

#[test]
fn a_job_continues_after_a_gap_in_its_output() {
    let scenario = Scenario::begin().then(submitted(1)).lose(4).then(result(1));
    assert_eq!(scenario.jobs(), [1]);
    let scenario = scenario.then(finished(1));
    assert_eq!(scenario.jobs(), []);
}

#[test]
fn a_job_whose_end_is_lost_frees_the_foreground() {
    let scenario = Scenario::begin()
        .then(submitted(1))
        .lose(1)
        .then(submitted(2));
    assert_eq!(scenario.jobs(), [2]);
    scenario.refuses(submitted(3), "the foreground is taken");
}

#[test]
fn a_job_that_may_have_ended_is_lost_at_the_next_start_and_says_why() {
    let mut scenario = Scenario::begin().then(submitted(1)).lose(1);
    let steps = scenario
        .state
        .step(
            instant(2),
            Command::Resume {
                kept: [].into(),
                lost: [].into(),
                by: None,
            },
        )
        .unwrap();
    let Event::JobFinished {
        outcome: Outcome::Lost,
        message: Some(message),
        ..
    } = &steps[0].record.event
    else {
        panic!("{steps:?}");
    };
    assert!(message.contains("records are missing"), "{message}");
}

#[test]
fn records_of_a_job_whose_submission_is_lost_are_accepted_and_ignored() {
    let scenario = Scenario::begin().lose(1).then(result(7));
    let scenario = scenario.then(Event::JobStarted {
        job: JobId(7),
        private: false,
    });
    assert_eq!(scenario.jobs(), []);
    let scenario = scenario.then(finished(7));
    // But its number is known and not reused.
    scenario.refuses(submitted(7), "its job's number does not grow");
    assert_eq!(scenario.then(submitted(8)).jobs(), [8]);
}

#[test]
fn a_session_may_close_with_uncertain_jobs_and_consumers() {
    let scenario = Scenario::begin().then(submitted(1)).then(joined(1));
    scenario.refuses(CLOSED, "its session has unfinished jobs");
    let scenario = scenario.lose(2).then(CLOSED);
    assert!(scenario.state.session(SESSION).is_none());
    assert_eq!(scenario.state.next_deadline(), None);
    let view = scenario.views.session(SESSION).unwrap();
    assert!(!view.is_busy() && view.consumers().count() == 0);
}

#[test]
fn jobs_and_consumers_that_start_after_a_gap_are_fully_checked() {
    let scenario = Scenario::begin().lose(2).then(submitted(1)).then(joined(1));
    scenario.refuses(CLOSED, "its session has unfinished jobs");
    scenario.refuses(submitted(2), "the foreground is taken");
    scenario.refuses(joined(1), "its consumer's ordinal does not grow");
    let scenario = scenario.then(finished(1));
    scenario.refuses(CLOSED, "its session has consumers");
}

#[test]
fn a_consumer_whose_joining_is_lost_may_leave() {
    let scenario = Scenario::begin().lose(1);
    scenario.then(Event::ConsumerLeft {
        consumer: consumer(4),
        cause: rejoin_core::LeaveCause::Left,
    });
}

#[test]
fn other_sessions_are_fully_checked() {
    let scenario = Scenario::begin().lose(3);
    let other = rejoin_core::SessionId::from_bytes([2; 16]);
    let mut event = created();
    if let Event::SessionCreated { number, .. } = &mut event {
        *number = rejoin_core::SessionNumber(2);
    }
    let created = Record {
        session: other,
        sequence: Sequence(1),
        event,
        ..scenario.record(Event::SessionResumed)
    };
    let scenario = scenario.add(&created);
    let started = Record {
        sequence: Sequence(2),
        event: result(1),
        ..created
    };
    let violation = scenario.state.validate(&started).unwrap_err();
    assert_eq!(violation.reason, "its job is not running");
}
