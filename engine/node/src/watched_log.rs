//! A log that this node writes: for how long an append waits for the servers, and its end when the node has
//! been cut off from them for too long.

use crate::{Stopwatch, lock};
use rejoin_core::Record;
use rejoin_log::{AppendError, ClockAnchor, Log, LogReader};
use rejoin_log_jetstream::StopAppends;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What other threads see of the appends to a log, and how they end them.
#[derive(Clone, Debug)]
pub(crate) struct Appends {
    stop: StopAppends,
    stopwatch: Stopwatch,
    /// Another node may have the log.
    is_given_up: Arc<AtomicBool>,
    /// What the stopwatch showed when the one that is under way began.
    since: Arc<Mutex<Option<Duration>>>,
}

impl Appends {
    pub(crate) fn new(stop: StopAppends, stopwatch: Stopwatch) -> Self {
        Self {
            stop,
            stopwatch,
            is_given_up: Arc::default(),
            since: Arc::default(),
        }
    }

    /// Ends those that wait for servers which don't answer. Jobs that can outlive this process go on.
    pub(crate) fn stop(&self) {
        self.stop.stop();
    }

    /// Ends those that wait, and refuses all later ones as if another node had taken the log. So its jobs end.
    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Release);
        self.stop.stop();
    }

    /// For how long one has been under way.
    pub(crate) fn waiting(&self) -> Duration {
        let since = *lock(&self.since);
        since.map_or(Duration::ZERO, |since| {
            self.stopwatch.now().saturating_sub(since)
        })
    }
}

/// The log.
#[derive(Debug)]
pub(crate) struct WatchedLog<L> {
    log: L,
    appends: Appends,
}

impl<L: Log> WatchedLog<L> {
    pub(crate) const fn new(log: L, appends: Appends) -> Self {
        Self { log, appends }
    }

    fn timed(
        &mut self,
        call: impl FnOnce(&mut L) -> Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        let given_up = || {
            let why = io::Error::other(
                "this node was cut off from the NATS servers, and another one may have taken the log",
            );
            AppendError::Fenced(Arc::new(why))
        };
        let is_given_up = &self.appends.is_given_up;
        if is_given_up.load(Ordering::Acquire) {
            return Err(given_up());
        }
        *lock(&self.appends.since) = Some(self.appends.stopwatch.now());
        let outcome = call(&mut self.log);
        *lock(&self.appends.since) = None;
        outcome.map_err(|error| match is_given_up.load(Ordering::Acquire) {
            true => given_up(),
            false => error,
        })
    }
}

impl<L: Log> Log for WatchedLog<L> {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        self.timed(|log| log.append(records))
    }

    fn confirm(&mut self) -> Result<(), AppendError> {
        self.timed(L::confirm)
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.log.reader()
    }

    fn close(&mut self) -> Result<(), AppendError> {
        self.timed(L::close)
    }

    fn clock_anchor(&self) -> Option<ClockAnchor> {
        self.log.clock_anchor()
    }

    fn keep_clock_anchor(&mut self, anchor: &ClockAnchor) -> io::Result<()> {
        self.log.keep_clock_anchor(anchor)
    }
}
