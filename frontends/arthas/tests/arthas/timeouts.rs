//! Idle sessions and consumers, with the default timeouts, which are the product's.

use crate::support::{Server, member};
use rejoin_engine::testing::Clock;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn start() -> (Server, Clock) {
    Server::in_virtual_time(|_| {})
}

/// Advances the clock, and runs what is due by sending a command.
fn pass(server: &Server, clock: &Clock, minutes: u32) {
    clock.advance(MINUTE * minutes);
    server.init();
}

#[test]
fn a_consumer_that_does_not_pull_for_five_minutes_must_join_again() {
    let (server, clock) = start();
    let (session, consumer) = server.init();
    pass(&server, &clock, 4);
    server.pull(&session, &consumer);
    pass(&server, &clock, 4);
    server.act(&session, "session_info", "");
    pass(&server, &clock, 2);
    let pull = format!(r#","consumerId":"{consumer}""#);
    assert_eq!(
        server.act(&session, "pull_results", &pull),
        format!(r#"{{"message":"consumer not found: {consumer}","state":"FAILED"}}"#)
    );
    let answer = server.act(&session, "join_session", "");
    assert!(member(&answer, "consumerId").ends_with("_2"));
}

#[test]
fn a_session_that_no_request_names_for_three_hours_is_gone() {
    let (server, clock) = start();
    let (session, _) = server.init();
    for _ in 0..3 {
        pass(&server, &clock, 170);
        let answer = server.act(&session, "session_info", "");
        assert_eq!(member(&answer, "state"), "SUCCEEDED");
    }
    pass(&server, &clock, 181);
    assert_eq!(
        server.act(&session, "session_info", ""),
        format!(r#"{{"message":"session not found: {session}","state":"FAILED"}}"#)
    );
}

#[test]
fn a_session_with_a_running_job_is_not_idle() {
    let (server, clock) = start();
    let (session, _) = server.init();
    server.act(&session, "async_exec", r#","command":"hold &""#);
    pass(&server, &clock, 20 * 60);
    let answer = server.act(&session, "session_info", "");
    assert_eq!(member(&answer, "state"), "SUCCEEDED");
}

#[test]
fn a_session_that_was_removed_is_not_found_and_says_what_is_gone() {
    let (server, clock) = Server::in_virtual_time(|setup| {
        setup.config.limits.retention.age = Some(MINUTE * 60);
    });
    let (session, consumer) = server.init();
    server.act(&session, "close_session", "");
    let pull = format!(r#","consumerId":"{consumer}""#);
    let not_found = format!(r#"{{"message":"session not found: {session}","state":"FAILED"}}"#);
    pass(&server, &clock, 59);
    assert_eq!(server.act(&session, "pull_results", &pull), not_found);
    pass(&server, &clock, 2);
    // Created, joined, left, closed.
    let removed = format!(
        r#"{{"message":"session not found: {session}: records 1 to 4 of this session were removed: it was deleted, or it was closed and closed sessions are not kept for longer.","state":"FAILED"}}"#
    );
    for (action, more) in [
        ("pull_results", pull.as_str()),
        ("session_info", ""),
        ("join_session", ""),
    ] {
        assert_eq!(server.act(&session, action, more), removed, "{action}");
    }
}
