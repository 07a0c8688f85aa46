//! The engine's runtime on the simulated executor, clock and generator.

use super::World;
use futures::future::BoxFuture;
use rejoin_core::Timestamp;
use rejoin_engine::Runtime;
use std::sync::Arc;
use std::time::Duration;

/// The runtime that the engine gets.
#[derive(Debug)]
pub(crate) struct SimulatedRuntime(pub(crate) Arc<World>);

impl Runtime for SimulatedRuntime {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.0.clock.timer(wait))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.0.executor.spawn("job", future);
    }

    /// There is only one thread: while this task waits for the disk, the disk runs the others.
    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        self.0.executor.spawn(name, future);
    }

    fn random(&self) -> [u8; 16] {
        self.0.draw(|random| random.bytes())
    }
}
