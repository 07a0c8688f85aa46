//! How long something that the servers don't answer is tried again. Nothing that is in the log
//! depends on it.
#![allow(
    clippy::disallowed_methods,
    reason = "waiting for servers is not the engine's time, and no simulation runs this code"
)]

use crate::limits::PAUSE;
use std::time::{Duration, Instant};

/// Some time that is used up by waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    until: Instant,
}

impl Patience {
    pub(crate) fn of(time: Duration) -> Self {
        Self {
            until: Instant::now() + time,
        }
    }

    /// Pauses before the next try. False, at once: there is no time left.
    pub(crate) fn pause(self) -> bool {
        let is_left = Instant::now() < self.until;
        if is_left {
            std::thread::sleep(PAUSE);
        }
        is_left
    }
}
