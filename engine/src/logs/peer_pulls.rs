//! Pulls of consumers at other nodes: they read there, and their cursors are here.

use crate::Runtime;
use crate::committed::lock;
use crate::limits::PEER_PULLS;
use crate::liveness::OpenPull;
use futures::channel::oneshot;
use futures::future::select;
use futures::lock::OwnedMutexGuard;
use rejoin_core::Sequence;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The open pulls of other nodes. One that does not end within its lease ends by itself, because its node
/// is held for dead.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerPulls(Arc<Mutex<BTreeMap<[u8; 16], PeerPull>>>);

#[derive(Debug)]
struct PeerPull {
    /// Lets the consumer's next pull read, before this one no longer counts as activity.
    _locked: OwnedMutexGuard<()>,
    open: OpenPull,
    /// Ends the wait for the lease's end.
    _leased: oneshot::Sender<()>,
}

impl PeerPulls {
    /// Keeps a pull open until its end. False: there are too many.
    pub(crate) fn begin(
        &self,
        runtime: &dyn Runtime,
        pull: [u8; 16],
        (open, locked): (OpenPull, OwnedMutexGuard<()>),
        lease: Duration,
    ) -> bool {
        let (leased, ended) = oneshot::channel();
        {
            let mut pulls = lock(&self.0);
            if pulls.len() >= PEER_PULLS {
                return false;
            }
            let peer = PeerPull {
                _locked: locked,
                open,
                _leased: leased,
            };
            pulls.insert(pull, peer);
        }
        let pulls = Arc::downgrade(&self.0);
        let lease = runtime.timer(lease);
        runtime.spawn(Box::pin(async move {
            select(lease, ended).await;
            if let Some(pulls) = pulls.upgrade() {
                let over = lock(&pulls).remove(&pull);
                drop(over);
            }
        }));
        true
    }

    /// Ends a pull, and moves its consumer's cursor. One that has ended already changes nothing.
    pub(crate) fn end(&self, pull: [u8; 16], advance: Option<(Sequence, bool)>) {
        let over = lock(&self.0).remove(&pull);
        if let (Some(over), Some((to, is_worth_logging))) = (&over, advance) {
            over.open.advance(to, is_worth_logging);
        }
    }
}
