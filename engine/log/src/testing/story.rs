//! What sessions really do.

use rejoin_core::testing::operations;
use rejoin_core::{Limits, Record, Retention, State, Timestamp};
use std::sync::Arc;

/// What up to three sessions do, in `count` batches: drawn from a seed, the same for the same one. Closed sessions
/// are kept as `retention` says.
#[must_use]
pub fn story(seed: u64, count: usize, retention: Retention) -> Vec<Vec<Arc<Record>>> {
    let mut random = seed.wrapping_mul(2).wrapping_add(1);
    let mut state = State::new(Limits {
        sessions: 3,
        retention,
        ..Limits::DEFAULT
    });
    let mut clock = 1_000_000_i64;
    let mut batches = Vec::new();
    while batches.len() < count {
        let bytes = std::array::from_fn::<u8, 6, _>(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            random.to_be_bytes()[0]
        });
        for (by, operation) in operations(&bytes) {
            clock = clock.saturating_add(by);
            let now = Timestamp::from_millis(clock.unsigned_abs());
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
