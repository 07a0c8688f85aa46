//! Metrics primitives: counters, gauges and histograms.
//!
//! Updating takes one relaxed atomic addition, two for a histogram, and never waits for readers. So
//! values that are read together may be from slightly different instants.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A counter of events or amounts that only grows.
///
/// ```
/// use rejoin_metrics::Counter;
///
/// let jobs = Counter::default();
/// jobs.add(2);
/// assert_eq!(jobs.get(), 2);
/// ```
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The current count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The number of things that exist now, such as open connections.
///
/// ```
/// use rejoin_metrics::Gauge;
///
/// let open = Gauge::default();
/// let (first, second) = (open.enter(), open.enter());
/// drop(first);
/// assert_eq!(open.get(), 1);
/// drop(second);
/// assert_eq!(open.get(), 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Gauge(std::sync::Arc<AtomicU64>);

impl Gauge {
    /// Counts one more until the guard is dropped.
    #[must_use = "it is counted only as long as the guard lives"]
    pub fn enter(&self) -> GaugeGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        GaugeGuard(self.clone())
    }

    /// The current number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counted by a [`Gauge`] until it is dropped.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A distribution of sizes or durations: the number of values within each bound, and their sum.
///
/// ```
/// use rejoin_metrics::Histogram;
///
/// let sizes = Histogram::new(&[1, 10, 100]);
/// [1, 2, 1_000].into_iter().for_each(|size| sizes.observe(size));
/// let read = sizes.read();
/// assert_eq!(read.within, [1, 2, 2]);
/// assert_eq!((read.count, read.sum), (3, 1_003));
/// ```
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// The number of values within each bound and above the previous one; the last is for values above
    /// all bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// An empty histogram. Bounds are inclusive and must be in ascending order.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Adds a value.
    pub fn observe(&self, size: u64) {
        let index = self.bounds.partition_point(|bound| *bound < size);
        if let Some(count) = self.counts.get(index) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// Adds a duration in whole microseconds.
    pub fn observe_micros(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The values so far.
    pub fn read(&self) -> HistogramSnapshot {
        let mut count = 0;
        let mut within: Vec<u64> = self
            .counts
            .iter()
            .map(|bucket| {
                count += bucket.load(Ordering::Relaxed);
                count
            })
            .collect();
        within.truncate(self.bounds.len());
        HistogramSnapshot {
            bounds: self.bounds,
            within,
            count,
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// The values of a [`Histogram`] at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// The inclusive upper bounds.
    pub bounds: &'static [u64],
    /// The number of values within each bound, cumulative.
    pub within: Vec<u64>,
    /// The number of values.
    pub count: u64,
    /// The sum of the values.
    pub sum: u64,
}
