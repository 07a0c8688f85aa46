//! The title and the labels of sessions.

use crate::support::Server;
use serde_json::{Value, json};

fn describe(server: &Server, change: &Value) -> Value {
    let received = server.request("PATCH", "/sessions/1", change.to_string().as_bytes());
    assert_eq!(received.status, 200, "{}", received.text());
    serde_json::from_slice(&received.body).unwrap()
}

#[test]
fn a_title_and_labels_are_changed_as_a_merge_patch_says() {
    let server = Server::with_sessions(1);
    let shown = server.get("/sessions/1");
    assert_eq!(
        (&shown["title"], &shown["labels"]),
        (&Value::Null, &json!({}))
    );
    for (change, title, labels) in [
        (
            json!({"title": " Release 1.2 "}),
            json!("Release 1.2"),
            json!({}),
        ),
        (
            json!({"labels": {"env": "live", "team/a": "x=y"}}),
            json!("Release 1.2"),
            json!({"env": "live", "team/a": "x=y"}),
        ),
        (
            json!({}),
            json!("Release 1.2"),
            json!({"env": "live", "team/a": "x=y"}),
        ),
        (
            json!({"title": null, "labels": {"env": null}}),
            Value::Null,
            json!({"team/a": "x=y"}),
        ),
        (json!({"labels": null}), Value::Null, json!({})),
    ] {
        let shown = describe(&server, &change);
        assert_eq!(
            (&shown["title"], &shown["labels"]),
            (&title, &labels),
            "{change}"
        );
        assert_eq!(server.get("/sessions")["sessions"][0]["title"], title);
    }
    let events = server.events(5);
    let described = events.iter().filter(|it| it["type"] == "session-described");
    assert_eq!(
        described.clone().count(),
        4,
        "what changes nothing is not logged"
    );
    let second = described.clone().nth(1).unwrap();
    assert_eq!(second["labels"]["env"], "live");
}

#[test]
fn what_is_no_title_and_no_label_is_refused() {
    let server = Server::with_sessions(1);
    let many: Vec<_> = (0..33).map(|it| (it.to_string(), json!("x"))).collect();
    for (change, status, code) in [
        (json!({"title": "a\u{1b}b"}), 400, "request_invalid"),
        (
            json!({"title": "abc\u{202e}txt.exe"}),
            400,
            "request_invalid",
        ),
        (json!({"title": "\u{61c}a"}), 400, "request_invalid"),
        (
            json!({"title": "\u{200b} \u{feff}"}),
            400,
            "request_invalid",
        ),
        (
            json!({"labels": {"a": "x\u{2066}y"}}),
            400,
            "request_invalid",
        ),
        (json!({"labels": {"a": "\u{2060}"}}), 400, "request_invalid"),
        (json!({"title": 1}), 400, "request_invalid"),
        (json!({"name": "x"}), 400, "request_invalid"),
        (json!({"labels": {"a b": "x"}}), 400, "request_invalid"),
        (json!({"labels": {"": "x"}}), 400, "request_invalid"),
        (json!({"labels": {"a": "x\n"}}), 400, "request_invalid"),
        (
            json!({"labels": Value::Object(many.into_iter().collect())}),
            422,
            "too_many",
        ),
        (json!({"title": "x".repeat(257)}), 413, "too_long"),
    ] {
        let fault = server.fault("PATCH", "/sessions/1", change.to_string().as_bytes());
        assert_eq!(fault, (status, code.to_owned()), "{change}");
    }
    server.request("DELETE", "/sessions/1", b"");
    let (status, code) = server.fault("PATCH", "/sessions/1", br#"{"title": "late"}"#);
    assert_eq!((status, &*code), (404, "session_not_found"));
}

#[test]
fn a_session_shows_what_it_ran_last_and_how_that_ended() {
    let server = Server::with_sessions(1);
    assert_eq!(server.get("/sessions/1")["lastJob"], Value::Null);
    server.run("true", json!({}));
    server.events_to("job-finished");
    let last = &server.get("/sessions")["sessions"][0]["lastJob"];
    assert_eq!(
        (&last["statement"], &last["outcome"]),
        (&json!("true"), &json!("completed"))
    );
}
