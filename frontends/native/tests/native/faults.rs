//! Every error, with its status and code.

use crate::support::Server;
use rejoin_engine::Config;
use rejoin_engine::Limits as CoreLimits;
use rejoin_engine::testing::{Hold, cut_off_node};
use serde_json::json;

#[test]
fn each_fault_has_its_status_and_its_code() {
    let server = Server::with_sessions(2);
    let job = server.run("hold", json!({}));
    let nobody = "/sessions/01234567-89ab-cdef-0123-456789abcdef";
    let long = format!(r#"{{"statement":"{}"}}"#, "x".repeat(1_000_000));
    let bad = (400, "request_invalid");
    let no_session = (404, "session_not_found");
    let no_job = (404, "job_not_found");
    for (method, path, body, expected) in [
        ("GET", "/sessions?colour=red", "", bad),
        ("GET", "/sessions?limit=1&limit=2", "", bad),
        ("GET", "/sessions?limit=-1", "", bad),
        ("GET", "/sessions?limit=+1", "", bad),
        ("GET", "/sessions?before=x", "", bad),
        ("GET", "/sessions?state=busy", "", bad),
        ("POST", "/sessions", "{", bad),
        ("POST", "/sessions", r#"{"color":"red"}"#, bad),
        ("POST", "/sessions", r#" ["shell","anna"]"#, bad),
        (
            "POST",
            "/sessions",
            r#"{"service":"nothing"}"#,
            (422, "service_not_found"),
        ),
        ("PUT", "/sessions", "", (405, "method_not_allowed")),
        (
            "GET",
            "/sessions/1/interrupt",
            "",
            (405, "method_not_allowed"),
        ),
        ("GET", "/sessions/1/nothing", "", (404, "path_not_found")),
        (
            "POST",
            "/sessions/1/jobs/1/input/more",
            "",
            (404, "path_not_found"),
        ),
        ("GET", "/sessions/99", "", no_session),
        ("GET", "/sessions/99999999999999999999", "", no_session),
        ("GET", "/sessions/x", "", no_session),
        ("GET", nobody, "", no_session),
        ("DELETE", nobody, "", no_session),
        ("DELETE", "/sessions/99", "", no_session),
        ("POST", "/sessions/99/consumers", "", no_session),
        ("GET", "/sessions/99/events", "", no_session),
        ("GET", "/sessions/99/stream", "", no_session),
        ("GET", "/sessions/1/events?after=x", "", bad),
        ("GET", "/sessions/1/events?until=7", "", bad),
        ("GET", "/sessions/1/stream?wait=7", "", bad),
        ("DELETE", "/sessions/1/consumers/x", "", bad),
        ("POST", "/sessions/1/jobs", "", bad),
        ("POST", "/sessions/1/jobs", r#"{"statement":" "}"#, bad),
        (
            "POST",
            "/sessions/1/jobs",
            r#"{"statement":"a\u0000b"}"#,
            bad,
        ),
        (
            "POST",
            "/sessions/1/jobs",
            r#"{"statement":"a","timeout":1}"#,
            bad,
        ),
        (
            "POST",
            "/sessions/1/jobs",
            r#"{"statement":"true"}"#,
            (409, "job_running"),
        ),
        ("POST", "/sessions/2/jobs", &long, (413, "too_long")),
        ("GET", "/sessions/1/jobs/77", "", no_job),
        ("GET", "/sessions/1/jobs/x", "", no_job),
        ("GET", "/sessions/2/jobs/1", "", no_job),
        ("POST", "/sessions/1/jobs/77/interrupt", "", no_job),
        (
            "POST",
            "/sessions/2/interrupt",
            "",
            (409, "no_foreground_job"),
        ),
        ("POST", "/sessions/1/jobs/1/input?end=maybe", "x", bad),
        ("POST", "/sessions/1/jobs/1/input", "x", (409, "no_input")),
        ("POST", "/sessions/1/jobs/77/input", "x", no_job),
    ] {
        let (status, code) = server.fault(method, path, body.as_bytes());
        let shown = body.get(..body.len().min(40)).unwrap();
        assert_eq!((status, &*code), expected, "{method} {path} {shown}");
    }
    let (name, _) = (server.post("/sessions/1/consumers", &json!({})), job);
    let path = format!(
        "/sessions/1/consumers/{}",
        name["consumer"].as_str().unwrap()
    );
    assert_eq!(server.request("DELETE", &path, b"").status, 204);
    let again = server.fault("DELETE", &path, b"");
    assert_eq!(again, (404, "consumer_not_found".into()));
    let submitted = server.request("PUT", "/sessions/1", b"{}");
    assert_eq!(submitted.status, 405);
    assert!(submitted.header("allow").is_some());
}

#[test]
fn too_many_of_anything_may_be_asked_for_again() {
    let config = Config {
        limits: CoreLimits {
            sessions: 1,
            ..CoreLimits::DEFAULT
        },
        ..Config::default()
    };
    let server = Server::with(config, &[]);
    server.post("/sessions", &json!({}));
    let refused = server.request("POST", "/sessions", b"{}");
    let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((refused.status, &problem["retryable"]), (429, &json!(true)));
    assert_eq!(
        server.fault("POST", "/sessions", b""),
        (429, "too_many".into())
    );
}

#[test]
fn an_engine_that_only_reads_refuses_what_changes_and_shows_the_rest() {
    let config = Config {
        read_only: true,
        ..Config::default()
    };
    let record = crate::lost::record(1, rejoin_core::testing::created());
    let server = Server::with(config, &[record]);
    let session = format!("/sessions/{}", rejoin_core::testing::SESSION);
    for (method, path, body) in [
        ("POST", "/sessions".to_owned(), "{}"),
        ("DELETE", session.clone(), ""),
        ("POST", format!("{session}/jobs"), r#"{"statement":"true"}"#),
        ("POST", format!("{session}/interrupt"), ""),
        ("POST", format!("{session}/jobs/1/interrupt"), ""),
        ("POST", format!("{session}/jobs/1/input"), "x"),
    ] {
        let refused = server.fault(method, &path, body.as_bytes());
        assert_eq!(refused, (403, "read_only".into()), "{method} {path}");
    }
    assert_eq!(
        server.get("/sessions")["sessions"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let events = server.get(&format!("{session}/events"));
    assert_eq!(events["events"][0]["type"], "session-created");
}

#[test]
fn a_server_that_ends_says_so() {
    let server = Server::with_sessions(1);
    smol::block_on(server.engine.shut_down(std::time::Duration::from_secs(10)));
    let refused = server.fault("POST", "/sessions", b"{}");
    assert_eq!(refused, (503, "shutting_down".into()));
}

#[test]
fn a_node_that_cannot_ask_does_not_say_that_something_is_not_there() {
    let server = Server::of(cut_off_node(Hold::services(["shell"])));
    // Both are in log 1 of 16.
    for session in ["01234567-89ab-4def-8123-456789abcd01", "17"] {
        for (method, path, body) in [
            ("GET", "", ""),
            ("DELETE", "", ""),
            ("GET", "/events", ""),
            ("GET", "/output", ""),
            ("POST", "/jobs", r#"{"statement":"true"}"#),
            ("GET", "/jobs/17", ""),
            ("POST", "/jobs/17/interrupt", ""),
            ("POST", "/jobs/17/input", "x"),
            ("POST", "/consumers", ""),
        ] {
            let path = format!("/sessions/{session}{path}");
            let fault = server.fault(method, &path, body.as_bytes());
            assert_eq!(fault, (503, "unanswered".into()), "{method} {path}");
        }
    }
    assert_eq!(server.get("/sessions")["sessions"], json!([]));
}
