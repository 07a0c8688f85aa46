//! Repeated requests with a name.

use crate::support::Server;
use rejoin_core::limits::REMEMBERED_REQUESTS;
use serde_json::json;

#[test]
fn a_repeated_request_is_the_same_job_while_it_runs_and_after() {
    let server = Server::with_sessions(1);
    let submit = json!({"statement": "hold", "request": "r"});
    let path = "/sessions/1/jobs";
    let first = server.post(path, &submit);
    assert_eq!(server.post(path, &submit), first);
    server.post("/sessions/1/interrupt", &json!({}));
    server.events_to("job-finished");
    assert_eq!(server.post(path, &submit), first);
    let submitted = server.events(3);
    let submitted = submitted
        .iter()
        .filter(|event| event["type"] == "job-submitted");
    assert_eq!(submitted.count(), 1);
    // Names are per session.
    let other = server.post("/sessions", &json!({}));
    let path = format!("/sessions/{}/jobs", other["id"].as_str().unwrap());
    assert_ne!(server.post(&path, &submit)["job"], first["job"]);
}

#[test]
fn a_request_name_used_for_another_statement_is_refused() {
    let server = Server::with_sessions(1);
    server.run("true", json!({"request": "r"}));
    server.events_to("job-finished");
    for other in [
        json!({"statement": "say 1", "request": "r"}),
        json!({"statement": "true", "request": "r", "background": true}),
        json!({"statement": "true", "request": "r", "input": true}),
    ] {
        let refused = server.fault("POST", "/sessions/1/jobs", other.to_string().as_bytes());
        assert_eq!(refused, (409, "request_taken".into()), "{other}");
    }
}

#[test]
fn a_request_name_is_forgotten_after_its_bound_and_not_before() {
    let server = Server::with_sessions(1);
    let submit = |name: &str| server.run("true", json!({"request": name, "background": true}));
    let first = submit("first");
    for number in 1..REMEMBERED_REQUESTS {
        // One at a time, because of the limit of running jobs.
        let job = submit(&format!("{number}"));
        while server.get(&format!("/sessions/1/jobs/{job}"))["state"] != "finished" {}
    }
    assert_eq!(submit("first"), first);
    submit("one more");
    assert_ne!(submit("first"), first);
}
