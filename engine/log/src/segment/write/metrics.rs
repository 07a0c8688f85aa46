//! Metrics of the writer: bytes written and sync times.

use rejoin_metrics::{Counter, Histogram};
use std::time::{Duration, Instant};

/// How much was appended since the log was opened, and how long the syncs took.
#[derive(Debug)]
#[non_exhaustive]
pub struct LogMetrics {
    /// Bytes of appended batches.
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
    /// Runs `sync`, and records how long it took.
    pub(crate) fn time<T>(&self, sync: impl FnOnce() -> T) -> T {
        let begun = now();
        let done = sync();
        let took = now().saturating_duration_since(begun);
        self.syncs.observe_micros(took.min(LONGEST));
        done
    }
}

/// Histogram bounds in microseconds, from a disk with a write cache to a failing disk.
const SYNC_MICROS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    10_000_000,
];

const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[expect(
    clippy::disallowed_methods,
    reason = "the duration of a sync is a metric only: it affects no decision, log or replay"
)]
fn now() -> Instant {
    Instant::now()
}
