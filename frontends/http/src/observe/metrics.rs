//! Counters of connections and of each frontend's requests.

use http::StatusCode;
use rejoin_metrics::{Counter, Gauge, Histogram};
use std::time::Duration;

/// The counters of one or more servers.
#[derive(Debug)]
pub struct HttpMetrics {
    frontends: Vec<FrontendMetrics>,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Connections refused because the limit was reached: answered with 503, or closed without an
    /// answer if too many others were being refused.
    pub refused: Counter,
    /// Connections whose clients had been silent the longest, closed when another one came and all were
    /// taken.
    pub silent_closed: Counter,
    /// Connections whose clients had taken none of their output for the longest, closed because too much
    /// was held for all.
    pub unread_closed: Counter,
    /// Responses that are open streams: Server-Sent Events.
    pub streams: Gauge,
    /// Responses that are being compressed.
    pub compressed: Gauge,
}

/// The counters of one frontend's requests.
#[derive(Debug)]
pub struct FrontendMetrics {
    /// Its name.
    pub name: &'static str,
    /// Requests that are being answered.
    pub open: Gauge,
    /// Microseconds from a request's head to the last byte of its response, with all the time that
    /// it waited or streamed.
    pub micros: Histogram,
    /// Bytes of response bodies.
    pub bytes: Counter,
    requests: [Counter; STATUS_CLASSES.len()],
}

impl FrontendMetrics {
    /// Counts a request. `status` is none if the client left before there was one.
    pub(crate) fn record(&self, status: Option<StatusCode>, took: Duration, bytes: u64) {
        let class = status.map_or(STATUS_CLASSES.len(), |status| {
            usize::from(status.as_u16() / 100)
        });
        if let Some(requests) = self.requests.get(class.saturating_sub(1)) {
            requests.inc();
        }
        self.micros.observe_micros(took);
        self.bytes.add(bytes);
    }

    /// How many requests had a response of this class, one of [`STATUS_CLASSES`]; none for any other
    /// class.
    pub fn requests(&self, class: &str) -> Option<u64> {
        let index = STATUS_CLASSES.iter().position(|known| *known == class)?;
        Some(self.requests[index].get())
    }
}

/// The classes of responses. `left` means that the client left before there was one.
pub const STATUS_CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "left"];

impl HttpMetrics {
    /// Metrics of these frontends, all zero. Requests that belong to none of them are counted with
    /// the last. An empty list means one frontend named `other`.
    #[must_use]
    pub fn new(frontends: &[&'static str]) -> Self {
        let names = if frontends.is_empty() {
            &[OTHER][..]
        } else {
            frontends
        };
        let frontend = |name: &&'static str| FrontendMetrics {
            name,
            open: Gauge::default(),
            micros: Histogram::new(MICROS),
            bytes: Counter::default(),
            requests: Default::default(),
        };
        Self {
            frontends: names.iter().map(frontend).collect(),
            connections: Gauge::default(),
            accepted: Counter::default(),
            refused: Counter::default(),
            silent_closed: Counter::default(),
            unread_closed: Counter::default(),
            streams: Gauge::default(),
            compressed: Gauge::default(),
        }
    }

    /// The metrics of each frontend, in the order of [`new`](Self::new).
    #[must_use]
    pub fn frontends(&self) -> &[FrontendMetrics] {
        &self.frontends
    }

    pub(crate) fn index(&self, name: &str) -> usize {
        let index = self.frontends.iter().position(|known| known.name == name);
        index.unwrap_or(self.frontends.len() - 1)
    }
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self::new(&[])
    }
}

pub(crate) const OTHER: &str = "other";

/// Bounds from an answer out of memory to a pull that waits as long as it may.
const MICROS: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000, 60_000_000,
];
