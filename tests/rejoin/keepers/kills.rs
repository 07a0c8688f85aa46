//! Servers that are killed at events of their jobs, and while they start: no byte is missing or
//! doubled, and every end is there once. And keepers that are killed: exactly their jobs are lost.
//!
//! `REJOIN_KILLS=200 cargo test --release --test rejoin keepers::kills` kills more often.

use super::post;
use crate::server::{
    Server, directory, end, is_status_of, rejoin, running_under, said, text, under,
};
use crate::shell::{wait_until, wait_until_none_run};
use rejoin_http::test_client::Client;
use serde_json::{Value, json};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A job, and all that it will have written when it ends with this status.
struct Running {
    session: String,
    job: u64,
    expected: String,
    status: u64,
}

impl Running {
    fn start(server: &Server, statement: &str, lines: u64, status: u64) -> Self {
        let (session, _) = server.create();
        let job = server.run(&session, statement);
        wait_until_started(server, &session, job);
        Self {
            session,
            job,
            expected: (1..=lines).map(|line| format!("{line}\n")).collect(),
            status,
        }
    }

    fn fast(server: &Server) -> Self {
        Self::start(server, "seq 1 200000; exit 5", 200_000, 5)
    }

    fn slow(server: &Server) -> Self {
        let statement =
            "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.02; done; exit 6";
        Self::start(server, statement, 60, 6)
    }

    fn short(server: &Server) -> Self {
        Self::start(server, "seq 1 30; sleep 0.2; seq 31 40; exit 7", 40, 7)
    }

    /// Waits until a viewer has seen this number of results, or the end of the job.
    fn see(&self, server: &Server, results: u64) {
        let viewer = server.join(&self.session);
        let seen = Cell::new(0);
        server.pull_until(&self.session, &viewer, |result| {
            seen.set(seen.get() + 1);
            seen.get() > results || is_status_of(self.job)(result)
        });
    }

    /// The process that holds it.
    fn keeper(&self, server: &Server) -> u32 {
        let keepers = server.keepers();
        let mut found = None;
        wait_until("its keeper has started its shell", || {
            let parents = running_under(&self.session).into_iter().map(parent);
            found = parents.flatten().find(|parent| keepers.contains(parent));
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits for its loss for one of these reasons: what was logged is a beginning of its output, and nothing
    /// of it runs on. Closes its session.
    fn check_lost(&self, server: &Server, reasons: &[&str]) {
        let Self { session, job, .. } = self;
        let (output, end) = whole(server, session, *job);
        assert!(self.expected.starts_with(&output), "{}", output.len());
        assert_eq!(end["statusCode"], 137, "{end}");
        let message = text(&end["message"]);
        let is_said = reasons.iter().any(|reason| message.contains(reason));
        assert!(is_said, "{end}, and not {reasons:?}");
        wait_until_none_run("the lost job has ended", session);
        server.api(&json!({"action": "close_session", "sessionId": session}));
    }

    /// Waits for its end, and closes its session.
    fn check(&self, server: &Server) {
        let Self { session, job, .. } = self;
        let (output, end) = whole(server, session, *job);
        let expected = &self.expected;
        let same = output.bytes().zip(expected.bytes());
        assert!(
            output == *expected,
            "job {job}, {end}: {} of {} bytes, the same up to byte {}",
            output.len(),
            expected.len(),
            same.take_while(|(a, b)| a == b).count()
        );
        assert_eq!(end["statusCode"], self.status, "{end}");
        server.api(&json!({"action": "close_session", "sessionId": session}));
    }
}

/// The process that started this one, by its directory under `/proc`.
fn parent(process: PathBuf) -> Option<u32> {
    let status = std::fs::read_to_string(process.join("status")).ok()?;
    let parent = status.lines().find_map(|it| it.strip_prefix("PPid:"))?;
    parent.trim().parse().ok()
}

/// All output of a job that ends, and its only end.
fn whole(server: &Server, session: &str, job: u64) -> (String, Value) {
    let late = server.join(session);
    let results = server.pull_until(session, &late, is_status_of(job));
    let mut ends = results.iter().filter(|it| is_status_of(job)(it));
    let end = ends.next().unwrap().clone();
    assert_eq!(ends.next(), None);
    (said(&results, "stdout"), end)
}

/// A command that was accepted and has not been started when the server is killed is lost.
fn wait_until_started(server: &Server, session: &str, job: u64) {
    let path = format!("/sessions/{session}/jobs/{job}");
    wait_until("the job has started", || {
        let shown = server.client().get(&path).unwrap();
        let shown: Value = shown.json();
        shown["state"] != "submitted"
    });
}

/// A job that reads lines, and what was written to it. A write whose answer was lost with the server
/// may be logged or not.
struct Fed {
    session: String,
    job: u64,
    written: u64,
    acknowledged: Vec<u64>,
}

impl Fed {
    fn start(server: &Server) -> Self {
        let session = text(&post(server, "/sessions", &json!({}))["id"]);
        let run = json!({
            "statement": "while read line; do echo got $line; done; exit 8",
            "input": true,
        });
        let submitted = post(server, &format!("/sessions/{session}/jobs"), &run);
        let job = submitted["job"].as_u64().unwrap();
        wait_until_started(server, &session, job);
        Self {
            session,
            job,
            written: 0,
            acknowledged: vec![],
        }
    }

    /// Writes lines until the server is gone, a hundred at most.
    fn feed(&mut self, server: SocketAddr) {
        let Ok(mut client) = Client::connect(server) else {
            return;
        };
        let path = format!("/sessions/{}/jobs/{}/input", self.session, self.job);
        for _ in 0..100 {
            self.written += 1;
            let line = format!("{}\n", self.written);
            let Ok(written) = client.request("POST", &path, &[], line.as_bytes()) else {
                return;
            };
            assert_eq!(written.status, 204, "{}", written.text());
            self.acknowledged.push(self.written);
        }
    }

    /// Ends its input, and holds what it has read against what was written.
    fn check(&self, server: &Server) {
        let Self { session, job, .. } = self;
        let path = format!("/sessions/{session}/jobs/{job}/input?end=true");
        let ended = server.client().post(&path, "").unwrap();
        assert_eq!(ended.status, 204, "{}", ended.text());
        let (output, end) = whole(server, session, *job);
        assert_eq!(end["statusCode"], 8, "{end}");
        let read: Vec<u64> = output
            .lines()
            .map(|line| line.strip_prefix("got ").unwrap().parse().unwrap())
            .collect();
        assert!(read.is_sorted_by(|a, b| a < b), "{read:?}");
        assert!(read.iter().all(|line| *line <= self.written), "{read:?}");
        let missing = self.acknowledged.iter().find(|line| !read.contains(line));
        assert_eq!(missing, None, "{read:?}");
    }
}

/// The server is killed again and again, at work and while it starts, under jobs that write as fast as
/// they can, slowly, after their input, and that end while no server is there.
#[test]
fn however_often_the_server_is_killed_no_byte_of_a_job_is_missing_or_doubled() {
    let data = directory();
    let mut server = Server::start(data.path(), QUIET);
    let mut jobs: Vec<Running> = vec![];
    let mut fed = Fed::start(&server);
    let mut seed = SEED;
    for kill in 0..kills(20) {
        let new = [Running::fast, Running::slow, Running::short].map(|start| start(&server));
        draw(&mut seed);
        let watched = &new[usize::try_from(seed % 3).unwrap()];
        let address = server.address;
        thread::scope(|scope| {
            scope.spawn(|| fed.feed(address));
            watched.see(&server, seed / 3 % 24);
            server.kill_alone();
        });
        jobs.extend(new);
        if kill % 4 == 3 {
            kill_while_starting(data.path(), Duration::from_millis(seed % 120));
        }
        server = Server::start(data.path(), QUIET);
        // Those that have ended are checked as they do.
        if jobs.len() > 12 {
            jobs.drain(..6).for_each(|job| job.check(&server));
        }
        if kill % 10 == 9 {
            std::mem::replace(&mut fed, Fed::start(&server)).check(&server);
        }
    }
    jobs.iter().for_each(|job| job.check(&server));
    fed.check(&server);
}

/// How often is killed in a run.
fn kills(otherwise: u64) -> u64 {
    let kills = std::env::var("REJOIN_KILLS").ok();
    kills.map_or(otherwise, |kills| kills.parse().unwrap())
}

/// The next of numbers that are the same in every run.
fn draw(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

const SEED: u64 = 0x2545_f491_4f6c_dd1d;

/// Keepers are killed while their jobs write as fast as they can and while they wait, under a running
/// server, while none is there, and while one starts.
#[test]
fn however_often_keepers_are_killed_exactly_their_jobs_are_lost() {
    let data = directory();
    let mut server = Server::start(data.path(), QUIET);
    let wanted = kills(10);
    let (mut killed, mut seed) = (0, SEED);
    for round in 0.. {
        let go = data.path().join(format!("go {round}"));
        let statement = format!(
            "seq 1 20000; until [ -e '{}' ]; do sleep 0.02; done; seq 20001 20010; exit 7",
            go.display()
        );
        let jobs = [(); 4].map(|()| Running::start(&server, &statement, 20_010, 7));
        let keepers = jobs.each_ref().map(|job| job.keeper(&server));
        // One to three of the four.
        let chosen = draw(&mut seed) % 14 + 1;
        let is_killed = |place: usize| chosen >> place & 1 == 1;
        let kill = || {
            let chosen = (0..4).filter(|place| is_killed(*place));
            chosen.for_each(|place| end(keepers[place]));
        };
        // Before its first output or behind: no more results than these are sure to come.
        jobs[0].see(&server, draw(&mut seed) % 5);
        let here = "its keeper ended: ";
        let gone = "the server ended while the job ran: its keeper ended, too";
        let reasons: &[_] = match round % 3 {
            0 => {
                kill();
                &[here]
            }
            1 => {
                server.kill_alone();
                kill();
                server = Server::start(data.path(), QUIET);
                &[gone]
            }
            _ => {
                server.kill_alone();
                server = thread::scope(|scope| {
                    let started = scope.spawn(|| Server::start(data.path(), QUIET));
                    kill();
                    started.join().unwrap()
                });
                &[here, gone]
            }
        };
        // No job can end by itself before all that are lost have been seen.
        for (place, job) in jobs.iter().enumerate() {
            if is_killed(place) {
                job.check_lost(&server, reasons);
                killed += 1;
            }
        }
        File::create(go).unwrap();
        for (place, job) in jobs.iter().enumerate() {
            if !is_killed(place) {
                job.check(&server);
            }
        }
        if killed >= wanted {
            break;
        }
    }
}

/// A start takes jobs over from keepers, and may be killed at any point of that.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the kills are spread over the time that a real start takes"
)]
fn a_server_that_is_killed_again_and_again_while_it_starts_loses_nothing() {
    let data = directory();
    let mut server = Server::start(data.path(), QUIET);
    let kinds = [Running::fast, Running::slow, Running::short];
    let jobs: Vec<_> = kinds
        .iter()
        .cycle()
        .take(12)
        .map(|start| start(&server))
        .collect();
    let mut fed = Fed::start(&server);
    thread::scope(|scope| {
        let (address, fed) = (server.address, &mut fed);
        scope.spawn(move || fed.feed(address));
        jobs[1].see(&server, 3);
        server.kill_alone();
    });
    let begin = Instant::now();
    let mut server = Server::start(data.path(), QUIET);
    let whole_start = begin.elapsed();
    server.kill_alone();
    for turn in 0..16 {
        kill_while_starting(data.path(), whole_start * turn / 12);
    }
    let server = Server::start(data.path(), QUIET);
    jobs.iter().for_each(|job| job.check(&server));
    fed.check(&server);
}

fn kill_while_starting(data: &Path, after: Duration) {
    let data = data.to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data];
    let arguments = [&arguments[..], QUIET].concat();
    let mut child = rejoin(&arguments).stderr(Stdio::inherit()).spawn().unwrap();
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

const QUIET: &[&str] = &["--log-level", "error"];

/// One second is promised for a released server; this one is not optimised, and has neighbours.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "records say their times by the wall clock"
)]
fn a_hundred_running_jobs_go_on_and_their_output_flows_soon() {
    let data = directory();
    let mut server = Server::start(data.path(), QUIET);
    let statement = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.3; done";
    let sessions: Vec<_> = (0..100)
        .map(|_| {
            let (session, consumer) = server.create();
            server.run(&session, statement);
            (session, consumer)
        })
        .collect();
    for (session, consumer) in &sessions {
        server.pull_until(session, consumer, |result| result["type"] == "shell");
    }
    server.kill_alone();
    let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let killed = u64::try_from(killed.as_millis()).unwrap();
    let server = Server::start(data.path(), QUIET);
    let mut slowest = 0;
    for (session, _) in &sessions {
        let first = first_result_since(&server, session, killed);
        slowest = slowest.max(first - killed);
        let late = server.join(session);
        // What it wrote while no server was there may come in one result.
        let results = server.pull_until(session, &late, |result| {
            let content = result["content"].as_str().unwrap_or_default();
            content.lines().any(|line| line == "6")
        });
        let output = said(&results, "stdout");
        let lines = 1..=output.lines().count();
        let expected: String = lines.map(|line| format!("{line}\n")).collect();
        assert_eq!(output, expected);
    }
    assert!(slowest < 10_000, "{slowest} ms");
}

/// When the session's first result after the start was logged, in milliseconds since 1970.
fn first_result_since(server: &Server, session: &str, killed: u64) -> u64 {
    let mut first = None;
    let path = format!("/sessions/{session}/events?limit=1000");
    wait_until("its output flows", || {
        let read = server.client().get(&path).unwrap();
        let read: Value = read.json();
        let events = read["events"].as_array().unwrap();
        let results = events.iter().filter(|event| event["type"] == "result");
        let at = results.map(|event| event["at"].as_u64().unwrap());
        first = at.filter(|at| *at >= killed).min();
        first.is_some()
    });
    first.unwrap()
}

#[test]
fn rejoin_run_goes_on_across_kills_of_the_server() {
    let data = directory();
    // A port that clients can know before, as that of a real server.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut server = Server::start_at(data.path(), &address);
    let statement = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit 9";
    let mut client = under(&["timeout", "120"], &["run", statement])
        .env("REJOIN_SERVER", format!("http://{address}"))
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .spawn()
        .unwrap();
    let mut out = BufReader::new(client.stdout.take().unwrap());
    let mut output = String::new();
    for line in [5, 15, 25] {
        while !output.ends_with(&format!("\n{line}\n")) {
            assert!(out.read_line(&mut output).unwrap() > 0, "{output}");
        }
        server.kill_alone();
        server = Server::start_at(data.path(), &address);
    }
    out.read_to_string(&mut output).unwrap();
    let expected: String = (1..=60).map(|line| format!("{line}\n")).collect();
    assert_eq!(output, expected);
    assert_eq!(client.wait().unwrap().code(), Some(9));
}
