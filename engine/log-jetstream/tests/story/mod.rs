//! What sessions really do, drawn from a seed. Closed ones are removed at once.

use rejoin_core::testing::operations;
use rejoin_core::{Limits, Projection, Record, Retention, Sequence, SessionId, State, Timestamp};
use std::sync::Arc;

pub(crate) type Batch = Vec<Arc<Record>>;

pub(crate) fn story(seed: u64, count: usize) -> Vec<Batch> {
    let mut random = seed.wrapping_mul(2).wrapping_add(1);
    let mut state = State::new(Limits {
        sessions: 3,
        retention: Retention {
            age: None,
            bytes: Some(0),
        },
        ..Limits::DEFAULT
    });
    let mut clock = 1_000_000_u64;
    let mut batches = Vec::new();
    while batches.len() < count {
        let bytes = std::array::from_fn::<u8, 6, _>(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        });
        for (by, operation) in operations(&bytes) {
            clock = clock.saturating_add_signed(by);
            let now = Timestamp::from_millis(clock);
            let command = operation.command(&state, now);
            let steps = state.step(now, command).unwrap_or_default();
            if !steps.is_empty() {
                let records = steps.into_iter().map(|step| Arc::new(step.record));
                batches.push(records.collect());
            }
        }
    }
    batches
}

pub(crate) fn folded<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Projection {
    let mut folded = Projection::new(Limits::DEFAULT);
    for record in batches.into_iter().flatten() {
        folded.add(record).unwrap();
    }
    folded
}

/// Those of some sessions that are not removed after these records.
pub(crate) fn kept(after: &Projection, mut sessions: Vec<SessionId>) -> Vec<SessionId> {
    sessions.retain(|it| after.state().last_sequence(*it) > Sequence::START);
    sessions
}
