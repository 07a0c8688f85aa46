//! The signal that a server is stopping, for whoever keeps a request open.

use smol::channel::{Receiver, Sender, bounded};
use std::convert::Infallible;

/// Tells that the server is stopping. Cheap to clone.
///
/// A handler that waits for something (a long pull, a stream of events) waits for this as well and
/// answers at once with what it has, instead of being dropped when the deadline passes. It gets
/// its own with [`closing`](crate::closing).
///
/// ```
/// use rejoin_http::Closing;
/// # smol::block_on(async {
/// let closing = Closing::new();
/// assert!(!closing.has_begun());
/// closing.clone().begin();
/// closing.begun().await; // returns at once
/// assert!(closing.has_begun());
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Closing {
    // Nothing is ever sent: the channel's closing is the signal.
    sender: Sender<Infallible>,
    receiver: Receiver<Infallible>,
}

impl Closing {
    /// A signal that hasn't been given.
    #[must_use]
    pub fn new() -> Self {
        let (sender, receiver) = bounded(1);
        Self { sender, receiver }
    }

    /// Gives the signal to all clones. Giving it again changes nothing.
    pub fn begin(&self) {
        self.sender.close();
    }

    /// Waits for the signal; returns at once when it has been given. May be dropped at any time.
    pub async fn begun(&self) {
        match self.receiver.recv().await {
            Ok(never) => match never {},
            Err(_closed) => (),
        }
    }

    /// Whether the signal has been given. Doesn't wait.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.receiver.is_closed()
    }
}

impl Default for Closing {
    fn default() -> Self {
        Self::new()
    }
}
