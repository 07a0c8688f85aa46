//! A node dies under load: what was acknowledged in its sessions is there, and they go on elsewhere.

use crate::load::{Load, Track};
use crate::log::Written;
use crate::server::{running_under, said, text};
use crate::{Cluster, connect, events, is_alive, print, until, writers};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[test]
fn a_node_that_is_killed_under_load_loses_nothing_acknowledged_and_gets_its_log_back() {
    let mut cluster = Cluster::start();
    let [one, two, three] = &cluster.nodes[..] else {
        panic!("three nodes");
    };
    // Sessions of the node that dies; their clients are at all three.
    let mut tracks: Vec<_> = (0..6).map(|_| Track::begin(one)).collect();
    let (session, _) = one.create();
    one.exec(&session, "cd /usr; export CARRIED=yes");
    let results = two.exec(&session, "echo $PWD $CARRIED");
    assert_eq!(said(&results, "stdout"), "/usr yes\n");
    let file = cluster.directory.path().join("process");
    let shown = file.display();
    let job = two.run(
        &session,
        &format!(
            "sleep 1001 & echo before; echo $$ $! > {shown}.new; mv {shown}.new {shown}; \
             until [ -e {shown}.go ]; do sleep 0.05; done; echo after; touch {shown}.gone; sleep 1000"
        ),
    );
    until("the job runs", || file.exists());
    let processes = std::fs::read_to_string(&file).unwrap();
    let processes: Vec<_> = processes.split_whitespace().collect();
    assert!(!one.keepers().is_empty(), "a keeper has the job");

    let load = Load::on(&[one, two, three], 0);
    let streams = [two.address, three.address];
    let read = [AtomicU64::new(0), AtomicU64::new(0)];
    let (by, took) = std::thread::scope(|scope| {
        let following: Vec<_> = streams
            .iter()
            .zip(&read)
            .map(|(address, read)| scope.spawn(|| follow(*address, &session, read)))
            .collect();
        until("the streams are open", || {
            read.iter().all(|read| read.load(Ordering::SeqCst) > 4)
        });
        let mut taken = None;
        load.run(&mut tracks, || {
            load.wait_for(300);
            cluster.nodes[0].kill_alone();
            taken = Some(cluster.until_taken(1, 0));
            // At both nodes, from both ends.
            load.wait_for(load.answered() + 300);
            load.end();
        });
        // Nothing but the statement that the stream ends with is left to come.
        let last = cluster.nodes[2].run(&session, "echo the end of the stream");
        for followed in following {
            let sequences = followed.join().unwrap();
            let all: Vec<_> = (1..=sequences.len() as u64).collect();
            assert_eq!(sequences, all, "a gap or a repetition");
        }
        until("its job has ended", || {
            let events = events(&cluster.nodes[2], &session);
            let mut ends = events.iter().filter(|it| it["type"] == "job-finished");
            ends.any(|it| it["job"] == last)
        });
        taken.unwrap()
    });
    print(&format!(
        "after kill -9 of a node under load, {by} had its log in {took:?}; {} answers",
        load.answered()
    ));
    assert!(took < Duration::from_secs(30), "{took:?}");
    its_jobs_are_lost_and_its_sessions_are_used(&cluster, &session, job, &by);

    // The job's keeper still has it, and more of its output, which no record can have any more.
    std::fs::write(format!("{}.go", file.display()), "").unwrap();
    until("the job goes on", || file.with_extension("gone").exists());
    assert!(is_alive(processes[0]) && is_alive(processes[1]));
    let before = events(&cluster.nodes[1], &session);
    cluster.nodes[2].exec(&session, "cd /tmp; export CARRIED=elsewhere");
    cluster.nodes[0] = cluster.node(0);
    let took = until("what its keepers had is gone", || {
        processes.iter().all(|it| !is_alive(it))
    });
    print(&format!(
        "what a node's keepers had was gone {took:?} after it came back"
    ));
    cluster.until_home();
    let [one, two, three] = &cluster.nodes[..] else {
        panic!("three nodes");
    };
    let after = events(three, &session);
    assert!(after.starts_with(&before), "what was there is as it was");
    let of_job: Vec<_> = after[before.len()..]
        .iter()
        .filter(|event| event["job"].as_u64() == Some(job))
        .collect();
    assert!(of_job.is_empty(), "{of_job:?}");
    // Neither what it had here nor what it had there.
    let start = said(&one.exec(&one.create().0, "pwd"), "stdout");
    let results = two.exec(&session, "pwd; echo \"[$CARRIED]\"");
    assert_eq!(said(&results, "stdout"), format!("{start}[]\n"));
    assert_eq!(running_under(&session), Vec::<std::path::PathBuf>::new());
    for server in &cluster.nodes {
        assert_eq!(writers(server).get(&0).map(|it| &*it.0), Some("n1"));
    }

    for server in &mut cluster.nodes {
        assert!(server.signal("-TERM").success());
    }
    let mut results = 0;
    for number in 0..3 {
        let mut written = Written::default();
        written.read_log(&cluster.data(number).join("logs/0"));
        assert!(written.all_jobs_finished());
        if number == 0 {
            results = tracks
                .iter_mut()
                .map(|track| track.check_through(&written, 1))
                .sum();
        }
        assert!(written.records() > results);
    }
    print(&format!(
        "{results} results held against three copies of the log"
    ));
    assert!(results > 100);
}

fn its_jobs_are_lost_and_its_sessions_are_used(
    cluster: &Cluster,
    session: &str,
    job: u64,
    by: &str,
) {
    for server in &cluster.nodes[1..] {
        let events = events(server, session);
        let ends: Vec<_> = events
            .iter()
            .filter(|it| it["type"] == "job-finished" && it["job"] == job)
            .collect();
        assert_eq!(ends.len(), 1, "{ends:?}");
        assert_eq!(ends[0]["outcome"], "lost", "{ends:?}");
        let why = text(&ends[0]["message"]);
        assert!(why.contains("was taken over"), "{why}");
        let taken: Vec<_> = events
            .iter()
            .filter(|it| it["type"] == "session-resumed")
            .collect();
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert_eq!(taken[0]["term"], 2, "{taken:?}");
        assert_eq!(taken[0]["node"], by, "{taken:?}");
        // Neither directory nor variables have followed, which the record is shown as.
        let results = server.exec(
            session,
            &format!("echo \"$PWD [$CARRIED]\" # {}", server.address),
        );
        let expected = std::env::current_dir().unwrap();
        assert_eq!(
            said(&results, "stdout"),
            format!("{} []\n", expected.display())
        );
    }
}

/// Reads a session's stream on one connection, until it says that it ends. The sequences of its events.
fn follow(address: SocketAddr, session: &str, read: &AtomicU64) -> Vec<u64> {
    let mut client = connect(address).unwrap();
    let path = format!("/sessions/{session}/stream");
    client
        .send_request("GET", &path, &[("last-event-id", "0")], b"")
        .unwrap();
    assert_eq!(client.receive_head().unwrap().status, 200);
    let (mut ahead, mut sequences) = (vec![], vec![]);
    loop {
        let part = client.receive_chunk().unwrap().expect("the stream ended");
        ahead.extend_from_slice(&part);
        while let Some(end) = ahead.windows(2).position(|it| it == b"\n\n") {
            let block: Vec<_> = ahead.drain(..end + 2).collect();
            let block = String::from_utf8(block).unwrap();
            let Some((id, data)) = block
                .strip_prefix("id: ")
                .and_then(|it| it.split_once("\ndata: "))
            else {
                continue;
            };
            sequences.push(id.split('-').next().unwrap().parse().unwrap());
            read.store(sequences.len() as u64, Ordering::SeqCst);
            let event: Value = serde_json::from_str(data.trim_end()).unwrap_or_default();
            let said = event["result"]["content"].as_str();
            if said == Some("the end of the stream\n") {
                return sequences;
            }
        }
    }
}
