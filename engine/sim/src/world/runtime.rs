//! The engine's runtime on the simulated executor, clock and generator.

use super::World;
use futures::future::BoxFuture;
use rejoin_core::Timestamp;
use rejoin_engine::Runtime;
use std::sync::Arc;
use std::time::Duration;

/// The runtime that the engine gets.
#[derive(Debug)]
pub(crate) struct SimulatedRuntime {
    pub(crate) world: Arc<World>,
    /// Measures timeouts with the wall clock, to prove that the checks find it.
    pub(crate) trusts_wall: bool,
}

impl Runtime for SimulatedRuntime {
    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    fn elapsed(&self) -> Duration {
        match self.trusts_wall {
            true => self.now().since(Timestamp::EPOCH),
            false => self.world.clock.stopwatch(),
        }
    }

    fn boot(&self) -> Option<[u8; 16]> {
        Some(self.world.clock.boot())
    }

    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.world.clock.timer(wait))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.world.executor.spawn("job", future);
    }

    /// There is only one thread: while this task waits for the disk, the disk runs the others.
    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        self.world.executor.spawn(name, future);
    }

    fn random(&self) -> [u8; 16] {
        self.world.draw(|random| random.bytes())
    }
}
