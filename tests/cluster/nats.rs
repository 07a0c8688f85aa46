//! Servers of NATS die: nothing is lost, nobody is held for dead, and what can't be done now is said.

use crate::{
    Cluster, PATIENCE, connect, events, get, is_alive, is_ready, long_job, print, until, writers,
};
use rejoin_http::test_client::Received;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Longer than the nodes wait for each other.
const WAIT: Duration = Duration::from_secs(60);

#[test]
fn no_job_is_lost_whichever_servers_of_nats_are_away() {
    let mut cluster = Cluster::start();
    let (session, consumer) = cluster.nodes[0].create();
    let file = cluster.directory.path().join("process");
    let process = long_job(&cluster.nodes[0], &session, &file);
    let before = writers(&cluster.nodes[1]);

    // The leader dies: commands wait for the election, and go on.
    let leader = cluster.nats.leader("REJOIN-rejoin-0");
    cluster.nats.kill(leader);
    let begun = Instant::now();
    submit_until_taken(&cluster, &session, "after the leader");
    print(&format!(
        "the leader of NATS was killed: a command was taken after {:?}",
        begun.elapsed()
    ));
    cluster.nats.restart_all();
    until("all nodes are ready", || cluster.nodes.iter().all(is_ready));

    // Two of three are away: what is there can be read.
    cluster.nats.kill(0);
    cluster.nats.kill(1);
    let addresses: Vec<_> = cluster.nodes.iter().map(|node| node.address).collect();
    let path = format!("/sessions/{session}/jobs");
    let waiting = {
        let (path, address) = (path.clone(), addresses[1]);
        let new = json!({"statement": "echo waits", "background": true, "request": "waits"});
        std::thread::spawn(move || post(address, &path, &new).unwrap())
    };
    for server in &cluster.nodes {
        assert_eq!(get(server, &format!("/sessions/{session}")).0, 200);
        until("its readiness says that it is cut off", || {
            !is_ready(server)
        });
    }
    cluster.nats.restart_all();
    let waited = waiting.join().unwrap();
    assert!(
        matches!(waited.status, 200 | 201 | 503),
        "{}",
        waited.text()
    );
    submit_until_taken(&cluster, &session, "waits");

    // All three are away: each frontend says in its own way that this may be tried again.
    for server in 0..3 {
        cluster.nats.kill(server);
    }
    nothing_is_said_to_be_missing(&addresses, &session, &consumer);
    cluster.nats.restart_all();
    submit_until_taken(&cluster, &session, "after all");
    until("all nodes are ready", || cluster.nodes.iter().all(is_ready));

    for server in &cluster.nodes {
        assert_eq!(writers(server), before, "a log was taken");
        let events = events(server, &session);
        assert!(
            !events.iter().any(|it| it["outcome"] == "lost"),
            "a job was lost"
        );
        for statement in ["echo after the leader", "echo waits", "echo after all"] {
            let is_it = |it: &&Value| it["statement"] == statement;
            assert_eq!(events.iter().filter(is_it).count(), 1, "{statement}");
        }
    }
    assert!(is_alive(&process), "its process has ended");
    cluster.nodes.clear();
}

fn post(address: SocketAddr, path: &str, body: &Value) -> std::io::Result<Received> {
    let mut client = connect(address)?;
    client.set_patience(PATIENCE)?;
    client.post(path, &body.to_string())
}

/// Submits a command at another node than the session's, until it is taken: once, because its request has a name.
fn submit_until_taken(cluster: &Cluster, session: &str, name: &str) {
    let new = json!({"statement": format!("echo {name}"), "background": true, "request": name});
    until("a command is taken", || {
        let answer = post(
            cluster.nodes[2].address,
            &format!("/sessions/{session}/jobs"),
            &new,
        );
        answer.is_ok_and(|answer| matches!(answer.status, 200 | 201))
    });
}

/// Asks for a session and a job that this node knows, and for some that it doesn't, while no server of NATS answers.
fn nothing_is_said_to_be_missing(addresses: &[SocketAddr], session: &str, consumer: &str) {
    let (_, unknown_of_same_log) = session.split_at(8);
    let unknown = format!("00000000{unknown_of_same_log}");
    let started = Instant::now();
    std::thread::scope(|scope| {
        for address in addresses {
            for session in [session, &unknown] {
                let jobs = format!("/sessions/{session}/jobs");
                scope.spawn(move || {
                    let answer = post(*address, &jobs, &json!({"statement": "echo no"})).unwrap();
                    assert_eq!(answer.status, 503, "{}", answer.text());
                    assert!(answer.header("retry-after").is_some());
                    let shown: Value = answer.json();
                    assert_eq!(shown["retryable"], true, "{shown}");
                });
                scope.spawn(move || {
                    let exec =
                        json!({"action": "async_exec", "sessionId": session, "command": "echo no"});
                    let answer = post(*address, "/api", &exec).unwrap();
                    let shown: Value = answer.json();
                    assert_eq!(shown["state"], "REFUSED", "{shown}");
                    let message = shown["message"].as_str().unwrap();
                    assert!(!message.contains("not found"), "{message}");
                });
            }
            let pull =
                json!({"action": "pull_results", "sessionId": unknown, "consumerId": consumer});
            scope.spawn(move || {
                let answer = post(*address, "/api", &pull).unwrap();
                let shown: Value = answer.json();
                assert_eq!(shown["state"], "REFUSED", "{shown}");
            });
            let unknown = unknown.clone();
            scope.spawn(move || {
                let answer = connect(*address)
                    .unwrap()
                    .get(&format!("/sessions/{unknown}"))
                    .unwrap();
                assert_eq!(answer.status, 503, "{}", answer.text());
            });
            // MaxScale's numbers: this one is of the log of the first node, and there is none yet.
            scope.spawn(move || {
                let answer = connect(*address)
                    .unwrap()
                    .get("/v1/sessions/16000000")
                    .unwrap();
                assert_eq!(answer.status, 503, "{}", answer.text());
                assert!(answer.header("retry-after").is_some(), "no Retry-After");
            });
            scope.spawn(move || {
                let answer = connect(*address)
                    .unwrap()
                    .get("/rest/v1/session/all")
                    .unwrap();
                assert_eq!(answer.status, 200, "{}", answer.text());
            });
        }
    });
    let took = started.elapsed();
    print(&format!(
        "without any server of NATS, all frontends answered within {took:?}"
    ));
    assert!(took < WAIT, "{took:?}");
}
