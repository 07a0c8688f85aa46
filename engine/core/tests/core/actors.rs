//! Tests of who asked for what.

use crate::jobs::job_of;
use rejoin_core::testing::{SESSION, created};
use rejoin_core::{
    Actor, CloseCause, Command, Event, JobId, Limits, Record, Rejection, Sequence, State,
    Timestamp, Views,
};
use std::sync::Arc;

fn actor(account: &str) -> Arc<Actor> {
    Arc::new(Actor {
        account: Some(account.into()),
        token: Some("ci".into()),
        frontend: "native".into(),
        address: Some("[::1]:9".into()),
    })
}

fn beginning() -> Record {
    Record {
        session: SESSION,
        sequence: Sequence(1),
        at: Timestamp::EPOCH,
        clock: Timestamp::EPOCH.into(),
        actor: None,
        redacted: None,
        event: created(),
    }
}

fn close() -> Command {
    Command::CloseSession {
        session: SESSION,
        cause: CloseCause::Requested,
    }
}

#[test]
fn every_record_of_a_command_says_who_asked_for_it() {
    let mut state = State::new(Limits::DEFAULT);
    let mut views = Views::default();
    state.apply(&beginning());
    views.apply(&beginning());
    let (ada, bob) = (actor("ada"), actor("bob"));
    let mut log = vec![];
    for (actor, command) in [
        (Some(&ada), job_of("make")),
        (
            None,
            Command::ReportStarted {
                session: SESSION,
                job: JobId(1),
            },
        ),
        (Some(&bob), close()),
    ] {
        let steps = state.step_for(actor, state.last(), command).unwrap();
        for step in steps {
            views.apply(&step.record);
            log.push(step.record);
        }
    }
    let by: Vec<_> = log
        .iter()
        .map(|record| record.actor.as_ref().and_then(|it| it.account.as_deref()))
        .collect();
    // The close interrupts the job, finishes it and closes the session.
    let expected = [Some("ada"), None, Some("bob"), Some("bob"), Some("bob")];
    assert_eq!(by, expected, "{log:?}");
    assert!(matches!(log[4].event, Event::SessionClosed { .. }));
    let job = views.session(SESSION).unwrap().job(JobId(1)).unwrap();
    assert_eq!(job.by, Some(ada.clone()));
    // Its texts count as bytes of the log.
    assert_eq!(log[0].bytes(), log[0].event.bytes() + 3 + 2 + 6 + 7);
    assert_eq!(log[1].bytes(), log[1].event.bytes());
}

#[test]
fn an_actor_with_too_long_a_text_is_refused_by_name() {
    let mut state = State::new(Limits::DEFAULT);
    state.apply(&beginning());
    let before = state.clone();
    let limit = Limits::DEFAULT.name;
    let long = || Some("x".repeat(limit + 1).into());
    let of = |account, token, address| {
        Arc::new(Actor {
            account,
            token,
            frontend: "native".into(),
            address,
        })
    };
    for (what, actor) in [
        ("account", of(long(), None, None)),
        ("access token", of(None, long(), None)),
        ("address", of(None, None, long())),
    ] {
        let refused = state.step_for(Some(&actor), state.last(), close());
        assert_eq!(refused, Err(Rejection::TooLong { what, limit }));
    }
    assert_eq!(state, before);
}
