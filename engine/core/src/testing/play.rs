//! Runs operations on the core and checks the promises after each of them.

use super::{Clocks, Operation, Promises};
use crate::{
    Command, Event, JobId, Limits, Outcome, Projection, Record, Rejection, Retention, Selection,
    State, Views,
};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

/// The limits of [`play`]: small, so that every one of them is reached.
pub const LIMITS: Limits = Limits {
    sessions: 3,
    consumers: 3,
    jobs: 3,
    expired: 4,
    retention: Retention {
        age: Some(Duration::from_secs(30)),
        bytes: Some(2_000),
    },
    ..Limits::DEFAULT
};

/// Runs the operations, each with how the clocks turn before it ([`Clocks::turn`]). Returns the records of
/// each.
///
/// # Panics
///
/// When a promise is broken: [`Promises`] rejects a record, a decision is not repeatable, a rejection
/// changes the state, something due does not happen, replay leads to another state or other views,
/// or the views and the state disagree.
pub fn play(operations: &[(i64, Operation)]) -> Vec<Vec<Record>> {
    let mut state = State::new(LIMITS);
    let mut views = Views::default();
    let mut promises = Promises::keeping(LIMITS.retention);
    let mut log = Vec::new();
    let mut batches = Vec::new();
    let mut clocks = Clocks::default();
    for &(by, operation) in operations {
        let now = clocks.turn(by);
        let command = operation.command(&state, now);
        let kept = match &command {
            Command::Resume { kept, .. } => Some(kept.clone()),
            _ => None,
        };
        let decision = state.decide(now.clock, command.clone());
        assert_eq!(
            decision,
            state.decide(now.clock, command.clone()),
            "promise 9: {operation:?} is decided in two ways"
        );
        let before = state.clone();
        match state.step(now, command) {
            Ok(steps) => {
                let batch: Vec<_> = steps.into_iter().map(|step| step.record).collect();
                for record in &batch {
                    promises.take(record);
                    views.apply(record);
                }
                if let Some(kept) = kept {
                    check_resumed(&before, &kept, &batch, &state);
                }
                log.extend(batch.iter().cloned());
                batches.push(batch);
            }
            Err(rejection) => {
                assert_eq!(before, state, "{operation:?} was rejected");
                if let Rejection::TooLong { what, .. } | Rejection::TooMany { what, .. } = rejection
                {
                    assert!(Rejection::WHATS.contains(&what), "{what} is not listed");
                }
            }
        }
        if operation == Operation::Expire {
            // At most as much as one command handles.
            let now = now.clock;
            // Sessions that were just closed may exceed the retention size.
            let due: Vec<_> = before.due(now).collect();
            let left = due.len().saturating_sub(LIMITS.expired);
            let still_due = state.due(now).filter(|still| due.contains(still));
            assert!(
                still_due.count() <= left,
                "promise 8: what was due has not happened"
            );
        }
    }

    let mut replayed = State::new(LIMITS);
    let mut replayed_views = Views::default();
    for record in &log {
        assert_eq!(replayed.validate(record), Ok(()), "promise 1");
        replayed.apply(record);
        replayed_views.apply(record);
    }
    assert_eq!(replayed, state, "promise 1: replay leads to another state");
    assert_eq!(
        replayed_views, views,
        "promise 1: replay leads to other views"
    );
    restore(&log, &state, &views);
    compare(&state, &views);
    compare_lists(&views);
    batches
}

/// After a restart, exactly the jobs run on that a runner has: as they were, and without a record of it. All
/// others are lost, each once.
fn check_resumed(before: &State, kept: &BTreeSet<JobId>, batch: &[Record], after: &State) {
    let mut lost = BTreeSet::new();
    for record in batch {
        match record.event {
            Event::JobFinished {
                job,
                outcome: Outcome::Lost,
                ..
            } => assert!(lost.insert(job), "promise 7: job {job} is lost twice"),
            Event::SessionResumed | Event::SessionTakenOver { .. } => {}
            _ => panic!("promise 7: {record:?} follows from a restart"),
        }
    }
    for (id, session) in before.sessions() {
        let now = after.session(id).expect("a restart closes no session");
        for (job, running) in session.jobs() {
            let goes_on = now.jobs().any(|(other, it)| other == job && it == running);
            assert_eq!(
                (goes_on, lost.remove(&job)),
                (kept.contains(&job), !kept.contains(&job)),
                "promise 7: job {job}"
            );
        }
        assert!(now.jobs().count() <= session.jobs().count());
    }
    assert!(lost.is_empty(), "promise 7: {lost:?} did not run");
}

/// A snapshot after any record and the records after it lead to the same projection.
fn restore(log: &[Record], state: &State, views: &Views) {
    let mut before = Projection::new(LIMITS);
    // After each record of a short story, after some records of a long one.
    let stride = log.len() / SNAPSHOTS + 1;
    for (index, record) in log.iter().enumerate() {
        if index % stride == 0 {
            let mut restored = Projection::restored(LIMITS, before.snapshot());
            assert_eq!(
                restored, before,
                "promise 9: a snapshot is not what it is of"
            );
            for rest in &log[index..] {
                assert_eq!(restored.add(rest), Ok(()), "promise 9: after a snapshot");
            }
            assert_eq!(
                restored.state(),
                state,
                "promise 9: a snapshot leads elsewhere"
            );
            assert_eq!(
                restored.views(),
                views,
                "promise 9: a snapshot leads elsewhere"
            );
        }
        assert_eq!(before.add(record), Ok(()), "promise 1");
    }
}

/// Up to this many records, a snapshot is tried after each of them; beyond that, after some.
const SNAPSHOTS: usize = 40;

fn compare(state: &State, views: &Views) {
    assert_eq!(views.open_count(), state.sessions().count());
    for (id, session) in state.sessions() {
        let view = views.session(id);
        let view = view.unwrap_or_else(|| panic!("the views know nothing of session {id}"));
        assert_eq!(view.last_sequence, session.last_sequence());
        assert_eq!(view.foreground, session.foreground());
        assert_eq!(view.is_busy(), session.jobs().count() > 0);
        assert_eq!(view.consumers().count(), session.consumers().count());
        let is_shown = session.jobs().any(|(_, job)| !job.mode.is_private());
        assert_eq!(view.current_job().is_some(), is_shown);
    }
}

/// A list contains what a scan of every session finds.
fn compare_lists(views: &Views) {
    let users = [None, Some("user 0"), Some("user 1"), Some("nobody")];
    let services = [None, Some("test"), Some("other"), Some("none")];
    for (user, service) in users
        .into_iter()
        .flat_map(|user| services.map(|service| (user, service)))
    {
        for busy in [None, Some(true), Some(false)] {
            for numbers in [0..=u64::MAX, 2..=3] {
                for also in [&[][..], &[1, 3, 4], &[2]] {
                    compare_list(
                        views,
                        &Selection {
                            user,
                            also,
                            service,
                            busy,
                            numbers: numbers.clone(),
                        },
                    );
                }
            }
        }
    }
}

fn compare_list(views: &Views, selection: &Selection<'_>) {
    let Selection {
        user,
        also,
        service,
        busy,
        numbers,
    } = selection;
    let expected: Vec<_> = views
        .open_sessions()
        .filter(|view| {
            user.is_none_or(|user| view.user.as_deref() == Some(user))
                || also.contains(&view.number.0)
        })
        .filter(|view| service.is_none_or(|service| *view.service == *service))
        .filter(|view| busy.is_none_or(|busy| view.is_busy() == busy))
        .filter(|view| numbers.contains(&view.number.0))
        .map(|view| view.id)
        .collect();
    assert_eq!(views.count(selection), expected.len(), "{selection:?}");
    for skip in 0..=expected.len() {
        let selected = views.select(selection, skip).map(|view| view.id);
        let expected = expected.iter().copied().skip(skip);
        assert!(selected.eq(expected), "{selection:?} behind {skip}");
    }
}
