//! Promises 6 and 8: busy is not idle, an open pull is activity, and nothing is early.

use crate::world::{Host, World, config, is_finished};
use futures::future::poll_immediate;
use rejoin_core::{CloseCause, ConsumerId, Event, InterruptCause, LeaveCause, SessionId};
use rejoin_engine::{Config, Projection};
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

/// By how far people, time servers and batteries set clocks: in seconds, forward and back.
const JUMPS: [i64; 6] = [
    2 * 24 * 3_600,
    4 * 3_600,
    10 * 60,
    -3_600,
    35 * 24 * 3_600,
    -36 * 24 * 3_600,
];

fn set(world: &World, jump: i64) {
    let by = Duration::from_secs(jump.unsigned_abs());
    match jump > 0 {
        true => world.clock.set_ahead(by),
        false => world.clock.set_back(by),
    }
}

/// A world whose clock can be set back by weeks.
fn late(host: &Host, config: Config) -> World {
    let replayed = Projection::new(config.limits);
    let day = 1_700_000_000_000;
    World::beginning(host, config, Box::new(MemoryLog::new()), replayed, day)
}

pub(crate) async fn a_wall_clock_that_is_set_changes_no_timeout(world: World) {
    for (jumps, jump) in JUMPS.into_iter().enumerate() {
        let world = late(&world.host, config());
        let (session, consumer) = world.create().await;
        let (busy, _) = world.create().await;
        let puppet = world.run(busy).await;
        puppet.job.reporter.started().await.unwrap();
        let (pulled, reader) = world.create().await;
        let pull = rejoin_engine::Pull {
            wait: Duration::from_secs(60),
            ..crate::world::results(pulled, reader)
        };
        let mut open = pin!(world.engine.pull(pull));
        assert!(poll_immediate(&mut open).await.is_none());
        world.pass(59).await;
        set(&world, jump);
        world.settle().await;
        assert!(poll_immediate(&mut open).await.is_none(), "{jump} s");
        world.pass(1).await;
        assert!(open.await.unwrap().records.is_empty());
        // Its last pull ended at 60 s; the other one has not pulled since 0 s.
        world.pass(39).await;
        assert!(is_there(&world, session, consumer), "{jump} s");
        world.pass(1).await;
        assert!(!is_there(&world, session, consumer), "{jump} s");
        world.pass(59).await;
        assert!(is_there(&world, pulled, reader), "{jump} s");
        world.pass(1).await;
        assert!(!is_there(&world, pulled, reader), "{jump} s");
        set(&world, -jump);
        let is_closed = |session| {
            let view = world.engine.session_view(session).unwrap();
            view.closed.is_some()
        };
        world.pass(839).await;
        assert!(!is_closed(session), "{jump} s");
        world.pass(1).await;
        assert!(is_closed(session), "{jump} s");
        world.pass(3_999).await;
        assert!(puppet.job.interrupts.try_next().is_none(), "{jump} s");
        world.pass(1).await;
        let interrupt = puppet.job.interrupts.next().await;
        assert_eq!(interrupt, Some(InterruptCause::Timeout), "{jump} s");
        assert_eq!(world.engine.stats().clock_jumps, 2, "jump {jumps}");
        puppet.exit(0);
    }
}

pub(crate) async fn people_are_shown_the_walls_time_once_it_is_past_the_last_record(world: World) {
    let world = late(&world.host, config());
    let begin = world.clock.now();
    let (session, _) = world.create().await;
    let hour = Duration::from_secs(3_600);
    world.clock.set_back(hour);
    // The times stand still, and everything else goes on.
    world.pass(1_800).await;
    let closed = world.engine.session_view(session).unwrap().closed.unwrap();
    assert_eq!(closed, (begin, CloseCause::Idle));
    let stats = world.engine.stats();
    assert_eq!(stats.clock_behind, hour / 2);
    let (other, _) = world.create().await;
    assert_eq!(world.engine.session_view(other).unwrap().created.at, begin);
    world.pass(1_801).await;
    let (third, _) = world.create().await;
    let view = world.engine.session_view(third).unwrap();
    assert_eq!(view.created.at, begin + Duration::from_secs(1));
    assert_eq!(world.engine.stats().clock_behind, Duration::ZERO);
    // How long it lasts, though, is not the difference of such times.
    world.clock.set_ahead(48 * hour);
    world.pass(7).await;
    let lasted = world.engine.now().since(view.since);
    assert_eq!(lasted, Duration::from_secs(7));
}
