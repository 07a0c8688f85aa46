//! Reads from any sequence.

use crate::support::{Server, kinds};
use rejoin_engine::Config;
use serde_json::json;
use std::time::Duration;

#[test]
fn a_read_returns_the_events_after_a_sequence_up_to_the_limit() {
    let server = Server::with_sessions(1);
    server.run("say 20", json!({}));
    let all = server.events_to("job-finished");
    assert_eq!(all.len(), 24);
    for after in 0..=24 {
        for limit in [1, 7, 1_000, 1_000_000] {
            let path = format!("/sessions/1/events?after={after}&limit={limit}");
            let page = server.get(&path);
            let expected: Vec<_> = all.iter().skip(after).take(limit).cloned().collect();
            assert_eq!(page["events"], json!(expected), "{path}");
            assert_eq!(page["after"], (after + expected.len()).min(24));
            assert_eq!(page["ended"], false);
        }
    }
    // At least one, so that a reader makes progress.
    assert_eq!(server.get("/sessions/1/events?limit=0")["after"], 1);
}

#[test]
fn a_read_that_waits_is_answered_by_the_event_it_waits_for() {
    let server = Server::with_sessions(1);
    let mut client = server.client();
    let path = "/sessions/1/events?after=1&wait=60000";
    client.send_request("GET", path, &[], b"").unwrap();
    server.run("true", json!({}));
    let answer = client.receive().unwrap();
    let page: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(page["events"][0]["type"], "job-submitted");
}

#[test]
fn a_read_waits_no_longer_than_its_bound_and_not_for_an_ending_server() {
    let (server, clock) = Server::in_virtual_time(Config::default());
    server.post("/sessions", &json!({}));
    let ask = || {
        let mut client = server.client();
        let path = "/sessions/1/events?after=1&wait=18446744073709551615";
        client.send_request("GET", path, &[], b"").unwrap();
        clock.wait_for_timer(Duration::from_secs(60));
        client
    };
    let nothing = r#"{"after":1,"ended":false,"events":[]}"#;
    let mut client = ask();
    clock.advance(Duration::from_secs(60));
    assert_eq!(client.receive().unwrap().text(), nothing);
    let mut client = ask();
    server.http.shutdown().trigger();
    assert_eq!(client.receive().unwrap().text(), nothing);
}

#[test]
fn a_closed_session_is_read_to_its_end() {
    let server = Server::with_sessions(1);
    server.run("hold", json!({}));
    server.post("/sessions/1/consumers", &json!({}));
    assert_eq!(server.request("DELETE", "/sessions/1", b"").status, 204);
    let page = server.get("/sessions/1/events?wait=60000");
    assert_eq!(page["ended"], true);
    let events = page["events"].as_array().unwrap();
    let last = &kinds(events)[events.len() - 4..];
    assert_eq!(
        last,
        [
            "interrupt-requested",
            "job-finished",
            "consumer-left",
            "session-closed"
        ]
    );
    // A read beyond the end doesn't wait.
    let after = page["after"].as_u64().unwrap();
    let path = format!("/sessions/1/events?after={after}&wait=60000");
    assert_eq!(
        server.get(&path),
        json!({"after": after, "ended": true, "events": []})
    );
    let again = server.fault("POST", "/sessions/1/jobs", br#"{"statement":"true"}"#);
    assert_eq!(again, (404, "session_not_found".into()));
}
