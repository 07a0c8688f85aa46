//! How long something that the servers don't answer is tried again. Nothing that is in the log
//! depends on it.

use crate::limits::PAUSE;
use rejoin_cluster::LogServer;
use std::time::Duration;

/// Some time that is used up by waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// On the stopwatch of the client.
    until: Duration,
}

impl Patience {
    pub(crate) fn of(time: Duration, server: &impl LogServer) -> Self {
        Self {
            until: server.elapsed().saturating_add(time),
        }
    }

    /// Pauses before the next try. False, at once: there is no time left.
    pub(crate) fn pause(self, server: &mut impl LogServer) -> bool {
        let is_left = server.elapsed() < self.until;
        if is_left {
            server.pause(PAUSE);
        }
        is_left
    }
}
