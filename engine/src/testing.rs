//! For tests of what stands on the engine: time that moves when it is told to.

use crate::published::lock;
use crate::{Runtime, SmolRuntime};
use futures::channel::oneshot;
use futures::future::BoxFuture;
use rejoin_core::Timestamp;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A clock, and the runtime that goes by it: all but time is smol's.
///
/// ```
/// use rejoin_engine::testing::Clock;
/// use rejoin_engine::{Config, Engine, NewSession, Replayed, Services};
/// use rejoin_log::MemoryLog;
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Clock::default();
/// let config = Config::default();
/// let (log, replayed) = (Box::new(MemoryLog::new()), Replayed::new(&config));
/// let services = Services::from([("shell".into(), Arc::new(Idle) as _)]);
/// let engine = Engine::start(config.clone(), Arc::new(clock.clone()), log, replayed, services)?;
/// let created = smol::block_on(engine.create_session(NewSession::default()))?;
///
/// // Nobody uses it for hours, which takes no time.
/// while engine.session(created.session).is_some_and(|view| view.closed.is_none()) {
///     clock.advance(config.session_timeout);
/// }
/// # Ok(())
/// # }
/// # #[derive(Debug)]
/// # struct Idle;
/// # impl rejoin_engine::Runner for Idle {
/// #     fn run(&self, _: rejoin_engine::RunnerJob)
/// #         -> futures::future::BoxFuture<'static, rejoin_engine::Exit> {
/// #         Box::pin(futures::future::pending())
/// #     }
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<(Mutex<Ticks>, Condvar)>);

#[derive(Debug, Default)]
struct Ticks {
    millis: u64,
    timers: Vec<(u64, Duration, oneshot::Sender<()>)>,
}

impl Clock {
    /// Lets time pass, and wakes whoever waits for it. At once.
    pub fn advance(&self, by: Duration) {
        let mut ticks = lock(&self.0.0);
        ticks.millis = ticks.millis.saturating_add(millis(by));
        let now = ticks.millis;
        for (_, _, timer) in ticks.timers.extract_if(.., |(due, _, _)| *due <= now) {
            // Nobody may wait any more.
            let _ = timer.send(());
        }
    }

    /// Blocks until somebody waits for that long.
    ///
    /// # Panics
    ///
    /// When nobody has begun to within ten seconds of real time.
    pub fn wait_for_timer(&self, wait: Duration) {
        let (ticks, changed) = &*self.0;
        let is_missing = |ticks: &mut Ticks| {
            let mut timers = ticks.timers.iter();
            !timers.any(|(_, length, timer)| *length == wait && !timer.is_canceled())
        };
        let waited = changed
            .wait_timeout_while(lock(ticks), PATIENCE, is_missing)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.1.timed_out(), "nobody waits for {wait:?}");
    }
}

impl Runtime for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN.saturating_add(lock(&self.0.0).millis))
    }

    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        if wait.is_zero() {
            return Box::pin(async {});
        }
        let (timer, due) = oneshot::channel();
        let mut ticks = lock(&self.0.0);
        ticks.timers.retain(|(_, _, timer)| !timer.is_canceled());
        let at = ticks.millis.saturating_add(millis(wait));
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

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Some day.
const BEGIN: u64 = 1_700_000_000_000;

/// Far longer than any waiting begins in.
const PATIENCE: Duration = Duration::from_secs(10);
