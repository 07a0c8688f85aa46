//! What the writer counts while it appends, for whoever operates the log.

use rejoin_metrics::{Counter, Histogram};
use std::time::{Duration, Instant};

/// How much was appended since the log was opened, and how long the disk took for it.
#[derive(Debug)]
#[non_exhaustive]
pub struct LogMetrics {
    /// Bytes of batches that were written.
    pub bytes: Counter,
    /// How long each sync of a batch took, in microseconds. Empty with
    /// [`Durability::Flush`](crate::segment::Durability::Flush).
    pub syncs: Histogram,
}

impl Default for LogMetrics {
    fn default() -> Self {
        Self {
            bytes: Counter::default(),
            syncs: Histogram::new(SYNC_MICROS),
        }
    }
}

impl LogMetrics {
    /// Does `sync`, and counts how long it took.
    pub(crate) fn time<T>(&self, sync: impl FnOnce() -> T) -> T {
        let begun = now();
        let done = sync();
        let took = now().saturating_duration_since(begun);
        self.syncs.observe_micros(took.min(LONGEST));
        done
    }
}

/// From a disk with a memory of its own to one that is failing.
const SYNC_MICROS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    10_000_000,
];

const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[expect(
    clippy::disallowed_methods,
    reason = "how long a disk takes is counted only; nothing is decided by it, logged or replayed"
)]
fn now() -> Instant {
    Instant::now()
}
