//! The log on a machine that runs out of something: disk space, file descriptors.

use crate::server::{Server, directory, said};
use crate::shell::wait_until;
use crate::verify::verify_json;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// Starts a server with a fresh file system of 50 MB at `$0`, which is smaller than a segment and
/// which was full before. Nobody else sees this file system.
const SMALL_DISK: &str = "mount -t tmpfs -o size=50m none \"$0\" || exit 99
head -c 100000000 /dev/zero >\"$0/full\" 2>/dev/null
rm \"$0/full\"
exec \"$@\"";

#[test]
fn a_small_disk_has_room_for_what_is_logged_before_what_is_prepared() {
    let place = directory();
    let mount = place.path().to_str().unwrap();
    let unshare = ["unshare", "--map-root-user", "--mount"];
    let by = [&unshare[..], &["sh", "-c", SMALL_DISK, mount]].concat();
    for round in 0..8 {
        let mut server = Server::start_by(&by, &place.path().join("data"), &[]);
        for _ in 0..10 {
            let (session, _) = server.create();
            let said = said(&server.exec(&session, "echo said"), "stdout");
            assert_eq!(said, "said\n", "round {round}");
        }
        assert_eq!(server.signal("-TERM").code(), Some(0), "round {round}");
    }
}

/// More than three segments hold.
const OUTPUT: u64 = 220_000_000;

#[test]
fn without_file_descriptors_the_log_goes_on() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, consumer) = server.create();
    // What needs file descriptors to begin has begun.
    let mut client = server.client();
    let go = data.path().join("go");
    let job = server.run(
        &session,
        &format!(
            "echo ready; until [ -e {} ]; do sleep 0.05; done; head -c {OUTPUT} /dev/zero | tr '\\0' x",
            go.display()
        ),
    );
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    let may_open = |files: &str| {
        let id = server.id().to_string();
        let limit = format!("--nofile={files}:");
        let limited = Command::new("prlimit")
            .args(["--pid", &id, &limit])
            .status();
        assert!(limited.unwrap().success());
    };
    may_open("1");
    fs::write(&go, "").unwrap();
    let path = format!("/sessions/{session}/jobs/{job}");
    wait_until("the job has ended", || {
        let shown = client.get(&path).unwrap();
        let shown: Value = shown.json();
        shown["outcome"] == "completed"
    });

    may_open("1000");
    let log = fs::read_dir(data.path().join("log")).unwrap();
    let largest = log
        .map(|file| file.unwrap().metadata().unwrap().len())
        .max();
    assert!(largest > Some(64 * 1024 * 1024), "no segment had to grow");
    let said = said(&server.exec(&session, "echo on"), "stdout");
    assert_eq!(said, "on\n");
    assert_eq!(server.signal("-TERM").code(), Some(0));
    let (status, report) = verify_json(data.path());
    assert_eq!((status, &report["sound"]), (Some(0), &json!(true)));
}
