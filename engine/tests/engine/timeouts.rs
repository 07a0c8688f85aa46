//! Promises 6 and 8: busy is not idle, an open pull is activity, and nothing is early.

use crate::world::{World, config, is_finished};
use futures::future::poll_immediate;
use rejoin_core::{CloseCause, ConsumerId, Event, InterruptCause, LeaveCause, SessionId};
use rejoin_engine::Projection;
use rejoin_log::MemoryLog;
use std::pin::pin;
use std::time::Duration;

async fn left(world: &World, session: SessionId) -> (ConsumerId, LeaveCause, u64) {
    let is_left = |record: &rejoin_core::Record| matches!(record.event, Event::ConsumerLeft { .. });
    let record = world.wait_for(session, is_left).await;
    let Event::ConsumerLeft { consumer, cause } = record.event else {
        unreachable!()
    };
    (consumer, cause, record.at.as_millis() - 1_000_000)
}

fn is_there(world: &World, session: SessionId, consumer: ConsumerId) -> bool {
    let view = world.engine.session_view(session).unwrap();
    view.consumer(consumer).is_some()
}

pub(crate) async fn a_consumer_expires_at_its_timeout_and_not_before(world: World) {
    let (session, consumer) = world.create().await;
    world.pass(99).await;
    assert!(is_there(&world, session, consumer));
    world.pass(1).await;
    assert_eq!(
        left(&world, session).await,
        (consumer, LeaveCause::Expired, 100_000)
    );
}

pub(crate) async fn an_open_pull_is_activity(world: World) {
    let (session, consumer) = world.create().await;
    let pull = rejoin_engine::Pull {
        wait: Duration::from_secs(60),
        ..crate::world::results(session, consumer)
    };
    // Each pull begins before the timeout and is still open when it comes.
    world.pass(70).await;
    let mut open = pin!(world.engine.pull(pull));
    assert!(poll_immediate(&mut open).await.is_none());
    world.pass(59).await;
    assert!(poll_immediate(&mut open).await.is_none());
    assert!(is_there(&world, session, consumer));
    world.pass(1).await;
    assert!(open.await.unwrap().records.is_empty());
    // Its timeout begins with its last pull's end, at 130 s.
    world.pass(99).await;
    assert!(is_there(&world, session, consumer));
    world.pass(1).await;
    assert_eq!(
        left(&world, session).await,
        (consumer, LeaveCause::Expired, 230_000)
    );
}

pub(crate) async fn a_session_that_is_only_pulled_from_is_not_idle(world: World) {
    let (session, consumer) = world.create().await;
    for _ in 0..50 {
        let pull = rejoin_engine::Pull {
            wait: Duration::ZERO,
            ..crate::world::results(session, consumer)
        };
        world.engine.pull(pull).await.unwrap();
        world.pass(50).await;
    }
    assert!(world.engine.session_view(session).unwrap().closed.is_none());
}

pub(crate) async fn a_busy_session_is_not_idle(world: World) {
    let (session, _) = world.create().await;
    let puppet = world.run(session).await;
    world.pass(3_000).await;
    assert!(world.engine.session_view(session).unwrap().closed.is_none());
    puppet.exit(0);
    world.wait_for(session, is_finished).await;
    world.pass(999).await;
    assert!(world.engine.session_view(session).unwrap().closed.is_none());
    world.pass(1).await;
    let closed = world
        .wait_for(session, |record| {
            matches!(record.event, Event::SessionClosed { .. })
        })
        .await;
    assert_eq!(closed.at.as_millis(), 1_000_000 + 4_000_000);
}

pub(crate) async fn a_job_is_interrupted_at_its_timeout(world: World) {
    let (session, _) = world.create().await;
    let puppet = world.run(session).await;
    world.pass(4_999).await;
    assert_eq!(puppet.job.interrupts.try_next(), None);
    world.pass(1).await;
    assert_eq!(
        puppet.job.interrupts.next().await,
        Some(InterruptCause::Timeout)
    );
    puppet.exit(0);
}

pub(crate) async fn a_session_is_closed_when_nobody_uses_it(world: World) {
    let (session, _) = world.create().await;
    world.pass(500).await;
    world.engine.touch(session);
    world.pass(999).await;
    assert!(world.engine.session_view(session).unwrap().closed.is_none());
    world.pass(1).await;
    let closed = world
        .wait_for(session, |record| {
            matches!(record.event, Event::SessionClosed { .. })
        })
        .await;
    assert_eq!(
        closed.event,
        Event::SessionClosed {
            cause: CloseCause::Idle
        }
    );
    assert_eq!(closed.at.as_millis(), 1_000_000 + 1_500_000);
}

pub(crate) async fn what_is_due_happens_without_anybody_asking(world: World) {
    let (session, consumer) = world.create().await;
    while is_there(&world, session, consumer) {
        // Only the timer can cause this.
        world.clock.advance(Duration::from_millis(250));
        std::thread::yield_now();
    }
    let (_, _, after) = left(&world, session).await;
    assert!(after >= 100_000, "after {after} ms");
}

pub(crate) async fn a_clock_that_is_set_back_expires_nobody_who_pulls(world: World) {
    // One `Expire` handles few deadlines, so that some are still due when the clock is set back. The
    // consumer that pulls is the second of the last two.
    let mut config = config();
    config.limits.expired = 2;
    let replayed = Projection::new(config.limits);
    let world = World::with(&world.host, config, Box::new(MemoryLog::new()), replayed);
    let (session, _) = world.create().await;
    for _ in 0..20 {
        world.engine.join_session(session).await.unwrap();
    }
    let consumer = world.engine.join_session(session).await.unwrap();
    world.clock.advance(Duration::from_secs(200));
    world.settle().await;
    world.clock.set_back(Duration::from_secs(150));

    let pull = rejoin_engine::Pull {
        wait: Duration::from_secs(60),
        ..crate::world::results(session, consumer)
    };
    let mut open = pin!(world.engine.pull(pull));
    assert!(poll_immediate(&mut open).await.is_none());
    world.clock.advance(Duration::from_secs(50));
    for _ in 0..20 {
        world.settle().await;
    }
    let view = world.engine.session_view(session).unwrap();
    assert!(view.consumer(consumer).is_some(), "its pull is open");
    assert_eq!(
        view.consumers().count(),
        1,
        "the consumers that did not pull have expired"
    );
}
