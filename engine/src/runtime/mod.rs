//! What the engine needs of an async runtime: the time, a timer, two ways to run a future, and
//! random bytes. Implement these six methods to run it on another runtime, or on a simulated one.

#[cfg(feature = "smol")]
mod smol;

#[cfg(feature = "smol")]
pub use self::smol::SmolRuntime;

use futures::future::BoxFuture;
use rejoin_core::Timestamp;
use std::fmt;
use std::time::Duration;

/// An async runtime for the engine.
///
/// `examples/embed_tokio.rs` implements it on tokio. All methods are called from any thread, also
/// from threads that the runtime did not start, and must not block.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// The wall's time, for people. It may step forward and back; the times of records don't go back.
    fn now(&self) -> Timestamp;

    /// How much time has passed since any fixed moment before the runtime was made. All timeouts are
    /// measured with it, so it must not be set when the wall clock is: read a monotonic clock, such as
    /// [`std::time::Instant`]. Whether it counts the time in which the machine is suspended is up to
    /// the runtime; [`Self::timer`] must do the same.
    fn elapsed(&self) -> Duration;

    /// Identifies what [`elapsed`](Self::elapsed) counts from, if other processes count from the same
    /// moment: on Linux, the boot of the machine. Then the log's clock also counts the time between two
    /// processes. None: it does not.
    fn boot(&self) -> Option<[u8; 16]> {
        None
    }

    /// Waits at least for `wait`.
    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()>;

    /// Runs a future that never blocks, in the background and to its end.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// Runs a future that may block its thread, on a new thread called `name`.
    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>);

    /// Sixteen unpredictable bytes. They become identities; anyone who knows a consumer's identity can
    /// read in its place.
    fn random(&self) -> [u8; 16];
}
