//! Notices which nodes are dead, without comparing clocks.
//!
//! Each node writes its beat once a second. An observer counts how often in a row it has written its
//! own beat while another's did not change. While the server elects a leader nobody's writes
//! succeed, which may take 10 seconds: a lease with a shorter time to live would depose healthy
//! owners.

use crate::claim::{Claim, NodeName};
use crate::limits::{NODES, SILENT_BEATS};
use crate::server::Entry;
use std::collections::BTreeMap;

/// The revisions of beats, for [`Beats::observe`].
#[must_use]
pub fn revisions(beats: &[(NodeName, Entry)]) -> Vec<(NodeName, u64)> {
    let revisions = beats
        .iter()
        .map(|(node, beat)| (node.clone(), beat.revision));
    revisions.collect()
}

/// The beats of the other nodes, as one node observes them.
#[derive(Clone, Debug)]
pub struct Beats {
    /// Own beats that were written in a row.
    row: u64,
    /// Own beats that were written, in all.
    all: u64,
    nodes: BTreeMap<NodeName, Seen>,
    /// The claims of logs, with how many own beats there had been when each was first seen.
    claims: BTreeMap<u8, (Claim, u64)>,
    patience: u64,
}

impl Default for Beats {
    fn default() -> Self {
        Self::patient(SILENT_BEATS)
    }
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    revision: u64,
    /// Own beats that were written in a row while this one did not change.
    silent: u64,
    /// Whether it was ever seen to change.
    has_beaten: bool,
}

impl Beats {
    /// No beat has been seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`new`](Self::new), but a node is held for dead only when it was silent for `patience` beats, at
    /// least [`SILENT_BEATS`].
    #[must_use]
    pub fn patient(patience: u64) -> Self {
        Self {
            row: 0,
            all: 0,
            nodes: BTreeMap::new(),
            claims: BTreeMap::new(),
            patience: patience.max(SILENT_BEATS),
        }
    }

    /// For how many own beats in a row another node must have been silent until it is held for dead.
    #[must_use]
    pub fn patience(&self) -> u64 {
        self.patience
    }

    /// A second has passed. `seen` are the revisions of the other nodes' beats, read from the
    /// leader after the own beat was written. None: the own beat could not be written, or the
    /// others' not be read. Then nobody has been silent so far, because it may have been the
    /// server that was.
    pub fn observe(&mut self, seen: Option<&[(NodeName, u64)]>) {
        let Some(seen) = seen else {
            self.row = 0;
            for node in self.nodes.values_mut() {
                node.silent = 0;
            }
            return;
        };
        self.row = self.row.saturating_add(1);
        self.all = self.all.saturating_add(1);
        // A node that ends cleanly deletes its beat.
        self.nodes
            .retain(|name, _| seen.iter().any(|(other, _)| other == name));
        for node in self.nodes.values_mut() {
            node.silent = node.silent.saturating_add(1);
        }
        for (name, revision) in seen {
            let is_new = !self.nodes.contains_key(name);
            if is_new && self.nodes.len() >= NODES {
                continue;
            }
            let revision = *revision;
            let node = self.nodes.entry(name.clone()).or_insert(Seen {
                revision,
                silent: 0,
                has_beaten: false,
            });
            if node.revision != revision {
                *node = Seen {
                    revision,
                    silent: 0,
                    has_beaten: true,
                };
            }
        }
    }

    /// For how many own beats in a row this node's did not change. A node without a beat has been
    /// silent for all of them.
    #[must_use]
    pub fn silence(&self, node: &NodeName) -> u64 {
        self.nodes
            .get(node)
            .map_or(self.row, |seen| seen.silent.min(self.row))
    }

    /// The claim of log `number` was read.
    pub fn watch(&mut self, number: u8, claim: &Claim) {
        let is_known = self.claims.get(&number).is_some_and(|(it, _)| it == claim);
        if !is_known {
            self.claims.insert(number, (claim.clone(), self.all));
        }
    }

    /// As [`silence`](Self::silence), of the owner of log `number` by this claim: only beats count that were
    /// written since the claim was first [seen](Self::watch). Who has just claimed a log is alive, whatever
    /// was observed before: this process may have been stopped meanwhile. 0 if the claim was never seen.
    #[must_use]
    pub fn silence_since(&self, number: u8, claim: &Claim) -> u64 {
        let Some(owner) = &claim.owner else {
            return 0;
        };
        match self.claims.get(&number) {
            Some((seen, since)) if seen == claim => {
                self.silence(owner).min(self.all.saturating_sub(*since))
            }
            _ => 0,
        }
    }

    /// Own beats in a row that were written and followed by reading the others'.
    #[must_use]
    pub fn row(&self) -> u64 {
        self.row
    }

    /// The other nodes that are not held for dead.
    pub fn live(&self) -> impl Iterator<Item = &NodeName> {
        let live = self
            .nodes
            .iter()
            .filter(|(_, seen)| seen.silent < self.patience);
        live.map(|(name, _)| name)
    }

    /// Whether another node was seen to beat, and is not held for dead. A dead node is not held for dead by one
    /// that has just begun to observe, but was not seen to beat either.
    #[must_use]
    pub fn is_beating(&self, node: &NodeName) -> bool {
        let seen = self.nodes.get(node);
        seen.is_some_and(|seen| seen.has_beaten && seen.silent < self.patience)
    }

    /// The other nodes that have a beat, also those that are held for dead.
    pub fn known(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.keys()
    }
}
