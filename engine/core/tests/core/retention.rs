//! Tests of retention: which closed sessions are removed, when, and what remains.

use crate::sessions::create;
use rejoin_core::testing::{SESSION, created, given_with, instant};
use rejoin_core::{
    CloseCause, Command, Event, JobId, Limits, LossCause, Record, Rejection, Retention, Sequence,
    SessionId, SessionNumber, State, Timestamp, Views,
};
use std::time::Duration;

const CLOSE: Command = Command::CloseSession {
    session: SESSION,
    cause: CloseCause::Requested,
};

fn keeping(age: Option<u64>, bytes: Option<u64>) -> Limits {
    Limits {
        retention: Retention {
            age: age.map(Duration::from_secs),
            bytes,
        },
        ..Limits::DEFAULT
    }
}

fn removed(last: u64, last_number: u64) -> Event {
    Event::RecordsLost {
        first: Sequence(1),
        last: Sequence(last),
        cause: LossCause::Retention {
            last_number: SessionNumber(last_number),
            last_job: JobId(0),
        },
    }
}

#[test]
fn a_closed_session_is_removed_at_its_age_and_not_before() {
    let story = given_with(keeping(Some(30), None), [created()]).when(instant(10), CLOSE);
    assert_eq!(story.state().next_deadline(), Some(instant(40).into()));
    let before = Timestamp::from_millis(39_999);
    let story = story
        .when(before, Command::Expire)
        .then([])
        .when(instant(40), Command::Expire)
        .then([removed(2, 1)])
        .when(instant(90), Command::Expire)
        .then([]);
    assert_eq!(story.state().next_deadline(), None);
}

#[test]
fn without_a_retention_everything_is_kept() {
    let story = given_with(Limits::DEFAULT, [created()]).when(instant(10), CLOSE);
    assert_eq!(story.state().next_deadline(), None);
    story.when(instant(1 << 40), Command::Expire).then([]);
}

#[test]
fn an_open_session_is_never_removed() {
    given_with(keeping(Some(0), Some(0)), [created()])
        .when(instant(50), Command::Expire)
        .then([]);
}

#[test]
fn a_changed_setting_applies_to_sessions_closed_before() {
    let closed = Event::SessionClosed {
        cause: CloseCause::Idle,
    };
    given_with(keeping(Some(5), None), [created(), closed])
        .when(instant(5), Command::Expire)
        .then([removed(2, 1)]);
}

/// Opens and closes sessions. Returns the bytes that each of them takes.
fn closed_one_after_the_other(limits: Limits) -> (State, u64) {
    let mut state = State::new(limits);
    let mut bytes = 0;
    for number in 1..=3 {
        let session = SessionId::from_bytes([number; 16]);
        let now = instant(number.into());
        let create = Command::CreateSession(create(session));
        let cause = CloseCause::Requested;
        let mut steps = state.step(now, create).unwrap();
        let close = Command::CloseSession { session, cause };
        steps.extend(state.step(now, close).unwrap());
        bytes = steps.iter().map(|step| step.record.bytes()).sum();
    }
    (state, bytes)
}

#[test]
fn sessions_closed_first_are_removed_first_until_the_size_limit_is_met() {
    let (_, bytes) = closed_one_after_the_other(Limits::DEFAULT);
    for (bound, gone) in [
        (3 * bytes, 0),
        (3 * bytes - 1, 1),
        (2 * bytes, 1),
        (bytes, 2),
        (bytes - 1, 3),
        (0, 3),
    ] {
        let (mut state, _) = closed_one_after_the_other(keeping(None, Some(bound)));
        let steps = state.step(instant(4), Command::Expire).unwrap();
        let removed: Vec<_> = steps.iter().map(|step| step.record.session).collect();
        let expected: Vec<_> = (1..=gone)
            .map(|byte| SessionId::from_bytes([byte; 16]))
            .collect();
        assert_eq!(removed, expected, "{bound} bytes");
        assert_eq!(state.next_deadline(), None);
    }
}

#[test]
fn one_expire_removes_no_more_sessions_than_the_limit() {
    let limits = Limits {
        expired: 2,
        ..keeping(Some(0), None)
    };
    let (mut state, _) = closed_one_after_the_other(limits);
    for gone in [2, 1, 0] {
        let steps = state.step(instant(9), Command::Expire).unwrap();
        assert_eq!(steps.len(), gone);
    }
}

#[test]
fn a_removal_record_alone_keeps_numbers_from_being_reused() {
    let (mut state, _) = closed_one_after_the_other(keeping(Some(0), None));
    let steps = state.step(instant(9), Command::Expire).unwrap();
    // Everything else was dropped from the log.
    let mut replayed = State::new(Limits::DEFAULT);
    let mut views = Views::default();
    for step in &steps {
        assert_eq!(step.record.event.removes_before(), Some(Sequence(3)));
        assert_eq!(step.record.sequence, Sequence(3));
        assert_eq!(replayed.validate(&step.record), Ok(()));
        replayed.apply(&step.record);
        views.apply(&step.record);
    }
    assert_eq!(replayed.sessions().count(), 0);
    let next = replayed.step(instant(10), Command::CreateSession(create(SESSION)));
    let Event::SessionCreated { number, .. } = next.unwrap()[0].record.event else {
        panic!("no session");
    };
    assert_eq!(number, SessionNumber(4));
}

#[test]
fn a_prefix_of_a_removed_session_is_not_a_session() {
    // Its last records are dropped first, including its end.
    let beginning = Record {
        session: SESSION,
        sequence: Sequence(1),
        at: instant(1),
        clock: instant(1).into(),
        actor: None,
        redacted: None,
        event: created(),
    };
    let removal = Record {
        sequence: Sequence(10),
        at: instant(2),
        clock: instant(2).into(),
        actor: None,
        redacted: None,
        event: removed(9, 1),
        ..beginning.clone()
    };
    let mut state = State::new(Limits::DEFAULT);
    let mut views = Views::default();
    for record in [beginning, removal] {
        assert_eq!(state.validate(&record), Ok(()));
        state.apply(&record);
        views.apply(&record);
    }
    assert!(state.session(SESSION).is_none());
    assert_eq!(state.next_deadline(), None);
    assert_eq!(views.open_count(), 0);
    assert!(views.session(SESSION).is_none());
}

#[test]
fn the_identity_of_a_closed_session_cannot_be_reused() {
    given_with(Limits::DEFAULT, [created()])
        .when(instant(1), CLOSE)
        .when(instant(2), Command::CreateSession(create(SESSION)))
        .then_rejected(Rejection::SessionExists(SESSION));
}
