//! Jobs that outlive their server.

use crate::server::{Server, directory, end, is_status_of, running_under, said, text};
use crate::shell::wait_until;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn a_command_goes_on_after_a_kill_and_its_end_is_told_once() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, consumer) = server.create();
    let statement = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.05; done; \
                     echo problem >&2; export KEPT=yes; cd /usr; exit 7";
    let job = server.run(&session, statement);
    server.pull_until(&session, &consumer, |result| {
        said(std::slice::from_ref(result), "stdout").contains('5')
    });
    server.kill_alone();
    let mut server = Server::start(data.path(), &[]);
    server.kill_alone();
    wait_until("it has ended while no server is there", || {
        running_under(&session).is_empty()
    });
    let server = Server::start(data.path(), &[]);
    let late = server.join(&session);
    let results = server.pull_until(&session, &late, is_status_of(job));
    let expected: String = (1..=40).map(|line| format!("{line}\n")).collect();
    assert_eq!(said(&results, "stdout"), expected + "problem\n");
    let ends: Vec<_> = results.iter().filter(|it| is_status_of(job)(it)).collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0]["statusCode"], 7, "{}", ends[0]);
    let next = server.run(&session, "echo $PWD $KEPT");
    let results = server.pull_until(&session, &late, is_status_of(next));
    assert_eq!(said(&results, "stdout"), "/usr yes\n");
}

#[test]
fn input_and_interrupts_that_were_logged_reach_a_job_once() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let created = post(&server, "/sessions", &json!({}));
    let session = text(&created["id"]);
    let jobs = format!("/sessions/{session}/jobs");
    let run = json!({
        "statement": "trap 'echo caught; exit' INT; echo ready; while read line; do echo got $line; done",
        "input": true,
    });
    let job = post(&server, &jobs, &run)["job"].as_u64().unwrap();
    let late = server.join(&session);
    server.pull_until(&session, &late, |result| result["content"] == "ready\n");
    let mut expected = "ready\n".to_owned();
    for turn in 0..6 {
        let path = format!("{jobs}/{job}/input");
        let line = format!("line {turn}\n");
        let mut client = server.client();
        let written = client.request("POST", &path, &[], line.as_bytes()).unwrap();
        assert_eq!(written.status, 204, "{}", written.text());
        expected += &format!("got line {turn}\n");
        server.kill_alone();
        server = Server::start(data.path(), &[]);
    }
    let late = server.join(&session);
    server.pull_until(&session, &late, |result| {
        said(std::slice::from_ref(result), "stdout").contains("line 5")
    });
    server.api(&json!({"action": "interrupt_job", "sessionId": session}));
    server.kill_alone();
    let server = Server::start(data.path(), &[]);
    let late = server.join(&session);
    let results = server.pull_until(&session, &late, is_status_of(job));
    assert_eq!(said(&results, "stdout"), expected + "caught\n");
}

#[test]
fn the_jobs_of_a_keeper_that_is_killed_are_lost_and_no_others() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let statement = "echo ready; sleep 2; echo done";
    let jobs: Vec<_> = (0..4)
        .map(|_| {
            let (session, consumer) = server.create();
            let before = server.keepers();
            let job = server.run(&session, statement);
            server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
            let keeper = server.keepers().into_iter().find(|it| !before.contains(it));
            (session, consumer, job, keeper)
        })
        .collect();
    // While a server is there, and while none is.
    let keepers: Vec<_> = jobs.iter().filter_map(|job| job.3).collect();
    assert!(keepers.len() >= 3, "each job has a keeper: {keepers:?}");
    let (with, without) = (keepers[0], keepers[1]);
    end(with);
    let lost: Vec<_> = jobs.iter().filter(|job| job.3 == Some(with)).collect();
    for (session, consumer, job, _) in &lost {
        let results = server.pull_until(session, consumer, is_status_of(*job));
        let status = results.iter().find(|it| is_status_of(*job)(it)).unwrap();
        assert_eq!(status["statusCode"], 137, "{status}");
        assert!(
            text(&status["message"]).contains("its keeper ended"),
            "{status}"
        );
        assert!(running_under(session).is_empty());
    }
    server.kill_alone();
    end(without);
    let server = Server::start(data.path(), &[]);
    for (session, _, job, keeper) in &jobs {
        let late = server.join(session);
        let results = server.pull_until(session, &late, is_status_of(*job));
        let status = results.iter().find(|it| is_status_of(*job)(it)).unwrap();
        let is_lost = [Some(with), Some(without)].contains(keeper);
        let (code, output) = match is_lost {
            true => (137, "ready\n"),
            false => (0, "ready\ndone\n"),
        };
        assert_eq!(status["statusCode"], code, "{status}");
        assert_eq!(said(&results, "stdout"), output);
        assert!(running_under(session).is_empty());
    }
}

#[test]
fn a_shutdown_ends_jobs_or_keeps_them_as_the_setting_says() {
    let data = directory();
    let keep = ["--jobs-at-exit", "keep"];
    let mut server = Server::start(data.path(), &keep);
    let (session, consumer) = server.create();
    let job = server.run(&session, "echo ready; sleep 1; echo on; sleep 1000");
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    assert_eq!(server.signal("-TERM").code(), Some(0));
    assert!(!running_under(&session).is_empty(), "it goes on");
    let mut server = Server::start(data.path(), &[]);
    let late = server.join(&session);
    server.pull_until(&session, &late, |result| result["content"] == "on\n");
    assert_eq!(server.signal("-TERM").code(), Some(0));
    assert!(running_under(&session).is_empty(), "it was ended");
    assert!(server.keepers().is_empty(), "no keeper is left");
    let server = Server::start(data.path(), &[]);
    let late = server.join(&session);
    let results = server.pull_until(&session, &late, is_status_of(job));
    assert_eq!(said(&results, "stdout"), "ready\non\n");
}

#[test]
fn closing_a_session_after_a_restart_leaves_no_process_behind() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, consumer) = server.create();
    let daemon = "(setsid sleep 1000 >/dev/null 2>&1 &); echo left";
    let job = server.run(&session, daemon);
    server.pull_until(&session, &consumer, is_status_of(job));
    server.run(
        &session,
        "(setsid nohup sleep 1000 &); echo ready; sleep 1000",
    );
    server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    server.kill_alone();
    let server = Server::start(data.path(), &[]);
    assert!(running_under(&session).len() >= 3, "all go on");
    let closed = server.api(&json!({"action": "close_session", "sessionId": session}));
    assert_eq!(closed["state"], "SUCCEEDED");
    wait_until("all have ended", || running_under(&session).is_empty());
}

#[test]
fn a_server_that_only_reads_and_one_on_a_copy_leave_keepers_alone() {
    let parent = directory();
    let [data, copy] = ["data", "copy"].map(|name| parent.path().join(name));
    let mut original = Server::start(&data, &[]);
    let (session, consumer) = original.create();
    let job = original.run(&session, "echo ready; sleep 4; echo done");
    original.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
    original.kill_alone();
    let keepers = original.keepers();
    assert_eq!(keepers.len(), 1);
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&data, &copy])
        .status();
    assert!(copied.unwrap().success());
    drop(Server::start(&copy, &[]));
    read_only(&data);
    assert_eq!(original.keepers(), keepers);
    let server = Server::start(&data, &[]);
    let late = server.join(&session);
    let results = server.pull_until(&session, &late, is_status_of(job));
    assert_eq!(said(&results, "stdout"), "ready\ndone\n");
}

fn read_only(data: &Path) {
    let path = data.to_str().unwrap();
    let mut command =
        crate::server::rejoin(&["serve", "--read-only", path, "--listen", "127.0.0.1:0"]);
    let mut child = command.spawn().unwrap();
    let mut first_line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut first_line).unwrap();
    assert!(first_line.contains("only reads the log"), "{first_line}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_hundred_running_jobs_go_on_and_lose_nothing() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let statement = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.3; done";
    let sessions: Vec<_> = (0..100)
        .map(|_| {
            let (session, consumer) = server.create();
            server.run(&session, statement);
            (session, consumer)
        })
        .collect();
    for (session, consumer) in &sessions {
        server.pull_until(session, consumer, |result| result["type"] == "shell");
    }
    server.kill_alone();
    let server = Server::start(data.path(), &[]);
    let mut numbers = vec![];
    for (session, _) in &sessions {
        let late = server.join(session);
        let results = server.pull_until(session, &late, |result| {
            result["type"] == "status" || result["content"] == "6\n"
        });
        let output = said(&results, "stdout");
        numbers.push(output.lines().count());
        let expected: String = (1..=numbers[numbers.len() - 1])
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(output, expected);
    }
    assert_eq!(numbers.len(), 100);
}

/// The server is killed again and again, at work and while it starts, under jobs that write as fast as
/// they can, slowly, after their input, and that end while no server is there.
#[test]
fn however_often_the_server_is_killed_no_byte_of_a_job_is_missing_or_doubled() {
    let kills = std::env::var("REJOIN_KILLS").ok();
    let kills: u32 = kills.map_or(20, |kills| kills.parse().unwrap());
    let data = directory();
    let mut server = Server::start(data.path(), &["--log-level", "warn"]);
    let mut jobs: Vec<(String, u64, String, u64)> = vec![];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for kill in 0..kills {
        for kind in 0..3 {
            let (session, _) = server.create();
            let (statement, lines) = match kind {
                0 => ("seq 1 200000; exit 5".to_owned(), 200_000),
                1 => (
                    "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.02; done; exit 6"
                        .to_owned(),
                    60,
                ),
                _ => ("seq 1 30; sleep 0.2; seq 31 40; exit 7".to_owned(), 40),
            };
            let job = server.run(&session, &statement);
            wait_until_started(&server, &session, job);
            let expected: String = (1..=lines).map(|line| format!("{line}\n")).collect();
            jobs.push((session, job, expected, 5 + kind));
        }
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        sleep(Duration::from_millis(seed % 300));
        server.kill_alone();
        if kill % 4 == 3 {
            kill_while_starting(data.path(), Duration::from_millis(seed % 120));
        }
        server = Server::start(data.path(), &["--log-level", "warn"]);
        // Those that have ended are checked as they do.
        if jobs.len() > 12 {
            jobs.drain(..6).for_each(|job| check(&server, &job));
        }
    }
    jobs.iter().for_each(|job| check(&server, job));
}

/// A command that was accepted and has not been started when the server is killed is lost.
fn wait_until_started(server: &Server, session: &str, job: u64) {
    let path = format!("/sessions/{session}/jobs/{job}");
    wait_until("the job has started", || {
        let shown = server.client().get(&path).unwrap();
        let shown: Value = serde_json::from_slice(&shown.body).unwrap();
        shown["state"] != "submitted"
    });
}

fn check(server: &Server, (session, job, expected, status): &(String, u64, String, u64)) {
    let late = server.join(session);
    let results = server.pull_until(session, &late, is_status_of(*job));
    let output = said(&results, "stdout");
    let end = results.iter().find(|it| is_status_of(*job)(it)).unwrap();
    assert!(
        output == *expected,
        "job {job}, {end}: {} of {} bytes, the same up to byte {}",
        output.len(),
        expected.len(),
        output
            .bytes()
            .zip(expected.bytes())
            .take_while(|(a, b)| a == b)
            .count()
    );
    assert_eq!(end["statusCode"], *status, "{end}");
    server.api(&json!({"action": "close_session", "sessionId": session}));
}

fn kill_while_starting(data: &Path, after: Duration) {
    let data = data.to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data];
    let mut child = crate::server::rejoin(&arguments).spawn().unwrap();
    sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn post(server: &Server, path: &str, body: &Value) -> Value {
    let received = server.client().post(path, &body.to_string()).unwrap();
    assert!(received.status < 300, "{path}: {}", received.text());
    serde_json::from_slice(&received.body).unwrap_or_default()
}
