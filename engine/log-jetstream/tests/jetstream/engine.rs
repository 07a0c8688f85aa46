//! The engine on a log that three servers keep.

use crate::servers::{ServerOptions, Servers};
use crate::{StreamedLog, connect, options};
use futures::StreamExt;
use rejoin_core::Limits;
use rejoin_engine::{Engine, Event, Sequence, Session, ShellRunner, Unavailable};
use rejoin_log::Log;
use rejoin_log::segment::{Durability, OpenOptions, Opened, Options};
use rejoin_log_jetstream::JetStreamSettings;
use std::path::Path;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(5);

async fn open(settings: &JetStreamSettings, directory: &Path, node: &str, take: bool) -> Engine {
    let connection = connect(settings, false).unwrap();
    let log = connection.log();
    let flush = Options {
        durability: Durability::Flush,
        ..Options::default()
    };
    let files = directory.join("log");
    std::fs::create_dir_all(&files).unwrap();
    let copy = OpenOptions::directory(files, log)
        .options(flush)
        .limits(Limits::DEFAULT)
        .open();
    let opened: Opened<StreamedLog> = options(node, log, take)
        .open(connection, copy.unwrap())
        .unwrap();
    let engine = Engine::on_log(move || Ok(opened.map_log(|log| Box::new(log) as Box<dyn Log>)));
    let runners = directory.join("runners");
    std::fs::create_dir_all(&runners).unwrap();
    let engine = engine
        .runner_directory(runners)
        .service("shell", ShellRunner::default());
    engine.open().await.unwrap()
}

/// What the jobs of a session have printed, up to the end of a job.
async fn printed(session: &Session, last: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut events = session.events_after(Sequence::START);
    while let Some(record) = events.next().await {
        match &record.unwrap().event {
            Event::ResultEmitted { result, .. } => lines.push(result.to_string()),
            Event::JobFinished { job, .. } if job.0 == last => break,
            _ => {}
        }
    }
    lines
}

#[test]
fn the_sessions_of_a_node_that_is_away_go_on_at_another_with_all_that_was_acknowledged() {
    let servers = Servers::start(3, ServerOptions::USUAL);
    let settings = servers.settings("engine");
    let directory = tempfile::tempdir().unwrap();
    smol::block_on(async {
        let first = open(&settings, &directory.path().join("1"), "n1", false).await;
        let session = first.create_session("shell").await.unwrap();
        let id = session.id();
        session.run("echo one").await.unwrap();
        let before = printed(&session, 1).await;
        assert!(before.iter().any(|line| line.contains("one")), "{before:?}");

        // Another node takes the log. The first one sleeps, and does not know.
        let second = open(&settings, &directory.path().join("2"), "n2", true).await;
        let there = second.session(id).unwrap();
        assert_eq!(printed(&there, 1).await, before);
        there.run("echo two").await.unwrap();
        let after = printed(&there, 2).await;
        assert!(after.starts_with(&before), "{after:?}");
        assert!(after.iter().any(|line| line.contains("two")), "{after:?}");

        // It wakes: its first command has no effect, and it ends.
        session.run("echo three").await.unwrap_err();
        let ended = first.ended().await;
        assert!(matches!(ended, Unavailable::LogFailed(_)), "{ended}");
        let said = ended.to_string();
        assert!(said.contains("another node writes this log"), "{said}");

        second.shut_down(GRACE).await;
        // Let go: a third node opens it without being asked to.
        let third = open(&settings, &directory.path().join("3"), "n3", false).await;
        let there = third.session(id).unwrap();
        assert_eq!(printed(&there, 2).await, after);
        third.shut_down(GRACE).await;
    });
}
