//! Time that moves when it is told to.

use futures::channel::oneshot;
use futures::future::BoxFuture;
use rejoin_core::Timestamp;
use rejoin_engine::{Runtime, SmolRuntime};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A clock, and the runtime that goes by it: all but time is smol's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock(Arc<(Mutex<Ticks>, Condvar)>);

#[derive(Debug, Default)]
struct Ticks {
    millis: u64,
    timers: Vec<(u64, Duration, oneshot::Sender<()>)>,
}

impl Clock {
    pub(crate) fn advance(&self, by: Duration) {
        let mut ticks = self.0.0.lock().unwrap();
        ticks.millis += u64::try_from(by.as_millis()).unwrap();
        let now = ticks.millis;
        for (_, _, timer) in ticks.timers.extract_if(.., |(due, _, _)| *due <= now) {
            // Nobody may wait any more.
            let _ = timer.send(());
        }
    }

    /// Until somebody waits for that long.
    pub(crate) fn wait_for_timer(&self, wait: Duration) {
        let (ticks, changed) = &*self.0;
        let is_there = |ticks: &mut Ticks| {
            let mut timers = ticks.timers.iter();
            !timers.any(|(_, length, timer)| *length == wait && !timer.is_canceled())
        };
        let patience = Duration::from_secs(10);
        let waited = changed.wait_timeout_while(ticks.lock().unwrap(), patience, is_there);
        assert!(!waited.unwrap().1.timed_out(), "nobody waits for {wait:?}");
    }
}

impl Runtime for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN + self.0.0.lock().unwrap().millis)
    }

    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let (timer, due) = oneshot::channel();
        let mut ticks = self.0.0.lock().unwrap();
        ticks.timers.retain(|(_, _, timer)| !timer.is_canceled());
        let length = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let at = ticks.millis.saturating_add(length);
        if length == 0 {
            return Box::pin(async {});
        }
        ticks.timers.push((at, wait, timer));
        self.0.1.notify_all();
        Box::pin(async {
            let _ = due.await;
        })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        SmolRuntime.spawn(future);
    }

    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        SmolRuntime.spawn_dedicated(name, future);
    }

    fn random(&self) -> [u8; 16] {
        SmolRuntime.random()
    }
}

/// Some day.
const BEGIN: u64 = 1_700_000_000_000;
