//! `exec`: one request, one response with all results.

use crate::support::{ALLOW_INPUT, ALLOW_INTERRUPT, Server, member, outwait};
use rejoin_engine::{CloseCause, Event, SessionId};
use std::time::Duration;

const SAID: &str = r#"{"content":"hi","jobId":1,"type":"echo"}"#;
const HELD: &str = r#"{"content":"held","jobId":1,"type":"echo"}"#;
const STATUS: &str = r#"{"jobId":1,"statusCode":0,"type":"status"}"#;

/// The timeout of fifty milliseconds, and the moment in which the job may end after it.
const EXPIRED: Duration = Duration::from_millis(250);

fn is_finished(event: &Event) -> bool {
    matches!(event, Event::JobFinished { .. })
}

/// The response to an exec that did not time out.
fn succeeded(session: &str, command: &str, results: &[&str]) -> String {
    let results = results.join(",");
    format!(
        r#"{{"body":{{"command":"{command}","jobId":1,"jobStatus":"TERMINATED","results":[{results}],"timeExpired":false}},"sessionId":"{session}","state":"SUCCEEDED"}}"#
    )
}

/// The response to an exec that timed out.
fn expired(session: &str, command: &str, status: &str, results: &[&str], timeout: u32) -> String {
    let results = results.join(",");
    format!(
        r#"{{"body":{{"command":"{command}","jobId":1,"jobStatus":"{status}","results":[{results}],"timeExpired":true,"timeout":{timeout}}},"message":"The job is exceeded time limit, force interrupt","sessionId":"{session}","state":"INTERRUPTED"}}"#
    )
}

#[test]
fn an_exec_answers_with_its_results_and_their_status_last() {
    let server = Server::start();
    let (session, consumer) = server.init();
    server.pull_until(&session, &consumer, ALLOW_INPUT);
    assert_eq!(
        server.act(&session, "exec", r#","command":"say hi""#),
        succeeded(&session, "say hi", &[SAID, STATUS])
    );
    // The session's consumers see only that a job ran.
    assert_eq!(
        server.pull_until(&session, &consumer, ALLOW_INPUT),
        format!("[{ALLOW_INTERRUPT},{ALLOW_INPUT}]")
    );
}

#[test]
fn an_exec_without_a_session_runs_in_a_new_one_that_is_closed_before_the_response() {
    let server = Server::start();
    for session in ["", r#","sessionId":"""#, r#","sessionId":null"#] {
        let answer = server.post(&format!(
            r#"{{"action":"exec","requestId":"","consumerId":"","command":"version"{session}}}"#
        ));
        let session = member(&answer, "sessionId");
        assert!(
            answer.starts_with(r#"{"body":{"command":"version","jobId":"#),
            "{answer}"
        );
        assert!(
            answer.ends_with(&format!(
                r#""timeExpired":false}},"requestId":"","sessionId":"{session}","state":"SUCCEEDED"}}"#
            )),
            "{answer}"
        );
        assert_eq!(
            server.act(&session, "join_session", ""),
            format!(r#"{{"message":"session not found: {session}","state":"FAILED"}}"#)
        );
    }
}

#[test]
fn an_exec_that_runs_nothing_leaves_no_session_behind() {
    let server = Server::start();
    let answer = server.post(r#"{"action":"exec","command":""}"#);
    let session = member(&answer, "sessionId");
    assert_eq!(
        answer,
        format!(
            r#"{{"body":{{"command":""}},"message":"Exec command failed:the command is empty","sessionId":"{session}","state":"FAILED"}}"#
        )
    );
    assert_eq!(server.engine.view(|views| views.open_count()), 0);
}

#[test]
fn an_exec_in_the_background_also_waits_and_consumers_see_nothing_of_it() {
    let server = Server::with(|setup| setup.settings.pull_wait = Duration::from_millis(30));
    let (session, consumer) = server.init();
    server.pull_until(&session, &consumer, ALLOW_INPUT);
    assert_eq!(
        server.act(&session, "exec", r#","command":"say hi &""#),
        succeeded(&session, "say hi &", &[SAID, STATUS])
    );
    assert_eq!(server.pull(&session, &consumer), "[]");
}

#[test]
fn an_exec_whose_statement_fails_succeeds_with_its_exit_status() {
    let server = Server::start();
    let (session, _) = server.init();
    assert_eq!(
        server.act(&session, "exec", r#","command":"dance now""#),
        succeeded(
            &session,
            "dance now",
            &[r#"{"jobId":1,"message":"dance: not found","statusCode":127,"type":"status"}"#]
        )
    );
}

#[test]
fn an_exec_returns_no_results_of_other_jobs() {
    let server = Server::start();
    let (session, _) = server.init();
    server.act(&session, "async_exec", r#","command":"flood 20 &""#);
    let answer = server.act(&session, "exec", r#","command":"say hi""#);
    let said = SAID.replace(":1", ":2");
    let status = STATUS.replace(":1", ":2");
    assert!(
        answer.contains(&format!(r#""results":[{said},{status}],"#)),
        "{answer}"
    );
}

#[test]
fn an_exec_that_times_out_is_interrupted_and_says_so() {
    let server = Server::start();
    let (session, _) = server.init();
    let status = r#"{"jobId":1,"message":"the job ran for its timeout and was interrupted","statusCode":0,"type":"status"}"#;
    assert_eq!(
        server.act(&session, "exec", r#","command":"hold","execTimeout":"50""#),
        expired(&session, "hold", "TERMINATED", &[HELD, status], 50)
    );
}

#[test]
fn an_exec_without_a_timeout_uses_the_settings() {
    let server = Server::with(|setup| setup.settings.exec_timeout = Duration::from_millis(40));
    for timeout in [
        "",
        r#","execTimeout":null"#,
        r#","execTimeout":0"#,
        r#","execTimeout":-5"#,
    ] {
        let answer = server.post(&format!(r#"{{"action":"exec","command":"hold"{timeout}}}"#));
        assert!(
            answer.contains(r#""timeExpired":true,"timeout":40}"#),
            "{answer}"
        );
    }
}

#[test]
fn an_exec_that_ignores_the_interrupt_is_reported_as_running_without_a_status() {
    let (server, clock) = Server::in_virtual_time(|_| {});
    let (session, _) = server.init();
    let exec = || server.act(&session, "exec", r#","command":"deaf","execTimeout":50"#);
    assert_eq!(
        outwait(&clock, EXPIRED, exec),
        expired(&session, "deaf", "RUNNING", &[], 50)
    );
    // It is still running.
    let answer = server.act(&session, "exec", r#","command":"say hi""#);
    assert_eq!(member(&answer, "message"), "Another job is running.");
}

#[test]
fn a_job_that_ignores_interrupts_ends_with_the_session_created_for_it() {
    let (server, clock) = Server::in_virtual_time(|_| {});
    let exec = || server.post(r#"{"action":"exec","command":"deaf","execTimeout":50}"#);
    let answer = outwait(&clock, EXPIRED, exec);
    let session = member(&answer, "sessionId");
    assert_eq!(answer, expired(&session, "deaf", "RUNNING", &[], 50));
    assert_eq!(server.engine.view(|views| views.open_count()), 0);
}

#[test]
fn an_interrupted_exec_succeeds_with_the_results_so_far() {
    let server = Server::start();
    let (session, _) = server.init();
    std::thread::scope(|scope| {
        let exec = scope.spawn(|| server.act(&session, "exec", r#","command":"hold""#));
        server.job_started();
        server.act(&session, "interrupt_job", "");
        assert_eq!(
            exec.join().unwrap(),
            succeeded(&session, "hold", &[HELD, STATUS])
        );
    });
}

#[test]
fn an_exec_whose_session_is_closed_or_whose_server_is_shut_down_is_no_success() {
    // As after SIGHUP, and as the job itself ended.
    for (command, status, why) in [
        ("hold", 129, "the session was closed"),
        ("hold", 130, "the server was shut down"),
        ("hold, exit 0", 129, "the server was shut down"),
    ] {
        let server = Server::start();
        let (session, _) = server.init();
        std::thread::scope(|scope| {
            let members = format!(r#","command":"{command}""#);
            let (exec, id) = (&server, session.clone());
            let exec = scope.spawn(move || exec.act(&id, "exec", &members));
            let id = server.job_started();
            server.record(id, |event| matches!(event, Event::ResultEmitted { .. }));
            match why {
                "the session was closed" => _ = server.act(&session, "close_session", ""),
                _ => _ = smol::block_on(server.engine.shut_down(Duration::from_secs(10))),
            }
            let status =
                format!(r#"{{"jobId":1,"message":"{why}","statusCode":{status},"type":"status"}}"#);
            assert_eq!(
                exec.join().unwrap(),
                format!(
                    r#"{{"body":{{"command":"{command}","jobId":1,"jobStatus":"TERMINATED","results":[{HELD},{status}],"timeExpired":false}},"message":"{why}","sessionId":"{session}","state":"INTERRUPTED"}}"#
                )
            );
        });
    }
}

#[test]
fn an_exec_goes_on_when_its_client_disconnects_and_its_session_is_closed_after_it() {
    let server = Server::start();
    let mut client = server.client();
    let body = br#"{"action":"exec","command":"hold","execTimeout":300}"#;
    client.send_request("POST", "/api", &[], body).unwrap();
    let session: SessionId = server.job_started();
    drop(client);
    let finished = server.record(session, is_finished);
    let closed = server.record(session, |event| {
        matches!(event, Event::SessionClosed { .. })
    });
    assert!(finished.sequence < closed.sequence);
    assert_eq!(
        closed.event,
        Event::SessionClosed {
            cause: CloseCause::Requested
        }
    );
}

#[test]
fn an_exec_whose_outcome_is_unknown_fails_and_is_not_retryable() {
    let server = Server::start();
    let (session, _) = server.init();
    std::thread::scope(|scope| {
        let exec = scope.spawn(|| server.act(&session, "exec", r#","command":"deaf""#));
        server.job_started();
        smol::block_on(server.engine.shut_down(Duration::from_millis(1)));
        assert_eq!(
            exec.join().unwrap(),
            format!(
                r#"{{"body":{{"command":"deaf"}},"message":"Exec command failed:the server is shutting down","sessionId":"{session}","state":"FAILED"}}"#
            )
        );
    });
}

#[test]
fn an_exec_that_says_too_much_is_interrupted_and_says_so() {
    let server = Server::with(|setup| setup.settings.exec_output = 250_000);
    let (session, _) = server.init();
    let answer = server.act(&session, "exec", r#","command":"flood 1000""#);
    let status = concat!(
        r#"{"jobId":1,"message":"the job was interrupted: its results may have 250000 bytes, "#,
        r#"524288 each, and the next would have exceeded that","statusCode":1,"type":"status"}"#,
    );
    let end = format!(
        r#",{status}],"timeExpired":false}},"sessionId":"{session}","state":"SUCCEEDED"}}"#
    );
    assert!(answer.ends_with(&end), "{}", &answer[answer.len() - 500..]);
    assert!(answer.len() < 251_000);
}
