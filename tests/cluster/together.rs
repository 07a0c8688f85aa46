//! Three nodes that are well: each serves the sessions of all, and they end and come back one after another.

use crate::server::{is_status_of, outcome, said};
use crate::walkthrough::walk_through;
use crate::{Cluster, PATIENCE, body, connect, events, frontends, get, print, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn any_node_serves_any_session_and_nothing_fails_while_nodes_end_and_come_back() {
    let mut cluster = Cluster::start();
    lists_show_all(&cluster);
    a_client_notices_no_restart(&mut cluster);
}

fn lists_show_all(cluster: &Cluster) {
    let [one, two, three] = &cluster.nodes[..] else {
        panic!("three nodes");
    };
    // The walk-through of Arthas' clients, through a node that does not have the session.
    walk_through(one, two);
    walk_through(three, one);

    let (session, _) = one.create();
    let consumer = two.join(&session);
    let job = two.run(&session, "echo one of $((40 + 2)); pwd");
    let results = two.pull_until(&session, &consumer, is_status_of(job));
    assert!(
        said(&results, "stdout").contains("one of 42"),
        "{results:?}"
    );
    let results = three.exec(&session, "echo again");
    assert!(said(&results, "stdout").contains("again"), "{results:?}");
    two.create();
    three.create();
    for server in &cluster.nodes {
        assert_eq!(get(server, &format!("/sessions/{session}")).0, 200);
        until("three sessions are listed with their nodes", || {
            let mut nodes: Vec<_> = frontends(server).into_values().collect();
            nodes.sort();
            nodes == ["n1", "n2", "n3"]
        });
        let (_, own) = get(server, "/rest/v1/session");
        assert_eq!(
            own["data"]["rows"].as_array().map(Vec::len),
            Some(1),
            "{own}"
        );
        let (_, listed) = get(server, "/sessions");
        let nodes: BTreeSet<_> = listed["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (it["node"].as_str(), it["homeNode"].as_str()))
            .collect();
        let each = ["n1", "n2", "n3"].map(|node| (Some(node), Some(node)));
        assert_eq!(nodes, each.into(), "{listed}");
        // MaxScale's list has the sessions of all, each with a number of its own.
        let (status, listed) = get(server, "/v1/sessions");
        assert_eq!(status, 200, "{listed}");
        let ids: BTreeSet<_> = listed["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), 3, "{listed}");
        for id in ids {
            assert_eq!(get(server, &format!("/v1/sessions/{id}")).0, 200, "{id}");
        }
        assert_eq!(body(server, "/readyz"), "ready\n");
    }
    let url = format!("http://{}", two.address);
    let (status, out, err) = outcome(&["sessions", "--server", &url]);
    assert!(status.success(), "{err}");
    assert!(out.contains("NODE") && out.contains("n3"), "{out}");
    let (status, out, err) = outcome(&["cluster", "status", "--server", &url]);
    assert!(status.success(), "{err}");
    assert!(
        out.starts_with("Cluster rejoin, as node n2 sees it"),
        "{out}"
    );
    let metrics = body(two, "/metrics");
    for line in [
        "rejoin_log_owner{log=\"0\"} 0",
        "rejoin_log_owner{log=\"1\"} 1",
        "rejoin_log_term{log=\"2\"} 1",
        "rejoin_takeovers_total 0",
        "rejoin_fenced_total 0",
        "rejoin_cluster_nodes 3",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
}

/// All three are restarted one after another, while clients use a session of each.
fn a_client_notices_no_restart(cluster: &mut Cluster) {
    let sessions: Vec<_> = cluster.nodes.iter().map(|node| node.create().0).collect();
    let addresses = Mutex::new(
        cluster
            .nodes
            .iter()
            .map(|it| it.address)
            .collect::<Vec<_>>(),
    );
    let (is_over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let submitted = std::thread::scope(|scope| {
        let (addresses, is_over, done) = (&addresses, &is_over, &done);
        let _ends = Ends(is_over);
        let clients: Vec<_> = sessions
            .iter()
            .enumerate()
            .map(|(number, session)| {
                scope.spawn(move || {
                    let mut submitted = vec![];
                    while !is_over.load(Ordering::Relaxed) {
                        let statement = format!("echo rolling {}", submitted.len());
                        let job = submit(addresses, number + submitted.len(), session, &statement);
                        submitted.push((job, statement));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                    submitted
                })
            })
            .collect();
        let works = |more: usize| {
            let before = done.load(Ordering::Relaxed);
            until("the clients go on", || {
                let mut clients = clients.iter();
                assert!(clients.all(|it| !it.is_finished()), "a client has failed");
                done.load(Ordering::Relaxed) >= before + more
            });
        };
        works(10);
        for number in 0..3 {
            let log = u64::try_from(number).unwrap();
            let begun = Instant::now();
            let ended = cluster.nodes[number].signal("-TERM");
            assert!(ended.success(), "{ended}");
            let ending = begun.elapsed();
            let (by, took) = cluster.until_taken((number + 1) % 3, log);
            print(&format!(
                "n{} ended in {ending:?}, {by} had its log {took:?} later",
                number + 1
            ));
            assert!(took < Duration::from_secs(5), "{took:?}");
            works(10);
            cluster.nodes[number] = cluster.node(number);
            addresses.lock().unwrap()[number] = cluster.nodes[number].address;
            cluster.until_home();
            works(10);
        }
        is_over.store(true, Ordering::Relaxed);
        let submitted = clients.into_iter().map(|client| client.join().unwrap());
        submitted.collect::<Vec<_>>()
    });
    for (session, submitted) in sessions.iter().zip(submitted) {
        for server in &cluster.nodes {
            let mut seen = BTreeMap::new();
            for event in events(server, session) {
                if event["type"] == "job-submitted" {
                    let statement = crate::server::text(&event["statement"]);
                    let twin = seen.insert(statement, event["job"].as_u64());
                    assert_eq!(twin, None, "{event}");
                }
            }
            for (job, statement) in &submitted {
                assert_eq!(seen.get(statement), Some(&Some(*job)), "{statement}");
            }
            assert_eq!(seen.len(), submitted.len(), "{seen:?}");
        }
    }
}

/// Ends the clients in any case.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Submits a job at one node, and at the next one where no node listens, a connection breaks, or the answer says that
/// it can be tried again: the node is shutting down, or 16 jobs of the session have not ended yet. The request has a
/// name, so that it is carried out once. Its job's number.
fn submit(addresses: &Mutex<Vec<SocketAddr>>, first: usize, session: &str, statement: &str) -> u64 {
    let new = json!({"statement": statement, "background": true, "request": statement});
    let path = format!("/sessions/{session}/jobs");
    let deadline = Instant::now() + PATIENCE;
    for turn in first.. {
        let address = addresses.lock().unwrap()[turn % 3];
        let answer = connect(address).and_then(|mut client| client.post(&path, &new.to_string()));
        match answer {
            Ok(answer) => {
                let shown: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                if shown["code"] == "shutting_down" || shown["code"] == "too_many" {
                    assert!(
                        shown["retryable"] == true && Instant::now() < deadline,
                        "{shown}"
                    );
                    continue;
                }
                assert!(
                    matches!(answer.status, 200 | 201),
                    "{} {shown}",
                    answer.status
                );
                return shown["job"].as_u64().unwrap();
            }
            Err(_) => assert!(Instant::now() < deadline, "no node listens"),
        }
    }
    unreachable!()
}
