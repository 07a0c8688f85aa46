//! Several nodes: three real servers of NATS, three real servers of Rejoin, and requests as real clients send
//! them. Needs `nats-server` in the path, or in `NATS_SERVER`: see `.ci/run` for how it is installed.
#![allow(
    clippy::disallowed_methods,
    reason = "real servers take real time, and nothing waits for them without a deadline"
)]

#[allow(dead_code, reason = "shared with the tests of one server")]
#[path = "../rejoin/server.rs"]
mod server;
#[allow(dead_code, reason = "shared with the tests of the log")]
#[path = "../../engine/log-jetstream/tests/jetstream/servers.rs"]
mod servers;

mod book;
mod gates;
mod logins;
mod members;
mod operators;
mod restore;

use serde_json::{Value, json};
use server::{Server, directory, is_status_of, outcome, said};
use servers::{Servers, Told};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any election and any takeover.
const PATIENCE: Duration = Duration::from_secs(90);

struct Cluster {
    // First: servers of Rejoin end before those of NATS.
    nodes: Vec<Server>,
    directory: TempDir,
    nats: Servers,
}

impl Cluster {
    /// Three servers of NATS and three nodes, each of which writes its log and knows the others.
    fn start() -> Self {
        let nats = Servers::start(3, Told::USUAL);
        let directory = directory();
        let mut cluster = Self {
            nodes: vec![],
            directory,
            nats,
        };
        for number in 0..3 {
            let node = cluster.node(number);
            cluster.nodes.push(node);
        }
        until("each node knows all logs", || {
            cluster.nodes.iter().all(|node| writers(node).len() == 3)
        });
        cluster
    }

    fn node(&self, number: usize) -> Server {
        let name = format!("n{}", number + 1);
        let data = self.directory.path().join(&name);
        start(&self.nats, &data, &name)
    }
}

fn arguments(nats: &Servers, node: &str) -> Vec<String> {
    [
        ("--cluster", nats.addresses().join(",")),
        ("--cluster-monitoring", nats.monitoring().join(",")),
        ("--node", node.to_owned()),
    ]
    .into_iter()
    .flat_map(|(flag, value)| [flag.to_owned(), value])
    .collect()
}

fn start(nats: &Servers, data: &Path, node: &str) -> Server {
    let arguments = arguments(nats, node);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Server::start(data, &arguments)
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it does not become so: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

fn get(server: &Server, path: &str) -> (u16, Value) {
    let answer = server.client().get(path).unwrap();
    let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    (answer.status, body)
}

fn body(server: &Server, path: &str) -> String {
    String::from_utf8(server.client().get(path).unwrap().body).unwrap()
}

/// Who writes each log and in which term, as one node sees it.
fn writers(server: &Server) -> BTreeMap<u64, (String, u64)> {
    let (status, cluster) = get(server, "/cluster");
    assert_eq!(status, 200, "{cluster}");
    let logs = cluster["logs"].as_array().unwrap().iter();
    logs.filter_map(|log| {
        let writer = log["node"].as_str()?.to_owned();
        Some((log["log"].as_u64()?, (writer, log["term"].as_u64()?)))
    })
    .collect()
}

/// Doris' sessions of all nodes: the FE of each by its number.
fn frontends(server: &Server) -> BTreeMap<String, String> {
    let (_, table) = get(server, "/rest/v1/session/all");
    let rows = table["data"]["rows"].as_array().unwrap().iter();
    rows.map(|row| (server::text(&row["Id"]), server::text(&row["FE"])))
        .collect()
}

/// All events of a session, as one node has them.
fn events(server: &Server, session: &str) -> Vec<Value> {
    let (mut all, mut after) = (vec![], 0);
    loop {
        let path = format!("/sessions/{session}/events?after={after}&limit=1000");
        let (status, page) = get(server, &path);
        assert_eq!(status, 200, "{page}");
        let found = page["events"].as_array().unwrap().clone();
        after = page["after"].as_u64().unwrap();
        if found.is_empty() {
            return all;
        }
        all.extend(found);
    }
}

fn is_alive(process: &str) -> bool {
    Path::new("/proc").join(process).exists()
}

/// A job that runs until it is ended, and its process.
fn long_job(server: &Server, session: &str, file: &Path) -> String {
    let shown = file.display();
    server.run(
        session,
        &format!("echo $$ > {shown}.new; mv {shown}.new {shown}; sleep 1000"),
    );
    until("the job runs", || file.exists());
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

#[test]
fn a_session_of_one_node_is_used_at_another_and_each_list_shows_all_three() {
    let mut cluster = Cluster::start();
    let [one, two, three] = &cluster.nodes[..] else {
        panic!("three nodes");
    };
    let (session, _) = one.create();
    let known = |server: &Server| get(server, &format!("/sessions/{session}")).0 == 200;

    // The walk-through of Arthas' clients, through a node that does not have the session.
    let consumer = two.join(&session);
    let job = two.run(&session, "echo one of $((40 + 2)); pwd");
    let results = two.pull_until(&session, &consumer, is_status_of(job));
    assert!(
        said(&results, "stdout").contains("one of 42"),
        "{results:?}"
    );
    let results = three.exec(&session, "echo again");
    assert!(said(&results, "stdout").contains("again"), "{results:?}");
    assert!(known(one) && known(two) && known(three));

    two.create();
    three.create();
    for server in &cluster.nodes {
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
        let mut nodes: Vec<_> = listed["sessions"].as_array().unwrap().iter().collect();
        nodes.sort_by_key(|it| it["node"].as_str());
        assert_eq!(nodes[2]["node"], "n3");
        assert_eq!(nodes[2]["homeNode"], "n3");
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
        "rejoin_tail_lag_seconds{log=\"0\"} 0",
        "rejoin_takeovers_total 0",
        "rejoin_fenced_total 0",
        "rejoin_cluster_nodes 3",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }

    // A clean end hands the log over at once; the sessions go on.
    let ended = cluster.nodes[0].signal("-TERM");
    assert!(ended.success(), "{ended}");
    let two = &cluster.nodes[1];
    let took = until("another node writes the log", || {
        writers(two)
            .get(&0)
            .is_some_and(|(writer, _)| writer != "n1")
    });
    assert!(took < Duration::from_secs(5), "{took:?}");
    let results = two.exec(&session, "echo goes on");
    assert!(said(&results, "stdout").contains("goes on"), "{results:?}");
}

#[test]
fn what_was_acknowledged_outlives_the_node_that_wrote_it() {
    let mut cluster = Cluster::start();
    let (session, _) = cluster.nodes[0].create();
    let (is_over, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let three = cluster.nodes[2].address;
    let (statements, killed, took) = std::thread::scope(|scope| {
        // Through a third node: neither the one that dies nor, perhaps, the one that goes on.
        let load = scope.spawn(|| {
            let path = format!("/sessions/{session}/jobs");
            let mut statements = vec![];
            while !is_over.load(Ordering::Relaxed) {
                let number = statements.len();
                let statement = format!("echo load {number}");
                let new = json!({"statement": statement, "background": true, "request": statement});
                let status = rejoin_http::test_client::Client::connect(three)
                    .and_then(|mut client| {
                        client.set_patience(PATIENCE)?;
                        client.post(&path, &new.to_string())
                    })
                    .map(|answer| answer.status);
                if matches!(status, Ok(201)) {
                    statements.push(statement);
                    acknowledged.store(statements.len(), Ordering::Relaxed);
                }
            }
            statements
        });
        let before = || acknowledged.load(Ordering::Relaxed);
        until("the load runs", || before() > 50);
        let killed = before();
        cluster.nodes[0].kill();
        let took = until("commands are taken again", || before() > killed + 50);
        is_over.store(true, Ordering::Relaxed);
        (load.join().unwrap(), killed, took)
    });
    assert!(took < Duration::from_secs(30), "{took:?} after {killed}");
    for server in &cluster.nodes[1..] {
        let mut seen = BTreeMap::new();
        for event in events(server, &session) {
            if event["type"] == "job-submitted" {
                let statement = server::text(&event["statement"]);
                *seen.entry(statement).or_insert(0) += 1;
            }
        }
        for statement in &statements {
            assert_eq!(seen.get(statement), Some(&1), "{statement}");
        }
    }
    let taken: Vec<_> = events(&cluster.nodes[1], &session)
        .into_iter()
        .filter(|event| event["type"] == "session-resumed")
        .collect();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!(taken[0]["term"], 2, "{taken:?}");
}

#[test]
fn a_node_that_hangs_and_wakes_up_ends_its_jobs_and_forwards() {
    let mut cluster = Cluster::start();
    let (session, _) = cluster.nodes[1].create();
    let file = cluster.directory.path().join("process");
    let process = long_job(&cluster.nodes[1], &session, &file);
    until("another node has the job", || {
        let (_, shown) = get(&cluster.nodes[0], &format!("/sessions/{session}"));
        shown["state"] == "running"
    });
    cluster.nodes[1].send_signal("-STOP");
    let one = &cluster.nodes[0];
    until("another node writes the log", || {
        writers(one)
            .get(&1)
            .is_some_and(|(writer, _)| writer != "n2")
    });
    let lost = |event: &Value| event["type"] == "job-finished" && event["outcome"] == "lost";
    until("its job is lost", || events(one, &session).iter().any(lost));
    let results = one.exec(&session, "echo elsewhere");
    assert!(
        said(&results, "stdout").contains("elsewhere"),
        "{results:?}"
    );
    assert!(is_alive(&process), "a stopped server can end nothing");

    cluster.nodes[1].send_signal("-CONT");
    let took = until("its job's process is gone", || !is_alive(&process));
    assert!(took < Duration::from_secs(10), "{took:?}");
    let two = &cluster.nodes[1];
    // It is alive and has no jobs there, so it gets its log back; its sessions are used as before.
    until("it is ready", || {
        two.client().get("/readyz").is_ok_and(|it| it.status == 200)
    });
    let results = two.exec(&session, "echo awake");
    assert!(said(&results, "stdout").contains("awake"), "{results:?}");
    let fenced = body(two, "/metrics");
    assert!(
        fenced.lines().any(|it| it == "rejoin_fenced_total 1"),
        "{fenced}"
    );
    cluster.nodes.clear();
}

#[test]
fn no_job_is_lost_because_the_servers_of_nats_lose_their_leader() {
    let mut cluster = Cluster::start();
    let (session, _) = cluster.nodes[0].create();
    let file = cluster.directory.path().join("process");
    let process = long_job(&cluster.nodes[0], &session, &file);
    let before = writers(&cluster.nodes[1]);
    let leader = cluster.nats.leader("REJOIN-rejoin-0");
    cluster.nats.kill(leader);
    // Something is written, so the election is over.
    let new = json!({"statement": "echo after", "background": true, "request": "after"});
    until("commands are taken again", || {
        let mut client = cluster.nodes[2].client();
        let answer = client.post(&format!("/sessions/{session}/jobs"), &new.to_string());
        answer.is_ok_and(|answer| answer.status == 201)
    });
    cluster.nats.restart(leader);
    until("all nodes are ready", || {
        let ready = |server: &Server| body(server, "/readyz") == "ready\n";
        cluster.nodes.iter().all(ready)
    });
    for server in &cluster.nodes {
        assert_eq!(writers(server), before, "a log was taken");
        let lost = |event: &Value| event["outcome"] == "lost";
        assert!(!events(server, &session).iter().any(lost), "a job was lost");
    }
    assert!(is_alive(&process), "its process has ended");
    cluster.nodes.clear();
}
