//! kill -9 at any moment: what anybody was shown is there, and everything goes on.

use crate::server::{Server, api, directory, is_status_of, said, text};
use serde_json::{Value, json};
use std::thread;

#[test]
fn after_a_kill_everything_that_was_shown_is_there_and_numbers_go_on() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let (session, consumer) = server.create();
    let mut job = server.run(&session, "seq 1 1000000000");
    let mut shown = said(&pull_some(&server, &session, &consumer, 200), "stdout");
    for _ in 0..5 {
        server.kill();
        server = Server::start(data.path(), &[]);
        // History first: everybody who joins reads it from the first line.
        let late = server.join(&session);
        let history = server.pull_until(&session, &late, is_status_of(job));
        let all = said(&history, "stdout");
        assert!(all.starts_with(&shown), "something that was shown is gone");
        let status = history.iter().find(|it| is_status_of(job)(it)).unwrap();
        assert_eq!(status["statusCode"], 137, "{status}");
        let message = status["message"].as_str().unwrap();
        let why = "the server ended while the job ran: its keeper ended, too";
        assert!(message.starts_with(why), "{message}");
        // The consumer goes on where it was, or a batch before, and the stream has no gaps.
        let rest = server.pull_until(&session, &consumer, is_status_of(job));
        assert!(
            all.ends_with(&said(&rest, "stdout")),
            "the consumer got something else"
        );
        let lines: Vec<_> = all.lines().collect();
        assert_consecutive(&lines);

        let next = server.run(&session, &format!("seq {} 1000000000", lines.len() + 1));
        assert!(next > job, "job numbers grow");
        job = next;
        let more = said(&pull_some(&server, &session, &consumer, 50), "stdout");
        shown = all + &more;
        // The line that the crash cut in two was shown as far as it was written.
        if let Some(end) = shown.rfind('\n') {
            shown.truncate(end + 1);
        }
    }
}

/// At least this many of the next results.
fn pull_some(server: &Server, session: &str, consumer: &str, count: usize) -> Vec<Value> {
    let mut client = server.client();
    let pull = json!({"action": "pull_results", "sessionId": session, "consumerId": consumer});
    let mut results = vec![];
    while results
        .iter()
        .filter(|it: &&Value| it["type"] == "shell")
        .count()
        < count
    {
        let pulled = api(&mut client, &pull);
        results.extend(
            pulled["body"]["results"]
                .as_array()
                .unwrap()
                .iter()
                .cloned(),
        );
    }
    results
}

fn assert_consecutive(lines: &[&str]) {
    let mut previous: Option<u64> = None;
    for line in lines {
        // Only the first line of a job may stand beside the torn last one of the job before.
        let Ok(number) = line.parse::<u64>() else {
            panic!("a torn line: {line}")
        };
        if let Some(previous) = previous {
            assert!(
                number == previous + 1 || number < previous,
                "{previous} is followed by {number}"
            );
        }
        previous = Some(number);
    }
}

#[test]
fn many_sessions_survive_a_kill_under_load() {
    let data = directory();
    let mut server = Server::start(data.path(), &[]);
    let sessions: Vec<_> = (0..20).map(|_| server.create()).collect();
    let acknowledged: Vec<Vec<u64>> = thread::scope(|scope| {
        let workers: Vec<_> = sessions
            .iter()
            .map(|(session, _)| {
                let server = &server;
                scope.spawn(move || {
                    (0..5)
                        .map(|turn| run_one(server, session, turn))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    server.kill();
    let server = Server::start(data.path(), &[]);
    for ((session, consumer), jobs) in sessions.iter().zip(&acknowledged) {
        let last = *jobs.last().unwrap();
        let results = server.pull_until(session, consumer, is_status_of(last));
        let all: Vec<_> = results
            .iter()
            .filter(|result| result["type"] == "shell")
            .map(|result| (result["jobId"].as_u64().unwrap(), text(&result["content"])))
            .collect();
        let expected: Vec<_> = jobs
            .iter()
            .zip(0..)
            .map(|(job, turn)| (*job, format!("turn {turn}\n")))
            .collect();
        assert_eq!(all, expected);
    }
    let newest = acknowledged.iter().flatten().max().unwrap();
    assert!(server.run(&sessions[0].0, "true") > *newest);
}

fn run_one(server: &Server, session: &str, turn: u32) -> u64 {
    let job = server.run(session, &format!("echo turn {turn}"));
    let late = server.join(session);
    server.pull_until(session, &late, is_status_of(job));
    job
}
