//! What a node refuses to start with: one sentence each, which says what to do.

use crate::server::{Server, directory, outcome, rejoin};
use crate::servers::{ServerOptions, Servers};
use crate::{arguments, start, until};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

/// What a server says that does not start.
fn refused(data: &Path, arguments: &[String]) -> String {
    let data = data.to_str().unwrap();
    let mut all = vec!["serve", "--listen", "127.0.0.1:0", "--data", data];
    all.extend(arguments.iter().map(String::as_str));
    let (status, out, err) = outcome(&all);
    assert_eq!(status.code(), Some(1), "{err}");
    assert_eq!(out, "", "it listens");
    let line = err.lines().find(|line| line.starts_with("rejoin: "));
    line.unwrap_or_else(|| panic!("no reason: {err}"))
        .to_owned()
}

pub(crate) fn with(mut arguments: Vec<String>, more: &[&str]) -> Vec<String> {
    arguments.extend(more.iter().map(|it| (*it).to_owned()));
    arguments
}

fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_node_does_not_start_on_servers_that_may_lose_what_they_acknowledge() {
    let directory = directory();
    let data = directory.path().join("data");
    let lazy = Servers::start(
        1,
        ServerOptions {
            syncs: false,
            ..ServerOptions::USUAL
        },
    );
    let one = with(arguments(&lazy, "n1"), &["--cluster-replicas", "1"]);
    assert_says(
        &refused(&data, &one),
        &["does not sync", "sync_interval: always"],
    );
    drop(lazy);

    let small = Servers::start(
        1,
        ServerOptions {
            max_payload: 512 * 1024,
            ..ServerOptions::USUAL
        },
    );
    let one = with(arguments(&small, "n1"), &["--cluster-replicas", "1"]);
    assert_says(&refused(&data, &one), &["max_payload", "1 MiB"]);
    drop(small);

    let alone = Servers::start(1, ServerOptions::USUAL);
    let three = arguments(&alone, "n1");
    assert_says(&refused(&data, &three), &["1 of 3 servers", "monitoring"]);
    let monitoring = alone.monitoring();
    let thrice = [monitoring.clone(), monitoring.clone(), monitoring]
        .concat()
        .join(",");
    let three = with(
        vec!["--cluster".to_owned(), alone.addresses().join(",")],
        &["--node", "n1", "--cluster-monitoring", &thrice],
    );
    assert_says(&refused(&data, &three), &["refuse stream REJOIN-rejoin-0"]);
    let nowhere = with(
        vec!["--cluster".to_owned(), alone.addresses().join(",")],
        &[
            "--node",
            "n1",
            "--cluster-replicas",
            "1",
            "--cluster-monitoring",
            "127.0.0.1:1",
        ],
    );
    assert_says(
        &refused(&data, &nowhere),
        &["did not say whether it syncs", "monitoring"],
    );
}

#[test]
fn a_node_and_a_server_that_is_alone_do_not_share_a_directory() {
    let nats = Servers::start(1, ServerOptions::USUAL);
    let directory = directory();
    let (alone, node) = (
        directory.path().join("alone"),
        directory.path().join("node"),
    );
    assert!(Server::start(&alone, &[]).signal("-TERM").success());
    let one = with(arguments(&nats, "n1"), &["--cluster-replicas", "1"]);
    assert_says(
        &refused(&alone, &one),
        &["a server that is alone", "--cluster"],
    );

    let flags: Vec<_> = one.iter().map(String::as_str).collect();
    let mut server = Server::start(&node, &flags);
    let mut line = String::new();
    server.out.read_line(&mut line).unwrap();
    assert_eq!(
        line,
        "Node n1 of cluster rejoin: writes log 0 (term 1), and there is no other log yet\n"
    );
    let mut line = String::new();
    server.out.read_line(&mut line).unwrap();
    assert_says(&line, &["One server", "for tests only"]);
    assert_says(&refused(&node, &one), &["n1 is running already"]);
    let keep = with(one.clone(), &["--jobs-at-exit", "keep"]);
    assert_says(
        &refused(&directory.path().join("kept"), &keep),
        &["jobs-at-exit"],
    );
    assert!(server.signal("-TERM").success());
    assert_says(&refused(&node, &[]), &["belongs to a node of a cluster"]);
    // Streams with fewer replicas than the node wants.
    let monitoring = nats.monitoring();
    let thrice = [monitoring.clone(), monitoring.clone(), monitoring]
        .concat()
        .join(",");
    let three = with(
        vec!["--cluster".to_owned(), nats.addresses().join(",")],
        &["--node", "n1", "--cluster-monitoring", &thrice],
    );
    assert_says(
        &refused(&node, &three),
        &["has 1 replicas and should have 3"],
    );

    // The servers have lost the stream of which this machine has records.
    let server = start_one(&nats, &node);
    server.create();
    drop(server);
    drop(nats);
    let nats = Servers::start(1, ServerOptions::USUAL);
    let one = with(arguments(&nats, "n1"), &["--cluster-replicas", "1"]);
    assert_says(&refused(&node, &one), &["does not exist", "backup"]);
}

#[test]
fn a_node_does_not_start_with_another_past_or_the_name_of_another_one() {
    let mut nats = Servers::start(1, ServerOptions::USUAL);
    let directory = directory();
    let data = directory.path().join("data");
    let one = with(arguments(&nats, "n1"), &["--cluster-replicas", "1"]);

    // Another process of its name is alive. A node that was killed may start again.
    let mut server = start_one(&nats, &data);
    let twin = directory.path().join("twin");
    assert_says(&refused(&twin, &one), &["n1 is running already"]);
    server.kill();
    let mut server = start_one(&nats, &data);
    server.create();
    assert!(server.signal("-TERM").success());

    // Its servers were restored from a backup that is older than its copy.
    nats.stop(0);
    let backup = directory.path().join("backup");
    copy_all(&nats.store(0), &backup);
    nats.restart(0);
    let mut server = start_one(&nats, &data);
    server.create();
    assert!(server.signal("-TERM").success());
    nats.stop(0);
    std::fs::remove_dir_all(nats.store(0)).unwrap();
    copy_all(&backup, &nats.store(0));
    nats.restart(0);
    assert_says(
        &refused(&data, &one),
        &["copy", "the stream has lost", "backup"],
    );

    // The cluster was made by a version that numbers its sessions in another way.
    let other = r#"{"format":1,"numbers":64}"#;
    let answer = nats.ask("$KV.REJOIN-rejoin.cluster", other);
    assert!(answer.contains("\"seq\""), "{answer}");
    assert_says(&refused(&data, &one), &["another version"]);
}

#[test]
fn a_node_does_not_start_on_an_old_server_or_none() {
    let directory = directory();
    let data = directory.path().join("data");
    let at = |address: SocketAddr| {
        let address = format!("nats://{address}");
        let monitoring = "127.0.0.1:1,127.0.0.1:1,127.0.0.1:1";
        let all = [
            "--cluster",
            &address,
            "--node",
            "n1",
            "--cluster-monitoring",
            monitoring,
        ];
        refused(&data, &all.map(str::to_owned))
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = be_old(stream);
        }
    });
    assert_says(&at(address), &["2.14.10", "at least 2.15"]);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    assert_says(&at(address), &["cannot take part", &address.to_string()]);
}

/// Says hello as a server of an older version does.
fn be_old(mut stream: TcpStream) -> std::io::Result<()> {
    let hello = r#"INFO {"server_id":"OLD","server_name":"old","version":"2.14.10","proto":1,"host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"jetstream":true,"client_id":1}"#;
    stream.write_all(format!("{hello}\r\n").as_bytes())?;
    for line in BufReader::new(stream.try_clone()?).lines() {
        if line? == "PING" {
            stream.write_all(b"PONG\r\n")?;
        }
    }
    Ok(())
}

/// Copies a directory with all that is in it.
fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// When a machine is lost, its server of NATS is away, too, and the other nodes must not wait for it.
#[test]
fn a_node_starts_while_a_server_of_nats_is_away_but_not_without_its_monitoring() {
    let mut nats = Servers::start(3, ServerOptions::USUAL);
    let directory = directory();
    let data = directory.path().join("data");
    let started = start(&nats, &data, "n1");
    assert!({ started }.signal("-TERM").success());

    let mut monitoring = nats.monitoring();
    monitoring[2] = "127.0.0.1:1".to_owned();
    let unasked = with(
        vec!["--cluster".to_owned(), nats.addresses().join(",")],
        &[
            "--node",
            "n1",
            "--cluster-monitoring",
            &monitoring.join(","),
        ],
    );
    assert_says(
        &refused(&data, &unasked),
        &["127.0.0.1:1 did not say whether it syncs", "is away"],
    );

    nats.stop(2);
    let arguments = arguments(&nats, "n1");
    let mut all = vec!["serve", "--listen", "127.0.0.1:0", "--data"];
    all.push(data.to_str().unwrap());
    all.extend(arguments.iter().map(String::as_str));
    // The others may have to elect a leader first, who then says that it is away.
    until("the node starts", || {
        let mut node = rejoin(&all).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(node.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        node.kill().unwrap();
        node.wait().unwrap();
        line.starts_with("Rejoin listens on")
    });
}

pub(crate) fn start_one(nats: &Servers, data: &Path) -> Server {
    let one = with(arguments(nats, "n1"), &["--cluster-replicas", "1"]);
    let flags: Vec<_> = one.iter().map(String::as_str).collect();
    Server::start(data, &flags)
}
