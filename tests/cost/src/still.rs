//! A single-threaded runtime with a constant clock: all runs execute the same instructions.

use futures::future::{BoxFuture, pending};
use rejoin_core::Timestamp;
use rejoin_engine::Runtime;
use smol::Executor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(crate) struct Still {
    executor: Arc<Executor<'static>>,
    drawn: Arc<AtomicU64>,
}

impl Still {
    /// Runs the spawned tasks and `future` until `future` is ready.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        // Not `smol::block_on`, which polls the reactor depending on the clock.
        smol::future::block_on(self.executor.run(future))
    }
}

impl Runtime for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    /// Never fires, because time does not pass here. Only a zero wait ends at once.
    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        match wait.is_zero() {
            true => Box::pin(async {}),
            false => Box::pin(pending()),
        }
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.executor.spawn(future).detach();
    }

    /// Runs on the same thread, because nothing here blocks for long.
    fn spawn_dedicated(&self, _: &'static str, future: BoxFuture<'static, ()>) {
        self.spawn(future);
    }

    /// Scattered like random IDs, but the same in every run.
    fn random(&self) -> [u8; 16] {
        let drawn = self.drawn.fetch_add(1, Ordering::SeqCst) + 1;
        let spread = u128::from(drawn).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        spread.to_be_bytes()
    }
}
