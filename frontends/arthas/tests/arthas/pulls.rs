//! `pull_results`: when it responds, and with which results.

use crate::support::{ALLOW_INPUT, ALLOW_INTERRUPT, Server, member, outwait};
use rejoin_engine::Event;
use std::time::Duration;

#[test]
fn a_pull_with_nothing_to_tell_answers_with_no_results() {
    let server = Server::with(|setup| setup.settings.pull_wait = Duration::from_millis(30));
    let (session, consumer) = server.init();
    server.pull_until(&session, &consumer, ALLOW_INPUT);
    assert_eq!(server.pull(&session, &consumer), "[]");
}

#[test]
fn a_pull_answers_as_soon_as_there_is_something() {
    // A pull that waited this long would fail the test.
    let server = Server::with(|setup| setup.settings.pull_wait = Duration::from_secs(60));
    let (session, consumer) = server.init();
    server.pull_until(&session, &consumer, ALLOW_INPUT);
    std::thread::scope(|scope| {
        let pull = scope.spawn(|| server.pull(&session, &consumer));
        // This consumer sees nothing of it, and keeps waiting.
        server.act(&session, "join_session", "");
        server.act(&session, "exec", r#","command":"exit 0 &""#);
        server.act(&session, "async_exec", r#","command":"hold""#);
        let results = pull.join().unwrap();
        assert!(results.starts_with(r#"[{"command":"hold","#), "{results}");
    });
}

#[test]
fn a_pull_goes_on_until_the_job_in_the_foreground_ends() {
    // A pull that went on for this long would fail the test.
    let server = Server::with(|setup| {
        setup.settings.pull_wait = Duration::from_secs(60);
        setup.settings.pull_gather = Duration::from_secs(50);
    });
    let (session, consumer) = server.init();
    let background = r#","command":"hold &""#;
    server.act(&session, "async_exec", background);
    server.act(&session, "async_exec", r#","command":"say hi""#);
    let results = server.pull(&session, &consumer);
    for part in ["welcome", r#""hold &""#, r#""content":"hi""#] {
        assert!(results.contains(part), "{part} in {results}");
    }
    let end = format!(r#"{{"jobId":2,"statusCode":0,"type":"status"}},{ALLOW_INPUT}]"#);
    assert!(results.ends_with(&end), "{results}");

    server.act(&session, "exec", r#","command":"say hi""#);
    assert_eq!(
        server.pull(&session, &consumer),
        format!("[{ALLOW_INTERRUPT},{ALLOW_INPUT}]")
    );
}

#[test]
fn a_pull_goes_on_until_nothing_more_comes_and_for_twenty_results() {
    let (server, clock) = Server::in_virtual_time(|setup| {
        setup.settings.pull_gather = Duration::from_millis(250);
    });
    let (session, consumer) = server.init();
    let pull = || server.pull(&session, &consumer);
    outwait(&clock, Duration::from_millis(250), pull);
    server.act(&session, "async_exec", r#","command":"hold""#);
    let id = session.parse().unwrap();
    server.record(id, |event| matches!(event, Event::ResultEmitted { .. }));
    let results = outwait(&clock, Duration::from_millis(250), pull);
    assert!(results.ends_with(r#"{"content":"held","jobId":1,"type":"echo"}]"#));

    // The clock stands still.
    for job in 2..22 {
        server.act(&session, "async_exec", r#","command":"exit 0 &""#);
        server.record(
            id,
            |event| matches!(event, Event::JobFinished { job: ended, .. } if ended.0 == job),
        );
    }
    let results = pull();
    let ended = results.matches(r#""type":"status""#).count();
    assert_eq!(ended, 20, "{results}");
}

#[test]
fn one_of_several_pulls_gets_the_results_and_the_others_none() {
    let results = one_of_three_pulls(|server, session| {
        server.act(session, "async_exec", r#","command":"hold""#);
    });
    assert!(results.starts_with(r#"[{"command":"hold","#), "{results}");
}

#[test]
fn a_pull_that_is_open_when_the_session_is_closed_ends_with_no_results() {
    let results = one_of_three_pulls(|server, session| {
        server.act(session, "close_session", "");
    });
    assert_eq!(results, "[]");
}

/// Opens three pulls of one consumer. Two return nothing, because the third holds the pull lock.
/// Then calls `happen`, and returns the response to the third.
fn one_of_three_pulls(happen: impl FnOnce(&Server, &str)) -> String {
    let server = Server::with(|setup| {
        setup.settings.pull_wait = Duration::from_secs(60);
        setup.config.pull_lock_timeout = Duration::from_millis(30);
    });
    let (session, consumer) = server.init();
    server.pull_until(&session, &consumer, ALLOW_INPUT);
    std::thread::scope(|scope| {
        let (done, answers) = std::sync::mpsc::channel();
        for _ in 0..3 {
            let (server, session, consumer) = (&server, &session, &consumer);
            let done = done.clone();
            scope.spawn(move || done.send(server.pull(session, consumer)));
        }
        let next = || answers.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(next(), "[]");
        assert_eq!(next(), "[]");
        happen(&server, &session);
        next()
    })
}

#[test]
fn a_consumer_that_joins_in_mid_run_reads_the_history_and_the_rest() {
    let server = Server::start();
    let (session, _) = server.init();
    server.act(&session, "async_exec", r#","command":"say hi""#);
    let id = session.parse().unwrap();
    server.record(id, |event| matches!(event, Event::JobFinished { .. }));
    server.act(&session, "async_exec", r#","command":"hold""#);
    server.record(
        id,
        |event| matches!(event, Event::ResultEmitted { result, .. } if result.contains("held")),
    );

    let consumer = member(&server.act(&session, "join_session", ""), "consumerId");
    let results = server.pull_until(&session, &consumer, ALLOW_INTERRUPT);
    let (welcome, history) = results.split_once(r#","wiki""#).unwrap();
    assert!(welcome.starts_with(r#"[{"inputStatus":"DISABLED","jobId":0,"type":"input_status"},"#));
    let (_, history) = history.split_once("},").unwrap();
    assert_eq!(
        history,
        [
            r#"{"command":"say hi","jobId":1,"state":"SCHEDULED","type":"command"}"#,
            r#"{"content":"hi","jobId":1,"type":"echo"}"#,
            r#"{"jobId":1,"statusCode":0,"type":"status"}"#,
            r#"{"command":"hold","jobId":2,"state":"SCHEDULED","type":"command"}"#,
            r#"{"content":"held","jobId":2,"type":"echo"}"#,
            ALLOW_INTERRUPT,
        ]
        .join(",")
            + "]"
    );
    server.act(&session, "interrupt_job", "");
    assert_eq!(
        server.pull_until(&session, &consumer, ALLOW_INPUT),
        format!(r#"[{{"jobId":2,"statusCode":0,"type":"status"}},{ALLOW_INPUT}]"#)
    );
}

#[test]
fn a_long_history_comes_in_parts_of_bounded_size_without_a_gap() {
    let server = Server::start();
    let (session, consumer) = server.init();
    server.act(&session, "async_exec", r#","command":"flood 40""#);
    let status = r#"{"jobId":1,"statusCode":0,"type":"status"}"#;
    let id = session.parse().unwrap();
    server.record(id, |event| matches!(event, Event::JobFinished { .. }));
    let mut numbers = vec![];
    for _ in 0..20 {
        let results = server.pull(&session, &consumer);
        assert!(results.len() < 1_300_000, "{}", results.len());
        let parsed: serde_json::Value = serde_json::from_str(&results).unwrap();
        for result in parsed.as_array().unwrap() {
            if let Some(content) = result["content"].as_str() {
                numbers.push(content.split(' ').next().unwrap().parse::<u32>().unwrap());
            }
        }
        if results.contains(status) {
            break;
        }
    }
    assert_eq!(numbers, Vec::from_iter(0..40));
}

#[test]
fn open_pulls_are_answered_when_the_server_shuts_down() {
    let server = Server::with(|setup| setup.settings.pull_wait = Duration::from_secs(60));
    let (session, consumer) = server.init();
    server.pull_until(&session, &consumer, ALLOW_INPUT);
    std::thread::scope(|scope| {
        let pull = scope.spawn(|| server.pull(&session, &consumer));
        server.engine.begin_closing();
        assert_eq!(pull.join().unwrap(), "[]");
    });
}
