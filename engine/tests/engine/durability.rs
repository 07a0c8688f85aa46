//! Promises 1, 3, 10 and 11.

#![expect(
    clippy::await_holding_lock,
    reason = "the gate of the log is held closed on purpose while futures are polled"
)]

use crate::world::{ALL, FOREGROUND, Gate, GateKeeper, World, config, results};
use futures::future::{join_all, poll_immediate};
use rejoin_core::{Record, Sequence, SessionId, Views};
use rejoin_engine::{CommandError, Config, NewJob, NewSession, Projection, PullError, Unavailable};
use rejoin_log::{AppendError, Log, LogReader, MemoryLog, ReadError, ReadLimit};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn gated(world: &World, config: Config) -> (World, Arc<GateKeeper>) {
    let gate = Arc::new(GateKeeper::default());
    let log = Gate {
        log: MemoryLog::new(),
        gate: gate.clone(),
    };
    let replayed = Projection::new(config.limits);
    (
        World::with(&world.host, config, Box::new(log), replayed),
        gate,
    )
}

pub(crate) async fn nothing_is_visible_before_it_is_durable(world: World) {
    let (world, gate) = gated(&world, config());
    let (session, consumer) = world.create().await;
    {
        let _closed = gate.lock.lock().unwrap();
        let mut accepted = pin!(
            world
                .engine
                .submit_job(NewJob::new(session, "puppet", FOREGROUND))
        );
        // A rejection may also be caused by a record that is not durable yet.
        let mut rejected = pin!(
            world
                .engine
                .submit_job(NewJob::new(session, "puppet", FOREGROUND))
        );
        let mut pull = pin!(world.pull(session, consumer));
        for _ in 0..100 {
            assert!(poll_immediate(&mut accepted).await.is_none());
            assert!(poll_immediate(&mut rejected).await.is_none());
            assert!(poll_immediate(&mut pull).await.is_none());
            assert!(!world.engine.session_view(session).unwrap().is_busy());
            assert!(world.puppets.is_empty(), "no effect");
            std::thread::yield_now();
        }
        drop(_closed);
        accepted.await.unwrap();
        let rejected = rejected.await;
        assert!(
            matches!(rejected, Err(CommandError::Rejected(_))),
            "{rejected:?}"
        );
    }
    world.puppets.recv().await.unwrap().exit(0);
}

pub(crate) async fn commands_that_come_in_during_a_sync_share_the_next(world: World) {
    let (world, gate) = gated(&world, config());
    let (session, _) = world.create().await;
    let joins = (0..100).map(|_| world.engine.join_session(session));
    let closed = gate.lock.lock().unwrap();
    let before = gate.appends.load(Ordering::SeqCst);
    let mut joins = pin!(join_all(joins));
    assert!(poll_immediate(&mut joins).await.is_none());
    drop(closed);
    assert!(joins.await.into_iter().all(|joined| joined.is_ok()));
    let appends = gate.appends.load(Ordering::SeqCst) - before;
    assert!(appends <= 3, "{appends} appends for 100 commands");
}

pub(crate) async fn a_full_queue_answers_overloaded_at_once(world: World) {
    let (world, gate) = gated(
        &world,
        Config {
            queue: 5,
            ..config()
        },
    );
    let (session, _) = world.create().await;
    let closed = gate.lock.lock().unwrap();
    let mut joins: Vec<_> = (0..20)
        .map(|_| Box::pin(world.engine.join_session(session)))
        .collect();
    let mut overloaded = 0;
    for join in &mut joins {
        if let Some(answer) = poll_immediate(join).await {
            assert!(
                matches!(answer, Err(CommandError::Overloaded)),
                "{answer:?}"
            );
            overloaded += 1;
        }
    }
    assert!(overloaded >= 10, "{overloaded} of 20 were refused");
    drop(closed);
}

pub(crate) async fn a_failed_append_ends_the_engine(world: World) {
    let (world, gate) = gated(&world, config());
    let (session, consumer) = world.create().await;
    let puppet = world.run(session).await;
    gate.fails.store(true, Ordering::SeqCst);
    let failed = world.engine.join_session(session).await;
    let Err(CommandError::Unavailable(Unavailable::LogFailed(_))) = failed else {
        panic!("{failed:?}")
    };
    gate.fails.store(false, Ordering::SeqCst);
    let later = world.engine.create_session(NewSession::default()).await;
    assert!(
        matches!(later, Err(CommandError::Unavailable(_))),
        "{later:?}"
    );
    let pull = world.engine.pull(results(session, consumer)).await;
    assert!(pull.is_err(), "{pull:?}");
    assert!(
        puppet.job.interrupts.next().await.is_some(),
        "the running job is interrupted"
    );
    let why = world.engine.ended().await.to_string();
    assert!(why.contains("the disk is gone"), "{why}");
}

pub(crate) async fn who_asks_during_the_last_append_is_answered_too(world: World) {
    let (world, gate) = gated(&world, config());
    let (session, _) = world.create().await;
    gate.fails.store(true, Ordering::SeqCst);
    let closed = gate.lock.lock().unwrap();
    let arrived = gate.arrived.load(Ordering::SeqCst);
    let mut first = pin!(world.engine.join_session(session));
    assert!(poll_immediate(&mut first).await.is_none());
    // The first is in the append when the others arrive.
    while gate.arrived.load(Ordering::SeqCst) == arrived {
        std::thread::yield_now();
    }
    let mut others = pin!(join_all(
        (1..10).map(|_| world.engine.join_session(session))
    ));
    assert!(poll_immediate(&mut others).await.is_none());
    drop(closed);
    let mut all = vec![first.await];
    all.extend(others.await);
    for joined in all {
        assert!(
            matches!(joined, Err(CommandError::Unavailable(_))),
            "{joined:?}"
        );
    }
}

pub(crate) async fn replay_leads_to_the_views_that_readers_saw(world: World) {
    let log = MemoryLog::new();
    let reader = log.reader();
    let replayed = Projection::new(config().limits);
    let world = World::with(&world.host, config(), Box::new(log), replayed);
    let (session, consumer) = world.create().await;
    let (other, _) = world.create().await;
    let talker = world.run(session).await;
    talker.emit("hi").await;
    talker.exit(1);
    let puppet = world.run(other).await;
    puppet.emit("hello").await;
    world.pull(session, consumer).await;
    world.engine.close_session(session).await.unwrap();
    world.pass(30).await;

    let views = world.engine.view(Views::clone);
    let mut records = vec![];
    for session in [session, other] {
        let last = views.session(session).unwrap().last_sequence;
        let read = reader.read(session, Sequence::START, ALL).unwrap();
        records.extend(read.into_iter().filter(|record| record.sequence <= last));
    }
    // Sessions are independent except for their numbers: any merge that keeps those is a log.
    records.sort_by_key(|record| (record.at, record.session, record.sequence));
    let mut replayed = Views::default();
    records.iter().for_each(|record| replayed.apply(record));
    assert_eq!(replayed, views);
    world.engine.shut_down(Duration::ZERO).await;
}

/// A log whose reader leaves out each third record, or whose writer panics.
#[derive(Debug)]
struct Liar {
    log: MemoryLog,
    panics: Arc<AtomicBool>,
}

#[derive(Debug)]
struct LyingReader(Arc<dyn LogReader>);

impl Log for Liar {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        assert!(!self.panics.load(Ordering::SeqCst), "this is the test's");
        self.log.append(records)
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(LyingReader(self.log.reader()))
    }

    fn close(&mut self) -> Result<(), AppendError> {
        self.log.close()
    }
}

impl LogReader for LyingReader {
    fn sessions(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionId> {
        self.0.sessions(after, limit)
    }

    fn read(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        let mut records = self.0.read(session, after, limit)?;
        records.retain(|record| record.sequence.0 % 3 != 0);
        Ok(records)
    }
}

fn lied_to(world: &World) -> (World, Arc<AtomicBool>) {
    // Nothing stays in memory: all is read from the log.
    let config = Config {
        recent_bytes: 0,
        ..config()
    };
    let panics = Arc::new(AtomicBool::new(false));
    let log = Liar {
        log: MemoryLog::new(),
        panics: panics.clone(),
    };
    let replayed = Projection::new(config.limits);
    let world = World::with(&world.host, config, Box::new(log), replayed);
    (world, panics)
}

pub(crate) async fn a_log_that_skips_a_record_is_not_believed(world: World) {
    let (world, _) = lied_to(&world);
    let (session, consumer) = world.create().await;
    let puppet = world.run(session).await;
    puppet.emit("hello").await;
    let pulled = world.engine.pull(results(session, consumer)).await;
    let Err(PullError::Log(error)) = pulled else {
        panic!("{pulled:?}")
    };
    let said = error.to_string();
    assert!(said.contains("sequence 3"), "{said}");
    assert!(said.contains(&session.to_string()), "{said}");
}

pub(crate) async fn a_broken_promise_ends_the_engine(world: World) {
    let (world, panics) = lied_to(&world);
    let (session, _) = world.create().await;
    panics.store(true, Ordering::SeqCst);
    let joined = world.engine.join_session(session).await;
    let Err(CommandError::Unavailable(Unavailable::Broken)) = joined else {
        panic!("{joined:?}")
    };
    assert!(matches!(world.engine.ended().await, Unavailable::Broken));
}
