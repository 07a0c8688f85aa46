//! Property tests of the promises over random operations.

use proptest::prelude::*;
use rejoin_core::testing::{Operation, operations, play, play_with_holes};
use rejoin_core::{Limits, Moment, State};

fn stories() -> impl Strategy<Value = Vec<(i64, Operation)>> {
    let bytes = proptest::collection::vec(any::<[u8; 6]>(), 1..120);
    bytes.prop_map(|bytes| operations(bytes.as_flattened()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_whatever_happens(story in stories()) {
        play(&story);
    }

    #[test]
    fn behind_declared_gaps_everything_goes_on(
        story in stories(),
        holes in proptest::collection::vec(any::<u8>(), 1..40),
        later in stories(),
    ) {
        // Holes of every length, from almost none to almost everything.
        let is_lost = |place: usize| holes[place % holes.len()] < holes[0] / 2;
        play_with_holes(&story, is_lost, &later);
    }

    #[test]
    fn nothing_stays_open_forever(story in stories()) {
        let mut state = State::new(Limits::DEFAULT);
        for (_, operation) in story {
            let now = state.last();
            let _ = state.step(now, operation.command(&state, now));
        }
        // Runners report, and timers do the rest.
        let jobs: Vec<_> = state.sessions()
            .flat_map(|(id, session)| session.jobs().map(move |(job, _)| (id, job)).collect::<Vec<_>>())
            .collect();
        for (session, job) in jobs {
            let finish = rejoin_core::Command::ReportFinished { session, job, status: 0, message: None, lost: false };
            state.step(state.last(), finish).unwrap();
        }
        while let Some(due) = state.next_deadline() {
            let now = Moment { clock: due, ..state.last() };
            let steps = state.step(now, rejoin_core::Command::Expire).unwrap();
            prop_assert!(!steps.is_empty(), "what is due happens");
        }
        prop_assert_eq!(state.sessions().count(), 0);
    }
}
