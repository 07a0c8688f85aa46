//! Purges the beginning of a log's stream while this node writes the log.

use crate::Shared;
use crate::limits::{PURGE_ANSWER, PURGE_EVERY};
use crate::surroundings::Server;
use futures::future::{Either, FutureExt, select};
use rejoin_cluster::{Purged, Purging};
use rejoin_core::SessionId;
use rejoin_engine::Engine;
use std::pin::pin;

/// What is purged of one log while it is this node's.
pub(crate) struct Purger {
    log: u8,
    server: Option<(Server, Purging)>,
    /// Seconds until the next round.
    rest: u64,
    first: u64,
}

impl Purger {
    pub(crate) fn new(log: u8) -> Self {
        Self {
            log,
            server: None,
            rest: PURGE_EVERY,
            first: 0,
        }
    }

    /// A second has passed. Blocks for some requests to the servers, now and then.
    pub(crate) fn tick(&mut self, shared: &Shared, engine: &Engine) {
        self.rest = self.rest.saturating_sub(1);
        if self.rest > 0 || shared.is_leaving() {
            return;
        }
        self.rest = PURGE_EVERY;
        let (mut server, mut purging) = match self.server.take() {
            Some(server) => server,
            // If it can't be reached, it is tried again.
            None => match shared.surroundings.server(self.log) {
                Ok((server, id)) => (server, Purging::new(id)),
                Err(error) => {
                    tracing::debug!(log = self.log, %error, "cannot purge a stream");
                    return;
                }
            },
        };
        let mut kept = |sessions| self.kept(shared, engine, sessions);
        match purging.round(&mut server, &mut kept) {
            Purged::UpTo(first) => {
                if self.first > 0 && first > self.first {
                    tracing::info!(log = self.log, first, "purged the beginning of a stream");
                }
                self.first = first;
            }
            Purged::More => self.rest = 1,
            Purged::Unanswered => {}
        }
        self.server = Some((server, purging));
    }

    fn kept(
        &self,
        shared: &Shared,
        engine: &Engine,
        sessions: Vec<SessionId>,
    ) -> Option<Vec<SessionId>> {
        let mut kept = None;
        let asked = async {
            let patience = engine.runtime().timer(PURGE_ANSWER);
            let answer = pin!(engine.kept_sessions(self.log, sessions));
            if let Either::Left((answer, _)) = select(answer, patience).await {
                kept = answer;
            }
        };
        shared.surroundings.wait(asked.boxed_local());
        kept
    }
}
