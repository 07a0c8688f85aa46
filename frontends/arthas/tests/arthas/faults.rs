//! Every error, with its state and message.

use crate::support::{Server, member};
use std::sync::Arc;
use std::time::Duration;

const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

fn failed(message: &str) -> String {
    format!(r#"{{"message":"{message}","requestId":"r","state":"FAILED"}}"#)
}

#[test]
fn an_action_is_required() {
    let server = Server::start();
    for action in [
        "",
        r#""action":null,"#,
        r#""action":"","#,
        r#""action":" ","#,
    ] {
        let answer = server.post(&format!(r#"{{{action}"requestId":"r"}}"#));
        assert_eq!(answer, failed("'action' is required"));
    }
}

#[test]
fn an_unknown_action_is_echoed_untrimmed() {
    let server = Server::start();
    let answer = server.post(r#"{"action":" Dance ","requestId":"r"}"#);
    assert_eq!(answer, failed("unknown action:  Dance "));
}

#[test]
fn every_action_but_init_and_exec_requires_a_session() {
    let server = Server::start();
    for action in [
        "async_exec",
        "close_session",
        "interrupt_job",
        "join_session",
        "pull_results",
        "session_info",
    ] {
        for session in ["", r#","sessionId":"""#, r#","sessionId":" ""#] {
            let answer = server.post(&format!(
                r#"{{"action":"{action}","requestId":"r","consumerId":"c"{session}}}"#
            ));
            assert_eq!(answer, failed("'sessionId' is required"), "{action}");
        }
    }
}

#[test]
fn an_unknown_session_is_not_found_by_any_action() {
    let server = Server::start();
    for action in [
        "async_exec",
        "close_session",
        "exec",
        "interrupt_job",
        "join_session",
        "pull_results",
        "session_info",
    ] {
        for session in [NOBODY, "somebody's", "7"] {
            // Also if the request is wrong in another way, or has a user to set.
            for rest in [
                "",
                r#","command":"ls""#,
                r#","consumerId":"x""#,
                r#","userId":"u""#,
            ] {
                let answer = server.act(session, action, &format!(r#","requestId":"r"{rest}"#));
                let message = format!("session not found: {session}");
                assert_eq!(answer, failed(&message), "{action} {rest}");
            }
        }
    }
}

#[test]
fn a_pull_requires_a_consumer_that_reads_the_session() {
    let server = Server::start();
    let (session, _) = server.init();
    let (_, other) = server.init();
    for missing in ["", r#","consumerId":"""#, r#","consumerId":" ""#] {
        let answer = server.act(
            &session,
            "pull_results",
            &format!(r#","requestId":"r"{missing}"#),
        );
        assert_eq!(answer, failed("'consumerId' is required"));
    }
    for consumer in ["me", "00000000000000000000000000000000_1", &other] {
        let members = format!(r#","requestId":"r","consumerId":"{consumer}""#);
        assert_eq!(
            server.act(&session, "pull_results", &members),
            failed(&format!("consumer not found: {consumer}"))
        );
    }
}

#[test]
fn a_second_foreground_job_is_refused_and_consumers_do_not_see_it() {
    let server = Server::with(|setup| {
        setup.settings.pull_wait = Duration::from_millis(30);
        setup.config.limits.statement = 20;
    });
    let (session, consumer) = server.init();
    server.act(&session, "async_exec", r#","command":"hold""#);
    let held = r#"{"content":"held","jobId":1,"type":"echo"}"#;
    server.pull_until(&session, &consumer, held);
    for action in ["exec", "async_exec"] {
        // Whatever the command is: it is not looked at.
        for command in [
            r#""command":"say hi""#,
            r#""command":"""#,
            r#""command":"  ""#,
            r#""command":"&""#,
            r#""command":"say what is longer than allowed""#,
            "",
        ] {
            let comma = if command.is_empty() { "" } else { "," };
            assert_eq!(
                server.act(
                    &session,
                    action,
                    &format!(r#"{comma}{command},"requestId":"r""#)
                ),
                format!(
                    r#"{{"body":{{{command}}},"message":"Another job is running.","requestId":"r","sessionId":"{session}","state":"REFUSED"}}"#
                )
            );
        }
    }
    assert_eq!(server.pull(&session, &consumer), "[]");
}

#[test]
fn without_a_foreground_job_there_is_nothing_to_interrupt() {
    let server = Server::start();
    let (session, _) = server.init();
    let answer = server.act(&session, "interrupt_job", r#","requestId":"r""#);
    assert_eq!(answer, failed("no foreground job is running"));

    server.act(&session, "async_exec", r#","command":"hold &""#);
    let answer = server.act(&session, "interrupt_job", r#","requestId":"r""#);
    assert_eq!(answer, failed("no foreground job is running"));
}

#[test]
fn a_command_with_nothing_to_run_fails() {
    let server = Server::start();
    let (session, consumer) = server.init();
    server.pull(&session, &consumer);
    for (command, body, reason) in [
        ("", "{}", "there is no command"),
        (r#","command":null"#, "{}", "there is no command"),
        (
            r#","command":"""#,
            r#"{"command":""}"#,
            "the command is empty",
        ),
        (
            r#","command":" ""#,
            r#"{"command":" "}"#,
            "the command is blank",
        ),
        (
            r#","command":"&""#,
            r#"{"command":"&"}"#,
            "the command is blank",
        ),
    ] {
        assert_eq!(
            server.act(&session, "exec", command),
            format!(
                r#"{{"body":{body},"message":"Exec command failed:{reason}","sessionId":"{session}","state":"FAILED"}}"#
            )
        );
        // Consumers only see an `async_exec`.
        let message = format!("Async exec command failed:{reason}");
        assert_eq!(
            server.act(&session, "async_exec", command),
            format!(
                r#"{{"body":{body},"message":"{message}","sessionId":"{session}","state":"FAILED"}}"#
            )
        );
        let mut expected_results = String::from("[{");
        if body != "{}" {
            expected_results.push_str(&format!("{},", &body[1..body.len() - 1]));
        }
        expected_results.push_str(&format!(
            r#""jobId":0,"message":"{message}","state":"FAILED","type":"command"}}]"#
        ));
        assert_eq!(server.pull(&session, &consumer), expected_results);
    }
    // None of them is a job.
    let answer = server.act(&session, "exec", r#","command":"say hi""#);
    assert!(answer.contains(r#""jobId":1,"#), "{answer}");
}

#[test]
fn a_statement_that_is_too_long_fails_and_consumers_see_it_without_its_text() {
    let server = Server::with(|setup| setup.config.limits.statement = 10);
    let (session, consumer) = server.init();
    server.pull(&session, &consumer);
    let reason = "the statement is longer than 10 bytes";
    let answer = server.act(&session, "async_exec", r#","command":"say 123 and more""#);
    assert_eq!(
        answer,
        format!(
            r#"{{"body":{{"command":"say 123 and more"}},"message":"Async exec command failed:{reason}","sessionId":"{session}","state":"FAILED"}}"#
        )
    );
    assert_eq!(
        server.pull(&session, &consumer),
        format!(
            r#"[{{"jobId":0,"message":"Async exec command failed:{reason}","state":"FAILED","type":"command"}}]"#
        )
    );
    let answer = server.act(&session, "exec", r#","command":"say 123 and more""#);
    assert_eq!(
        member(&answer, "message"),
        format!("Exec command failed:{reason}")
    );
}

#[test]
fn a_user_name_that_is_too_long_fails() {
    let server = Server::with(|setup| setup.config.limits.name = 30);
    let (session, _) = server.init();
    let long = r#","requestId":"r","userId":"somebody whose name is too long""#;
    assert_eq!(
        server.act(&session, "session_info", long),
        failed("the user is longer than 30 bytes")
    );
}

#[test]
fn a_full_server_refuses_with_the_limit_that_is_reached() {
    let server = Server::with(|setup| {
        let limits = &mut setup.config.limits;
        (limits.sessions, limits.consumers, limits.jobs) = (1, 1, 1);
    });
    let (session, consumer) = server.init();
    server.pull(&session, &consumer);
    let refused = |message: &str| {
        format!(
            r#"{{"message":"there are 1 {message} already, and no more are allowed","state":"REFUSED"}}"#
        )
    };
    assert_eq!(
        server.post(r#"{"action":"init_session"}"#),
        refused("sessions")
    );
    assert_eq!(
        server.post(r#"{"action":"exec","command":"say hi"}"#),
        refused("sessions")
    );
    assert_eq!(
        server.act(&session, "join_session", ""),
        refused("consumers of this session")
    );
    server.act(&session, "async_exec", r#","command":"hold &""#);
    let answer = server.act(&session, "async_exec", r#","command":"hold""#);
    assert_eq!(
        answer,
        format!(
            r#"{{"body":{{"command":"hold"}},"message":"there are 1 jobs running in this session already, and no more are allowed","sessionId":"{session}","state":"REFUSED"}}"#
        )
    );
}

#[test]
fn an_unknown_service_creates_no_session() {
    let server = Server::with(|setup| setup.settings.service = Some(Arc::from("sql")));
    for body in [
        r#"{"action":"init_session"}"#,
        r#"{"action":"exec","command":"ls"}"#,
    ] {
        assert_eq!(
            server.post(body),
            r#"{"message":"create api session failed: there is no service called sql","state":"FAILED"}"#
        );
    }
}

#[test]
fn a_server_that_shuts_down_takes_no_jobs() {
    let server = Server::start();
    let (session, _) = server.init();
    server.engine.begin_closing();
    let answer = server.act(&session, "async_exec", r#","command":"say hi""#);
    assert_eq!(
        answer,
        format!(
            r#"{{"body":{{"command":"say hi"}},"message":"the server is shutting down","sessionId":"{session}","state":"REFUSED"}}"#
        )
    );
}

#[test]
fn a_node_that_cannot_ask_does_not_say_that_a_session_is_not_there() {
    let services = rejoin_engine::testing::Hold::services(["shell"]);
    let engine = rejoin_engine::testing::cut_off_node(services);
    let mut app = rejoin_http::Router::default();
    let open = rejoin_accounts::Accounts::open().unwrap();
    rejoin_arthas::mount(&mut app, engine, open, rejoin_arthas::Settings::default());
    let http = rejoin_http::test_server::TestServer::start(app);
    // In log 1 of 16.
    let session = "01234567-89ab-4def-8123-456789abcd01";
    let consumer = "0123456789abcdef0123456789abcdef_1";
    for action in [
        "async_exec",
        "close_session",
        "exec",
        "interrupt_job",
        "join_session",
        "pull_results",
        "session_info",
    ] {
        let body = format!(
            r#"{{"action":"{action}","requestId":"r","sessionId":"{session}","consumerId":"{consumer}","command":"x"}}"#
        );
        let answer = http.client().post("/api", &body).unwrap();
        let answer = answer.text();
        assert!(answer.contains("did not answer"), "{action}: {answer}");
        assert!(
            answer.contains(r#""state":"REFUSED""#),
            "{action}: {answer}"
        );
    }
}
