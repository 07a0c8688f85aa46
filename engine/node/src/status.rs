//! What a node knows of its cluster, for operators.

use crate::{Shared, lock};
use rejoin_cluster::{Claim, NodeName};
use rejoin_engine::limits::CUT_OFF;
use rejoin_engine::peers::{
    ClusterStatus, LogActivity, LogPlace, LogStatus, NodeState, NodeStatus,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn of(shared: &Shared) -> ClusterStatus {
    let claims = lock(&shared.claims).clone();
    let logs = logs(shared, &claims);
    ClusterStatus {
        cluster: shared.member.cluster.as_str().into(),
        node: shared.member.node.as_str().into(),
        home: shared.home,
        no_room: shared.surroundings.no_room(),
        unanswered: shared.unanswered(),
        nodes: nodes(shared, &claims, &logs),
        logs,
        servers: lock(&shared.servers).clone(),
    }
}

fn logs(shared: &Shared, claims: &BTreeMap<u8, Claim>) -> BTreeMap<u8, LogStatus> {
    let waiting: BTreeMap<_, _> = lock(&shared.appends)
        .iter()
        .map(|(log, appends)| (*log, appends.waiting()))
        .collect();
    let mut logs: BTreeMap<_, _> = lock(&shared.logs)
        .iter()
        .map(|(log, state)| {
            let mut status = state.status.clone();
            let is_writing = status.activity == LogActivity::Writing;
            status.behind = match state.whole {
                Some(then) if !is_writing => shared.stopwatch.now().saturating_sub(then),
                _ => Duration::ZERO,
            };
            if is_writing {
                status.end = status.position;
            }
            status.end = status.end.max(status.position);
            status.append_waiting = waiting.get(log).copied().unwrap_or_default();
            (*log, status)
        })
        .collect();
    for (log, claim) in claims {
        let status = logs.entry(*log).or_default();
        status.place = Some(place(claim));
        status.term = claim.term;
        status.is_retired = claim.retired;
    }
    logs
}

/// All nodes that beat, have a home, or write a log.
fn nodes(
    shared: &Shared,
    claims: &BTreeMap<u8, Claim>,
    logs: &BTreeMap<u8, LogStatus>,
) -> BTreeMap<Arc<str>, NodeStatus> {
    let name = |node: &NodeName| Arc::<str>::from(node.as_str());
    let mut nodes = BTreeMap::new();
    for claim in claims.values() {
        for node in [Some(&claim.home), claim.owner.as_ref()]
            .into_iter()
            .flatten()
        {
            nodes.entry(name(node)).or_insert_with(NodeStatus::default);
        }
    }
    for claim in claims.values().filter(|claim| claim.retired) {
        nodes.entry(name(&claim.home)).or_default().state = NodeState::Retired;
    }
    let (beats, entries) = (lock(&shared.beats), lock(&shared.entries));
    let accounts = lock(&shared.accounts_mark).clone();
    let is_cut_off = shared.unanswered() >= CUT_OFF;
    for node in beats.known() {
        let silent_beats = beats.silence(node);
        let entry = entries.get(node);
        let services = entry.map_or(&[][..], |entry| &entry.services);
        let status = NodeStatus {
            state: match silent_beats < beats.patience() {
                _ if is_cut_off => NodeState::Unknown,
                true => NodeState::Live,
                false => NodeState::Silent,
            },
            silent_beats,
            version: entry.map(|entry| entry.version.as_str().into()),
            services: services.iter().map(|it| it.as_str().into()).collect(),
            copies: entry.map(|entry| entry.copies.clone()).unwrap_or_default(),
            has_other_accounts: entry.is_some_and(|entry| entry.accounts != accounts),
        };
        nodes.insert(name(node), status);
    }
    let own = NodeStatus {
        state: NodeState::Live,
        silent_beats: 0,
        version: Some(shared.member.version.as_str().into()),
        services: lock(&shared.services).clone(),
        copies: logs.iter().map(|(log, it)| (*log, it.position)).collect(),
        has_other_accounts: false,
    };
    nodes.insert(name(&shared.member.node), own);
    nodes
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
