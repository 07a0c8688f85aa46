//! Closed sessions leave the log when their time is over, and whoever names one is told.

use crate::server::{Server, directory};
use crate::verify::verify_json;
use serde_json::json;

#[test]
fn a_closed_session_is_removed_and_its_late_reader_is_told() {
    let data = directory();
    let retain = ["--retain-age", "50ms"];
    let mut server = Server::start(data.path(), &retain);
    let (session, consumer) = server.create();
    let (kept, _) = server.create();
    server.exec(&session, "echo gone");
    let closed = server.api(&json!({"action": "close_session", "sessionId": session}));
    assert_eq!(closed["state"], "SUCCEEDED");

    let pull = json!({
        "action": "pull_results", "sessionId": session, "consumerId": consumer
    });
    let expected = format!("session not found: {session}: records 1 to ");
    let is_told = |server: &Server| {
        let answer = server.api(&pull);
        assert_eq!(answer["state"], "FAILED");
        answer["message"].as_str().unwrap().starts_with(&expected)
    };
    // Over the network each time: that takes far longer than a timer is late.
    let told = (0..50_000).find(|_| is_told(&server));
    assert!(told.is_some(), "it is never removed");
    assert_eq!(server.signal("-TERM").code(), Some(0));

    let (status, report) = verify_json(data.path());
    assert_eq!(status, Some(0), "{report}");
    let [removed] = &report["declared"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    assert_eq!(removed["session"], session);
    assert_eq!(removed["cause"], "retention");
    assert_eq!(removed["firstSequence"], 1);

    // A restart remembers it, and has the other session.
    let server = Server::start(data.path(), &retain);
    assert!(is_told(&server));
    let info = server.api(&json!({"action": "session_info", "sessionId": kept}));
    assert_eq!(info["state"], "SUCCEEDED");
}
