//! The runner in a real engine, before an Arthas that fails in every way.

#![expect(clippy::disallowed_methods, reason = "real requests, in real time")]

mod fake_arthas;

use fake_arthas::FakeArthas;
use futures::StreamExt;
use rejoin_engine::{
    Engine, Event, JobMode, JobSlot, NewJob, Outcome, Sequence, Session, SessionId, Visibility,
};
use rejoin_runner_arthas::{ArthasCredentials, ArthasOptions, ArthasRunner};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// How a job ended.
#[derive(Debug)]
struct JobEnd {
    outcome: Outcome,
    status: i32,
    message: String,
    results: Vec<Value>,
}

async fn engine(options: ArthasOptions, directory: Option<&Path>) -> Engine {
    let builder = Engine::in_memory().service("orders", ArthasRunner::new(options));
    let builder = match directory {
        Some(directory) => builder.runner_directory(directory),
        None => builder,
    };
    builder.open().await.unwrap()
}

fn options(arthas: &FakeArthas) -> ArthasOptions {
    let mut options = ArthasOptions::new(arthas.url()).unwrap();
    options.timeout = Duration::from_millis(500);
    options
}

async fn session(arthas: &FakeArthas) -> (Engine, Session) {
    let engine = engine(options(arthas), None).await;
    let session = engine.create_session("orders").await.unwrap();
    (engine, session)
}

async fn run_in_background(engine: &Engine, session: SessionId, statement: &str) {
    let mode = JobMode {
        slot: JobSlot::Background,
        visibility: Visibility::Session,
    };
    let job = NewJob::new(session, statement, mode);
    engine.submit_job(job).await.unwrap();
}

/// Waits for the next job to end that has not ended after a sequence.
async fn end(session: &Session, after: &mut Sequence) -> JobEnd {
    let mut events = session.events_after(*after);
    let mut results = Vec::new();
    while let Some(record) = events.next().await {
        let record = record.unwrap();
        *after = record.sequence;
        match &record.event {
            Event::ResultEmitted { result, .. } => {
                results.push(serde_json::from_str(result).unwrap());
            }
            Event::JobFinished {
                outcome,
                status,
                message,
                ..
            } => {
                return JobEnd {
                    outcome: *outcome,
                    status: *status,
                    message: message.as_deref().unwrap_or_default().to_owned(),
                    results,
                };
            }
            _ => {}
        }
    }
    panic!("the session ended without a job");
}

fn watch(job: u64, value: u64) -> Value {
    json!({"type": "watch", "jobId": job, "value": value})
}

fn status(job: u64, code: i32) -> Value {
    json!({"type": "status", "jobId": job, "statusCode": code})
}

fn is_running(arthas: &FakeArthas) {
    arthas.wait_until("the command is pulled", |state| {
        let last = state.requests.last();
        last.is_some_and(|request| request["action"] == "pull_results")
    });
}

#[test]
fn commands_of_a_session_share_a_session_in_arthas_and_get_its_results() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let (_engine, session) = session(&arthas).await;
        let mut after = Sequence::START;
        session.run("watch A b").await.unwrap();
        is_running(&arthas);
        arthas.emit([watch(1, 10), watch(1, 11), status(1, 0)]);
        let first = end(&session, &mut after).await;
        assert_eq!(first.outcome, Outcome::Completed, "{first:?}");
        assert!(
            first.results[0]["message"]
                .as_str()
                .unwrap()
                .contains("20000 results")
        );
        let own = json!({"type": "watch", "jobId": 1, "upstreamJobId": 1, "value": 10});
        assert_eq!(first.results[1], own);
        assert_eq!(first.results.len(), 3);

        // What Rejoin itself answers elsewhere reaches Arthas.
        session.run("help").await.unwrap();
        arthas.wait_until("help runs", |state| {
            state
                .requests
                .iter()
                .any(|request| request["command"] == "help")
        });
        arthas.emit([
            json!({"type": "help", "jobId": 2, "arguments": []}),
            status(2, 0),
        ]);
        let second = end(&session, &mut after).await;
        assert_eq!(second.results[0]["arguments"], json!([]));
        let made = arthas
            .actions()
            .iter()
            .filter(|action| *action == "init_session")
            .count();
        assert_eq!(made, 1);

        session.close().await.unwrap();
        arthas.wait_until("the session is closed", |state| state.sessions.is_empty());
    });
}

#[test]
fn a_command_in_the_background_has_a_session_of_its_own_that_ends_with_it() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let (engine, session) = session(&arthas).await;
        run_in_background(&engine, session.id(), "watch A b &").await;
        is_running(&arthas);
        let start = arthas
            .state()
            .requests
            .iter()
            .find(|it| it["action"] == "async_exec")
            .cloned();
        assert_eq!(start.unwrap()["command"], "watch A b");
        arthas.emit([status(1, 0)]);
        assert_eq!(
            end(&session, &mut { Sequence::START }).await.outcome,
            Outcome::Completed
        );
        arthas.wait_until("the session is closed", |state| state.sessions.is_empty());
    });
}

#[test]
fn an_interrupt_reaches_arthas_and_the_session_goes_on() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let (_engine, session) = session(&arthas).await;
        let mut after = Sequence::START;
        let job = session.run("watch A b").await.unwrap();
        is_running(&arthas);
        session.interrupt(Some(job.job)).await.unwrap();
        assert_eq!(
            end(&session, &mut after).await.outcome,
            Outcome::Interrupted
        );
        assert_eq!(arthas.state().sessions.len(), 1, "the session is kept");
        session.run("nosuch").await.unwrap();
        let unknown = end(&session, &mut after).await;
        assert_eq!(
            (unknown.status, unknown.message.as_str()),
            (127, "nosuch: command not found")
        );
    });
}

#[test]
fn an_interrupt_that_arthas_ignores_ends_the_command_within_three_seconds() {
    for hangs in [false, true] {
        smol::block_on(async {
            let arthas = FakeArthas::start();
            let (_engine, session) = session(&arthas).await;
            let mut after = Sequence::START;
            let job = session.run("watch A b").await.unwrap();
            is_running(&arthas);
            arthas.state().ignores_interrupts = true;
            arthas.state().hangs = hangs;
            let asked = Instant::now();
            session.interrupt(Some(job.job)).await.unwrap();
            let ended = end(&session, &mut after).await;
            assert_eq!(ended.outcome, Outcome::Interrupted);
            assert!(
                asked.elapsed() < Duration::from_secs(3),
                "{:?}",
                asked.elapsed()
            );
            // And the next command has a new session.
            arthas.state().hangs = false;
            session.run("nosuch").await.unwrap();
            assert_eq!(end(&session, &mut after).await.status, 127);
        });
    }
}

#[test]
fn an_arthas_that_stops_answering_fails_the_command_and_runs_the_next() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let (_engine, session) = session(&arthas).await;
        let mut after = Sequence::START;
        session.run("watch A b").await.unwrap();
        is_running(&arthas);
        arthas.state().hangs = true;
        let lost = end(&session, &mut after).await;
        assert_eq!((lost.outcome, lost.status), (Outcome::Failed, 1));
        assert!(
            lost.message.contains("did not answer in time"),
            "{}",
            lost.message
        );
        arthas.state().hangs = false;
        session.run("nosuch").await.unwrap();
        assert_eq!(end(&session, &mut after).await.status, 127);
    });
}

#[test]
fn a_jvm_that_ends_fails_the_command_and_one_that_comes_back_runs_the_next() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let address = arthas.address();
        let (_engine, session) = session(&arthas).await;
        let mut after = Sequence::START;
        session.run("watch A b").await.unwrap();
        is_running(&arthas);
        drop(arthas);
        let lost = end(&session, &mut after).await;
        assert_eq!((lost.outcome, lost.status), (Outcome::Failed, 1));
        assert!(
            lost.message.contains("lost the command"),
            "{}",
            lost.message
        );
        session.run("watch A b").await.unwrap();
        let refused = end(&session, &mut after).await;
        assert!(
            refused.message.contains("can't be reached"),
            "{}",
            refused.message
        );

        let arthas = FakeArthas::start_at(address);
        session.run("nosuch").await.unwrap();
        assert_eq!(end(&session, &mut after).await.status, 127);
        drop(arthas);
    });
}

#[test]
fn a_session_that_arthas_has_forgotten_is_made_again_and_the_command_runs_once() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let (_engine, session) = session(&arthas).await;
        let mut after = Sequence::START;
        session.run("nosuch").await.unwrap();
        end(&session, &mut after).await;
        arthas.state().sessions.clear();
        session.run("watch A b").await.unwrap();
        is_running(&arthas);
        arthas.emit([watch(1, 1), status(1, 0)]);
        let ended = end(&session, &mut after).await;
        assert_eq!(ended.outcome, Outcome::Completed);
        assert_eq!(ended.results.last().unwrap()["value"], 1);
    });
}

#[test]
fn a_session_that_is_closed_in_mid_command_fails_it() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let (_engine, session) = session(&arthas).await;
        session.run("watch A b").await.unwrap();
        is_running(&arthas);
        arthas.state().sessions.clear();
        let ended = end(&session, &mut { Sequence::START }).await;
        assert_eq!(ended.outcome, Outcome::Failed);
        assert!(
            ended.message.contains("session not found"),
            "{}",
            ended.message
        );
    });
}

#[test]
fn what_answers_instead_of_arthas_is_named() {
    for (status, body, part) in [
        (401, "", "refuses the user or the password"),
        (200, "<html>", "not Arthas' HTTP API"),
        (200, "{}", "not Arthas' HTTP API"),
        (200, r#"{"state":"SUCCEEDED"}"#, "it made no session"),
        (502, "bad gateway", "HTTP status 502"),
    ] {
        smol::block_on(async {
            let arthas = FakeArthas::start();
            arthas.state().instead = Some((status, body));
            let (_engine, session) = session(&arthas).await;
            session.run("watch A b").await.unwrap();
            let ended = end(&session, &mut { Sequence::START }).await;
            assert_eq!((ended.outcome, ended.status), (Outcome::Failed, 1));
            assert!(ended.message.contains(part), "{}", ended.message);
        });
    }
}

#[test]
fn the_user_and_the_password_are_sent_and_never_shown() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let mut options = options(&arthas);
        options.credentials = Some(ArthasCredentials {
            user: "arthas".into(),
            password: "geheim".into(),
        });
        let runner = ArthasRunner::new(options.clone());
        assert!(!format!("{runner:?} {options:?}").contains("geheim"));
        let engine = engine(options, None).await;
        let session = engine.create_session("orders").await.unwrap();
        session.run("nosuch").await.unwrap();
        end(&session, &mut { Sequence::START }).await;
        let sent = arthas.state().authorization.clone();
        assert_eq!(sent.as_deref(), Some("Basic YXJ0aGFzOmdlaGVpbQ=="));
    });
}

#[test]
fn a_command_that_would_end_arthas_reaches_it_only_where_that_is_allowed() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let (_engine, session) = session(&arthas).await;
        session.run("stop").await.unwrap();
        let refused = end(&session, &mut { Sequence::START }).await;
        assert_eq!(refused.status, 126);
        assert!(
            refused.message.contains("allow-stop"),
            "{}",
            refused.message
        );
        assert_eq!(arthas.actions(), Vec::<String>::new());

        let mut options = options(&arthas);
        options.allow_stop = true;
        let engine = engine(options, None).await;
        let session = engine.create_session("orders").await.unwrap();
        session.run("stop").await.unwrap();
        is_running(&arthas);
        arthas.emit([status(1, 0)]);
        assert_eq!(
            end(&session, &mut { Sequence::START }).await.outcome,
            Outcome::Completed
        );
    });
}

#[test]
fn more_commands_than_allowed_are_refused_and_the_others_go_on() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let mut options = options(&arthas);
        options.jobs = 1;
        let engine = engine(options, None).await;
        let session = engine.create_session("orders").await.unwrap();
        session.run("watch A b").await.unwrap();
        is_running(&arthas);
        let other = engine.create_session("orders").await.unwrap();
        other.run("watch A b").await.unwrap();
        let refused = end(&other, &mut { Sequence::START }).await;
        assert_eq!(refused.status, 126);
        assert!(
            refused.message.contains("1 commands run"),
            "{}",
            refused.message
        );
        arthas.emit([status(1, 0)]);
        assert_eq!(
            end(&session, &mut { Sequence::START }).await.outcome,
            Outcome::Completed
        );
    });
}

#[test]
fn what_a_crash_left_open_in_arthas_is_closed_at_the_next_start() {
    smol::block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let arthas = FakeArthas::start();
        let crashed = engine(options(&arthas), Some(directory.path())).await;
        let session = crashed.create_session("orders").await.unwrap();
        session.run("watch A b").await.unwrap();
        is_running(&arthas);
        // The process ends here: nothing is sent to Arthas.
        std::mem::forget(crashed);
        let _next = engine(options(&arthas), Some(directory.path())).await;
        arthas.wait_until("the session is closed", |state| state.sessions.is_empty());
    });
}

#[test]
fn without_a_directory_no_command_outlives_the_engine() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let (engine, session) = session(&arthas).await;
        session.run("watch A b").await.unwrap();
        is_running(&arthas);
        engine.shut_down_and_keep_jobs().await;
        drop((engine, session));
        arthas.wait_until("the session is closed", |state| state.sessions.is_empty());
    });
}

#[test]
fn closing_a_session_ends_its_command_in_arthas() {
    smol::block_on(async {
        let arthas = FakeArthas::start();
        let (_engine, session) = session(&arthas).await;
        session.run("watch A b").await.unwrap();
        is_running(&arthas);
        session.close().await.unwrap();
        arthas.wait_until("the session is closed", |state| state.sessions.is_empty());
    });
}
