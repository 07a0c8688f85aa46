//! Restarts: promises 1, 3, 6 and 7 on a durable log.

use crate::world::{Host, World, config, is_finished, is_result};
use futures::future::{join, poll_immediate};
use rejoin_core::{Event, InterruptCause, Outcome};
use rejoin_engine::Unavailable;
use rejoin_log::segment::{LogId, OpenOptions, Options};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use tempfile::TempDir;

fn open(host: &Host, directory: &Path) -> World {
    let options = Options {
        zero_ahead: false,
        ..Options::default()
    };
    let opened = OpenOptions::directory(directory, LogId::from_bytes([1; 16]))
        .options(options)
        .limits(config().limits)
        .ignore_snapshots()
        .open();
    let (log, projection, _) = opened.unwrap().into_parts();
    World::with(host, config(), Box::new(log), projection)
}

/// Like [`open`], with a wall clock that shows `day`, in milliseconds.
fn open_at(host: &Host, directory: &Path, day: u64) -> World {
    let opened = OpenOptions::directory(directory, LogId::from_bytes([1; 16]))
        .options(Options {
            zero_ahead: false,
            ..Options::default()
        })
        .limits(config().limits)
        .open();
    let (log, projection, _) = opened.unwrap().into_parts();
    World::beginning(host, config(), Box::new(log), projection, day)
}

/// A copy of the directory, as a crash at this moment would leave it.
async fn crash(world: World, directory: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(directory).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    world.engine.shut_down(Duration::ZERO).await;
    copy
}

pub(crate) async fn what_ran_is_lost_and_the_rest_is_there(world: World) {
    let directory = tempfile::tempdir().unwrap();
    let host = world.host;
    let world = open(&host, directory.path());
    let (session, consumer) = world.create().await;
    let puppet = world.run(session).await;
    puppet.emit("before").await;
    world.wait_for(session, is_result).await;
    let before = world.engine.session_view(session).unwrap();
    let crashed = crash(world, directory.path()).await;

    let world = open(&host, crashed.path());
    let view = world.engine.session_view(session).unwrap();
    assert_eq!((view.number, view.created), (before.number, before.created));
    assert!(view.consumer(consumer).is_some() && !view.is_busy());
    let finished = world.wait_for(session, is_finished).await;
    let Event::JobFinished { outcome, .. } = finished.event else {
        unreachable!()
    };
    assert_eq!(outcome, Outcome::Lost);
    assert_eq!(world.pull_results(session, consumer, 1).await, ["before"]);
    // Numbers go on.
    let next = world.submit(session, "puppet").await;
    assert_eq!(next.job.0, 2);
    let (other, _) = world.create().await;
    assert_eq!(world.engine.session_view(other).unwrap().number.0, 2);
    world.puppets.recv().await.unwrap().exit(0);
    world.engine.shut_down(Duration::ZERO).await;
}

pub(crate) async fn cursors_go_on_where_they_were_after_a_clean_end(world: World) {
    let directory = tempfile::tempdir().unwrap();
    let host = world.host;
    let world = open(&host, directory.path());
    let (session, consumer) = world.create().await;
    let puppet = world.run(session).await;
    puppet.emit("one").await;
    assert_eq!(world.pull_results(session, consumer, 1).await, ["one"]);
    puppet.emit("two").await;
    puppet.exit(0);
    world.wait_for(session, is_finished).await;
    world.engine.shut_down(Duration::ZERO).await;
    drop(world);

    let world = open(&host, directory.path());
    assert_eq!(world.pull_results(session, consumer, 1).await, ["two"]);
    world.engine.shut_down(Duration::ZERO).await;
}

pub(crate) async fn after_a_crash_a_consumer_sees_a_batch_twice_but_misses_none(world: World) {
    let directory = tempfile::tempdir().unwrap();
    let host = world.host;
    let world = open(&host, directory.path());
    let (session, consumer) = world.create().await;
    let puppet = world.run(session).await;
    puppet.emit("one").await;
    assert_eq!(world.pull_results(session, consumer, 1).await, ["one"]);
    // The cursor is logged one tick later.
    world.pass(2).await;
    let advanced =
        |record: &rejoin_core::Record| matches!(record.event, Event::CursorAdvanced { .. });
    world.wait_for(session, advanced).await;
    puppet.emit("two").await;
    assert_eq!(world.pull_results(session, consumer, 1).await, ["two"]);
    let crashed = crash(world, directory.path()).await;

    let world = open(&host, crashed.path());
    assert_eq!(world.pull_results(session, consumer, 1).await, ["two"]);
    world.engine.shut_down(Duration::ZERO).await;
}

pub(crate) async fn a_shutdown_interrupts_what_runs_and_waits_for_it(world: World) {
    let (session, consumer) = world.create().await;
    let puppet = world.run(session).await;
    let mut pull = pin!(world.pull(session, consumer));
    assert!(poll_immediate(&mut pull).await.is_none());
    let end = async {
        assert_eq!(
            puppet.job.interrupts.next().await,
            Some(InterruptCause::Shutdown)
        );
        puppet.emit("last words").await;
        puppet.exit(0);
    };
    let shut_down = world.engine.shut_down(Duration::from_secs(3_600));
    let (why, ()) = join(shut_down, end).await;
    assert!(matches!(why, Unavailable::ShuttingDown), "{why:?}");
    let view = world.engine.session_view(session).unwrap();
    assert!(
        !view.is_busy() && view.closed.is_none(),
        "the session stays open"
    );
    pull.await;
}

pub(crate) async fn a_job_that_does_not_end_is_lost_and_said_so(world: World) {
    let directory = tempfile::tempdir().unwrap();
    let host = world.host;
    let world = open(&host, directory.path());
    let (session, _) = world.create().await;
    let _stubborn = world.run(session).await;
    world.engine.shut_down(Duration::ZERO).await;
    drop(world);
    let world = open(&host, directory.path());
    let finished = world.wait_for(session, is_finished).await;
    let Event::JobFinished { outcome, .. } = finished.event else {
        unreachable!()
    };
    assert_eq!(outcome, Outcome::Lost);
    world.engine.shut_down(Duration::ZERO).await;
}

pub(crate) async fn a_start_with_a_clock_35_days_ahead_holds_up_no_timeout_of_the_next(
    world: World,
) {
    let directory = tempfile::tempdir().unwrap();
    let host = world.host;
    let (right, days) = (1_700_000_000_000, 35 * 24 * 3_600 * 1_000);
    let world = open_at(&host, directory.path(), right);
    let (old, _) = world.create().await;
    world.engine.shut_down(Duration::ZERO).await;
    drop(world);
    let world = open_at(&host, directory.path(), right + days);
    assert!(world.engine.session_view(old).unwrap().closed.is_none());
    let (session, consumer) = world.create().await;
    let ahead = world.clock.now();
    world.engine.shut_down(Duration::ZERO).await;
    drop(world);

    let world = open_at(&host, directory.path(), right + 60_000);
    let stats = world.engine.stats();
    assert_eq!(stats.clock_jumps, 1);
    assert_eq!(stats.clock_behind, Duration::from_millis(days - 60_000));
    let puppet = world.run(old).await;
    puppet.job.reporter.started().await.unwrap();
    let is_here = || {
        let view = world.engine.session_view(session).unwrap();
        view.consumer(consumer).is_some()
    };
    world.pass(99).await;
    assert!(is_here());
    world.pass(1).await;
    assert!(!is_here());
    world.pass(899).await;
    let is_open = || world.engine.session_view(session).unwrap().closed.is_none();
    assert!(is_open());
    world.pass(1).await;
    assert!(!is_open());
    world.pass(3_999).await;
    assert!(puppet.job.interrupts.try_next().is_none());
    world.pass(1).await;
    let interrupt = puppet.job.interrupts.next().await;
    assert_eq!(interrupt, Some(InterruptCause::Timeout));
    puppet.exit(0);
    let finished = world.wait_for(old, is_finished).await;
    assert_eq!(finished.at, ahead);
    world.clock.advance(Duration::from_millis(days));
    world.settle().await;
    let (late, _) = world.create().await;
    let shown = world.engine.session_view(late).unwrap().created.at;
    assert_eq!(shown, world.clock.now());
    world.engine.shut_down(Duration::ZERO).await;
}
