//! `rejoin cluster status`: the nodes of a cluster and their logs, as one of them sees them.

use super::sessions::print;
use crate::args::{ClusterArgs, ClusterCommand};
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::table::{harmless, table};
use crate::offline::warn;
use serde_json::Value;
use std::process::ExitCode;

/// The exit status where the node that was asked is cut off or behind.
const NOT_READY: u8 = 1;

pub(crate) fn run(args: &ClusterArgs) -> Result<ExitCode, ClientError> {
    let ClusterCommand::Status { server, json } = &args.ask;
    let status = Api::new(server)?.get("/cluster")?;
    let not_ready = status["notReady"].as_str();
    if *json {
        print(&format!("{status}\n"))?;
    } else {
        if status["cluster"].is_null() {
            warn("this server is alone: it was started without --cluster");
            return Ok(ExitCode::SUCCESS);
        }
        print(&shown(&status))?;
        for node in others(&status) {
            warn(&format!(
                "node {node} has other accounts or another login key: who is logged in here may not be there"
            ));
        }
        if let Some(reason) = not_ready {
            warn(&format!("this node is not ready: {}", harmless(reason)));
        }
    }
    Ok(match not_ready {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(NOT_READY),
    })
}

/// The nodes whose accounts or login key are not those of the node that was asked.
fn others(status: &Value) -> impl Iterator<Item = String> {
    let nodes = status["nodes"].as_array().into_iter().flatten();
    let others = nodes.filter(|node| node["otherAccounts"] == true);
    others.map(|node| harmless(node["node"].as_str().unwrap_or("-")))
}

fn shown(status: &Value) -> String {
    let name = |value: &Value| harmless(value.as_str().unwrap_or("-"));
    let (cluster, asked) = (name(&status["cluster"]), name(&status["node"]));
    let mut out = format!("Cluster {cluster}, as node {asked} sees it\n\n");
    let nodes = status["nodes"].as_array().into_iter().flatten();
    let nodes: Vec<_> = nodes
        .map(|node| {
            let logs = node["logs"].as_array().into_iter().flatten();
            let logs: Vec<_> = logs.map(ToString::to_string).collect();
            let silent = node["silentSeconds"].as_u64().unwrap_or_default();
            let logs = match &*logs {
                [] => "-".to_owned(),
                logs => logs.join(" "),
            };
            vec![name(&node["node"]), format!("{silent}s ago"), logs]
        })
        .collect();
    out += &table(&["NODE", "BEAT", "WRITES"], &nodes, None);
    out.push('\n');
    let logs = status["logs"].as_array().into_iter().flatten();
    let logs: Vec<_> = logs
        .map(|log| {
            let state = match (log["fault"].as_str(), log["behindSeconds"].as_u64()) {
                (Some(fault), _) => harmless(fault),
                (None, Some(behind @ 2..)) => format!("behind for {behind}s"),
                _ => "ok".to_owned(),
            };
            vec![
                log["log"].to_string(),
                name(&log["homeNode"]),
                name(&log["node"]),
                log["term"].to_string(),
                log["records"].to_string(),
                state,
            ]
        })
        .collect();
    let columns = ["LOG", "OF", "WRITER", "TERM", "RECORDS", "COPY"];
    out + &table(&columns, &logs, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nodes_and_logs_are_two_tables() {
        let status = json!({"cluster": "ops", "node": "n1", "notReady": null,
        "nodes": [{"node": "n1", "silentSeconds": 0, "logs": [0, 1]}],
        "logs": [
            {"log": 0, "homeNode": "n1", "node": "n1", "term": 1, "records": 7, "behindSeconds": 0,
             "fault": null},
            {"log": 1, "homeNode": "n2", "node": null, "term": 3, "records": 9, "behindSeconds": 5,
             "fault": null}
        ]});
        let out = shown(&status);
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[0], "Cluster ops, as node n1 sees it");
        let words = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(words(lines[3]), ["n1", "0s", "ago", "0", "1"]);
        assert_eq!(words(lines[6]), ["0", "n1", "n1", "1", "7", "ok"]);
        assert_eq!(
            words(lines[7]),
            ["1", "n2", "-", "3", "9", "behind", "for", "5s"]
        );
    }
}
