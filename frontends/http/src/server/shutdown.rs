//! The signal that a server is shutting down, for handlers that keep a request open.

use smol::channel::{Receiver, Sender, bounded};
use std::convert::Infallible;

/// The signal that a server is shutting down. Cheap to clone; all clones are one signal.
///
/// A handler that waits for something (a long poll, a stream of events) also waits for this, and
/// answers at once with what it has, instead of being dropped when the deadline passes. It gets the
/// signal from [`Request::shutdown`](crate::Request::shutdown).
///
/// ```
/// use rejoin_http::Shutdown;
/// # smol::block_on(async {
/// let shutdown = Shutdown::new();
/// assert!(!shutdown.is_triggered());
/// shutdown.clone().trigger();
/// shutdown.wait().await; // returns at once
/// assert!(shutdown.is_triggered());
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Shutdown {
    // Nothing is ever sent: closing the channel is the signal.
    sender: Sender<Infallible>,
    receiver: Receiver<Infallible>,
}

impl Shutdown {
    /// A signal that has not been triggered.
    #[must_use]
    pub fn new() -> Self {
        let (sender, receiver) = bounded(1);
        Self { sender, receiver }
    }

    /// Triggers the signal on all clones. Repeating it changes nothing.
    pub fn trigger(&self) {
        self.sender.close();
    }

    /// Waits for the signal; returns at once if it was triggered before. May be dropped at any time.
    pub async fn wait(&self) {
        match self.receiver.recv().await {
            Ok(never) => match never {},
            Err(_closed) => (),
        }
    }

    /// Whether the signal was triggered. Does not wait.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        self.receiver.is_closed()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}
