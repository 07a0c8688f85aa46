//! Rejoin's own API: readers that name their sequence, requests that are made again, and input.

use crate::server::{Server, directory, rejoin};
use rejoin_http::test_client::Client;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

fn post(client: &mut Client, path: &str, body: &Value) -> Value {
    let received = client.post(path, &body.to_string()).unwrap();
    assert!(received.status < 300, "{path}: {}", received.text());
    serde_json::from_slice(&received.body).unwrap_or_default()
}

fn get(client: &mut Client, path: &str) -> Value {
    let received = client.get(path).unwrap();
    assert_eq!(received.status, 200, "{path}: {}", received.text());
    received.json()
}

/// The events of a stream after a sequence, until `is_enough` or its end: each with its `id`.
fn stream(
    server: &Server,
    session: &str,
    after: u64,
    is_enough: impl Fn(&[(u64, Value)]) -> bool,
) -> Vec<(u64, Value)> {
    let mut client = server.client();
    let path = format!("/sessions/{session}/stream");
    let last = after.to_string();
    let headers = [("last-event-id", last.as_str())];
    client.send_request("GET", &path, &headers, b"").unwrap();
    assert_eq!(client.receive_head().unwrap().status, 200);
    let mut ahead = String::new();
    let mut events = vec![];
    while let Some(part) = client.receive_chunk().unwrap() {
        ahead += std::str::from_utf8(&part).unwrap();
        while let Some((block, rest)) = ahead.split_once("\n\n") {
            if let Some(id) = block.strip_prefix("id: ") {
                let (id, data) = id.split_once("\ndata: ").unwrap();
                let sequence = id.split('-').next().unwrap().parse().unwrap();
                events.push((sequence, serde_json::from_str(data).unwrap()));
            }
            ahead = rest.to_owned();
            if is_enough(&events) {
                return events;
            }
        }
    }
    events
}

fn is_finished(events: &[(u64, Value)]) -> bool {
    let last = events.last();
    last.is_some_and(|(_, event)| event["type"] == "job-finished")
}

fn said(events: &[(u64, Value)]) -> String {
    let results = events.iter().map(|(_, event)| &event["result"]["content"]);
    results.filter_map(Value::as_str).collect()
}

#[test]
fn a_broken_stream_continues_where_it_was_even_after_a_kill() {
    let data = directory();
    let mut server = Server::start(data.path(), &["--recent-bytes", "100000"]);
    let created = post(&mut server.client(), "/sessions", &json!({}));
    let session = created["id"].as_str().unwrap().to_owned();
    let run = json!({"statement": "seq 1 200000"});
    post(
        &mut server.client(),
        &format!("/sessions/{session}/jobs"),
        &run,
    );
    let mut events = stream(&server, &session, 0, |events| events.len() >= 5);
    let last = events.last().unwrap().0;
    events.extend(stream(&server, &session, last, is_finished));
    let expected: String = (1..=200_000).map(|line| format!("{line}\n")).collect();
    assert!(said(&events) == expected, "the same bytes, exactly once");
    let ids: Vec<u64> = events.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());

    server.kill();
    let server = Server::start(data.path(), &[]);
    let again = stream(&server, &session, last, is_finished);
    assert!(again[..] == events[usize::try_from(last).unwrap()..]);
    let path = format!("/sessions/{session}");
    let closed = server.client().request("DELETE", &path, &[], b"").unwrap();
    assert_eq!(closed.status, 204);
    // The stream ends by itself, and who comes back gets 204.
    let rest = stream(&server, &session, again.last().unwrap().0, |_| false);
    assert_eq!(rest.last().unwrap().1["type"], "session-closed");
    let over = format!("{path}/stream?after={}", rest.last().unwrap().0);
    assert_eq!(server.client().get(&over).unwrap().status, 204);
    let ended = get(&mut server.client(), "/sessions?state=ended");
    assert_eq!(ended["sessions"][0]["id"], session);
}

#[test]
fn a_repeated_request_runs_once() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    post(&mut client, "/sessions", &json!({}));
    let submit = json!({"statement": "echo once", "request": "r"});
    let first = post(&mut client, "/sessions/1/jobs", &submit);
    assert_eq!(post(&mut client, "/sessions/1/jobs", &submit), first);
    let other = json!({"statement": "echo other", "request": "r"}).to_string();
    assert_eq!(client.post("/sessions/1/jobs", &other).unwrap().status, 409);
    let session = get(&mut client, "/sessions/1");
    assert_eq!(session["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn a_running_job_reads_its_input_until_that_is_closed() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    let created = post(&mut client, "/sessions", &json!({}));
    let session = created["id"].as_str().unwrap();
    let submit = json!({"statement": "read x; echo got $x; cat", "input": true});
    post(&mut client, "/sessions/1/jobs", &submit);
    for (end, line) in [("false", "one\n"), ("true", "two\n")] {
        let path = format!("/sessions/1/jobs/1/input?end={end}");
        let written = client.request("POST", &path, &[], line.as_bytes()).unwrap();
        assert_eq!(written.status, 204, "{}", written.text());
    }
    let events = stream(&server, session, 0, is_finished);
    assert_eq!(said(&events), "got one\ntwo\n");
    let path = "/sessions/1/jobs/1/input";
    let late = client.request("POST", path, &[], b"x").unwrap();
    assert_eq!(late.status, 404, "{}", late.text());
}

#[test]
fn a_reader_who_does_not_read_does_not_slow_the_job() {
    let data = directory();
    let server = Server::start(data.path(), &["--recent-bytes", "100000"]);
    let mut client = server.client();
    let created = post(&mut client, "/sessions", &json!({}));
    let session = created["id"].as_str().unwrap();
    let mut slow = server.client();
    let path = format!("/sessions/{session}/stream");
    slow.send_request("GET", &path, &[], b"").unwrap();
    let run = json!({"statement": "seq 1 1000000"});
    post(&mut client, "/sessions/1/jobs", &run);
    let events = stream(&server, session, 0, is_finished);
    assert_eq!(said(&events).len(), 6_888_896);
}

#[test]
fn an_interrupted_job_is_reported_as_interrupted() {
    let data = directory();
    let server = Server::start(data.path(), &["--interrupt-grace", "100ms"]);
    let mut client = server.client();
    let created = post(&mut client, "/sessions", &json!({}));
    let session = created["id"].as_str().unwrap();
    post(
        &mut client,
        "/sessions/1/jobs",
        &json!({"statement": "sleep 100"}),
    );
    post(&mut client, "/sessions/1/interrupt", &json!({}));
    let events = stream(&server, session, 0, is_finished);
    assert_eq!(events.last().unwrap().1["outcome"], "interrupted");
}

#[test]
fn a_thousand_idle_streams_cost_little_and_end_when_readers_leave() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    post(&mut client, "/sessions", &json!({}));
    let watch = || {
        let mut client = server.client();
        let path = "/sessions/1/stream";
        client.send_request("GET", path, &[], b"").unwrap();
        assert_eq!(client.receive_head().unwrap().status, 200);
        // The first event has come, and nothing more does.
        let mut text = String::new();
        while !text.contains("session-created") {
            text += std::str::from_utf8(&client.receive_chunk().unwrap().unwrap()).unwrap();
        }
        client
    };
    // What is made once and kept is there before it is counted.
    drop((0..20).map(|_| watch()).collect::<Vec<_>>());
    let streams = 1_000;
    let before = resident(server.id());
    let watching: Vec<_> = (0..streams).map(|_| watch()).collect();
    let each = resident(server.id()).saturating_sub(before) / streams;
    assert!(each <= 48 * 1024, "{each} bytes for each stream");
    let threads = fs::read_dir(format!("/proc/{}/task", server.id())).unwrap();
    assert!(threads.count() < 50, "a stream is not a thread");
    drop(watching);
    // Their connections are closed, and the same room serves the next ones.
    let sockets = || {
        let files = fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap();
        files.count() as u64
    };
    while sockets() > streams / 2 {
        std::thread::yield_now();
    }
    let _watching: Vec<_> = (0..streams).map(|_| watch()).collect();
    let again = resident(server.id()).saturating_sub(before) / streams;
    assert!(
        again <= 48 * 1024,
        "{again} bytes for each stream, the second time"
    );
}

/// Bytes of memory that a process has.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    kibibytes.unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_stream_sends_what_is_in_the_log_byte_for_byte() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let created = post(&mut server.client(), "/sessions", &json!({}));
    let session = created["id"].as_str().unwrap().to_owned();
    let statement = r#"i=0; while [ $i -lt 300 ]; do printf '%s\377\0é"\\\n' $i; i=$((i+1)); done"#;
    post(
        &mut server.client(),
        "/sessions/1/jobs",
        &json!({"statement": statement}),
    );
    stream(&server, &session, 0, is_finished);
    let mut client = server.client();
    let last = "/sessions/1/stream?after=0";
    client.request("DELETE", "/sessions/1", &[], b"").unwrap();
    let sent = client.get(&last.replace('1', &session)).unwrap();
    // Results as their bytes: what stands behind `"result":` to the event's end.
    let sent: Vec<_> = sent
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: {")?.split_once(r#""result":{"#))
        .map(|(_, result)| format!("{{{}", result.strip_suffix('}').unwrap()))
        .collect();
    server.kill();
    let mut held = vec![];
    let directory = rejoin_log::disk::Directory::LOCK;
    let log = data.path().join("log");
    assert!(log.join(directory).exists(), "the log is somewhere else");
    let mut observer = |record: &rejoin_core::Record| {
        if let rejoin_core::Event::ResultEmitted { result, .. } = &record.event {
            held.push(result.to_string());
        }
    };
    let opened = rejoin_log::segment::OpenOptions::read_only(&log)
        .ignore_snapshots()
        .observe(&mut observer)
        .open();
    drop(opened.unwrap());
    assert!(!held.is_empty());
    assert_eq!(sent, held);
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

#[test]
fn a_reader_ahead_of_a_restored_backup_gets_an_error_and_loses_nothing_in_silence() {
    let place = directory();
    let [data, backup] = ["data", "backup"].map(|name| place.path().join(name));
    let mut server = Server::start(&data, &[]);
    let created = post(&mut server.client(), "/sessions", &json!({}));
    let session = created["id"].as_str().unwrap().to_owned();
    let run = |server: &Server, text: &str| {
        let path = format!("/sessions/{session}/jobs");
        let submit = json!({"statement": format!("echo {text}")});
        let job = post(&mut server.client(), &path, &submit);
        stream(
            server,
            &session,
            job["sequence"].as_u64().unwrap(),
            is_finished,
        )
    };
    run(&server, "common");
    assert_eq!(server.signal("-TERM").code(), Some(0));
    copy(&data, &backup);

    // The reader reads on, and then the backup is restored.
    let mut server = Server::start(&data, &[]);
    run(&server, "lost");
    let events = stream(&server, &session, 0, |events| said(events).contains("lost"));
    let (last, event) = events.last().unwrap();
    let cursor = format!("{last}-{}", event["at"]);
    let address = server.address.to_string();
    let url = format!("http://{address}");
    let mut attached = rejoin(&["attach", "1", "--server", &url]).spawn().unwrap();
    let mut shown = BufReader::new(attached.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("lost\n") {
        assert_ne!(shown.read_line(&mut line).unwrap(), 0, "{line}");
    }
    assert_eq!(server.signal("-TERM").code(), Some(0));
    fs::rename(&data, place.path().join("gone")).unwrap();
    copy(&backup, &data);
    let server = Server::start_at(&data, &address);

    let refused = |place: &str| {
        let paths = [
            format!("/sessions/{session}/stream?after={place}"),
            format!("/sessions/{session}/events?after={place}"),
        ];
        paths.map(|path| {
            let answer = server.client().get(&path).unwrap();
            let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            (answer.status == 409).then(|| problem["code"] == "cursor_unknown")
        })
    };
    assert_eq!(refused(&last.to_string()), [Some(true); 2], "it is ahead");
    assert_eq!(refused(&cursor), [Some(true); 2], "it is ahead");
    // The new past is as long as the old one, and then longer.
    let new = run(&server, "new1");
    assert!(new.last().unwrap().0 >= *last, "{new:?}");
    assert_eq!(refused(&cursor), [Some(true); 2], "it is of another past");
    // Who reads again from the beginning gets everything.
    let again = stream(&server, &session, 0, is_finished_twice);
    assert_eq!(said(&again), "common\nnew1\n");
    let (last, event) = again.last().unwrap();
    let right = format!("{last}-{}", event["at"]);
    let path = format!("/sessions/{session}/events?after={right}");
    assert_eq!(server.client().get(&path).unwrap().status, 200);

    // The command line says so, and begins again.
    line.clear();
    while !line.ends_with("new1\n") {
        assert_ne!(shown.read_line(&mut line).unwrap(), 0, "{line}");
    }
    assert!(line.contains("common\n"), "{line}");
    attached.kill().unwrap();
    let sent = attached.wait_with_output().unwrap();
    let sent = String::from_utf8(sent.stderr).unwrap();
    assert!(sent.contains("restored from a backup"), "{sent}");
}

fn is_finished_twice(events: &[(u64, Value)]) -> bool {
    let finished = events
        .iter()
        .filter(|(_, event)| event["type"] == "job-finished");
    finished.count() == 2
}
