//! The Arthas walk-through, request by request, with the documented shapes. The same with `curl`
//! and `json_pp`, as printed in the documentation, is `tests/walkthrough.sh`.

mod steps;

use crate::server::{Server, directory};
use serde_json::json;
use steps::keys;

#[test]
fn the_walk_through_goes_as_documented() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    steps::walk_through(&server, &server);
}

#[test]
fn exec_without_a_session_returns_all_results() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let done = server.api(&json!({"action": "exec", "command": "version", "requestId": "r 1"}));
    assert_eq!(keys(&done), ["body", "requestId", "sessionId", "state"]);
    assert_eq!(
        keys(&done["body"]),
        ["command", "jobId", "jobStatus", "results", "timeExpired"]
    );
    let version = json!({"jobId": 1, "type": "version", "version": env!("CARGO_PKG_VERSION")});
    let status = json!({"jobId": 1, "statusCode": 0, "type": "status"});
    assert_eq!(done["body"]["results"], json!([version, status]));
    assert_eq!(done["requestId"], "r 1");
    let again = json!({"action": "session_info", "sessionId": done["sessionId"]});
    assert_eq!(
        server.api(&again)["state"],
        "FAILED",
        "a one-time session is gone"
    );
}

#[test]
fn session_info_contains_the_creation_time() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (session, _) = server.create();
    let info = server.api(&json!({"action": "session_info", "sessionId": session}));
    assert_eq!(keys(&info["body"]), ["createTime", "lastAccessTime", "pid"]);
    assert_eq!(info["body"]["pid"], server.id());
    assert!(info["body"]["createTime"].as_u64() <= info["body"]["lastAccessTime"].as_u64());
}
