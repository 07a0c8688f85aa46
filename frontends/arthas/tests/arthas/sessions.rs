//! `init_session`, `join_session`, `close_session`, `session_info`, and the user of a session.

use crate::support::{ALLOW_INPUT, Server, member};
use rejoin_engine::{CommandKind, SessionId};
use serde_json::Value;

#[test]
fn a_new_session_answers_with_its_two_names_and_no_body() {
    let server = Server::start();
    let answer = server.post(r#"{"action":"init_session","requestId":"7"}"#);
    let (session, consumer) = (member(&answer, "sessionId"), member(&answer, "consumerId"));
    assert_eq!(
        answer,
        format!(
            r#"{{"consumerId":"{consumer}","requestId":"7","sessionId":"{session}","state":"SUCCEEDED"}}"#
        )
    );
    assert!(session.parse::<SessionId>().is_ok());
    assert!(consumer.ends_with("_1"), "{consumer}");

    let answer = server.act(&session, "join_session", "");
    let second = member(&answer, "consumerId");
    assert_eq!(
        answer,
        format!(r#"{{"consumerId":"{second}","sessionId":"{session}","state":"SUCCEEDED"}}"#)
    );
    assert!(second.ends_with("_2"), "{second}");
}

#[test]
fn a_closed_session_is_gone_and_closing_echoes_no_names() {
    let server = Server::start();
    let (session, consumer) = server.init();
    assert_eq!(
        server.act(&session, "close_session", r#","requestId":"r""#),
        r#"{"requestId":"r","state":"SUCCEEDED"}"#
    );
    let gone = format!(r#"{{"message":"session not found: {session}","state":"FAILED"}}"#);
    assert_eq!(server.act(&session, "close_session", ""), gone);
    let pull = format!(r#","consumerId":"{consumer}""#);
    assert_eq!(server.act(&session, "pull_results", &pull), gone);
}

#[test]
fn session_info_has_the_time_of_creation_and_of_the_last_use() {
    let server = Server::start();
    let (session, _) = server.init();
    let answer = server.act(&session, "session_info", "");
    let parsed: Value = serde_json::from_str(&answer).unwrap();
    let body = &parsed["body"];
    let (created, seen, pid) = (&body["createTime"], &body["lastAccessTime"], &body["pid"]);
    assert_eq!(
        answer,
        format!(
            r#"{{"body":{{"createTime":{created},"lastAccessTime":{seen},"pid":{pid}}},"sessionId":"{session}","state":"SUCCEEDED"}}"#
        )
    );
    assert!(created.as_u64().unwrap() <= seen.as_u64().unwrap());
    assert_eq!(pid.as_u64(), Some(u64::from(std::process::id())));
}

#[test]
fn a_user_sticks_to_the_session_and_a_blank_one_changes_nothing() {
    let server = Server::start();
    let answer = server.post(r#"{"action":"init_session","userId":"ada"}"#);
    let session = member(&answer, "sessionId");
    let id: SessionId = session.parse().unwrap();
    let user = || server.engine.session_view(id).unwrap().user;
    assert_eq!(user().as_deref(), Some("ada"));

    server.act(&session, "session_info", r#","userId":" ""#);
    assert_eq!(user().as_deref(), Some("ada"));
    server.act(&session, "session_info", r#","userId":"grace""#);
    assert_eq!(user().as_deref(), Some("grace"));
}

#[test]
fn a_user_that_the_session_has_already_costs_no_command() {
    let server = Server::start();
    let answer = server.post(r#"{"action":"init_session","userId":"ada"}"#);
    let session = member(&answer, "sessionId");
    let set = || server.engine.stats().accepted.get(CommandKind::SetUser);
    for _ in 0..10 {
        server.act(&session, "session_info", r#","userId":"ada""#);
    }
    assert_eq!(set(), 0);
    server.act(&session, "session_info", r#","userId":"grace""#);
    assert_eq!(set(), 1);
}

#[test]
fn a_session_knows_where_it_was_created_from() {
    let server = Server::start();
    let (session, _) = server.init();
    let view = server
        .engine
        .session_view(session.parse().unwrap())
        .unwrap();
    let remote: std::net::SocketAddr = view.remote.as_deref().unwrap().parse().unwrap();
    assert!(remote.ip().is_loopback() && remote.port() > 0);
}

/// The public walk-through of this API, from creating a session to closing it.
#[test]
fn the_walk_through_holds() {
    let server = Server::start();
    let (session, _) = server.init();
    let joined = server.act(&session, "join_session", "");
    let consumer = member(&joined, "consumerId");

    let results = server.pull(&session, &consumer);
    let results: Value = serde_json::from_str(&results).unwrap();
    let (time, version) = (&results[2]["time"], &results[2]["version"]);
    let process = std::process::id();
    assert_eq!(
        results.to_string(),
        format!(
            concat!(
                r#"[{{"inputStatus":"DISABLED","jobId":0,"type":"input_status"}},"#,
                r#"{{"jobId":0,"message":"Welcome to arthas!","type":"message"}},"#,
                r#"{{"jobId":0,"pid":"{}","time":{},"#,
                r#""tutorials":"https://arthas.aliyun.com/doc/arthas-tutorials.html","#,
                r#""type":"welcome","version":{},"wiki":"https://arthas.aliyun.com/doc"}},"#,
                r#"{}]"#,
            ),
            process, time, version, ALLOW_INPUT
        )
    );
    assert_eq!(
        time.as_str().unwrap().len(),
        "2020-08-06 15:56:43.007".len()
    );

    let answer = server.act(&session, "async_exec", r#","command":"hold \"{params}\" ""#);
    assert_eq!(
        answer,
        format!(
            r#"{{"body":{{"command":"hold \"{{params}}\" ","jobId":1,"jobStatus":"READY"}},"sessionId":"{session}","state":"SCHEDULED"}}"#
        )
    );
    let held = r#"{"content":"held","jobId":1,"type":"echo"}"#;
    assert_eq!(
        server.pull_until(&session, &consumer, held),
        concat!(
            r#"[{"command":"hold \"{params}\" ","jobId":1,"state":"SCHEDULED","type":"command"},"#,
            r#"{"inputStatus":"ALLOW_INTERRUPT","jobId":0,"type":"input_status"},"#,
            r#"{"content":"held","jobId":1,"type":"echo"}]"#,
        )
    );

    let answer = server.act(&session, "interrupt_job", "");
    assert_eq!(
        answer,
        r#"{"body":{"jobId":1,"jobStatus":"TERMINATED"},"state":"SUCCEEDED"}"#
    );
    assert_eq!(
        server.pull_until(&session, &consumer, ALLOW_INPUT),
        format!(r#"[{{"jobId":1,"statusCode":0,"type":"status"}},{ALLOW_INPUT}]"#)
    );
    let answer = server.act(&session, "close_session", "");
    assert_eq!(answer, r#"{"state":"SUCCEEDED"}"#);
}
