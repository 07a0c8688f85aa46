//! What the engine needs of an async runtime: the time, a timer, two ways to run a future, and
//! random bytes. Implement these five methods to run it on another runtime, or on a simulated one.

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
    /// The time of day. It may step back; the times of records do not.
    fn now(&self) -> Timestamp;

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
