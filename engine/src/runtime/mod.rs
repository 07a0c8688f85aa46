//! All that the engine asks of a runtime: the time, a timer, two ways to run a future, and random
//! bytes. Whoever implements these five has put the engine on another runtime, or on a simulated
//! one.

#[cfg(feature = "smol")]
mod smol;

#[cfg(feature = "smol")]
pub use self::smol::SmolRuntime;

use futures::future::BoxFuture;
use rejoin_core::Timestamp;
use std::fmt;
use std::time::Duration;

/// Where the engine runs.
///
/// `examples/embed_tokio.rs` implements it on tokio. All methods are called from any thread, also
/// from ones that the runtime did not start; none may block.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// The time of day, in milliseconds since 1970. It may step back; the engine's records do not.
    fn now(&self) -> Timestamp;

    /// Waits for `wait`, never less.
    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()>;

    /// Runs a future that never blocks, beside the others, to its end: nobody keeps a handle.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// Runs a future that may block its thread, on a thread of its own called `name`.
    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>);

    /// Sixteen bytes that nobody can guess: they become identities, and who knows a consumer's may
    /// read in its place.
    fn random(&self) -> [u8; 16];
}
