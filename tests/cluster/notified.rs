//! Webhooks of three nodes with the same settings: the node that writes a record sends its event.

use crate::receiver::{Receiver, config, table};
use crate::server::{Server, text};
use crate::{Cluster, long_job, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn each_event_is_sent_once_by_the_node_that_wrote_it_also_after_a_takeover() {
    let receiver = Receiver::start(200);
    let mut cluster = Cluster::start_with(|directory| {
        let file = config(directory, &table(&receiver, ""));
        vec!["--config".to_owned(), file]
    });
    let sessions: Vec<_> = cluster.nodes.iter().map(|node| node.create().0).collect();
    // At the session's node, and through each of the others.
    for (number, node) in cluster.nodes.iter().enumerate() {
        for session in &sessions {
            submit(node, session, &format!("echo through {number}"));
        }
    }
    until("each event is delivered", || receiver.taken().len() >= 9);
    until("that is on the disk of the first", || {
        let position = std::fs::read_to_string(cluster.data(0).join("notify-chat.json"));
        position.unwrap().matches("evt_").count() >= 3
    });
    let file = cluster.directory.path().join("process");
    long_job(&cluster.nodes[0], &sessions[0], &file);
    cluster.nodes[0].kill();
    let (by, _) = cluster.until_taken(1, 0);
    until("the loss is delivered", || {
        count(&receiver, "job.lost") >= 1
    });
    for (number, node) in cluster.nodes.iter().enumerate().skip(1) {
        submit(node, &sessions[0], &format!("echo after it, {number}"));
    }
    until("the new owner's events are delivered", || {
        receiver.taken().len() >= 12
    });

    // The killed one has nothing to send again: neither what it sent before, nor what others sent meanwhile.
    cluster.nodes[0] = cluster.node(0);
    cluster.until_home();
    submit(&cluster.nodes[1], &sessions[0], "echo at home");
    until("the next event is delivered", || {
        receiver.taken().len() >= 13
    });
    // Those of each node are in order, so that what it would have sent too often is there by now.
    for (node, session) in cluster.nodes.iter().zip(&sessions) {
        submit(node, session, "echo the end");
    }
    until("the last event of each node is delivered", || {
        said(&receiver, "echo the end") >= 3
    });
    let mut ids = BTreeMap::<_, Vec<String>>::new();
    for it in receiver.deliveries() {
        let event = it.json();
        let what = format!(
            "{} {}",
            text(&event["type"]),
            text(&event["data"]["statement"])
        );
        ids.entry(it.id().to_owned()).or_default().push(what);
    }
    let twice: Vec<_> = ids.values().filter(|it| it.len() > 1).collect();
    assert!(twice.is_empty(), "sent more than once: {twice:?}");
    assert_eq!(ids.len(), 16);
    let taker = usize::from(by == "n3") + 1;
    let mut expected = [2, 4, 4];
    expected[taker] = 7;
    until(
        "each node says how many it delivered since its start",
        || {
            let said: Vec<_> = cluster.nodes.iter().map(delivered).collect();
            said == expected
        },
    );
}

/// Submits a command once: its request has a name.
fn submit(node: &Server, session: &str, statement: &str) {
    let new = json!({"statement": statement, "background": true, "request": statement});
    let path = format!("/sessions/{session}/jobs");
    until("a command is taken", || {
        let answer = node.client().post(&path, &new.to_string());
        answer.is_ok_and(|answer| matches!(answer.status, 200 | 201))
    });
}

fn count(receiver: &Receiver, kind: &str) -> usize {
    let taken = receiver.taken();
    taken.iter().filter(|it| it.json()["type"] == kind).count()
}

fn said(receiver: &Receiver, statement: &str) -> usize {
    let is_it = |event: &Value| event["data"]["statement"] == statement;
    let taken = receiver.taken();
    taken.iter().filter(|it| is_it(&it.json())).count()
}

/// How many messages a node has delivered.
fn delivered(server: &Server) -> u64 {
    let metrics = crate::body(server, "/metrics");
    let name = "rejoin_webhook_messages_total{result=\"delivered\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap().parse().unwrap()
}
