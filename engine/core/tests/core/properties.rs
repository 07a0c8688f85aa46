//! The promises, over whatever may happen.

use proptest::prelude::*;
use rejoin_core::testing::{Operation, Pick, Promises};
use rejoin_core::{Limits, Manner, Selection, State, Timestamp, Views};

fn picks() -> impl Strategy<Value = Pick> {
    // Few who are there, so that operations meet; now and then somebody who is not.
    prop_oneof![9 => 0u8..4, 1 => Just(u8::MAX)].prop_map(Pick)
}

fn operations() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => (any::<bool>(), 1u8..30).prop_map(|(reads, timeout)| Operation::Create { reads, timeout }),
        3 => picks().prop_map(Operation::Join),
        1 => (picks(), picks()).prop_map(|(session, who)| Operation::Leave(session, who)),
        1 => picks().prop_map(Operation::Close),
        1 => (picks(), 0u8..3).prop_map(|(session, user)| Operation::SetUser(session, user)),
        1 => picks().prop_map(Operation::Touch),
        5 => (picks(), 0usize..4, 1u8..20, any::<u8>()).prop_map(
            |(session, manner, timeout, output_limit)| Operation::Submit {
                session, manner: Manner::ALL[manner], timeout, output_limit,
            }
        ),
        1 => picks().prop_map(Operation::Refuse),
        2 => (picks(), proptest::option::of(picks()))
            .prop_map(|(session, job)| Operation::Interrupt(session, job)),
        3 => (picks(), picks(), 0u8..5).prop_map(|(s, who, by)| Operation::Advance(s, who, by)),
        2 => (picks(), picks()).prop_map(|(session, job)| Operation::Start(session, job)),
        5 => (picks(), picks(), 0u8..100).prop_map(|(s, job, size)| Operation::Emit(s, job, size)),
        3 => (picks(), picks(), 0u8..3).prop_map(|(s, job, status)| Operation::Finish(s, job, status)),
        4 => Just(Operation::Expire),
        1 => Just(Operation::Resume),
        1 => Just(Operation::InterruptAll),
    ]
}

/// What is done, and by how many milliseconds the clock moves before it: now and then back.
fn stories() -> impl Strategy<Value = Vec<(i64, Operation)>> {
    let moves = prop_oneof![4 => 0i64..500, 4 => 0i64..12_000, 1 => -5_000i64..0];
    proptest::collection::vec((moves, operations()), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_whatever_happens(story in stories()) {
        let limits = Limits { sessions: 3, consumers: 3, jobs: 3, expired: 4, ..Limits::DEFAULT };
        let mut state = State::new(limits);
        let mut views = Views::default();
        let mut promises = Promises::default();
        let mut log = vec![];
        let mut clock = 1_000_000i64;
        for (by, operation) in story {
            clock += by;
            let now = Timestamp::from_millis(clock.unsigned_abs());
            let command = operation.command(&state, now);
            prop_assert_eq!(state.decide(now, command.clone()), state.decide(now, command.clone()));
            let before = state.clone();
            match state.step(now, command) {
                Ok(steps) => for step in steps {
                    promises.take(&step.record);
                    views.apply(&step.record);
                    log.push(step.record);
                },
                Err(_) => prop_assert_eq!(&before, &state),
            }
            if operation == Operation::Expire {
                // Promise 8: what was due has happened, as much of it as one handles.
                let now = now.max(before.last_at());
                let due = before.due(now).count();
                prop_assert!(state.due(now).count() <= due.saturating_sub(limits.expired));
            }
        }

        // Promise 1, 9: the fold of the log is the state, and the views.
        let mut replayed = State::new(limits);
        let mut replayed_views = Views::default();
        for record in &log {
            prop_assert_eq!(replayed.check(record), Ok(()));
            replayed.apply(record);
            replayed_views.apply(record);
        }
        prop_assert_eq!(&replayed, &state);
        prop_assert_eq!(&replayed_views, &views);

        // State and views tell the same story.
        prop_assert_eq!(views.open_count(), state.sessions().count());
        for (id, session) in state.sessions() {
            let view = views.session(id).unwrap();
            prop_assert_eq!(view.last_sequence, session.last_sequence());
            prop_assert_eq!(view.foreground, session.foreground());
            prop_assert_eq!(view.is_busy(), session.jobs().count() > 0);
            prop_assert_eq!(view.consumers().count(), session.consumers().count());
            prop_assert_eq!(view.current_job().is_some(), view.is_busy());
        }

        // A list says what looking at every session would say.
        let users = [None, Some("user 0"), Some("user 1"), Some("nobody")];
        let services = [None, Some("test"), Some("other"), Some("none")];
        for (user, service, busy) in users.iter().flat_map(|user| services.iter().flat_map(
            move |service| [None, Some(true), Some(false)].map(|busy| (*user, *service, busy))
        )) {
            for numbers in [0..=u64::MAX, 2..=3] {
                let selection = Selection { user, service, busy, numbers: numbers.clone() };
                let expected: Vec<_> = views.open_sessions()
                    .filter(|view| user.is_none_or(|user| view.user.as_deref() == Some(user)))
                    .filter(|view| service.is_none_or(|service| *view.service == *service))
                    .filter(|view| busy.is_none_or(|busy| view.is_busy() == busy))
                    .filter(|view| numbers.contains(&view.number.0))
                    .map(|view| view.id)
                    .collect();
                prop_assert_eq!(views.count(&selection), expected.len());
                for skip in 0..=expected.len() {
                    let selected = views.select(&selection, skip).map(|view| view.id);
                    prop_assert!(selected.eq(expected[skip..].iter().copied()), "{:?}", selection);
                }
            }
        }
    }

    #[test]
    fn nothing_stays_open_for_ever(story in stories()) {
        let mut state = State::new(Limits::DEFAULT);
        for (_, operation) in story {
            let now = state.last_at();
            let _ = state.step(now, operation.command(&state, now));
        }
        // Runners report; timers do the rest.
        let jobs: Vec<_> = state.sessions()
            .flat_map(|(id, session)| session.jobs().map(move |(job, _)| (id, job)).collect::<Vec<_>>())
            .collect();
        for (session, job) in jobs {
            let finish = rejoin_core::Command::ReportFinished { session, job, status: 0, message: None };
            state.step(state.last_at(), finish).unwrap();
        }
        while let Some(due) = state.next_deadline() {
            let steps = state.step(due, rejoin_core::Command::Expire).unwrap();
            prop_assert!(!steps.is_empty(), "what is due happens");
        }
        prop_assert_eq!(state.sessions().count(), 0);
    }
}
