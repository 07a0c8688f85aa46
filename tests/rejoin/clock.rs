//! A wall clock that is set, ahead and back, while the real server runs and between two servers.
//! libfaketime sets it, and leaves the monotonic clock alone.

#![expect(
    clippy::disallowed_methods,
    reason = "how long a real process takes is a matter of real time"
)]

use crate::server::{Server, api, directory, rejoin};
use crate::shell::wait_until;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A wall clock of the test's own: a directory with the file that says how it is set.
struct WallClock {
    library: PathBuf,
    place: TempDir,
}

impl WallClock {
    /// None, and a line that says so, where Debian's package `faketime` is missing: CI has it.
    fn new() -> Option<Self> {
        let folders = fs::read_dir("/usr/lib").unwrap().flatten();
        let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
        let Some(library) = found.find(|library| library.exists()) else {
            // Not `eprintln!`, which is shown for failed tests only.
            let _ = writeln!(
                std::io::stderr(),
                "NOT TESTED: cannot set a clock here; install the package faketime"
            );
            return None;
        };
        let place = directory();
        let clock = Self { library, place };
        clock.set("+0");
        Some(clock)
    }

    /// Sets it: `+2d`, `-1h`.
    fn set(&self, by: &str) {
        let file = self.file();
        let aside = file.with_extension("new");
        fs::write(&aside, by).unwrap();
        fs::rename(aside, file).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.place.path().join("time")
    }

    fn serve(&self, data: &Path, more: &[&str]) -> Server {
        let data = data.to_str().unwrap();
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--data", data];
        arguments.extend(more);
        let mut command = rejoin(&arguments);
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .stderr(std::process::Stdio::inherit());
        Server::spawned(&mut command)
    }
}

fn metric(server: &Server, name: &str) -> f64 {
    let received = server.client().get("/metrics").unwrap();
    let line = received.text().lines().find_map(|line| {
        let (found, value) = line.split_once(' ')?;
        (found == name).then(|| value.parse().unwrap())
    });
    line.unwrap_or_else(|| panic!("no {name}"))
}

/// The server has noticed this many jumps. What it takes for due at that time has happened by then.
fn has_noticed(server: &Server, jumps: f64) {
    wait_until("the clock has jumped", || {
        metric(server, "rejoin_clock_jumps_total") >= jumps
    });
}

fn session(server: &Server, id: &str) -> Value {
    let received = server.client().get(&format!("/sessions/{id}")).unwrap();
    assert_eq!(received.status, 200, "{}", received.text());
    received.json()
}

#[test]
fn a_clock_that_is_set_ahead_ends_no_job_no_session_and_no_consumer() {
    let Some(clock) = WallClock::new() else {
        return;
    };
    let data = directory();
    let server = clock.serve(data.path(), &[]);
    let (pulled, consumer) = server.create();
    server.run(&pulled, "echo ready");
    server.pull_until(&pulled, &consumer, |result| result["content"] == "ready\n");
    let (read, _) = server.create();
    let mut stream = server.client();
    let path = format!("/sessions/{read}/stream");
    stream.send_request("GET", &path, &[], b"").unwrap();
    assert_eq!(stream.receive_head().unwrap().status, 200);
    stream.receive_chunk().unwrap();
    let (busy, _) = server.create();
    server.run(&busy, "sleep 1000");

    // A consumer expires after 5 minutes, a session after 3 hours, a job after a day.
    clock.set("+10m");
    has_noticed(&server, 1.0);
    let pull = json!({"action": "pull_results", "sessionId": pulled, "consumerId": consumer});
    let answer = api(&mut server.client(), &pull);
    assert_eq!(answer["state"], "SUCCEEDED", "{answer}");

    clock.set("+4h");
    has_noticed(&server, 2.0);
    assert_eq!(session(&server, &read)["closed"], Value::Null);
    server.run(&read, "echo still there");
    let mut seen = String::new();
    while !seen.contains("still there") {
        let part = stream.receive_chunk().unwrap();
        seen += std::str::from_utf8(&part.expect("the stream goes on")).unwrap();
    }

    clock.set("+2d");
    has_noticed(&server, 3.0);
    assert_eq!(session(&server, &busy)["state"], "running");
    assert_eq!(session(&server, &read)["closed"], Value::Null);
    let done = server.exec(&server.create().0, "echo done");
    assert!(done.iter().any(|result| result["content"] == "done\n"));
}

#[test]
fn a_clock_that_is_set_back_holds_up_no_timeout() {
    let Some(clock) = WallClock::new() else {
        return;
    };
    let data = directory();
    let server = clock.serve(data.path(), &["--job-timeout", "5s"]);
    let (id, _) = server.create();
    let begin = Instant::now();
    server.run(&id, "sleep 1000");
    clock.set("-1h");
    has_noticed(&server, 1.0);
    assert!(metric(&server, "rejoin_clock_behind_seconds") > 3_500.0);
    times_out(&server, &id, begin);
}

#[test]
fn a_start_with_a_clock_35_days_ahead_holds_up_no_timeout_of_the_next_server() {
    let Some(clock) = WallClock::new() else {
        return;
    };
    let data = directory();
    let mut server = clock.serve(data.path(), &[]);
    let (old, _) = server.create();
    assert!(server.signal("-TERM").success());
    clock.set("+35d");
    let mut server = clock.serve(data.path(), &[]);
    assert_eq!(session(&server, &old)["closed"], Value::Null);
    server.exec(&old, "echo ahead");
    assert!(server.signal("-TERM").success());

    clock.set("+0");
    let server = clock.serve(data.path(), &["--job-timeout", "5s"]);
    assert!(metric(&server, "rejoin_clock_behind_seconds") > 34.0 * 86_400.0);
    let done = server.exec(&old, "echo done");
    assert!(done.iter().any(|result| result["content"] == "done\n"));
    let begin = Instant::now();
    server.run(&old, "sleep 1000");
    times_out(&server, &old, begin);
}

#[test]
fn a_token_expires_on_its_date_however_the_clock_stood_at_the_start() {
    let Some(clock) = WallClock::new() else {
        return;
    };
    let data = crate::accounts::with_accounts();
    let place = data.path().to_str().unwrap();
    let add = [
        "token",
        "add",
        "ada",
        "laptop",
        "--expires",
        "30d",
        "--data",
        place,
    ];
    let added = rejoin(&add).output().unwrap();
    assert!(added.status.success());
    let token = String::from_utf8(added.stdout).unwrap();
    let bearer = format!("Bearer {}", token.trim_end());
    let status = |server: &Server| {
        let headers = [("authorization", bearer.as_str())];
        let listed = server.client().request("GET", "/sessions", &headers, b"");
        listed.unwrap().status
    };
    clock.set("+35d");
    let server = clock.serve(data.path(), &[]);
    assert_eq!(status(&server), 401);
    clock.set("+0");
    assert_eq!(status(&server), 200);
    clock.set("+31d");
    assert_eq!(status(&server), 401);
}

/// The session's job times out five seconds after it began.
fn times_out(server: &Server, id: &str, begin: Instant) {
    wait_until("the job has ended", || {
        session(server, id)["state"] == "idle"
    });
    let lasted = begin.elapsed();
    let jobs = session(server, id)["jobs"].clone();
    let job = jobs.as_array().unwrap().last().unwrap().clone();
    assert_eq!(job["outcome"], "timed-out", "{jobs}");
    assert!(lasted >= Duration::from_secs(5), "{lasted:?}");
    // A tick, and what a busy machine needs to end a process.
    assert!(lasted < Duration::from_secs(15), "{lasted:?}");
    let shown = job["durationMillis"].as_u64().unwrap();
    assert!((5_000..15_000).contains(&shown), "{shown} ms");
}
