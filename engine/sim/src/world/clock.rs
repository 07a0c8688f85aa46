//! Time that moves when told to. Timers follow one hand, which never goes back; the time of day
//! follows another, which is set forward and back as clocks are.

use rejoin_core::Timestamp;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A clock. Clones are the same clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<Mutex<Hands>>);

#[derive(Debug)]
struct Hands {
    /// Milliseconds since the run began.
    elapsed: u64,
    /// The time of day at that moment, in milliseconds.
    day: u64,
    /// By how much it was set forward, in all.
    forward: u64,
    timers: BTreeMap<(u64, u64), Waker>,
    made: u64,
}

impl Default for Hands {
    fn default() -> Self {
        Self {
            elapsed: 0,
            day: 1_000_000_000,
            forward: 0,
            timers: BTreeMap::new(),
            made: 0,
        }
    }
}

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.hands().day)
    }

    /// How long the run has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_millis(self.hands().elapsed)
    }

    /// Sets the time of day; timers do not notice.
    pub(crate) fn set(&self, change: impl FnOnce(u64) -> u64) {
        let mut hands = self.hands();
        let day = change(hands.day);
        hands.forward += day.saturating_sub(hands.day);
        hands.day = day;
    }

    /// The most that anybody can hold to have passed since the run began.
    pub(crate) fn progress(&self) -> Duration {
        let hands = self.hands();
        Duration::from_millis(hands.elapsed + hands.forward)
    }

    /// Lets time pass, and wakes the timers that are due.
    pub(crate) fn pass(&self, by: Duration) {
        let due: Vec<Waker> = {
            let mut hands = self.hands();
            let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            hands.elapsed += millis;
            hands.day += millis;
            let next = hands.elapsed + 1;
            let later = hands.timers.split_off(&(next, 0));
            std::mem::replace(&mut hands.timers, later)
                .into_values()
                .collect()
        };
        due.into_iter().for_each(Waker::wake);
    }

    /// How long until the next timer is due, where one is set.
    pub(crate) fn next_timer(&self) -> Option<Duration> {
        let hands = self.hands();
        let ((due, _), _) = hands.timers.first_key_value()?;
        Some(Duration::from_millis(due.saturating_sub(hands.elapsed)))
    }

    /// A timer for `wait`, rounded up: never early.
    pub(crate) fn timer(&self, wait: Duration) -> Timer {
        let mut hands = self.hands();
        hands.made += 1;
        let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        let key = (hands.elapsed.saturating_add(millis), hands.made);
        Timer {
            clock: self.clone(),
            key,
        }
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Is ready when its instant has come.
#[derive(Debug)]
pub(crate) struct Timer {
    clock: Clock,
    key: (u64, u64),
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut hands = self.clock.hands();
        if hands.elapsed >= self.key.0 {
            return Poll::Ready(());
        }
        hands.timers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let waker = self.clock.hands().timers.remove(&self.key);
        drop(waker);
    }
}
