//! Promises 2 and 4: all readers get all records in one order, and no reader delays others.

use crate::world::{ALL, World, config, content, is_finished, is_result, results};
use futures::future::{join, join_all, poll_immediate};
use rejoin_core::{ConsumerId, Sequence, SessionId};
use rejoin_engine::{Config, Gather, Projection, Pull, PullError};
use rejoin_log::{MemoryLog, ReadLimit};
use std::pin::pin;
use std::time::Duration;

pub(crate) async fn a_waiting_pull_is_woken_by_the_record_that_it_waits_for(world: World) {
    let (session, consumer) = world.create().await;
    let job = world.run(session).await;
    let mut pull = pin!(world.pull(session, consumer));
    assert!(
        poll_immediate(&mut pull).await.is_none(),
        "there is nothing yet"
    );
    // The clock does not move: only the record can cause an answer.
    let (pulled, ()) = join(pull, job.emit("hello")).await;
    assert_eq!(
        pulled.records.iter().map(content).collect::<Vec<_>>(),
        ["hello"]
    );
}

pub(crate) async fn a_pull_with_nothing_to_tell_waits_as_long_as_it_was_asked_to(world: World) {
    let (session, consumer) = world.create().await;
    let mut pull = pin!(world.pull(session, consumer));
    assert!(poll_immediate(&mut pull).await.is_none());
    world.clock.advance(Duration::from_millis(1_999));
    assert!(poll_immediate(&mut pull).await.is_none());
    world.clock.advance(Duration::from_millis(1));
    assert!(pull.await.records.is_empty());
}

pub(crate) async fn a_second_pull_at_once_waits_for_its_turn_and_then_answers_with_nothing(
    world: World,
) {
    let (session, consumer) = world.create().await;
    let job = world.run(session).await;
    let mut first = pin!(world.pull(session, consumer));
    assert!(poll_immediate(&mut first).await.is_none());
    let mut second = pin!(world.pull(session, consumer));
    assert!(poll_immediate(&mut second).await.is_none());
    world.clock.advance(Duration::from_millis(499));
    assert!(poll_immediate(&mut second).await.is_none());
    world.clock.advance(Duration::from_millis(1));
    assert!(second.await.records.is_empty());
    let (first, ()) = join(first, job.emit("for the first")).await;
    assert_eq!(first.records.len(), 1);
}

pub(crate) async fn a_pull_that_is_dropped_takes_nothing_away(world: World) {
    let (session, consumer) = world.create().await;
    let job = world.run(session).await;
    {
        let mut pull = pin!(world.pull(session, consumer));
        assert!(poll_immediate(&mut pull).await.is_none());
    }
    job.emit("still there").await;
    assert_eq!(
        world.pull_results(session, consumer, 1).await,
        ["still there"]
    );
}

/// A pull that waits for two seconds and gathers for a quarter of a second, ten results at most.
fn gathering(session: SessionId, consumer: ConsumerId) -> Pull {
    Pull {
        select: |record| is_result(record) || is_finished(record),
        gather: Some(Gather {
            quiet: Duration::from_millis(250),
            records: 10,
            until: is_finished,
        }),
        ..results(session, consumer)
    }
}

pub(crate) async fn a_pull_that_gathers_answers_when_nothing_more_comes(world: World) {
    let (session, consumer) = world.create().await;
    let job = world.run(session).await;
    let mut pull = pin!(world.engine.pull(gathering(session, consumer)));
    assert!(poll_immediate(&mut pull).await.is_none());
    for said in ["one", "two", "three"] {
        job.emit(said).await;
        world.settle().await;
        assert!(poll_immediate(&mut pull).await.is_none(), "{said}");
        world.clock.advance(Duration::from_millis(249));
        assert!(poll_immediate(&mut pull).await.is_none(), "{said}");
    }
    world.clock.advance(Duration::from_millis(1));
    let pulled = pull.await.unwrap();
    let said: Vec<_> = pulled.records.iter().map(content).collect();
    assert_eq!(said, ["one", "two", "three"]);
    job.emit("four").await;
    let next = results(session, consumer);
    let next = world.engine.pull(next).await.unwrap();
    assert_eq!(content(&next.records[0]), "four");
}

pub(crate) async fn a_pull_that_gathers_answers_at_once_with_what_ends_it(world: World) {
    let (session, consumer) = world.create().await;
    let job = world.run(session).await;
    let mut pull = pin!(world.engine.pull(gathering(session, consumer)));
    assert!(poll_immediate(&mut pull).await.is_none());
    job.emit("said").await;
    world.settle().await;
    assert!(poll_immediate(&mut pull).await.is_none());
    // The clock does not move.
    job.exit(0);
    assert_eq!(pull.await.unwrap().records.len(), 2);

    for end in ["close the session", "close the engine"] {
        let (session, consumer) = world.create().await;
        let job = world.run(session).await;
        job.emit("said").await;
        let record = world.wait_for(session, is_result).await;
        let mut pull = pin!(world.engine.pull(gathering(session, consumer)));
        assert!(poll_immediate(&mut pull).await.is_none());
        match end {
            "close the session" => world.engine.close_session(session).await.unwrap(),
            _ => world.engine.begin_closing(),
        }
        assert_eq!(pull.await.unwrap().records[0], record, "{end}");
    }
}

pub(crate) async fn a_pull_that_gathers_answers_in_time_and_within_its_limits(world: World) {
    let (session, consumer) = world.create().await;
    let job = world.run(session).await;
    let mut pull = pin!(world.engine.pull(gathering(session, consumer)));
    for _ in 0..9 {
        job.emit("slow").await;
        world.settle().await;
        assert!(poll_immediate(&mut pull).await.is_none());
        world.clock.advance(Duration::from_millis(200));
    }
    // Its two seconds are over, although results keep coming.
    world.clock.advance(Duration::from_millis(200));
    assert_eq!(pull.await.unwrap().records.len(), 9);

    let mut pull = pin!(world.engine.pull(gathering(session, consumer)));
    assert!(poll_immediate(&mut pull).await.is_none());
    for number in 0..10 {
        assert!(poll_immediate(&mut pull).await.is_none(), "{number}");
        job.emit("quick").await;
        world.settle().await;
    }
    assert_eq!(pull.await.unwrap().records.len(), 10);

    let two = ReadLimit {
        records: 2,
        bytes: usize::MAX,
    };
    let bytes = ReadLimit {
        records: usize::MAX,
        bytes: 2,
    };
    for (limit, count) in [(two, 2), (bytes, 1)] {
        let mut pull = pin!(world.engine.pull(Pull {
            limit,
            ..gathering(session, consumer)
        }));
        for _ in 0..count {
            assert!(poll_immediate(&mut pull).await.is_none());
            job.emit("one").await;
            world.settle().await;
        }
        assert_eq!(pull.await.unwrap().records.len(), count, "{limit:?}");
    }
}

pub(crate) async fn a_gathering_pull_that_is_dropped_takes_nothing_away(world: World) {
    let (session, consumer) = world.create().await;
    let job = world.run(session).await;
    {
        let mut pull = pin!(world.engine.pull(gathering(session, consumer)));
        assert!(poll_immediate(&mut pull).await.is_none());
        job.emit("one").await;
        world.settle().await;
        assert!(poll_immediate(&mut pull).await.is_none());
        job.emit("two").await;
        world.settle().await;
        assert!(poll_immediate(&mut pull).await.is_none());
    }
    assert_eq!(
        world.pull_results(session, consumer, 2).await,
        ["one", "two"]
    );
}

pub(crate) async fn everybody_reads_the_same_early_late_and_slowly(world: World) {
    // Little memory, so that nearly all records have to be read from the log.
    let config = Config {
        recent_bytes: 20_000,
        ..config()
    };
    let replayed = Projection::new(config.limits);
    let world = World::with(&world.host, config, Box::new(MemoryLog::new()), replayed);
    let (session, early) = world.create().await;
    let slow = world.engine.join_session(session).await.unwrap();
    let absent = world.engine.join_session(session).await.unwrap();
    let job = world.run(session).await;

    let said: Vec<_> = (0..1_000)
        .map(|line| format!("line {line} {}", "x".repeat(200)))
        .collect();
    let say = async {
        for line in &said {
            job.emit(line).await;
        }
    };
    let read = |consumer, limit| read_all(&world, session, consumer, limit, said.len());
    let one = ReadLimit {
        records: 1,
        bytes: 1,
    };
    let few = ReadLimit {
        records: 7,
        bytes: 1_000,
    };
    let ((), (early, slow)) = join(say, join(read(early, few), read(slow, one))).await;
    let late = world.engine.join_session(session).await.unwrap();
    let others = join_all([read(late, ALL), read(absent, few)]).await;
    assert_eq!(early, said);
    assert_eq!(slow, said);
    assert_eq!(others, [said.clone(), said]);
}

async fn read_all(
    world: &World,
    session: SessionId,
    consumer: ConsumerId,
    limit: ReadLimit,
    count: usize,
) -> Vec<String> {
    let mut contents = vec![];
    while contents.len() < count {
        let pull = Pull {
            limit,
            ..results(session, consumer)
        };
        let pulled = world.engine.pull(pull).await.unwrap();
        contents.extend(pulled.records.iter().map(content));
    }
    contents
}

pub(crate) async fn an_open_pull_ends_when_the_session_is_closed(world: World) {
    let (session, consumer) = world.create().await;
    let mut pull = pin!(world.pull(session, consumer));
    assert!(poll_immediate(&mut pull).await.is_none());
    let (pulled, closed) = join(pull, world.engine.close_session(session)).await;
    closed.unwrap();
    assert!(pulled.records.is_empty());
    let again = world.engine.pull(results(session, consumer)).await;
    assert!(
        matches!(again, Err(PullError::SessionNotFound)),
        "{again:?}"
    );
}

pub(crate) async fn open_pulls_are_answered_when_the_engine_begins_to_close(world: World) {
    let (session, consumer) = world.create().await;
    let mut pull = pin!(world.pull(session, consumer));
    assert!(poll_immediate(&mut pull).await.is_none());
    world.engine.begin_closing();
    assert!(pull.await.records.is_empty());
}

pub(crate) async fn a_consumer_that_has_not_joined_gets_an_error(world: World) {
    let (session, consumer) = world.create().await;
    let stranger = ConsumerId {
        ordinal: 2,
        ..consumer
    };
    let unknown = world.engine.pull(results(session, stranger)).await;
    assert!(
        matches!(unknown, Err(PullError::ConsumerNotFound)),
        "{unknown:?}"
    );
    let nowhere = SessionId::from_bytes([9; 16]);
    let unknown = world.engine.pull(results(nowhere, consumer)).await;
    assert!(
        matches!(unknown, Err(PullError::SessionNotFound)),
        "{unknown:?}"
    );
    world.engine.leave_session(session, consumer).await.unwrap();
    let gone = world.engine.pull(results(session, consumer)).await;
    assert!(matches!(gone, Err(PullError::ConsumerNotFound)), "{gone:?}");
}

pub(crate) async fn a_reader_names_its_own_sequence_and_waits_for_the_next(world: World) {
    let (session, _) = world.create().await;
    let job = world.run(session).await;
    job.emit("one").await;
    let one = world.wait_for(session, is_result).await;
    let wait = Duration::from_secs(60);
    let (next, ()) = join(
        world.engine.read(session, one.sequence, ALL, wait),
        job.emit("two"),
    )
    .await;
    let next = next.unwrap();
    assert_eq!(next[0].sequence, one.sequence.next());
    let again = world
        .engine
        .read(session, one.sequence, ALL, wait)
        .await
        .unwrap();
    assert_eq!(next[0], again[0], "the same record at each read");
    let all = world
        .engine
        .read(session, Sequence::START, ALL, wait)
        .await
        .unwrap();
    let sequences: Vec<_> = all.iter().map(|record| record.sequence.0).collect();
    assert_eq!(
        sequences,
        (1..=all.len() as u64).collect::<Vec<_>>(),
        "no gaps"
    );
}

pub(crate) async fn a_reader_in_a_hurry_gets_what_is_in_the_log_alone(world: World) {
    let config = Config {
        recent_bytes: 0,
        ..config()
    };
    let (log, replayed) = (Box::new(MemoryLog::new()), Projection::new(config.limits));
    let world = World::with(&world.host, config, log, replayed);
    let (session, consumer) = world.create().await;
    let puppet = world.run(session).await;
    puppet.emit("hi").await;
    world.settle().await;
    let hurried = Pull {
        wait: Duration::ZERO,
        ..results(session, consumer)
    };
    let pulled = world.engine.pull(hurried).await.unwrap();
    assert_eq!(pulled.records.len(), 1);
    let read = world
        .engine
        .read(session, Sequence::START, ALL, Duration::ZERO);
    assert!(!read.await.unwrap().is_empty());
}
