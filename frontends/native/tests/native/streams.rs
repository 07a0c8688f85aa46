//! Server-Sent Events.

use crate::support::Server;
use rejoin_engine::Config;
use serde_json::{Value, json};
use std::time::Duration;

/// The events of a stream, each with its `id`, and the text after the last.
fn blocks(text: &str) -> (Vec<(u64, Value)>, String) {
    let mut events = vec![];
    let mut end = String::new();
    for block in text.split_terminator("\n\n") {
        match block.strip_prefix("id: ") {
            Some(event) => {
                let (id, data) = event.split_once("\ndata: ").unwrap();
                let event: Value = serde_json::from_str(data).unwrap();
                let (sequence, at) = id.split_once('-').unwrap();
                assert_eq!(at, event["at"].to_string());
                events.push((sequence.parse().unwrap(), event));
            }
            None if block.starts_with("event: ") => end = block.to_owned(),
            None => assert!(block == ":" || block.starts_with("retry: "), "{block}"),
        }
    }
    (events, end)
}

#[test]
fn a_stream_is_what_reads_tell_from_any_sequence_on() {
    let server = Server::with_sessions(1);
    server.run("say 300", json!({}));
    let logged = server.events_to("job-finished");
    server.request("DELETE", "/sessions/1", b"");
    let logged = server.events(logged.len() as u64 + 1);
    for after in [0, 1, 150, logged.len() - 1] {
        let last = after.to_string();
        let headers = [("last-event-id", &*last)];
        // `Last-Event-ID` of a reconnect takes precedence over `after` in the URL.
        let path = "/sessions/1/stream?after=7";
        let stream = server.client().request("GET", path, &headers, b"").unwrap();
        assert_eq!(stream.header("content-type"), Some("text/event-stream"));
        assert_eq!(stream.header("cache-control"), Some("no-store"));
        assert_eq!(stream.header("x-accel-buffering"), Some("no"));
        let (events, end) = blocks(stream.text());
        let ids: Vec<_> = events.iter().map(|(id, _)| *id).collect();
        let expected: Vec<_> = (after as u64 + 1..=logged.len() as u64).collect();
        assert_eq!(ids, expected);
        let events: Vec<_> = events.into_iter().map(|(_, event)| event).collect();
        assert_eq!(events, logged[after..]);
        assert_eq!(
            end,
            format!("event: end\ndata: {{\"after\":{}}}", logged.len())
        );
    }
    // After the end, a reconnect gets 204, so that browsers stop.
    for path in ["stream", "events"] {
        let last = logged.len().to_string();
        let headers = [("last-event-id", &*last), ("accept", "text/event-stream")];
        let path = format!("/sessions/1/{path}");
        let over = server
            .client()
            .request("GET", &path, &headers, b"")
            .unwrap();
        assert_eq!((over.status, over.body.len()), (204, 0));
    }
}

#[test]
fn a_last_event_id_that_is_none_is_refused() {
    let server = Server::with_sessions(1);
    for last in ["x", "-1", "1-", "1-x", "1-2-3", "99999999999999999999"] {
        let headers = [("last-event-id", last)];
        let path = "/sessions/1/stream";
        let refused = server.client().request("GET", path, &headers, b"").unwrap();
        assert_eq!(refused.status, 400, "{last}");
    }
}

#[test]
fn a_place_that_the_log_has_never_given_is_refused_wherever_a_reader_names_one() {
    let server = Server::with_sessions(2);
    server.run("say 20", json!({}));
    let logged = server.events_to("job-finished");
    let refused = |place: &str| {
        let query = [
            format!("/sessions/1/events?after={place}"),
            format!("/sessions/1/events?after={place}&wait=60000"),
            format!("/sessions/1/stream?after={place}"),
        ];
        for path in query {
            let refused = server.request("GET", &path, b"");
            assert_eq!(refused.status, 409, "{path}");
            let problem: Value = serde_json::from_slice(&refused.body).unwrap();
            assert_eq!(problem["code"], "cursor_unknown", "{problem}");
            assert_eq!(problem["lastSequence"], 24, "{problem}");
        }
        for path in ["stream", "events"] {
            let headers = [("last-event-id", place), ("accept", "text/event-stream")];
            let path = format!("/sessions/1/{path}");
            let refused = server.client().request("GET", &path, &headers, b"");
            assert_eq!(refused.unwrap().status, 409, "{path}");
        }
    };
    for ahead in ["25", "999999", "18446744073709551615", "25-1"] {
        refused(ahead);
    }
    for event in [&logged[0], &logged[10], &logged[23]] {
        let sequence = event["sequence"].as_u64().unwrap();
        let at = event["at"].as_u64().unwrap();
        // Another event has this sequence in another log with a common past.
        refused(&format!("{sequence}-{}", at + 1));
        for right in [format!("{sequence}-{at}"), sequence.to_string()] {
            let page = server.get(&format!("/sessions/1/events?after={right}"));
            let rest = &logged[usize::try_from(sequence).unwrap()..];
            assert_eq!(page["events"], json!(rest), "{right}");
        }
    }
    let begin = server.request("GET", "/sessions/1/events?after=0-7", b"");
    assert_eq!(begin.status, 200);
}

#[test]
fn a_place_in_a_session_that_ended_long_ago_is_checked_too() {
    let server = Server::with_sessions(1);
    let path = format!("/sessions/{}", server.session());
    server.run("say 20", json!({}));
    let logged = server.events_to("job-finished");
    server.request("DELETE", &path, b"");
    // The server remembers this many ended sessions without reading the log.
    for _ in 0..1_000 {
        let created = server.post("/sessions", &json!({}));
        let other = format!("/sessions/{}", created["id"].as_str().unwrap());
        server.request("DELETE", &other, b"");
    }
    assert_eq!(server.request("GET", &path, b"").status, 404);
    let page = server.get(&format!("{path}/events"));
    let events = page["events"].as_array().unwrap();
    assert_eq!(events[..24], logged);
    let last = &events[events.len() - 1];
    for (place, status) in [
        (last["sequence"].to_string(), 204),
        (format!("{}-{}", last["sequence"], last["at"]), 204),
        (format!("24-{}", logged[23]["at"]), 200),
        (
            format!("24-{}", logged[23]["at"].as_u64().unwrap() + 1),
            409,
        ),
        ((events.len() + 1).to_string(), 409),
        ("18446744073709551615".to_owned(), 409),
    ] {
        let answer = server.request("GET", &format!("{path}/stream?after={place}"), b"");
        assert_eq!(answer.status, status, "{place}: {}", answer.text());
        if status == 409 {
            let problem: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(problem["lastSequence"], last["sequence"], "{problem}");
        }
    }
}

#[test]
fn an_empty_last_event_id_is_none_and_a_session_is_found_in_capitals() {
    let server = Server::with_sessions(1);
    let session = server.session().to_string().to_uppercase();
    server.request("DELETE", &format!("/sessions/{session}"), b"");
    let path = format!("/sessions/{session}/stream?after=1");
    let headers = [("last-event-id", "")];
    let stream = server
        .client()
        .request("GET", &path, &headers, b"")
        .unwrap();
    assert_eq!(stream.status, 200, "{}", stream.text());
    let ids: Vec<_> = blocks(stream.text())
        .0
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(ids, [2]);
}

#[test]
fn a_stream_goes_on_with_what_is_yet_to_come() {
    let server = Server::with_sessions(1);
    let mut client = server.client();
    client
        .send_request("GET", "/sessions/1/stream?after=1", &[], b"")
        .unwrap();
    assert_eq!(client.receive_head().unwrap().status, 200);
    server.run("say 3", json!({}));
    let mut text = String::new();
    while !text.contains("job-finished") {
        text += std::str::from_utf8(&client.receive_chunk().unwrap().unwrap()).unwrap();
    }
    let ids: Vec<_> = blocks(&text).0.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [2, 3, 4, 5, 6, 7]);
    // A shutdown ends the stream without the event `end` of the session.
    server.http.shutdown().trigger();
    assert_eq!(client.receive_chunk().unwrap(), None);
}

#[test]
fn a_session_that_is_watched_is_not_idle_and_one_that_was_is() {
    let timeout = Duration::from_secs(60);
    let config = Config {
        session_timeout: timeout,
        ..Config::default()
    };
    let (server, clock) = Server::in_virtual_time(config);
    server.post("/sessions", &json!({}));
    let session = server.session();
    let is_open = || {
        server
            .engine
            .session_view(session)
            .unwrap()
            .closed
            .is_none()
    };
    let mut client = server.client();
    client
        .send_request("GET", "/sessions/1/stream?after=1", &[], b"")
        .unwrap();
    client.receive_head().unwrap();
    assert_eq!(client.receive_chunk().unwrap().unwrap(), b"retry: 1000\n\n");
    // A heartbeat is due a quarter of the session's idle timeout after the last one.
    let (mut beats, mut passed) = (0, Duration::ZERO);
    while passed < 10 * timeout {
        let beat = Duration::from_secs(15);
        clock.wait_for_timer(beat);
        clock.advance(beat);
        passed += beat;
        let text = String::from_utf8(client.receive_chunk().unwrap().unwrap()).unwrap();
        beats += text.matches(":\n\n").count();
        assert!(is_open(), "closed after {passed:?} in spite of a reader");
    }
    // Sometimes an event came instead, because the use of a session is logged.
    assert!(beats >= 20, "{beats} heartbeats");
    drop(client);
    // The idle timeout counts from when the reader has gone.
    let mut seconds = 0;
    while is_open() {
        clock.advance(Duration::from_secs(1));
        seconds += 1;
        assert!(seconds < 10_000_000, "never closed");
        std::thread::yield_now();
    }
    assert!(seconds >= 40, "closed {seconds} seconds after it was seen");
}
