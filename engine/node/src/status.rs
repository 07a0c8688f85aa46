//! What a node knows of its cluster, for operators.

use crate::{Shared, lock};
use rejoin_cluster::NodeName;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// A node, and what it knows of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its name.
    pub node: NodeName,
    /// Its home.
    pub home: u8,
    /// Whether the servers answered its last beat.
    pub is_connected: bool,
    /// The other nodes, each with how many own beats in a row it has been silent for.
    pub nodes: BTreeMap<NodeName, u64>,
    /// The logs, by number.
    pub logs: BTreeMap<u8, LogStatus>,
}

/// A log as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// The node that it belongs to.
    pub home: Option<NodeName>,
    /// The node that writes it. None: it was let go.
    pub owner: Option<NodeName>,
    /// In which term.
    pub term: u64,
    /// How many of its records this node has.
    pub position: u64,
    /// How often this node has taken it.
    pub takeovers: u64,
    /// Why it can't be followed, if it can't.
    pub fault: Option<String>,
}

pub(crate) fn of(shared: &Shared) -> NodeStatus {
    let beats = lock(&shared.beats);
    let nodes = beats
        .live()
        .filter(|node| **node != shared.settings.node)
        .map(|node| (node.clone(), beats.silence(node)))
        .collect();
    drop(beats);
    let mut logs = lock(&shared.logs).clone();
    for (log, claim) in &*lock(&shared.claims) {
        let status = logs.entry(*log).or_default();
        status.home = Some(claim.home.clone());
        status.owner.clone_from(&claim.owner);
        status.term = claim.term;
    }
    NodeStatus {
        node: shared.settings.node.clone(),
        home: shared.home,
        is_connected: shared.is_connected.load(Ordering::Acquire),
        nodes,
        logs,
    }
}
