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

#[allow(dead_code, reason = "shared with the tests of one server")]
#[path = "../rejoin/crashes/load.rs"]
mod load;
#[allow(dead_code, reason = "shared with the tests of one server")]
#[path = "../rejoin/crashes/log.rs"]
mod log;
#[allow(dead_code, reason = "shared with the tests of one server")]
#[path = "../rejoin/webhooks/receiver.rs"]
mod receiver;
#[path = "../rejoin/walkthrough/steps.rs"]
mod walkthrough;

mod asleep;
mod book;
mod gates;
mod logins;
mod members;
mod nats;
mod notified;
mod operators;
mod permissions;
mod restore;
mod takeover;
mod together;

use rejoin_http::test_client::Client;
use serde_json::Value;
use server::{Server, directory};
use servers::{ServerOptions, Servers};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any election and any takeover.
const PATIENCE: Duration = Duration::from_secs(90);

struct Cluster {
    // First: servers of Rejoin end before those of NATS.
    nodes: Vec<Server>,
    /// What all are started with.
    more: Vec<String>,
    directory: TempDir,
    nats: Servers,
}

impl Cluster {
    /// Three servers of NATS and three nodes, each of which writes its log and knows the others.
    fn start() -> Self {
        Self::start_with(|_| vec![])
    }

    /// As [`Self::start`], with further arguments, which may name files in a directory.
    fn start_with(more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let nats = Servers::start(3, ServerOptions::USUAL);
        let directory = directory();
        let mut cluster = Self {
            nodes: vec![],
            more: more(directory.path()),
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
        let mut all = arguments(&self.nats, &name);
        all.extend(self.more.iter().cloned());
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        Server::start(&self.data(number), &all)
    }

    fn data(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("n{}", number + 1))
    }

    /// Waits until a node does not have the log of another one any more: who writes it, and how long that took.
    fn until_taken(&self, at: usize, log: u64) -> (String, Duration) {
        let home = format!("n{}", log + 1);
        let mut by = String::new();
        let took = until("another node writes the log", || {
            let writers = writers(&self.nodes[at]);
            by = writers.get(&log).map_or(String::new(), |it| it.0.clone());
            !by.is_empty() && by != home
        });
        (by, took)
    }

    /// Waits until each node writes its own log and all are ready.
    fn until_home(&self) {
        until("each node writes its log", || {
            self.nodes.iter().all(|node| {
                let at_home =
                    |(log, (writer, _)): (&u64, &(String, u64))| *writer == format!("n{}", log + 1);
                let writers = writers(node);
                writers.len() == 3 && writers.iter().all(at_home) && is_ready(node)
            })
        });
    }
}

fn is_ready(server: &Server) -> bool {
    let answer = server.client().get("/readyz");
    answer.is_ok_and(|answer| answer.status == 200)
}

/// Not through the test's captured output: these figures are worth seeing.
fn print(figure: &str) {
    let _ = writeln!(std::io::stdout(), "{figure}");
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

/// A connection that waits longer than any node does.
fn connect(address: SocketAddr) -> std::io::Result<Client> {
    let client = Client::connect(address)?;
    client.set_patience(PATIENCE)?;
    Ok(client)
}
