//! Asks the nodes that write the other logs.

use crate::limits::ANSWER;
use crate::{Shared, lock, status};
use futures::future::{BoxFuture, FutureExt, ready};
use rejoin_engine::peers::{ClusterStatus, LogPlace, PeerAnswer, PeerError, PeerRequest, Peers};
use rejoin_log_jetstream::AskError;
use std::fmt;
use std::sync::Arc;

/// Asks the owner that a log's claim names, in its term.
pub(crate) struct NodePeers {
    shared: Arc<Shared>,
}

impl NodePeers {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl fmt::Debug for NodePeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodePeers").finish_non_exhaustive()
    }
}

impl Peers for NodePeers {
    fn ask(
        &self,
        log: u8,
        request: PeerRequest,
    ) -> BoxFuture<'static, Result<PeerAnswer, PeerError>> {
        let claim = lock(&self.shared.claims).get(&log).cloned();
        let Some(claim) = claim.filter(|claim| claim.owner.is_some()) else {
            return ready(Err(PeerError::NoOwner)).boxed();
        };
        // Never of a client, so it was never carried out.
        let Some(bytes) = request.encode() else {
            return ready(Err(PeerError::NoOwner)).boxed();
        };
        let cluster = &self.shared.settings.cluster;
        let asked = self
            .shared
            .connection
            .ask(cluster, log, claim.term, bytes, ANSWER);
        async move {
            match asked.await {
                Ok(answer) => PeerAnswer::decode(&answer).map_err(|error| {
                    tracing::warn!(log, %error, "cannot read the answer of another node");
                    PeerError::Unanswered
                }),
                Err(AskError::NoOwner) => Err(PeerError::NoOwner),
                Err(error @ (AskError::Unanswered | AskError::TooLarge)) => {
                    tracing::warn!(log, %error, "asked another node in vain");
                    Err(PeerError::Unanswered)
                }
            }
        }
        .boxed()
    }

    fn status(&self) -> Option<ClusterStatus> {
        Some(status::of(&self.shared))
    }

    fn place(&self, log: u8) -> Option<LogPlace> {
        status::place_of(&self.shared, log)
    }
}
