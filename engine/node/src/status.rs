//! What a node knows of its cluster, for operators.

use crate::{Shared, lock};
use rejoin_cluster::Claim;
use rejoin_engine::peers::{ClusterStatus, LogPlace};
use std::sync::atomic::Ordering;

pub(crate) fn of(shared: &Shared) -> ClusterStatus {
    let beats = lock(&shared.beats);
    let nodes = beats
        .live()
        .filter(|node| **node != shared.member.node)
        .map(|node| (node.as_str().into(), beats.silence(node)))
        .collect();
    drop(beats);
    let mut logs = lock(&shared.logs).clone();
    for (log, claim) in &*lock(&shared.claims) {
        let status = logs.entry(*log).or_default();
        status.place = Some(place(claim));
        status.term = claim.term;
    }
    let other_accounts = lock(&shared.other_accounts);
    let other_accounts = other_accounts.iter().map(|node| node.as_str().into());
    ClusterStatus {
        other_accounts: other_accounts.collect(),
        cluster: shared.member.cluster.as_str().into(),
        node: shared.member.node.as_str().into(),
        home: shared.home,
        unanswered_beats: shared.unanswered_beats.load(Ordering::Acquire),
        nodes,
        logs,
    }
}

/// Where a log is written, as far as is known.
pub(crate) fn place_of(shared: &Shared, log: u8) -> Option<LogPlace> {
    lock(&shared.claims).get(&log).map(place)
}

fn place(claim: &Claim) -> LogPlace {
    LogPlace {
        home: claim.home.as_str().into(),
        owner: claim.owner.as_ref().map(|owner| owner.as_str().into()),
    }
}
