//! `rejoin cluster`: the nodes of a cluster and their logs as one of them sees them, and taking one out.

use super::sessions::print;
use crate::args::ServerArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::table::{harmless, table};
use crate::offline::warn;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The exit status where the node that was asked is not ready.
const NOT_READY: u8 = 1;

pub(crate) fn retire(node: &str, server: &ServerArgs) -> Result<ExitCode, ClientError> {
    let path = format!("/cluster/nodes/{node}/retire");
    let retired = Api::new(server)?.post(&path, &json!({}))?;
    let writer = retired["writer"].as_str();
    let place = writer.map_or_else(
        || "until another node takes it, nobody writes its log".to_owned(),
        |writer| format!("node {} goes on with its sessions", harmless(writer)),
    );
    print(&format!("Node {node} is out of the cluster: {place}\n"))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn status(server: &ServerArgs, json: bool) -> Result<ExitCode, ClientError> {
    let status = Api::new(server)?.get("/cluster")?;
    let not_ready = status["notReady"].as_str();
    if json {
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
    let (cluster, asked) = (name(&status["cluster"]), name(&status["node"]));
    let mut out = format!("Cluster {cluster}, as node {asked} sees it\n\n");
    let rows = |list: &Value, row: fn(&Value) -> Vec<String>| {
        let list = list.as_array().into_iter().flatten();
        list.map(row).collect::<Vec<_>>()
    };
    let nodes = rows(&status["nodes"], node);
    let columns = ["NODE", "STATE", "BEAT", "HOME", "WRITES", "VERSION"];
    out += &table(&columns, &nodes, Some(WIDTH));
    out.push('\n');
    let logs = rows(&status["logs"], log);
    let columns = [
        "LOG", "HOME", "WRITER", "TERM", "SEQUENCE", "RECORDS", "BEHIND", "HERE",
    ];
    out += &table(&columns, &logs, Some(WIDTH));
    let servers = rows(&status["servers"], server);
    if !servers.is_empty() {
        out.push('\n');
        out += &table(
            &["NATS", "VERSION", "SYNC", "MONITORING"],
            &servers,
            Some(WIDTH),
        );
    }
    out
}

/// Of the tables.
const WIDTH: usize = 100;

fn name(value: &Value) -> String {
    harmless(value.as_str().unwrap_or("-"))
}

fn number(value: &Value) -> String {
    value
        .as_u64()
        .map_or_else(|| "-".to_owned(), |it| it.to_string())
}

fn node(node: &Value) -> Vec<String> {
    let logs = node["logs"].as_array().into_iter().flatten();
    let logs: Vec<_> = logs.map(number).collect();
    let beat = node["silentSeconds"].as_u64();
    vec![
        name(&node["node"]),
        name(&node["state"]),
        beat.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s ago")),
        number(&node["home"]),
        match &*logs {
            [] => "-".to_owned(),
            logs => logs.join(" "),
        },
        name(&node["version"]),
    ]
}

fn log(log: &Value) -> Vec<String> {
    let waiting = log["appendWaitingSeconds"].as_u64();
    let here = match (
        log["fault"].as_str(),
        waiting,
        log["behindSeconds"].as_u64(),
    ) {
        (Some(fault), ..) => harmless(fault),
        (None, Some(waiting @ 2..), _) => format!("waiting for NATS for {waiting}s"),
        (None, _, Some(behind @ 2..)) => format!("behind for {behind}s"),
        _ => name(&log["activity"]),
    };
    vec![
        number(&log["log"]),
        match log["homeRetired"] == true {
            true => format!("{} (retired)", name(&log["homeNode"])),
            false => name(&log["homeNode"]),
        },
        name(&log["node"]),
        number(&log["term"]),
        number(&log["sequence"]),
        number(&log["records"]),
        behind(&log["copies"]),
        here,
    ]
}

/// The nodes whose copies have not all records: the worst first, and only so many.
fn behind(copies: &Value) -> String {
    let copies = copies.as_array().into_iter().flatten();
    let mut behind: Vec<_> = copies
        .filter_map(|copy| Some((copy["lagRecords"].as_u64()?, name(&copy["node"]))))
        .filter(|(lag, _)| *lag > 0)
        .collect();
    behind.sort_by(|one, other| other.cmp(one));
    let shown: Vec<_> = behind
        .iter()
        .take(SHOWN_COPIES)
        .map(|(lag, node)| format!("{node} {lag}"))
        .collect();
    match behind.len().saturating_sub(SHOWN_COPIES) {
        _ if behind.is_empty() => "-".to_owned(),
        0 => shown.join(", "),
        more => format!("{}, {more} more", shown.join(", ")),
    }
}

/// Copies of a log that are behind, of which the table tells how far.
const SHOWN_COPIES: usize = 2;

fn server(server: &Value) -> Vec<String> {
    vec![
        name(&server["name"]),
        name(&server["version"]),
        match server["syncs"].as_bool() {
            Some(true) => "always",
            Some(false) => "NO",
            None => "no answer",
        }
        .to_owned(),
        name(&server["address"]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(line: &str) -> Vec<String> {
        line.split("  ")
            .map(|it| it.trim().to_owned())
            .filter(|it| !it.is_empty())
            .collect()
    }

    #[test]
    fn nodes_logs_and_servers_are_three_tables() {
        let copies = json!([
            {"node": "n1", "records": 7, "lagRecords": 0},
            {"node": "n2", "records": 5, "lagRecords": 2},
            {"node": "n3", "records": 0, "lagRecords": 7},
            {"node": "n4", "records": 1, "lagRecords": 6},
        ]);
        let status = json!({"cluster": "ops", "node": "n1", "notReady": null,
        "nodes": [
            {"node": "n1", "state": "live", "silentSeconds": 0, "version": "1.2.3", "home": 0,
             "logs": [0, 1]},
            {"node": "n2", "state": "silent", "silentSeconds": 9, "version": null, "home": 1, "logs": []},
            {"node": "n3", "state": "ended", "silentSeconds": null, "version": null, "home": 2, "logs": []},
        ],
        "logs": [
            {"log": 0, "homeNode": "n1", "node": "n1", "term": 1, "sequence": 12, "records": 7,
             "activity": "writing", "behindSeconds": 0, "appendWaitingSeconds": 0, "copies": copies,
             "fault": null},
            {"log": 1, "homeNode": "n2", "node": null, "term": 3, "sequence": null, "records": 9,
             "activity": "following", "behindSeconds": 5, "appendWaitingSeconds": 0, "copies": [],
             "fault": null},
            {"log": 2, "homeNode": "n3", "node": "n1", "term": 3, "sequence": 4, "records": 9,
             "activity": "writing", "behindSeconds": 0, "appendWaitingSeconds": 8, "copies": [],
             "fault": null},
        ],
        "servers": [
            {"name": "s1", "version": "2.15.3", "syncs": true, "address": "a:8222"},
            {"name": null, "version": null, "syncs": null, "address": "b:8222"},
        ]});
        let out = shown(&status);
        let lines: Vec<_> = out.lines().map(words).collect();
        assert_eq!(lines[0], ["Cluster ops, as node n1 sees it"]);
        assert_eq!(lines[3], ["n1", "live", "0s ago", "0", "0 1", "1.2.3"]);
        assert_eq!(lines[4], ["n2", "silent", "9s ago", "1", "-", "-"]);
        assert_eq!(lines[5], ["n3", "ended", "-", "2", "-", "-"]);
        let behind = "n3 7, n4 6, 1 more";
        assert_eq!(
            lines[8],
            ["0", "n1", "n1", "1", "12", "7", behind, "writing"]
        );
        assert_eq!(
            lines[9],
            ["1", "n2", "-", "3", "-", "9", "-", "behind for 5s"]
        );
        assert_eq!(lines[10].last().unwrap(), "waiting for NATS for 8s");
        assert_eq!(lines[13], ["s1", "2.15.3", "always", "a:8222"]);
        assert_eq!(lines[14], ["-", "-", "no answer", "b:8222"]);
        assert!(out.lines().all(|line| line.len() <= WIDTH), "{out}");
    }
}
