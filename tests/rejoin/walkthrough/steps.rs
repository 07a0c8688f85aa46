//! The requests of the walk-through, and what is answered word for word.

use crate::server::{Server, is_status_of, text};
use serde_json::{Value, json};

pub(super) fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn kinds(results: &[Value]) -> Vec<&str> {
    results
        .iter()
        .map(|result| result["type"].as_str().unwrap())
        .collect()
}

/// Creates a session at one server, and uses it at another one, which may be the same.
pub(crate) fn walk_through(creator: &Server, server: &Server) {
    let created = creator.api(&json!({"action": "init_session"}));
    assert_eq!(keys(&created), ["consumerId", "sessionId", "state"]);
    let session = text(&created["sessionId"]);
    assert!(text(&created["consumerId"]).ends_with("_1"));

    let joined = server.api(&json!({"action": "join_session", "sessionId": session}));
    assert_eq!(keys(&joined), ["consumerId", "sessionId", "state"]);
    let consumer = text(&joined["consumerId"]);
    assert!(consumer.ends_with("_2"));

    let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
    let pulled = server.api(&pull);
    assert_eq!(keys(&pulled), ["body", "consumerId", "sessionId", "state"]);
    let results = pulled["body"]["results"].as_array().unwrap();
    assert_eq!(
        kinds(results),
        ["input_status", "message", "welcome", "input_status"]
    );
    assert_eq!(results[0]["inputStatus"], "DISABLED");
    assert_eq!(results[1]["message"], "Welcome to arthas!");
    assert!(results[2]["pid"].is_string() && results[2]["version"].is_string());
    assert_eq!(results[3]["inputStatus"], "ALLOW_INPUT");

    let run =
        json!({"action": "async_exec", "sessionId": session, "command": "echo one; sleep 100"});
    let scheduled = server.api(&run);
    assert_eq!(keys(&scheduled), ["body", "sessionId", "state"]);
    assert_eq!(scheduled["state"], "SCHEDULED");
    assert_eq!(scheduled["body"]["jobStatus"], "READY");
    assert_eq!(scheduled["body"]["command"], "echo one; sleep 100");
    let job = scheduled["body"]["jobId"].as_u64().unwrap();

    let results = server.pull_until(&session, &consumer, |result| result["type"] == "shell");
    assert_eq!(kinds(&results), ["command", "input_status", "shell"]);
    assert_eq!(results[0]["state"], "SCHEDULED");
    assert_eq!(results[1]["inputStatus"], "ALLOW_INTERRUPT");
    assert_eq!(
        results[2],
        json!({"content": "one\n", "jobId": job, "stream": "stdout", "type": "shell"})
    );

    let interrupted = server.api(&json!({"action": "interrupt_job", "sessionId": session}));
    let body = json!({"jobId": job, "jobStatus": "TERMINATED"});
    assert_eq!(interrupted, json!({"body": body, "state": "SUCCEEDED"}));
    let results = server.pull_until(&session, &consumer, |result| {
        result["type"] == "input_status"
    });
    assert!(is_status_of(job)(&results[0]), "{results:?}");
    assert_eq!(results[0]["statusCode"], 0);
    assert_eq!(results[1]["inputStatus"], "ALLOW_INPUT");

    let closed = server.api(&json!({"action": "close_session", "sessionId": session}));
    assert_eq!(closed, json!({"state": "SUCCEEDED"}));
    let gone = server.api(&pull);
    assert_eq!(gone["state"], "FAILED");
    assert_eq!(gone["message"], format!("session not found: {session}"));
}
