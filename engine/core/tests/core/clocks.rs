//! Tests of a wall clock that is set: people are shown its time, and no timeout notices.

use crate::jobs::{foreground, submitted};
use rejoin_core::testing::{SESSION, SESSION_TIMEOUT, Story, created, given_with};
use rejoin_core::{
    CloseCause, Command, ConsumerId, Event, Instant, InterruptCause, JobId, LeaveCause, Limits,
    LossCause, Moment, Retention, Sequence, SessionNumber, Timestamp,
};
use std::time::Duration;

/// Ten thousand seconds, the timeout of submitted jobs.
const JOB_TIMEOUT: u64 = 10_000_000;

const CONSUMER_TIMEOUT: Duration = Duration::from_secs(10);

const AGE: Duration = Duration::from_secs(30);

const READER: ConsumerId = ConsumerId {
    token: [7; 16],
    ordinal: 1,
};

/// The wall clock shows another day, and the log's clock has run for `passed` milliseconds.
fn set(days: u64, passed: u64) -> Moment {
    Moment {
        at: Timestamp::from_millis(days * 24 * 60 * 60 * 1_000),
        clock: Instant::from_millis(passed),
    }
}

/// Nothing is due a millisecond before `due` and the events are at `due`, whichever day it is.
fn is_due_at(due: Duration, events: Vec<Event>, story: impl Fn() -> Story) {
    let due = u64::try_from(due.as_millis()).unwrap();
    for days in [0, 2, 35, 40_000] {
        let begun = story();
        assert_eq!(
            begun.state().next_deadline(),
            Some(Instant::from_millis(due))
        );
        begun
            .when(set(days, due - 1), Command::Expire)
            .then([])
            .when(set(days / 2, due), Command::Expire)
            .then(events.clone());
    }
}

#[test]
fn no_timeout_notices_that_the_wall_clock_was_set() {
    let keeping = Limits {
        retention: Retention {
            age: Some(AGE),
            bytes: None,
        },
        ..Limits::DEFAULT
    };
    let given = |events: &[Event]| given_with(keeping, events.to_vec());
    let idle = Event::SessionClosed {
        cause: CloseCause::Idle,
    };
    is_due_at(SESSION_TIMEOUT, vec![idle], || given(&[created()]));

    let joined = Event::ConsumerJoined {
        consumer: READER,
        timeout: CONSUMER_TIMEOUT,
        foreground: None,
    };
    let expired = Event::ConsumerLeft {
        consumer: READER,
        cause: LeaveCause::Expired,
    };
    is_due_at(CONSUMER_TIMEOUT, vec![expired], || {
        given(&[created(), joined.clone()])
    });

    let timed_out = Event::InterruptRequested {
        job: JobId(1),
        cause: InterruptCause::Timeout,
        private: false,
    };
    is_due_at(Duration::from_millis(JOB_TIMEOUT), vec![timed_out], || {
        given(&[created(), submitted(1, foreground())])
    });

    let cause = CloseCause::Requested;
    let removed = Event::RecordsLost {
        first: Sequence(1),
        last: Sequence(2),
        cause: LossCause::Retention {
            last_number: SessionNumber(1),
            last_job: JobId(0),
        },
    };
    is_due_at(AGE, vec![removed], || {
        given(&[created(), Event::SessionClosed { cause }])
    });
}

#[test]
fn times_stand_still_while_the_wall_clock_is_behind_and_then_follow_it() {
    let mut state = given_with(Limits::DEFAULT, [created()]).state().clone();
    let mut times = |days, passed| {
        let seen = Instant::from_millis(passed);
        let session = SESSION;
        let steps = state.step(set(days, passed), Command::TouchSession { session, seen });
        let record = &steps.unwrap()[0].record;
        (record.at, record.clock.as_millis())
    };
    let day = |days| set(days, 0).at;
    assert_eq!(times(36, 1), (day(36), 1));
    assert_eq!(times(1, 2), (day(36), 2));
    assert_eq!(times(35, 3), (day(36), 3));
    assert_eq!(times(37, 4), (day(37), 4));
}
