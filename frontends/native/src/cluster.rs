//! The nodes of a cluster and their logs, for admins.

use crate::Native;
use crate::answer::{HandlerResult, ok};
use crate::error::Fault;
use rejoin_accounts::Permission;
use rejoin_engine::peers::{ClusterStatus, LogStatus};
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
            None => json!({"cluster": null, "nodes": [], "logs": []}),
        }))
    }
}

fn shown(status: &ClusterStatus) -> Value {
    let own = json!({
        "node": &*status.node,
        "silentSeconds": 0,
        "logs": logs_of(status, &status.node),
        "otherAccounts": false,
    });
    let others = status.nodes.iter().map(|(node, silence)| {
        json!({
            "node": &**node,
            "silentSeconds": silence,
            "logs": logs_of(status, node),
            "otherAccounts": status.other_accounts.contains(node),
        })
    });
    let mut nodes: Vec<_> = others.chain([own]).collect();
    nodes.sort_by_key(|node| node["node"].as_str().map(str::to_owned));
    let logs: Vec<_> = status
        .logs
        .iter()
        .map(|(number, log)| log_shown(*number, log))
        .collect();
    json!({
        "cluster": &*status.cluster,
        "node": &*status.node,
        "notReady": status.unready(),
        "nodes": nodes,
        "logs": logs,
    })
}

/// The logs that a node writes.
fn logs_of(status: &ClusterStatus, node: &str) -> Vec<u8> {
    let owner = |log: &LogStatus| log.place.as_ref().and_then(|it| it.owner.clone());
    let own = status
        .logs
        .iter()
        .filter(|(_, log)| owner(log).as_deref() == Some(node));
    own.map(|(number, _)| *number).collect()
}

fn log_shown(number: u8, log: &LogStatus) -> Value {
    let place = log.place.as_ref();
    json!({
        "log": number,
        "homeNode": place.map(|place| &*place.home),
        "node": place.and_then(|place| place.owner.as_deref()),
        "term": log.term,
        "records": log.position,
        "behindSeconds": log.beats_behind.saturating_sub(1),
        "fault": log.fault,
    })
}
