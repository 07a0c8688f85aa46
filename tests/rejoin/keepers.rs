//! Jobs that outlive their server.

mod kills;
mod starts;
mod upgrade;

use crate::server::{Server, directory, end, is_status_of, running_under, said, text};
use crate::shell::{wait_until, wait_until_none_run};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

#[test]
fn a_command_goes_on_after_a_kill_and_its_end_is_there_once() {
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
    wait_until_none_run("it has ended while no server is there", &session);
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
    let go = data.path().join("go");
    let wait = format!("until [ -e '{}' ]; do sleep 0.05; done", go.display());
    let statement = format!("echo ready; {wait}; echo done");
    let jobs: Vec<_> = (0..4)
        .map(|_| {
            let (session, consumer) = server.create();
            let before = server.keepers();
            let job = server.run(&session, &statement);
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
    // No job can have ended by itself before.
    fs::write(go, "").unwrap();
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
        if is_lost {
            let message = text(&status["message"]);
            assert!(message.contains("its keeper ended"), "{status}");
        }
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
    wait_until_none_run("all have ended", &session);
}

#[test]
fn a_shutdown_that_keeps_jobs_ends_those_of_sessions_that_are_just_closing() {
    let data = directory();
    let keep = ["--jobs-at-exit", "keep", "--interrupt-grace", "1h"];
    let mut server = Server::start(data.path(), &keep);
    let [closing, open] = [(); 2].map(|()| {
        let (session, consumer) = server.create();
        let stubborn = "trap '' TERM; setsid sleep 1000 & echo ready; while :; do sleep 0.1; done";
        server.run(&session, stubborn);
        server.pull_until(&session, &consumer, |result| result["content"] == "ready\n");
        session
    });
    server.api(&json!({"action": "close_session", "sessionId": closing}));
    assert_eq!(server.signal("-TERM").code(), Some(0));
    assert!(running_under(&closing).is_empty());
    assert!(running_under(&open).len() >= 2);
    wait_until("only the other one's keeper is left", || {
        server.keepers().len() == 1
    });
    drop(Server::start(data.path(), &[]));
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

fn post(server: &Server, path: &str, body: &Value) -> Value {
    let received = server.client().post(path, &body.to_string()).unwrap();
    assert!(received.status < 300, "{path}: {}", received.text());
    serde_json::from_slice(&received.body).unwrap_or_default()
}
