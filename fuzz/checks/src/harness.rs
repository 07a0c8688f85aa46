//! A deterministic engine without threads and without a clock: time only passes when nothing else
//! can happen.

use crate::script::Script;
use futures::FutureExt;
use futures::future::BoxFuture;
use rejoin_core::testing::Promises;
use rejoin_core::{Limits, Record, Server, Timestamp};
use rejoin_engine::{Config, Engine, Projection, Runner, Runtime, Services, Unavailable};
use rejoin_log::{AppendError, Log, LogReader, MemoryLog};
use smol::{Executor, Task};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often time moves on before a call counts as hanging. With the engine's own timer that is about
/// the same number of seconds.
const MAX_TIME_STEPS: usize = 40;

/// An engine, and the tasks that run in it.
pub(crate) struct Harness {
    pub(crate) engine: Engine,
    runtime: VirtualRuntime,
    executor: Executor<'static>,
}

impl Harness {
    pub(crate) fn start() -> Self {
        let config = Config {
            limits: Limits {
                sessions: 4,
                consumers: 4,
                jobs: 3,
                statement: 1024,
                message: 256,
                ..Limits::DEFAULT
            },
            // A real process identity would make runs differ.
            server: Server {
                process: 1,
                version: "1".into(),
                node: None,
            },
            // Allocated for every input, so keep it small.
            queue: 64,
            ..Config::default()
        };
        let runtime = VirtualRuntime::default();
        let services = Services::from([("script".into(), Arc::new(Script) as Arc<dyn Runner>)]);
        let replayed = Projection::new(config.limits);
        let log = Box::new(CheckedLog::default());
        let engine = rejoin_engine::testing::start(
            config,
            Arc::new(runtime.clone()),
            log,
            replayed,
            services,
        )
        .unwrap_or_else(|error| panic!("an empty log was refused: {error}"));
        Self {
            engine,
            runtime,
            executor: Executor::new(),
        }
    }

    /// How many timers are pending.
    pub(crate) fn pending_timers(&self) -> usize {
        self.runtime.state().timers.len()
    }

    /// Whether no time has passed.
    pub(crate) fn is_at_start(&self) -> bool {
        self.runtime.state().now == Timestamp::EPOCH
    }

    /// Shuts the engine down, and returns why it ended.
    pub(crate) fn end(mut self) -> Unavailable {
        let engine = self.engine.clone();
        let ended = self.run(async move { engine.shut_down(Duration::from_secs(1)).await });
        ended.unwrap_or_else(|| panic!("the engine doesn't end"))
    }

    /// Runs a future to its end. None if it takes too long.
    pub(crate) fn run<T: Send + 'static>(
        &mut self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let task: Task<T> = self.executor.spawn(future);
        for _ in 0..MAX_TIME_STEPS {
            self.settle();
            if task.is_finished() {
                return task.now_or_never();
            }
            self.runtime.advance();
        }
        None
    }

    /// Runs all tasks until each waits for time to pass.
    fn settle(&self) {
        loop {
            let spawned = std::mem::take(&mut self.runtime.state().spawned);
            for future in spawned {
                self.executor.spawn(future).detach();
            }
            if !self.executor.try_tick() && self.runtime.state().spawned.is_empty() {
                return;
            }
        }
    }
}

/// A runtime whose time moves only by `advance`.
#[derive(Clone, Debug, Default)]
struct VirtualRuntime(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Timestamp,
    drawn: u128,
    /// The wakers of pending timers, by due time and then by order.
    timers: BTreeMap<(Timestamp, u64), Waker>,
    timer_count: u64,
    spawned: Vec<BoxFuture<'static, ()>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl VirtualRuntime {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on to the next timer.
    fn advance(&self) {
        let woken = {
            let mut state = self.state();
            let Some(((due, _), waker)) = state.timers.pop_first() else {
                return;
            };
            state.now = due;
            waker
        };
        woken.wake();
    }
}

impl Runtime for VirtualRuntime {
    fn now(&self) -> Timestamp {
        self.state().now
    }

    fn elapsed(&self) -> Duration {
        self.state().now.since(Timestamp::EPOCH)
    }

    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let mut state = self.state();
        state.timer_count += 1;
        Box::pin(Timer {
            runtime: self.clone(),
            key: (state.now + wait, state.timer_count),
        })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.state().spawned.push(future);
    }

    /// Nothing here blocks.
    fn spawn_dedicated(&self, _: &'static str, future: BoxFuture<'static, ()>) {
        self.spawn(future);
    }

    fn random(&self) -> [u8; 16] {
        let mut state = self.state();
        state.drawn += 1;
        state.drawn.to_be_bytes()
    }
}

struct Timer {
    runtime: VirtualRuntime,
    key: (Timestamp, u64),
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.runtime.state();
        if state.now >= self.key.0 {
            return Poll::Ready(());
        }
        state.timers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let waker = self.runtime.state().timers.remove(&self.key);
        drop(waker);
    }
}

/// A log in memory that checks the invariants of its records.
#[derive(Debug, Default)]
struct CheckedLog {
    log: MemoryLog,
    promises: Promises,
}

impl Log for CheckedLog {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        self.log.append(records)?;
        records.iter().for_each(|record| self.promises.take(record));
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        self.log.reader()
    }

    fn close(&mut self) -> Result<(), AppendError> {
        self.log.close()
    }
}
