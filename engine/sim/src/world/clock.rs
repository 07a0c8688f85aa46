//! Virtual time. Timers follow a monotonic counter; the time of day can be set forward and back.

use rejoin_core::Timestamp;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A clock. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<Mutex<ClockState>>);

#[derive(Debug)]
struct ClockState {
    /// Milliseconds since the run began.
    elapsed: u64,
    /// The time of day at that moment, in milliseconds.
    day: u64,
    /// How often the machine was started, and when it was started last.
    boots: u64,
    booted: u64,
    timers: BTreeMap<(u64, u64), Waker>,
    created: u64,
}

impl Default for ClockState {
    fn default() -> Self {
        Self {
            elapsed: 0,
            day: BEGIN,
            boots: 1,
            booted: 0,
            timers: BTreeMap::new(),
            created: 0,
        }
    }
}

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.state().day)
    }

    /// How long the run has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_millis(self.state().elapsed)
    }

    /// What the machine's stopwatch shows: the time since it was started.
    pub(crate) fn stopwatch(&self) -> Duration {
        let state = self.state();
        Duration::from_millis(state.elapsed - state.booted)
    }

    /// Which start of the machine the stopwatch counts from.
    pub(crate) fn boot(&self) -> [u8; 16] {
        u128::from(self.state().boots).to_be_bytes()
    }

    /// The machine is started again.
    pub(crate) fn reboot(&self) {
        let mut state = self.state();
        state.boots += 1;
        state.booted = state.elapsed;
    }

    /// Sets the time of day. Timers are not affected.
    pub(crate) fn set(&self, change: impl FnOnce(u64) -> u64) {
        let mut state = self.state();
        state.day = change(state.day);
    }

    /// Lets time pass, and wakes the timers that are due.
    pub(crate) fn pass(&self, by: Duration) {
        let due: Vec<Waker> = {
            let mut state = self.state();
            let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            state.elapsed += millis;
            state.day += millis;
            let next = state.elapsed + 1;
            let later = state.timers.split_off(&(next, 0));
            std::mem::replace(&mut state.timers, later)
                .into_values()
                .collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// The time until the next timer is due, if there is one.
    pub(crate) fn next_timer(&self) -> Option<Duration> {
        let state = self.state();
        let ((due, _), _) = state.timers.first_key_value()?;
        Some(Duration::from_millis(due.saturating_sub(state.elapsed)))
    }

    /// A timer for `wait`, rounded up: never early.
    pub(crate) fn timer(&self, wait: Duration) -> Timer {
        let mut state = self.state();
        state.created += 1;
        let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let key = (state.elapsed.saturating_add(millis), state.created);
        Timer {
            clock: self.clone(),
            key,
        }
    }

    fn state(&self) -> MutexGuard<'_, ClockState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of day when a run begins, far from the epoch.
const BEGIN: u64 = 1_700_000_000_000;

/// A future that is ready when its instant has come.
#[derive(Debug)]
pub(crate) struct Timer {
    clock: Clock,
    key: (u64, u64),
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.state();
        if state.elapsed >= self.key.0 {
            return Poll::Ready(());
        }
        state.timers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let waker = self.clock.state().timers.remove(&self.key);
        drop(waker);
    }
}
