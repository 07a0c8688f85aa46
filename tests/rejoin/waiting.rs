//! `rejoin wait`: the exit status of a job that somebody else started.

use crate::server::{Server, directory, outcome, rejoin};
use crate::shell::wait_until;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn post(server: &Server, path: &str, body: &Value) -> Value {
    let received = server.client().post(path, &body.to_string()).unwrap();
    assert!(received.status < 300, "{}", received.text());
    serde_json::from_slice(&received.body).unwrap_or_default()
}

fn url(server: &Server) -> String {
    format!("http://{}", server.address)
}

#[test]
fn waiting_gives_the_exit_status_of_the_job_that_runs_or_of_the_one_that_is_named() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    post(&server, "/sessions", &json!({}));
    let job = |statement: &str| {
        let submitted = post(
            &server,
            "/sessions/1/jobs",
            &json!({"statement": statement, "input": true}),
        );
        submitted["job"].to_string()
    };
    let wait = |more: &[&str]| {
        let server = url(&server);
        let arguments = [&["wait", "1"], more, &["--server", &server]].concat();
        let (status, out, err) = outcome(&arguments);
        (status.code().unwrap(), out, err)
    };
    let (code, _, err) = wait(&[]);
    assert_eq!(code, 125, "{err}");
    assert!(err.contains("has run nothing yet"), "{err}");
    let first = job("read line; exit $line");
    let waiting = rejoin(&["wait", "1", "--server", &url(&server)])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(wait(&["--timeout", "100ms"]).0, 124);
    let mut client = server.client();
    let input = format!("/sessions/1/jobs/{first}/input");
    assert_eq!(client.post(&input, "7\n").unwrap().status, 204);
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!(waited.status.code(), Some(7));
    let second = job("exit 3");
    assert_eq!(wait(&[&second]).0, 3);
    assert_eq!(wait(&[]).0, 3, "the last one");
    assert_eq!(wait(&[&first]).0, 7);
    let (code, out, _) = wait(&[&first, "--json"]);
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &shown["status"], &shown["outcome"]),
        (7, &json!(7), &json!("failed"))
    );
    let (code, _, err) = wait(&["999"]);
    assert_eq!(code, 125);
    assert!(err.contains("job not found"), "{err}");
}

#[test]
fn waiting_goes_on_when_the_server_is_killed_and_starts_again() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let address = server.address.to_string();
    post(&server, "/sessions", &json!({}));
    let gate = data.path().join("gate");
    let statement = format!(
        "while [ ! -e '{}' ]; do sleep 0.1; done; exit 9",
        gate.display()
    );
    post(
        &server,
        "/sessions/1/jobs",
        &json!({"statement": statement}),
    );
    let mut waiting = rejoin(&["wait", "1", "--server", &url(&server)])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // A wait that has begun asks for events.
    wait_until("it waits", || {
        let metrics = server.client().get("/metrics").unwrap();
        metrics.text().lines().any(|line| {
            line.starts_with("rejoin_http_requests")
                && line.contains("native")
                && !line.ends_with(" 0")
        })
    });
    server.kill_alone();
    let server = Server::start_at(data.path(), &address);
    assert!(waiting.try_wait().unwrap().is_none(), "it has not ended");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(9));
    drop(server);
}

#[test]
fn a_command_that_follows_ends_in_its_time_whatever_the_server_does() {
    // Connections are accepted by the system, and nothing answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for (arguments, expected) in [
        (&["wait", "1", "--timeout", "2s"][..], 124),
        (&["wait", "1", "--reconnect-for", "1s"], 125),
        (&["attach", "1", "--reconnect-for", "1s"], 2),
        (&["run", "--reconnect-for", "1s", "-n", "true"], 125),
    ] {
        let begun = now();
        let (status, _, err) = outcome(&[arguments, &["--server", &url]].concat());
        assert_eq!(status.code(), Some(expected), "{arguments:?}: {err}");
        // Before, each took 45 seconds or more.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(30), "{arguments:?}: {took:?}");
    }
}

#[test]
fn a_wait_ends_in_its_time_when_the_server_is_stopped_meanwhile() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    post(&server, "/sessions", &json!({}));
    let gate = data.path().join("gate");
    let statement = format!("while [ ! -e '{}' ]; do sleep 0.1; done", gate.display());
    post(
        &server,
        "/sessions/1/jobs",
        &json!({"statement": statement}),
    );
    let url = url(&server);
    let mut waits: Vec<_> = [["--reconnect-for", "3s"], ["--timeout", "8s"]]
        .iter()
        .map(|limit| {
            let arguments = [&["wait", "1", "--server", &url], &limit[..]].concat();
            let mut command = rejoin(&arguments);
            command.stderr(Stdio::null()).stdout(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    server.send_signal("-STOP");
    let begun = now();
    let statuses: Vec<_> = waits
        .iter_mut()
        .map(|it| it.wait().unwrap().code())
        .collect();
    let took = begun.elapsed();
    server.send_signal("-CONT");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(statuses, [Some(125), Some(124)]);
    assert!(took < Duration::from_secs(40), "{took:?}");
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a program takes is measured by this machine's clock"
)]
fn now() -> Instant {
    Instant::now()
}
