//! What sessions really do, drawn from a seed. Closed ones are removed at once.

use rejoin_core::{Limits, Projection, Record, Retention, Sequence, SessionId};
use rejoin_log::testing;
use std::sync::Arc;

pub(crate) type Batch = Vec<Arc<Record>>;

pub(crate) fn story(seed: u64, count: usize) -> Vec<Batch> {
    testing::story(seed, count, Retention::NOTHING)
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
