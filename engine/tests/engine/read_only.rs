//! A read-only engine: all of a log can be read, and none of it changes.

use crate::world::{Host, World, config, is_finished};
use rejoin_core::{Event, JobId, JobMode, JobSlot, Outcome, Visibility};
use rejoin_engine::{CommandError, Config, NewJob, NewSession, Projection};
use rejoin_log::segment::{LogId, OpenOptions, Options};
use std::path::Path;
use std::time::Duration;

fn open(host: &Host, directory: &Path) -> World {
    let config = Config {
        read_only: true,
        ..config()
    };
    let opened = OpenOptions::read_only(directory)
        .limits(config.limits)
        .ignore_snapshots()
        .open();
    let (log, projection, _) = opened.unwrap().into_parts();
    World::with(host, config, Box::new(log), projection)
}

/// A log that a crash has left behind while a job was running.
async fn written(host: &Host, directory: &Path) -> rejoin_core::SessionId {
    let options = Options {
        zero_ahead: false,
        ..Options::default()
    };
    let id = LogId::from_bytes([1; 16]);
    let written = tempfile::tempdir().unwrap();
    let (log, _) = OpenOptions::directory(written.path(), id)
        .options(options)
        .open_unfolded()
        .unwrap();
    let world = World::with(
        host,
        config(),
        Box::new(log),
        Projection::new(config().limits),
    );
    let (session, _) = world.create().await;
    let puppet = world.run(session).await;
    puppet.emit("one").await;
    puppet.emit("two").await;
    world.settle().await;
    for file in written.path().read_dir().unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), directory.join(file.file_name())).unwrap();
    }
    world.engine.shut_down(Duration::ZERO).await;
    session
}

pub(crate) async fn whoever_joins_reads_everything_and_nothing_else_is_permitted(world: World) {
    let directory = tempfile::tempdir().unwrap();
    let session = written(&world.host, directory.path()).await;
    let world = open(&world.host, directory.path());
    let engine = &world.engine;

    let consumer = engine.join_session(session).await.unwrap();
    assert_eq!(
        world.pull_results(session, consumer, 2).await,
        ["one", "two"]
    );
    // What ran does not run any more, here.
    let Event::JobFinished { outcome, .. } = world.wait_for(session, is_finished).await.event
    else {
        unreachable!()
    };
    assert_eq!(outcome, Outcome::Lost);

    let mode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    let new = NewSession::default();
    let answers = [
        engine.create_session(new).await.map(drop),
        engine
            .submit_job(NewJob::new(session, "puppet", mode))
            .await
            .map(drop),
        engine.interrupt_job(session, None).await.map(drop),
        engine
            .write_input(session, JobId(1), (*b"x").into(), false)
            .await,
        engine.refuse_statement(session, None, "no".into()).await,
        engine.set_user(session, "somebody".into()).await,
        engine.close_session(session).await,
    ];
    for answer in answers {
        assert!(
            matches!(answer, Err(CommandError::ReadOnly)),
            "{answer:?} is not refused for being read-only"
        );
    }
    engine.leave_session(session, consumer).await.unwrap();
    engine.shut_down(Duration::ZERO).await;
}

pub(crate) async fn no_session_ends_by_itself_and_consumers_expire(world: World) {
    let directory = tempfile::tempdir().unwrap();
    let session = written(&world.host, directory.path()).await;
    let world = open(&world.host, directory.path());
    let consumer = world.engine.join_session(session).await.unwrap();
    world.pass(99).await;
    let view = world.engine.session_view(session).unwrap();
    assert!(view.consumer(consumer).is_some());
    world.pass(1).await;
    let view = world.engine.session_view(session).unwrap();
    assert!(view.consumer(consumer).is_none());
    // The timeout of the session is 1,000 seconds.
    world.pass(100_000).await;
    let view = world.engine.session_view(session).unwrap();
    assert_eq!(view.closed, None);
    let late = world.engine.join_session(session).await.unwrap();
    assert_eq!(world.pull_results(session, late, 2).await, ["one", "two"]);
    world.engine.shut_down(Duration::ZERO).await;
}
