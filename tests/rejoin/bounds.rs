//! Promise 10: what has reached its bound says so, in the frontend's own shape, and nothing is
//! lost.

use crate::server::{Server, directory, is_status_of, said};
use serde_json::json;

#[test]
fn a_body_beyond_the_limit_is_rejected_unread() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    let head = "POST /api HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10485761\r\n\r\n";
    client.send_raw(head.as_bytes()).unwrap();
    let refused = client.receive().unwrap();
    assert_eq!(refused.status, 413);
    assert!(refused.body.is_empty(), "as in the product");
}

#[test]
fn too_many_of_anything_is_refused_by_name() {
    let data = directory();
    let bounds = [
        "--max-sessions",
        "2",
        "--max-consumers",
        "2",
        "--max-jobs",
        "1",
    ];
    let server = Server::start(data.path(), &bounds);
    let (session, _) = server.create();
    server.create();
    let refusal = |request: serde_json::Value, word: &str| {
        let refused = server.api(&request);
        assert_ne!(refused["state"], "SUCCEEDED", "{refused}");
        assert!(
            refused["message"].as_str().unwrap().contains(word),
            "{word}: {refused}"
        );
    };
    refusal(json!({"action": "init_session"}), "2 sessions");
    server.join(&session);
    refusal(
        json!({"action": "join_session", "sessionId": session}),
        "2 consumers",
    );
    server.run(&session, "sleep 100 &");
    refusal(
        json!({"action": "async_exec", "sessionId": session, "command": "sleep 1 &"}),
        "1 jobs",
    );
    let long = "x".repeat(100_000);
    refusal(
        json!({"action": "async_exec", "sessionId": session, "command": long}),
        "statement",
    );
}

#[test]
fn output_beyond_the_limit_ends_the_job_and_says_so() {
    let data = directory();
    let server = Server::start(data.path(), &["--max-output", "100000"]);
    let (session, consumer) = server.create();
    let job = server.run(&session, "seq 1 1000000");
    let results = server.pull_until(&session, &consumer, is_status_of(job));
    let status = results.iter().find(|it| is_status_of(job)(it)).unwrap();
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("may have 100000 bytes"),
        "{status}"
    );
    assert_ne!(status["statusCode"], 0);
    let printed = said(&results, "stdout");
    assert!(
        printed.starts_with("1\n2\n3\n") && printed.len() > 10_000,
        "{} bytes",
        printed.len()
    );
    // The session goes on.
    assert_eq!(said(&server.exec(&session, "echo on"), "stdout"), "on\n");
}

#[test]
fn a_web_page_elsewhere_cannot_run_commands_here() {
    let data = directory();
    let server = Server::start(data.path(), &["--allow-origin", "https://ui.example"]);
    let own = format!("http://{}", server.address);
    let marker = data.path().join("marker");
    let exec = json!({"action": "exec", "command": format!("touch {}", marker.display())});
    let post = |headers: &[(&str, &str)]| {
        let host = server.address.to_string();
        let mut all = vec![("host", &*host), ("content-type", "text/plain")];
        all.extend(headers);
        let body = exec.to_string();
        let mut client = server.client();
        let received = client.request("POST", "/api", &all, body.as_bytes());
        received.unwrap().status
    };
    for page in [
        ("origin", "https://elsewhere.example"),
        ("origin", "null"),
        // Another port of this machine may be a forwarded one.
        ("origin", "http://localhost:8080"),
        ("origin", "http://127.0.0.1"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(post(&[page]), 403, "{page:?}");
    }
    assert!(!marker.exists(), "a page of another origin ran a command");
    let allowed = ("origin", "https://ui.example");
    for headers in [
        &[("origin", &*own), ("sec-fetch-site", "same-origin")][..],
        &[allowed, ("sec-fetch-site", "cross-site")],
        &[],
    ] {
        assert_eq!(post(headers), 200, "{headers:?}");
    }
    assert!(marker.exists());
    let rebound = "POST /api HTTP/1.1\r\nhost: elsewhere.example\r\ncontent-length: 2\r\n\r\n{}";
    let mut client = server.client();
    client.send_raw(rebound.as_bytes()).unwrap();
    assert_eq!(client.receive().unwrap().status, 403);
}

#[test]
fn unknown_paths_get_an_error_response() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let mut client = server.client();
    assert_eq!(client.get("/nowhere").unwrap().status, 404);
    let wrong = client.get("/api").unwrap();
    assert_eq!(wrong.status, 200);
    assert_eq!(
        wrong.text(),
        r#"{"message":"Unsupported http method: GET","state":"REFUSED"}"#
    );
    let broken = client.post("/api", "not json").unwrap();
    assert!(
        broken
            .text()
            .contains("Process request error: parse request failed: ")
    );
}
