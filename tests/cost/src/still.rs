//! A runtime on one thread whose clock stands still: two runs do the same, instruction for
//! instruction.

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
    /// Runs what was spawned, and this until it is done.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        // Not `smol::block_on`: that looks at the reactor now and then, by the clock.
        smol::future::block_on(self.executor.run(future))
    }
}

impl Runtime for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    /// Never: nothing here may wait for time to pass. No wait at all is over at once.
    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        match wait.is_zero() {
            true => Box::pin(async {}),
            false => Box::pin(pending()),
        }
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.executor.spawn(future).detach();
    }

    /// Nothing here blocks for long.
    fn spawn_dedicated(&self, _: &'static str, future: BoxFuture<'static, ()>) {
        self.spawn(future);
    }

    /// Spread, as random identities are.
    fn random(&self) -> [u8; 16] {
        let drawn = self.drawn.fetch_add(1, Ordering::SeqCst) + 1;
        let spread = u128::from(drawn).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        spread.to_be_bytes()
    }
}
