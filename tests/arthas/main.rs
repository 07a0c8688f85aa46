//! A real Arthas behind a service: the real binary, and requests as real clients send them. Needs a
//! JDK, Maven, Node.js and Chromium, so that `cargo test` alone doesn't run it:
//!
//!     tests/arthas/fetch && cargo test --test arthas
#![expect(
    clippy::disallowed_methods,
    reason = "a real program is watched in real time"
)]

mod real_arthas;
#[path = "../rejoin/server.rs"]
#[expect(dead_code, reason = "the other whole-program tests use more of it")]
mod server;

use crate::server::{Server, api, directory, is_status_of, outcome, text};
use real_arthas::RealArthas;
use rejoin_http::test_client::Client;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const WATCH: &str = r#"watch demo.MathGame primeFactors "{params, returnObj, throwExp}""#;

/// Calls that the fast watch sees.
const CALLS: usize = 2_000;

/// A server whose Arthas clients run their commands in this Arthas.
fn serve(data: &Path, arthas: &RealArthas) -> Server {
    let config = data.join("rejoin.toml");
    let address = arthas.address();
    let settings = format!(
        "[services.orders]\nkind = 'arthas'\nurl = 'http://{address}'\n\
         [services.shell]\nkind = 'shell'\n[frontends.arthas]\nservice = 'orders'\n"
    );
    std::fs::write(&config, settings).unwrap();
    Server::start(data, &["--config", config.to_str().unwrap()])
}

fn of_type<'a>(results: &'a [Value], kind: &str) -> Vec<&'a Value> {
    results
        .iter()
        .filter(|result| result["type"] == kind)
        .collect()
}

fn members(value: &Value) -> BTreeSet<&str> {
    let object = value.as_object().unwrap();
    object.keys().map(String::as_str).collect()
}

/// A request to Arthas itself.
fn upstream(arthas: &RealArthas, request: &Value) -> Value {
    api(&mut Client::connect(arthas.address()).unwrap(), request)
}

/// What Arthas says on a busy machine, now and then, also when nobody else does. The command has then
/// done nothing, and succeeds if it is run again.
const REFUSED: &str = "someone else is enhancing classes";

/// Runs a command that changes classes until a result of this type, or the command's end.
fn run_until(
    server: &Server,
    viewer: (&str, &str),
    command: &str,
    kind: &str,
) -> (u64, Vec<Value>) {
    let (session, consumer) = viewer;
    for _ in 0..20 {
        let job = server.run(session, command);
        let is_last = |it: &Value| is_status_of(job)(it) || it["type"] == kind;
        let results = server.pull_until(session, consumer, is_last);
        let status = results.iter().find(|it| is_status_of(job)(it));
        if !status.is_some_and(|it| it["message"].to_string().contains(REFUSED)) {
            return (job, results);
        }
    }
    panic!("Arthas refused it twenty times: {command}");
}

#[test]
fn a_watch_on_a_real_arthas_has_the_products_results_for_every_viewer() {
    let (arthas, data) = (RealArthas::start(), directory());
    let server = serve(data.path(), &arthas);
    let (session, first) = server.create();
    let second = server.join(&session);
    let watch = format!("{WATCH} -n 2 -x 2");
    let (job, results) = run_until(&server, (&session, &first), &watch, "status");
    let late = server.join(&session);
    for consumer in [&second, &late] {
        let same = server.pull_until(&session, consumer, is_status_of(job));
        let of_job = |results: &[Value]| -> Vec<Value> {
            let of_job = results.iter().filter(|result| result["jobId"] == job);
            of_job.cloned().collect()
        };
        assert_eq!(of_job(&same), of_job(&results));
    }

    // The members are those that the product's own clients get, and the product's job beside ours.
    let results: Vec<_> = results
        .into_iter()
        .filter(|it| it["jobId"] == job)
        .collect();
    let watched = of_type(&results, "watch");
    assert_eq!(watched.len(), 2, "{results:?}");
    let expected = [
        "accessPoint",
        "className",
        "cost",
        "jobId",
        "methodName",
        "sizeLimit",
        "ts",
        "type",
        "upstreamJobId",
        "value",
    ];
    assert_eq!(members(watched[0]), expected.into());
    assert!(text(&watched[0]["value"]).starts_with("@ArrayList["));
    let enhanced = of_type(&results, "enhancer");
    assert_eq!(enhanced[0]["effect"]["methodCount"], 1);
    assert_eq!(of_type(&results, "status")[0]["statusCode"], 0);

    // Commands with the names of Rejoin's own reach Arthas.
    let version = server.exec(&session, "version");
    assert_eq!(of_type(&version, "version")[0]["version"], "4.1.5");
    let own = server.exec(&session, "session");
    assert!(
        of_type(&own, "session")[0]["javaPid"].is_number(),
        "{own:?}"
    );
    let help = server.exec(&session, "help watch");
    assert!(!of_type(&help, "help").is_empty(), "{help:?}");

    // What Arthas does not know fails, and its words are kept.
    let job = server.run(&session, "nosuch");
    let failed = server.pull_until(&session, &first, is_status_of(job));
    let status = failed
        .iter()
        .find(|result| is_status_of(job)(result))
        .unwrap();
    assert_eq!(
        (&status["statusCode"], &status["message"]),
        (&json!(127), &json!("nosuch: command not found"))
    );
    let stop = server.run(&session, "stop");
    let refused = server.pull_until(&session, &first, is_status_of(stop));
    let status = refused
        .iter()
        .find(|result| is_status_of(stop)(result))
        .unwrap();
    assert_eq!(status["statusCode"], 126);
}

#[test]
fn the_walk_through_of_the_documentation_goes_as_printed_on_a_real_arthas() {
    let arthas = RealArthas::start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/walkthrough.sh");
    let address = format!("http://{}", arthas.address());
    let walk = || {
        let went = Command::new(script)
            .args([env!("CARGO_BIN_EXE_rejoin"), &address])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&went.stdout) + String::from_utf8_lossy(&went.stderr);
        (went.status.success(), said.into_owned())
    };
    let mut walks = std::iter::repeat_with(walk).take(5);
    let (succeeded, said) = walks
        .find(|(_, said)| !said.contains(REFUSED) && !said.contains("did not answer in time"))
        .expect("Arthas runs it in one of five times");
    assert!(succeeded, "{said}");
    assert!(said.contains("8 passed, 0 failed"), "{said}");
}

#[test]
fn the_web_ui_of_a_real_arthas_shows_its_dashboard() {
    let (arthas, data) = (RealArthas::start(), directory());
    let server = serve(data.path(), &arthas);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/console/arthas-ui.mjs"
    );
    let addresses = [server.address, arthas.address()];
    let went = Command::new("node")
        .arg(script)
        .args(addresses.map(|address| format!("http://{address}")))
        .output()
        .unwrap();
    assert!(
        went.status.success(),
        "{}",
        String::from_utf8_lossy(&went.stderr)
    );
}

#[test]
fn an_endless_watch_goes_on_after_a_crash_and_ends_with_its_session() {
    let (arthas, data) = (RealArthas::start(), directory());
    let mut server = serve(data.path(), &arthas);
    let (session, consumer) = server.create();
    let (job, _) = run_until(&server, (&session, &consumer), WATCH, "watch");
    let asked = Instant::now();
    let interrupted = server.api(&json!({"action": "interrupt_job", "sessionId": session}));
    assert_eq!(interrupted["body"]["jobStatus"], "TERMINATED");
    server.pull_until(&session, &consumer, is_status_of(job));
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );

    let (job, _) = run_until(&server, (&session, &consumer), WATCH, "watch");
    let directory = std::fs::read_dir(data.path().join("arthas"))
        .unwrap()
        .next();
    let mut files = std::fs::read_dir(directory.unwrap().unwrap().path()).unwrap();
    let own = files
        .next()
        .unwrap()
        .unwrap()
        .file_name()
        .into_string()
        .unwrap();
    server.kill_alone();
    let server = serve(data.path(), &arthas);
    // It goes on where Arthas' queue begins, and says that there may be a gap.
    let of_job = |kind: &'static str| move |it: &Value| it["type"] == kind && it["jobId"] == job;
    let results = server.pull_until(&session, &consumer, of_job("upstream_gap"));
    assert!(!results.iter().any(is_status_of(job)), "{results:?}");
    server.pull_until(&session, &consumer, of_job("watch"));
    // Closing the session ends the command in the JVM.
    let info = json!({"action": "session_info", "sessionId": own});
    assert_eq!(
        upstream(&arthas, &info)["state"],
        "SUCCEEDED",
        "the watch goes on in the JVM"
    );
    server.api(&json!({"action": "close_session", "sessionId": session}));
    let deadline = Instant::now() + Duration::from_secs(20);
    while upstream(&arthas, &info)["state"] == "SUCCEEDED" {
        assert!(Instant::now() < deadline, "the session in Arthas is closed");
        std::thread::yield_now();
    }
}

#[test]
fn a_jvm_that_is_killed_in_mid_watch_fails_the_command_and_its_history_stays() {
    let (mut arthas, data) = (RealArthas::start(), directory());
    let server = serve(data.path(), &arthas);
    let (session, consumer) = server.create();
    let (job, _) = run_until(&server, (&session, &consumer), WATCH, "watch");
    arthas.kill();
    let killed = Instant::now();
    let results = server.pull_until(&session, &consumer, is_status_of(job));
    assert!(
        killed.elapsed() < Duration::from_secs(3),
        "{:?}",
        killed.elapsed()
    );
    let status = results.last().unwrap();
    let status = if is_status_of(job)(status) {
        status
    } else {
        results
            .iter()
            .rev()
            .find(|it| is_status_of(job)(it))
            .unwrap()
    };
    assert_eq!(status["statusCode"], 1);
    let again = server.join(&session);
    let history = server.pull_until(&session, &again, is_status_of(job));
    assert!(!of_type(&history, "watch").is_empty());
}

#[test]
fn a_fast_watch_is_complete_for_a_hundred_viewers_that_read_now_late_or_never() {
    let (arthas, data) = (RealArthas::start_busy(400), directory());
    let server = serve(data.path(), &arthas);
    let (session, reader) = server.create();
    let readers: Vec<_> = (0..49).map(|_| server.join(&session)).collect();
    let never: Vec<_> = (0..50).map(|_| server.join(&session)).collect();
    // On a machine that is too busy, Arthas itself ends the command, and says so.
    for _ in 0..10 {
        let watch = format!("watch demo.Busy work 'params[0]' -n {CALLS} -x 1");
        let job = server.run(&session, &watch);
        let complete = |consumer: &str| {
            let results = server.pull_until(&session, consumer, is_status_of(job));
            let status = results.iter().rev().find(|it| is_status_of(job)(it));
            (numbers(&results, job), status.cloned().unwrap())
        };
        let seen = std::thread::scope(|scope| {
            let readers: Vec<_> = readers
                .iter()
                .map(|consumer| scope.spawn(|| complete(consumer)))
                .collect();
            let seen = complete(&reader);
            for other in readers {
                assert_eq!(other.join().unwrap(), seen);
            }
            seen
        });
        let late = server.join(&session);
        for consumer in [&never[0], &never[49], &late] {
            assert_eq!(complete(consumer), seen);
        }
        let (seen, status) = seen;
        let message = status["message"].to_string();
        if message.contains("came too fast") || message.contains(REFUSED) {
            continue;
        }
        assert_eq!(status["statusCode"], 0, "{status}");
        assert_eq!(seen.len(), CALLS);
        let is_next = |pair: &[u64]| pair[1] == pair[0] + 1;
        assert!(seen.windows(2).all(is_next), "each call, in order");
        return;
    }
    panic!("Arthas ended the command ten times: the machine is too busy");
}

/// The calls that a job has seen; nothing was lost.
fn numbers(results: &[Value], job: u64) -> Vec<u64> {
    assert!(
        of_type(results, "upstream_gap").is_empty(),
        "nothing was lost"
    );
    let watched = of_type(results, "watch").into_iter();
    let watched = watched.filter(|result| result["jobId"] == job);
    let values = watched.map(|result| text(&result["value"]));
    let numbers = values.map(|value| {
        let number = value.trim_start_matches("@Long[").trim_end_matches(']');
        number.parse().unwrap_or_else(|_| panic!("{value}"))
    });
    numbers.collect()
}

#[test]
fn the_command_line_runs_a_command_of_arthas_and_shows_it_as_arthas_does() {
    let (arthas, data) = (RealArthas::start(), directory());
    let server = serve(data.path(), &arthas);
    let address = format!("http://{}", server.address);
    let run =
        |command: &str| outcome(&["run", "--server", &address, "--service", "orders", command]);
    let watch = format!("{WATCH} -n 1");
    let mut runs = std::iter::repeat_with(|| run(&watch)).take(20);
    let (status, out, err) = runs
        .find(|(_, out, err)| !out.contains(REFUSED) && !err.contains(REFUSED))
        .expect("Arthas does not refuse it twenty times");
    assert!(status.success(), "{err}");
    assert!(
        out.contains("method=demo.MathGame.primeFactors location=AtEx"),
        "{out}"
    );
    assert!(out.contains("result=@ArrayList["), "{out}");
    assert!(
        out.contains("Affect(class count: 1 , method count: 1)"),
        "{out}"
    );
    let (status, _, err) = run("nosuch");
    assert_eq!(status.code(), Some(127), "{err}");
}
