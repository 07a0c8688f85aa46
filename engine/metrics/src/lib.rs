//! Numbers about a running program: counted where things happen, read by whoever wants to know.
//!
//! What enters: one relaxed atomic addition for each thing that happens, two for each that is
//! measured. What leaves: plain numbers. What is never true: that who counts waits for who reads.
//! So numbers that are read together may be of instants that lie a little apart.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often something has happened, or how much of it there was. Only grows.
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
    /// It happened once.
    pub fn inc(&self) {
        self.add(1);
    }

    /// It happened so often.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How often it has happened.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
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
    /// One more, until what this returns is dropped.
    #[must_use = "it is counted as long as this lives"]
    pub fn enter(&self) -> GaugeGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        GaugeGuard(self.clone())
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that a [`Gauge`] counts.
#[derive(Debug)]
pub struct GaugeGuard(Gauge);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How large things are: how many were within each bound, and the sum of all.
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
    /// How many are within each bound and above the one before; last, how many are above all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// Nothing yet. The bounds rise; what equals one is within it.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// There was one of this size.
    pub fn observe(&self, size: u64) {
        let place = self.bounds.partition_point(|bound| *bound < size);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// One took so long, in whole microseconds.
    pub fn observe_micros(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// All of them so far.
    pub fn read(&self) -> HistogramSnapshot {
        let mut count = 0;
        let mut within: Vec<u64> = self
            .counts
            .iter()
            .map(|here| {
                count += here.load(Ordering::Relaxed);
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

/// What a [`Histogram`] has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// The bounds.
    pub bounds: &'static [u64],
    /// How many are within each bound.
    pub within: Vec<u64>,
    /// How many there are.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
}
