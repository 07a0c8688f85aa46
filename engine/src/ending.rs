//! Why something has ended, for those that ask and those that wait.

use crate::error::Unavailable;
use event_listener::Event as Wake;
use std::sync::OnceLock;

/// Set once, by a shutdown or a failure.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    why: OnceLock<Unavailable>,
    on_end: Wake,
}

impl Ending {
    /// Sets why it has ended, and wakes all that wait. False: it had ended already.
    pub(crate) fn set(&self, why: Unavailable) -> bool {
        let is_first = self.why.set(why).is_ok();
        if is_first {
            self.on_end.notify(usize::MAX);
        }
        is_first
    }

    pub(crate) fn get(&self) -> Option<&Unavailable> {
        self.why.get()
    }

    /// Waits for the end.
    pub(crate) async fn wait(&self) -> Unavailable {
        loop {
            let listener = self.on_end.listen();
            if let Some(why) = self.get() {
                return why.clone();
            }
            listener.await;
        }
    }
}
