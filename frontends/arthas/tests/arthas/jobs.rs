//! `async_exec` and `interrupt_job`, as the session's consumers see them.

use crate::support::{ALLOW_INPUT, ALLOW_INTERRUPT, Server, member, outwait};
use std::time::Duration;

fn scheduled(command: &str, job: u32) -> String {
    format!(r#"{{"command":"{command}","jobId":{job},"state":"SCHEDULED","type":"command"}}"#)
}

fn said(content: &str, job: u32) -> String {
    format!(r#"{{"content":"{content}","jobId":{job},"type":"echo"}}"#)
}

fn status(code: i32, job: u32) -> String {
    format!(r#"{{"jobId":{job},"statusCode":{code},"type":"status"}}"#)
}

#[test]
fn every_consumer_gets_the_whole_stream_of_a_foreground_job() {
    let server = Server::start();
    let (session, first) = server.init();
    let second = member(&server.act(&session, "join_session", ""), "consumerId");
    let third = member(&server.act(&session, "join_session", ""), "consumerId");
    for consumer in [&first, &second, &third] {
        server.pull_until(&session, consumer, ALLOW_INPUT);
    }
    server.act(&session, "async_exec", r#","command":"say hi""#);
    let stream = [
        scheduled("say hi", 1),
        ALLOW_INTERRUPT.into(),
        said("hi", 1),
        status(0, 1),
        ALLOW_INPUT.into(),
    ];
    for consumer in [&first, &second, &third] {
        assert_eq!(
            server.pull_until(&session, consumer, ALLOW_INPUT),
            format!("[{}]", stream.join(","))
        );
    }
}

#[test]
fn a_failed_job_says_so_in_its_status() {
    let server = Server::start();
    let (session, consumer) = server.init();
    server.act(&session, "async_exec", r#","command":"exit 3""#);
    let results = server.pull_until(
        &session,
        &consumer,
        &format!("{},{ALLOW_INPUT}", status(3, 1)),
    );
    assert!(results.contains(ALLOW_INTERRUPT));
}

#[test]
fn a_background_job_leaves_the_foreground_free_and_cant_be_interrupted() {
    let server = Server::start();
    let (session, consumer) = server.init();
    server.pull_until(&session, &consumer, ALLOW_INPUT);
    let answer = server.act(&session, "async_exec", r#","command":"hold & ""#);
    // The response repeats the request's values byte for byte.
    assert!(
        answer.starts_with(r#"{"body":{"command":"hold & ","jobId":1,"#),
        "{answer}"
    );
    assert_eq!(
        server.pull_until(&session, &consumer, &said("held", 1)),
        format!(
            "[{},{ALLOW_INTERRUPT},{ALLOW_INPUT},{}]",
            scheduled("hold &", 1),
            said("held", 1)
        )
    );
    let answer = server.act(&session, "async_exec", r#","command":"say hi""#);
    assert_eq!(member(&answer, "state"), "SCHEDULED");
}

#[test]
fn job_numbers_grow_over_the_whole_server() {
    let server = Server::start();
    for job in 1..4 {
        let (session, _) = server.init();
        let answer = server.act(&session, "async_exec", r#","command":"say hi""#);
        assert!(answer.contains(&format!(r#""jobId":{job},"#)), "{answer}");
    }
}

#[test]
fn an_interrupted_job_has_ended_when_the_answer_is_there() {
    let server = Server::start();
    let (session, consumer) = server.init();
    server.act(&session, "async_exec", r#","command":"hold""#);
    server.job_started();
    assert_eq!(
        server.act(&session, "interrupt_job", r#","requestId":"r""#),
        r#"{"body":{"jobId":1,"jobStatus":"TERMINATED"},"requestId":"r","state":"SUCCEEDED"}"#
    );
    server.pull_until(
        &session,
        &consumer,
        &format!("{},{ALLOW_INPUT}", status(0, 1)),
    );
}

#[test]
fn a_job_that_ignores_an_interrupt_is_reported_as_running() {
    let (server, clock) = Server::in_virtual_time(|_| {});
    let (session, _) = server.init();
    server.act(&session, "async_exec", r#","command":"deaf""#);
    server.job_started();
    let interrupt = || server.act(&session, "interrupt_job", "");
    assert_eq!(
        outwait(&clock, Duration::from_secs(5), interrupt),
        r#"{"body":{"jobId":1,"jobStatus":"RUNNING"},"state":"SUCCEEDED"}"#
    );
}

#[test]
fn closing_a_session_ends_its_job_before_the_next_request() {
    let server = Server::start();
    let (session, _) = server.init();
    server.act(&session, "async_exec", r#","command":"deaf""#);
    server.job_started();
    assert_eq!(
        server.act(&session, "close_session", ""),
        r#"{"state":"SUCCEEDED"}"#
    );
    let id = session.parse().unwrap();
    let view = server.engine.session_view(id).unwrap();
    assert_eq!(view.foreground, None);
}
