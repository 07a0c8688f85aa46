//! What real clients of Arthas' API send, request by request, and what they rely on.

use crate::server::{Server, directory, text};
use serde_json::{Value, json};

/// The standard output of a job, from its results.
fn output(results: &[Value]) -> String {
    let chunks = results.iter().filter(|result| result["type"] == "shell");
    chunks
        .filter_map(|chunk| chunk["content"].as_str())
        .collect()
}

/// A command that prints this many lines, with a pause after each.
fn ticks(count: u32, pause: &str) -> String {
    format!("i=0; while [ $i -lt {count} ]; do echo $i; i=$((i+1)); sleep {pause}; done")
}

fn lines(count: u32) -> String {
    (0..count).map(|line| format!("{line}\n")).collect()
}

fn is_status(result: &Value) -> bool {
    result["type"] == "status"
}

/// A client that runs a command and pulls at once, again and again, until it has a `status`. It
/// interrupts the command if it has none after so many pulls.
fn run(server: &Server, command: &str, pulls: usize) -> (Vec<Value>, usize) {
    let (session, consumer) = server.create();
    server.run(&session, command);
    let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
    let mut results = vec![];
    let mut count = 0;
    while count < pulls && !results.iter().any(is_status) {
        let pulled = server.api(&pull);
        results.extend(pulled["body"]["results"].as_array().unwrap().clone());
        count += 1;
    }
    server.api(&json!({"action": "interrupt_job", "sessionId": session}));
    server.api(&json!({"action": "close_session", "sessionId": session}));
    (results, count)
}

#[test]
fn a_client_that_gives_up_after_four_pulls_gets_the_results_of_a_slow_command() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    for pause in ["0.05", "0.2"] {
        let (results, _) = run(&server, &ticks(6, pause), 4);
        assert_eq!(output(&results), lines(6), "{pause}");
        assert!(results.iter().any(is_status), "{pause}");
    }
}

#[test]
fn a_command_that_prints_every_millisecond_takes_a_pull_for_twenty_results() {
    let data = directory();
    let server = Server::start(data.path(), &[]);
    let (results, pulls) = run(&server, &ticks(400, "0.001"), 1_000);
    assert_eq!(output(&results), lines(400));
    // The product takes 21.
    assert!(pulls <= 25, "{pulls}");
}

#[test]
fn a_pull_can_be_told_to_answer_at_the_first_result() {
    let data = directory();
    let server = Server::start(data.path(), &["--pull-gather", "0s", "--pull-wait", "50s"]);
    let (session, consumer) = server.create();
    server.run(&session, "echo first; sleep 100");
    let results = server.pull_until(&session, &consumer, |result| result["type"] == "shell");
    assert_eq!(output(&results), "first\n");
    assert_eq!(text(&results[0]["type"]), "message");
}
