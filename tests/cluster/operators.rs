//! What operators see and set of a cluster: metrics, status, readiness, log lines, and what a node does that is cut
//! off from the servers of NATS. One cluster for all of it, because each start takes seconds.

use crate::server::{Server, directory, outcome, rejoin};
use crate::servers::{ServerOptions, Servers};
use crate::{arguments, body, events, get, is_alive, long_job, until};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Two nodes are enough: what is tested is what one sees of the other.
struct Pair {
    nodes: Vec<Server>,
    nats: Servers,
    directory: TempDir,
}

impl Pair {
    fn start() -> Self {
        let nats = Servers::start(3, ServerOptions::USUAL);
        let mut pair = Self {
            nodes: vec![],
            nats,
            directory: directory(),
        };
        for name in ["n1", "n2"] {
            let node = pair.node(name);
            pair.nodes.push(node);
        }
        until("each node knows the other", || {
            let knows = |node: &Server| names(node, "nodes", "state") == ["live", "live"];
            pair.nodes.iter().all(knows)
        });
        pair
    }

    fn node(&self, name: &str) -> Server {
        let mut flags = arguments(&self.nats, name);
        // So that the test does not take minutes.
        let hurried = [
            "--cluster-stop-jobs-without-log",
            "15s",
            "--shutdown-grace",
            "1s",
        ];
        flags.extend(hurried.map(str::to_owned));
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        Server::start(&self.directory.path().join(name), &flags)
    }
}

/// A member of each element of a list in the status of the cluster.
fn names(server: &Server, list: &str, member: &str) -> Vec<String> {
    let (_, status) = get(server, "/cluster");
    let list = status[list].as_array().cloned().unwrap_or_default();
    let name = |it: &Value| it[member].as_str().unwrap_or("-").to_owned();
    list.iter().map(name).collect()
}

fn metric(server: &Server, name: &str) -> Option<f64> {
    let metrics = body(server, "/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name))?;
    line.strip_prefix(' ')?.parse().ok()
}

/// The status of the answer to a request, and whether the client may try again.
fn refused(server: &Server, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut client = server.client();
    client.set_patience(Duration::from_secs(60)).unwrap();
    let json = [("content-type", "application/json")];
    let answer = client
        .request(method, path, &json, body.as_bytes())
        .unwrap();
    (answer.status, String::from_utf8(answer.body).unwrap())
}

#[test]
fn operators_see_what_a_cluster_does_and_a_node_that_is_cut_off_says_so() {
    let mut pair = Pair::start();
    let directory = pair.directory.path().to_owned();
    let one = &pair.nodes[0];
    let (session, _) = one.create();
    one.exec(&session, "echo something");
    until("both copies are whole", || {
        let (_, status) = get(one, "/cluster");
        let copies = status["logs"][0]["copies"].as_array().cloned();
        let whole = |copy: &Value| copy["lagRecords"] == 0 && copy["records"].as_u64() > Some(0);
        copies.is_some_and(|copies| copies.len() == 2 && copies.iter().all(whole))
    });
    until("NATS has said how it is", || {
        let (_, status) = get(one, "/cluster");
        let servers = status["servers"].as_array().cloned().unwrap_or_default();
        let is_well = |it: &Value| it["syncs"] == true && it["version"].is_string();
        let sequence = status["logs"][0]["sequence"].as_u64();
        servers.len() == 3 && servers.iter().all(is_well) && sequence > Some(1)
    });
    let url = format!("http://{}", one.address);
    let (status, out, err) = outcome(&["cluster", "status", "--server", &url]);
    assert!(status.success(), "{err}");
    for words in ["live", "writing", "following", "always"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(out.lines().all(|line| line.len() <= 100), "{out}");
    explains_every_metric(one);
    one_node_does_not_end_the_jobs_of_another(&mut pair, &session, &directory);
    a_node_that_is_cut_off_says_so(&mut pair, &directory);
}

/// Those of several nodes, beside those of a server that is alone: tests/rejoin checks these.
fn explains_every_metric(server: &Server) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../book/src/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (alone, of_nodes) = page.split_once("\n## Several nodes\n").unwrap();
    let explained = |page: &str| -> BTreeSet<_> {
        page.lines()
            .filter_map(|line| line.strip_prefix("| `rejoin_")?.split(['`', '{']).next())
            .map(str::to_owned)
            .collect()
    };
    let metrics = body(server, "/metrics");
    let exposed = metrics.lines().filter_map(|line| {
        let name = line.strip_prefix("# TYPE rejoin_")?.split(' ').next()?;
        Some(name.to_owned())
    });
    let exposed: BTreeSet<_> = exposed.collect();
    let of_nodes = explained(of_nodes);
    let more: BTreeSet<_> = exposed.difference(&explained(alone)).cloned().collect();
    assert_eq!(more, of_nodes);
    assert_eq!(metric(server, "rejoin_cluster_nodes"), Some(2.0));
    assert_eq!(metric(server, "rejoin_log_owner{log=\"0\"}"), Some(1.0));
    assert_eq!(metric(server, "rejoin_log_owner{log=\"1\"}"), Some(0.0));
    assert_eq!(metric(server, "rejoin_log_term{log=\"1\"}"), Some(1.0));
    assert_eq!(
        metric(server, "rejoin_tail_lag_records{log=\"1\"}"),
        Some(0.0)
    );
    assert_eq!(metric(server, "rejoin_append_waiting_seconds"), Some(0.0));
}

/// Both are on one machine, and the clean end of one kills all that is left of its own jobs.
fn one_node_does_not_end_the_jobs_of_another(pair: &mut Pair, session: &str, directory: &Path) {
    let file = directory.join("of-one");
    let process = long_job(&pair.nodes[0], session, &file);
    let begun = Instant::now();
    assert!(pair.nodes[1].signal("-TERM").success());
    assert!(begun.elapsed() < Duration::from_secs(10), "{begun:?}");
    assert!(is_alive(&process), "another node has killed it");
    let one = &pair.nodes[0];
    until("it is seen that the other has ended", || {
        names(one, "nodes", "state") == ["live", "ended"]
    });
    until("its log is kept, too", || {
        metric(one, "rejoin_log_owner{log=\"1\"}") == Some(1.0)
    });
    assert_eq!(metric(one, "rejoin_takeovers_total"), Some(1.0));
    pair.nodes[1] = pair.node("n2");
    until("it has its log again", || {
        metric(&pair.nodes[1], "rejoin_log_owner{log=\"1\"}") == Some(1.0)
    });
    // Giving one of two logs back does not end the jobs of the other.
    assert!(is_alive(&process), "it was ended with the other log");
}

fn a_node_that_is_cut_off_says_so(pair: &mut Pair, directory: &Path) {
    let (session, _) = pair.nodes[1].create();
    let process = long_job(&pair.nodes[1], &session, &directory.join("of-two"));
    for server in 0..3 {
        pair.nats.suspend(server);
    }
    let begun = Instant::now();
    let two = &pair.nodes[1];
    let reason = |server: &Server| body(server, "/readyz");
    until("both say that they are cut off", || {
        let cut_off = |server: &Server| reason(server).starts_with("cut off from the NATS servers");
        pair.nodes.iter().all(cut_off)
    });
    assert!(begun.elapsed() < Duration::from_secs(12), "{begun:?}");
    assert_eq!(names(two, "nodes", "state"), ["unknown", "live"]);
    assert_eq!(metric(two, "rejoin_cluster_ready"), Some(0.0));
    assert!(metric(two, "rejoin_cluster_unanswered_seconds") >= Some(6.0));
    // What it has can be read; what it does not have may be there.
    assert_eq!(get(two, &format!("/sessions/{session}")).0, 200);
    let absent = "6cc2da75-a5a3-4426-ba9f-9537ebf91081";
    std::thread::scope(|scope| {
        let asked = [
            ("GET", format!("/sessions/{absent}"), String::new(), 503),
            (
                "GET",
                format!("/sessions/{absent}/events"),
                String::new(),
                503,
            ),
            ("GET", "/v1/sessions/1600".to_owned(), String::new(), 503),
            ("DELETE", "/v1/sessions/1600".to_owned(), String::new(), 503),
            (
                "POST",
                "/api".to_owned(),
                format!(r#"{{"action":"exec","sessionId":"{absent}","command":"echo"}}"#),
                200,
            ),
        ];
        for (method, path, body, status) in asked {
            scope.spawn(move || {
                let (found, said) = refused(two, method, &path, &body);
                assert_eq!(found, status, "{method} {path}: {said}");
                let said = said.to_lowercase();
                assert!(!said.contains("not found"), "{method} {path}: {said}");
                assert!(said.contains("try again"), "{method} {path}: {said}");
            });
        }
        until(
            "its commands are stopped, because others may have them",
            || !is_alive(&process),
        );
    });
    assert!(begun.elapsed() >= Duration::from_secs(14), "{begun:?}");
    // A node that has not joined yet does not have to be killed.
    let (mut late, said) = late_node(pair, directory);
    let log = || std::fs::read_to_string(&said).unwrap();
    until("a third node joins", || log().contains("joins the cluster"));
    signal(late.id(), "-TERM");
    let ended = Instant::now();
    let status = late.wait().unwrap();
    assert!(status.success(), "{status}: {}", log());
    assert!(ended.elapsed() < Duration::from_secs(2), "{ended:?}");
    assert!(log().contains("before this node had joined"), "{}", log());

    for server in 0..3 {
        pair.nats.resume(server);
    }
    until("both are ready again", || {
        pair.nodes.iter().all(|server| reason(server) == "ready\n")
    });
    let why = |event: &Value| {
        let message = event["message"].as_str().unwrap_or_default();
        event["outcome"] == "lost" && message.contains("cut off")
    };
    until("the session says what became of its command", || {
        events(&pair.nodes[0], &session).iter().any(why)
    });
    // A clean end does not wait for NATS for ever: a second for jobs, 12 for NATS, and some for what is left.
    (0..3).for_each(|server| pair.nats.suspend(server));
    let begun = Instant::now();
    let ended = pair.nodes[1].signal("-TERM");
    assert!(ended.success(), "{ended}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{begun:?}");
    pair.nodes.clear();
}

/// Starts a node that no server answers, and where its log lines are.
fn late_node(pair: &Pair, directory: &Path) -> (Child, PathBuf) {
    let (data, said) = (directory.join("n3"), directory.join("n3.log"));
    let flags = arguments(&pair.nats, "n3");
    let late = rejoin(&["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .args(flags)
        .stdout(Stdio::null())
        .stderr(File::create(&said).unwrap())
        .spawn();
    (late.unwrap(), said)
}

fn signal(process: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}
