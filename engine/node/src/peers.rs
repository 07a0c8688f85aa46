//! Asks the nodes that write the other logs.

use crate::{Shared, lock, retire, status};
use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, FutureExt, ready, select};
use rejoin_cluster::Claim;
use rejoin_engine::peers::{
    ClusterStatus, LogPlace, PeerAnswer, PeerError, PeerRequest, Peers, RetireError, RetiredNode,
};
use std::fmt;
use std::pin::pin;
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

/// The claim of a log of which this node knows none: it may have just been started, or the log just been
/// made. So that is said only after the claims were read once more.
async fn read_claim(shared: &Shared, log: u8) -> Result<Claim, PeerError> {
    let are_read = lock(&shared.reading).wait();
    let are_read = are_read.await.unwrap_or(false);
    let claim = lock(&shared.claims).get(&log).cloned();
    match claim {
        Some(claim) => Ok(claim),
        None if are_read => Err(PeerError::NoLog),
        None => Err(PeerError::Unanswered),
    }
}

impl Peers for NodePeers {
    fn ask(
        &self,
        log: u8,
        request: PeerRequest,
    ) -> BoxFuture<'static, Result<PeerAnswer, PeerError>> {
        // Never of a client, so it was never carried out.
        let Some(bytes) = request.encode() else {
            return ready(Err(PeerError::NoOwner)).boxed();
        };
        let shared = self.shared.clone();
        let known = lock(&shared.claims).get(&log).cloned();
        async move {
            let claim = match known {
                Some(claim) => claim,
                None => read_claim(&shared, log).await?,
            };
            if claim.owner.is_none() {
                return Err(PeerError::NoOwner);
            }
            let asked = shared.surroundings.ask(log, claim.term, bytes);
            let deposed = pin!(shared.newer_term(log, claim.term));
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

    fn retire(&self, node: &str) -> BoxFuture<'static, Result<RetiredNode, RetireError>> {
        let (sender, retired) = oneshot::channel();
        let (shared, node) = (self.shared.clone(), node.to_owned());
        let work = move || {
            // Its asker may have been dropped.
            let _ = sender.send(retire::retire(&shared, &node));
        };
        let thread = self
            .shared
            .surroundings
            .thread("rejoin-retire".to_owned(), Box::new(work));
        async move {
            drop(thread.map_err(|_| RetireError::Unanswered)?);
            retired.await.unwrap_or(Err(RetireError::Unanswered))
        }
        .boxed()
    }

    fn place(&self, log: u8) -> Option<LogPlace> {
        status::place_of(&self.shared, log)
    }
}
