//! The nodes of a cluster and their logs, for admins.

use crate::Native;
use crate::answer::{HandlerResult, ok};
use crate::error::Fault;
use rejoin_accounts::Permission;
use rejoin_engine::peers::{ClusterStatus, LogStatus, NodeState, NodeStatus};
use rejoin_http::Request;
use serde_json::{Value, json};

impl Native {
    pub(crate) async fn cluster(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        if !caller.may(Permission::SeeAll) {
            let reason = "only an admin may read which nodes there are";
            return Err(Fault::Forbidden(reason.to_owned()));
        }
        Ok(ok(&match self.engine.cluster() {
            Some(status) => shown(&status),
            // So that a client can tell this from a server of a version without clusters.
            None => json!({"cluster": null, "nodes": [], "logs": [], "servers": []}),
        }))
    }

    pub(crate) async fn retire(&self, http: &Request) -> HandlerResult {
        let caller = self.authorize(http, Permission::Read).await?;
        if !caller.may(Permission::SeeAll) {
            let reason = "only an admin may take a node out of the cluster";
            return Err(Fault::Forbidden(reason.to_owned()));
        }
        let node = http.param("node").unwrap_or_default();
        let retired = self.engine.retire(node).await.map_err(Fault::Retire)?;
        Ok(ok(&json!({
            "node": node,
            "log": retired.log,
            "writer": retired.owner.as_deref(),
        })))
    }
}

fn shown(status: &ClusterStatus) -> Value {
    let nodes = status
        .nodes
        .iter()
        .map(|(node, it)| node_shown(status, node, it));
    let logs = status
        .logs
        .iter()
        .map(|(number, log)| log_shown(status, *number, log));
    let servers = status.servers.iter().map(|(address, server)| {
        json!({
            "address": &**address,
            "name": server.name.as_deref(),
            "version": server.version.as_deref(),
            "syncs": server.syncs,
        })
    });
    json!({
        "cluster": &*status.cluster,
        "node": &*status.node,
        "notReady": status.unready(),
        "unansweredSeconds": status.unanswered.as_secs(),
        "nodes": nodes.collect::<Vec<_>>(),
        "logs": logs.collect::<Vec<_>>(),
        "servers": servers.collect::<Vec<_>>(),
    })
}

fn node_shown(status: &ClusterStatus, node: &str, it: &NodeStatus) -> Value {
    let place = |log: &LogStatus| log.place.clone();
    let homes = status.logs.iter();
    let home = homes
        .filter(|(_, log)| place(log).is_some_and(|place| &*place.home == node))
        .map(|(number, _)| *number);
    let written = status.logs.iter();
    let written = written
        .filter(|(_, log)| place(log).is_some_and(|place| place.owner.as_deref() == Some(node)))
        .map(|(number, _)| *number);
    json!({
        "node": node,
        "state": it.state.name(),
        // Of a node without a beat, there is nothing to count.
        "silentSeconds": matches!(it.state, NodeState::Live | NodeState::Silent).then_some(it.silent_beats),
        "version": it.version.as_deref(),
        "services": it.services.iter().map(|it| &**it).collect::<Vec<_>>(),
        "home": home.min(),
        "logs": written.collect::<Vec<_>>(),
        "otherAccounts": it.has_other_accounts,
    })
}

fn log_shown(status: &ClusterStatus, number: u8, log: &LogStatus) -> Value {
    let place = log.place.as_ref();
    let copies = status.nodes.iter().filter_map(|(node, it)| {
        let records = *it.copies.get(&number)?;
        Some(json!({
            "node": &**node,
            "records": records,
            "lagRecords": log.end.saturating_sub(records),
        }))
    });
    json!({
        "log": number,
        "homeNode": place.map(|place| &*place.home),
        "homeRetired": log.is_retired,
        "node": place.and_then(|place| place.owner.as_deref()),
        "term": log.term,
        "sequence": log.sequence,
        "streamBytes": log.stream_bytes,
        "activity": log.activity.name(),
        "records": log.position,
        "lagRecords": log.lag(),
        "behindSeconds": log.seconds_behind(),
        "appendWaitingSeconds": log.append_waiting.as_secs(),
        "copies": copies.collect::<Vec<_>>(),
        "fault": log.fault,
    })
}
