//! Asks the nodes that write the other logs.

use crate::{Shared, lock, status};
use futures::future::{BoxFuture, Either, FutureExt, ready, select};
use rejoin_engine::peers::{ClusterStatus, LogPlace, PeerAnswer, PeerError, PeerRequest, Peers};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
        let (shared, term) = (self.shared.clone(), claim.term);
        let asked = shared.surroundings.ask(log, term, bytes);
        async move {
            let deposed = pin!(shared.newer_term(log, term));
            let answer = match select(asked, deposed).await {
                Either::Left((answer, _)) => answer?,
                // Its answer would come late, if it came at all.
                Either::Right(_) => return Err(PeerError::Deposed),
            };
            PeerAnswer::decode(&answer).map_err(|error| {
                tracing::warn!(log, %error, "cannot read the answer of another node");
                PeerError::Unanswered
            })
        }
        .boxed()
    }

    fn status(&self) -> Option<ClusterStatus> {
        Some(status::of(&self.shared))
    }

    fn place(&self, log: u8) -> Option<LogPlace> {
        status::place_of(&self.shared, log)
    }

    fn is_missing(&self, log: u8) -> bool {
        self.shared.has_read_claims.load(Ordering::Acquire) && self.place(log).is_none()
    }
}
