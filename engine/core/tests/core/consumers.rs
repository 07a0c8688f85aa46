//! Tests of consumers: joining, cursors and expiry.

use crate::jobs::{foreground, submitted};
use crate::sessions::create;
use rejoin_core::testing::{SESSION, created, given, given_with, instant};
use rejoin_core::{
    CloseCause, Command, ConsumerId, Event, JobId, LeaveCause, Limits, Rejection, Sequence,
    SessionId, State,
};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

fn consumer(ordinal: u32) -> ConsumerId {
    ConsumerId {
        token: [7; 16],
        ordinal,
    }
}

fn joined(ordinal: u32) -> Event {
    Event::ConsumerJoined {
        consumer: consumer(ordinal),
        timeout: TIMEOUT,
        foreground: None,
    }
}

fn join() -> Command {
    Command::JoinSession {
        session: SESSION,
        token: [7; 16],
        timeout: TIMEOUT,
    }
}

fn advance(to: u64, seen: u64) -> Command {
    let (to, seen) = (Sequence(to), instant(seen));
    Command::AdvanceCursor {
        session: SESSION,
        consumer: consumer(1),
        to,
        seen: seen.into(),
    }
}

fn left(cause: LeaveCause) -> Event {
    Event::ConsumerLeft {
        consumer: consumer(1),
        cause,
    }
}

#[test]
fn joining_reports_the_foreground_job() {
    let foreground_job = Some(JobId(1));
    given([created(), submitted(1, foreground())])
        .when(instant(1), join())
        .then([Event::ConsumerJoined {
            consumer: consumer(1),
            timeout: TIMEOUT,
            foreground: foreground_job,
        }]);
}

#[test]
fn ordinals_are_not_used_again() {
    given([created(), joined(1)])
        .when(
            instant(1),
            Command::LeaveSession {
                session: SESSION,
                consumer: consumer(1),
            },
        )
        .then([left(LeaveCause::Left)])
        .when(instant(1), join())
        .then([joined(2)]);
}

#[test]
fn a_session_has_as_many_consumers_as_allowed_and_no_more() {
    let limits = Limits {
        consumers: 1,
        ..Limits::DEFAULT
    };
    given_with(limits, [created(), joined(1)])
        .when(instant(1), join())
        .then_rejected(Rejection::TooMany {
            what: "consumers of this session",
            limit: 1,
        });
}

#[test]
fn an_unknown_consumer_cannot_leave_or_advance() {
    let unknown = Rejection::ConsumerNotFound(consumer(1));
    given([created()])
        .when(
            instant(1),
            Command::LeaveSession {
                session: SESSION,
                consumer: consumer(1),
            },
        )
        .then_rejected(unknown)
        .when(instant(1), advance(1, 1))
        .then_rejected(unknown);
}

#[test]
fn a_cursor_never_goes_back_and_never_beyond_the_last_record() {
    given([created(), joined(1)])
        .when(instant(3), advance(3, 3))
        .then_rejected(Rejection::CursorAhead)
        .when(instant(3), advance(2, 3))
        .then([Event::CursorAdvanced {
            consumer: consumer(1),
            to: Sequence(2),
            seen: instant(3).into(),
        }])
        .when(instant(4), advance(1, 3))
        .then([])
        .when(instant(5), advance(1, 5))
        .then([Event::CursorAdvanced {
            consumer: consumer(1),
            to: Sequence(2),
            seen: instant(5).into(),
        }]);
}

#[test]
fn a_consumer_expires_at_its_timeout_after_its_last_pull_and_not_before() {
    given([created(), joined(1)])
        .when(instant(9), Command::Expire)
        .then([])
        .when(instant(9), advance(1, 5))
        .then([Event::CursorAdvanced {
            consumer: consumer(1),
            to: Sequence(1),
            seen: instant(5).into(),
        }])
        .when(instant(14), Command::Expire)
        .then([])
        .when(instant(15), Command::Expire)
        .then([left(LeaveCause::Expired)]);
}

#[test]
fn a_consumer_that_expired_has_not_used_its_session() {
    given([created(), joined(1)])
        .when(instant(50), Command::Expire)
        .then([left(LeaveCause::Expired)])
        .when(instant(100), Command::Expire)
        .then([Event::SessionClosed {
            cause: CloseCause::Idle,
        }]);
}

#[test]
fn closing_an_idle_session_removes_its_overdue_consumers() {
    given([created(), joined(1)])
        .when(instant(100), Command::Expire)
        .then([
            left(LeaveCause::SessionClosed),
            Event::SessionClosed {
                cause: CloseCause::Idle,
            },
        ]);
}

#[test]
fn on_a_read_only_server_consumers_expire_and_sessions_stay_open() {
    given([created(), joined(1)])
        .when(instant(9), Command::ExpireConsumers)
        .then([])
        .when(instant(100), Command::ExpireConsumers)
        .then([left(LeaveCause::Expired)])
        .when(instant(10_000), Command::ExpireConsumers)
        .then([]);
}

#[test]
fn one_expire_handles_up_to_the_limit_and_the_next_one_the_rest() {
    let limits = Limits {
        expired: 1,
        ..Limits::DEFAULT
    };
    given_with(limits, [created(), joined(1), joined(2)])
        .when(instant(11), Command::Expire)
        .then([left(LeaveCause::Expired)])
        .when(instant(11), Command::Expire)
        .then([Event::ConsumerLeft {
            consumer: consumer(2),
            cause: LeaveCause::Expired,
        }]);
}

#[test]
fn consumers_expire_in_order_of_their_deadlines_across_sessions() {
    let mut state = State::new(Limits {
        expired: 1,
        ..Limits::DEFAULT
    });
    let [one, other] = [1, 2].map(|byte| SessionId::from_bytes([byte; 16]));
    for session in [one, other] {
        let create = Command::CreateSession(create(session));
        state.step(instant(0), create).unwrap();
    }
    // One session has the first and the last consumer to expire, the other has the one in between.
    for (at, session) in [(1, one), (2, other), (3, one)] {
        let join = Command::JoinSession {
            session,
            token: [7; 16],
            timeout: TIMEOUT,
        };
        state.step(instant(at), join).unwrap();
    }
    assert_eq!(state.next_deadline(), Some(instant(11).into()));
    assert_eq!(state.due(instant(12)).count(), 2);
    assert!(state.due_consumers(instant(13)).eq(state.due(instant(13))));
    let gone = [(); 3].map(|()| {
        let steps = state.step(instant(13), Command::Expire).unwrap();
        let [step] = &steps[..] else {
            panic!("{steps:?}");
        };
        step.record.session
    });
    assert_eq!(gone, [one, other, one]);
    assert_eq!(state.due(instant(13)).count(), 0);
}
