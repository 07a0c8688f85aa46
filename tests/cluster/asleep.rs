//! A node that hangs, and wakes up.

use crate::server::said;
use crate::{Cluster, body, events, get, is_alive, is_ready, long_job, print, until};
use std::time::{Duration, Instant};

const SLEEP: Duration = Duration::from_secs(10);

/// How long the processes of a node that wakes up may live. It looks at once; the rest is for a busy machine.
const GONE: Duration = Duration::from_secs(2);

#[test]
fn a_node_that_hangs_and_wakes_up_ends_its_jobs_and_forwards() {
    let mut cluster = Cluster::start();
    let (session, _) = cluster.nodes[1].create();
    let file = cluster.directory.path().join("process");
    let process = long_job(&cluster.nodes[1], &session, &file);
    // One that does not end because it is asked to.
    let (stubborn, _) = cluster.nodes[1].create();
    let file = cluster.directory.path().join("stubborn");
    cluster.nodes[1].run(
        &stubborn,
        &format!(
            "trap '' INT TERM HUP; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 1; done",
            file.display()
        ),
    );
    until("the stubborn job runs", || file.exists());
    let stubborn_process = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    until("another node has the jobs", || {
        [&session, &stubborn].iter().all(|it| {
            let (_, shown) = get(&cluster.nodes[0], &format!("/sessions/{it}"));
            shown["state"] == "running"
        })
    });
    cluster.nodes[1].send_signal("-STOP");
    let stopped = Instant::now();
    let one = &cluster.nodes[0];
    let (_, took) = cluster.until_taken(0, 1);
    print(&format!("a stopped node's log was taken in {took:?}"));
    let lost =
        |event: &serde_json::Value| event["type"] == "job-finished" && event["outcome"] == "lost";
    until("its job is lost", || events(one, &session).iter().any(lost));
    let results = one.exec(&session, "echo elsewhere");
    assert!(
        said(&results, "stdout").contains("elsewhere"),
        "{results:?}"
    );
    assert!(is_alive(&process), "a stopped server can end nothing");
    // Longer than an election of the servers takes.
    until("it has slept for ten seconds", || {
        stopped.elapsed() >= SLEEP
    });

    cluster.nodes[1].send_signal("-CONT");
    let took = until("the processes of its jobs are gone", || {
        !is_alive(&process) && !is_alive(&stubborn_process)
    });
    print(&format!(
        "the jobs of a node that woke up were gone in {took:?}"
    ));
    assert!(took < GONE, "{took:?}");
    let two = &cluster.nodes[1];
    // It is alive and has no jobs there, so it gets its log back; its sessions are used as before.
    until("it is ready", || is_ready(two));
    let results = two.exec(&session, "echo awake");
    assert!(said(&results, "stdout").contains("awake"), "{results:?}");
    let fenced = body(two, "/metrics");
    assert!(
        fenced.lines().any(|it| it == "rejoin_fenced_total 1"),
        "{fenced}"
    );
    let ends = events(two, &session);
    let of_first = |event: &&serde_json::Value| event["type"] == "job-finished";
    assert_eq!(
        ends.iter().filter(of_first).filter(|it| lost(it)).count(),
        1
    );
    cluster.nodes.clear();
}
