//! Engines that are nodes of a cluster: each writes some logs, and follows the others.

mod chaos;
mod cluster;

use cluster::{Cluster, in_background, until};
use futures::StreamExt;
use futures::future::{Either, FutureExt, select};
use rejoin_core::{
    ConsumerId, Event, JobMode, JobSlot, NodeTerm, Numbering, Outcome, Record, Sequence, SessionId,
    Visibility,
};
use rejoin_engine::testing::Clock;
use rejoin_engine::{
    CommandError, Config, DescribeSession, Engine, NewJob, NewSession, Pull, PullError, Pulled,
    ReadLimit, Rejection, Runtime, SmolRuntime, Unavailable,
};
use rejoin_log::AppendError;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const LIMIT: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: 1024 * 1024,
};

/// Runs a test, and fails it if it waits for too long.
fn run(test: impl Future<Output = ()>) {
    smol::block_on(async {
        match select(pin!(test), SmolRuntime.timer(Duration::from_secs(60))).await {
            Either::Left(((), _)) => {}
            Either::Right(_) => panic!("the test waited for too long"),
        }
    });
}

async fn create(engine: &Engine) -> (SessionId, ConsumerId) {
    let new = NewSession {
        reads: true,
        ..NewSession::default()
    };
    let session = engine.create_session(new).await.unwrap();
    (session.id(), session.consumer().unwrap())
}

fn statement(session: SessionId, statement: &str) -> NewJob {
    let mode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    NewJob::new(session, statement, mode)
}

async fn pull(
    engine: &Engine,
    (session, consumer): (SessionId, ConsumerId),
    wait: Duration,
) -> Result<Pulled, PullError> {
    let pull = Pull {
        session,
        consumer,
        wait,
        limit: LIMIT,
        // That a consumer has read is logged now and then.
        select: |record: &Record| !matches!(record.event, Event::CursorAdvanced { .. }),
        gather: None,
    };
    engine.pull(pull).await
}

fn last(engine: &Engine, session: SessionId) -> Option<Sequence> {
    engine.session_view(session).map(|view| view.last_sequence)
}

async fn events(engine: &Engine, session: SessionId) -> Vec<Event> {
    let read = engine.read(session, Sequence::START, LIMIT, Duration::ZERO);
    let records = read.await.unwrap();
    records.iter().map(|record| record.event.clone()).collect()
}

/// The titles in what was pulled, which is nothing else.
fn titles(pulled: &Pulled) -> Vec<String> {
    let title = |record: &Arc<Record>| match &record.event {
        Event::SessionDescribed { description } => description.title.as_deref().unwrap().into(),
        event => panic!("{event:?}"),
    };
    pulled.records.iter().map(title).collect()
}

fn outcomes(events: &[Event]) -> Vec<Outcome> {
    let outcome = |event: &Event| match event {
        Event::JobFinished { outcome, .. } => Some(*outcome),
        _ => None,
    };
    events.iter().filter_map(outcome).collect()
}

#[test]
fn each_node_creates_sessions_in_its_own_log_and_shows_those_of_all() {
    run(async {
        let cluster = Cluster::start(3).await;
        let mut created = vec![];
        for node in 0..3 {
            let (session, _) = create(cluster.engine(node)).await;
            let number = cluster.engine(node).session(session).unwrap().number();
            let numbering = Numbering::new(0, 16).unwrap();
            assert_eq!(numbering.log_of(session), node);
            assert_eq!(numbering.log_of_number(number.0), node);
            created.push(session);
        }
        for node in 0..3 {
            let listed = |engine: &Engine| {
                engine.view(|views| views.open_sessions().map(|it| it.id).collect::<Vec<_>>())
            };
            let mut listed = listed(cluster.engine(node));
            listed.sort_unstable();
            let mut created = created.clone();
            created.sort_unstable();
            assert_eq!(listed, created, "node {node}");
        }
    });
}

#[test]
fn a_command_for_another_nodes_session_is_carried_out_there_and_visible_here_at_once() {
    run(async {
        let cluster = Cluster::start(2).await;
        let (session, _) = create(cluster.engine(0)).await;
        // Nothing reaches the second node yet, so that its answer has to wait.
        cluster.hold(1, true);
        let engine = cluster.engine(1).clone();
        let mut submitted = in_background({
            let engine = engine.clone();
            async move { engine.submit_job(statement(session, "cat")).await }
        });
        let first = cluster.engine(0).clone();
        until("the job is in the log", || {
            first.session_view(session).unwrap().is_busy()
        })
        .await;
        assert!(!engine.session_view(session).unwrap().is_busy());
        assert!((&mut submitted).now_or_never().is_none(), "it waits");
        cluster.hold(1, false);
        let job = submitted.await.unwrap().unwrap().job;
        assert!(engine.session_view(session).unwrap().job(job).is_some());

        engine.interrupt_job(session, Some(job)).await.unwrap();
        until("the job ends", || {
            !engine.session_view(session).unwrap().is_busy()
        })
        .await;
        let describe = DescribeSession {
            session,
            title: Some("Release".into()),
            labels: [].into(),
        };
        engine.describe_session(describe).await.unwrap();
        let view = engine.session_view(session).unwrap();
        assert_eq!(view.description.unwrap().title.as_deref(), Some("Release"));
        engine.close_session(session).await.unwrap();
        assert!(engine.session_view(session).unwrap().closed.is_some());
        assert_eq!(
            events(&engine, session).await,
            events(&first, session).await
        );
    });
}

#[test]
fn who_creates_a_session_at_a_node_that_is_behind_gets_it_all_the_same() {
    run(async {
        let cluster = Cluster::start(2).await;
        let engine = cluster.engine(0);
        engine.release(0, Duration::ZERO).await;
        until("the log is given up", || !engine.owns(0)).await;
        cluster.follow(0, 0);
        cluster.own(1, 0);
        cluster.hold(0, true);
        let session = engine.create_session("shell").await.unwrap();
        assert_eq!(session.view(), None);
        let created = session.view_at_creation().unwrap();
        assert_eq!(
            (created.id, created.number),
            (session.id(), session.number())
        );
        cluster.hold(0, false);
        assert_eq!(session.view(), Some(created));
    });
}

#[test]
fn the_core_of_the_writer_refuses_what_another_node_asks_for() {
    run(async {
        let cluster = Cluster::start(2).await;
        let (session, _) = create(cluster.engine(0)).await;
        let refused = cluster.engine(1).interrupt_job(session, None).await;
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, CommandError::Rejected(Rejection::NoForegroundJob)),
            "{refused}"
        );
        // Of a log that no node has.
        let unknown = Numbering::new(9, 16).unwrap();
        let unknown = unknown.session(SessionId::from_random([7; 16]));
        let refused = cluster.engine(1).close_session(unknown).await.unwrap_err();
        assert!(
            matches!(refused, CommandError::Rejected(Rejection::SessionNotFound(it)) if it == unknown),
            "{refused}"
        );
    });
}

#[test]
fn a_node_that_is_behind_does_not_say_that_something_is_not_there() {
    run(async {
        let cluster = Cluster::start(2).await;
        cluster.hold(1, true);
        let (session, _) = create(cluster.engine(0)).await;
        let engine = cluster.engine(1).clone();
        assert!(engine.session(session).is_none(), "it did not arrive");

        // It asks, and waits until it has what the writer had then.
        let read = |after| {
            let engine = engine.clone();
            in_background(async move { engine.read(session, after, LIMIT, Duration::ZERO).await })
        };
        let known = read(Sequence::START);
        let beyond = read(Sequence(3));
        let caught_up = {
            let engine = engine.clone();
            in_background(async move { engine.catch_up(session).await })
        };
        cluster.hold(1, false);
        assert_eq!(known.await.unwrap().unwrap().len(), 2);
        caught_up.await.unwrap().unwrap();
        assert!(engine.session(session).is_some());
        let unknown = beyond.await.unwrap().unwrap_err();
        assert!(
            matches!(unknown, PullError::CursorUnknown { last } if last == Sequence(2)),
            "{unknown}"
        );

        // Without an answer, it says that it does not know.
        cluster.hold(1, true);
        let (later, consumer) = create(cluster.engine(0)).await;
        let behind = engine.read(later, Sequence::START, LIMIT, Duration::ZERO);
        let behind = behind.await.unwrap_err();
        assert!(
            matches!(behind, PullError::Unavailable(Unavailable::Behind)),
            "{behind}"
        );
        cluster.cut_off(1, true);
        let cut = engine.read(later, Sequence::START, LIMIT, Duration::ZERO);
        let cut = cut.await.unwrap_err();
        assert!(
            matches!(cut, PullError::Unavailable(Unavailable::Unanswered)),
            "{cut}"
        );
        let cut = pull(&engine, (later, consumer), Duration::ZERO)
            .await
            .unwrap_err();
        assert!(
            matches!(cut, PullError::Unavailable(Unavailable::Unanswered)),
            "{cut}"
        );
        let cut = engine.close_session(later).await.unwrap_err();
        assert!(
            matches!(cut, CommandError::Unavailable(Unavailable::Unanswered)),
            "{cut}"
        );

        // What really is not there is not found.
        cluster.cut_off(1, false);
        cluster.hold(1, false);
        let nothing = Numbering::new(0, 16).unwrap();
        let nothing = nothing.session(SessionId::from_random([7; 16]));
        let read = engine.read(nothing, Sequence::START, LIMIT, Duration::ZERO);
        let missing = read.await.unwrap_err();
        assert!(matches!(missing, PullError::SessionNotFound), "{missing}");
    });
}

#[test]
fn a_consumer_reads_on_at_whichever_node_it_pulls() {
    run(async {
        let cluster = Cluster::start(2).await;
        let consumer = create(cluster.engine(0)).await;
        let (session, _) = consumer;
        let soon = Duration::from_secs(10);
        let first = pull(cluster.engine(1), consumer, soon).await.unwrap();
        assert_eq!((first.after, first.records.len()), (Sequence::START, 2));

        // A pull that waits is woken by what comes, and one that is dropped takes nothing away.
        let mut dropped = Box::pin(pull(cluster.engine(1), consumer, soon));
        assert!((&mut dropped).now_or_never().is_none());
        drop(dropped);
        let waiting = {
            let engine = cluster.engine(1).clone();
            in_background(async move {
                // Until the dropped one has ended.
                loop {
                    let pulled = pull(&engine, consumer, soon).await.unwrap();
                    if !pulled.records.is_empty() {
                        return pulled;
                    }
                }
            })
        };
        let described = DescribeSession {
            session,
            title: Some("Release".into()),
            labels: [].into(),
        };
        cluster.engine(0).describe_session(described).await.unwrap();
        let second = waiting.await.unwrap();
        assert_eq!(titles(&second), ["Release"]);

        // At the writer, it goes on after that.
        let described = DescribeSession {
            session,
            title: Some("Rollback".into()),
            labels: [].into(),
        };
        cluster.engine(1).describe_session(described).await.unwrap();
        let mut third = pull(cluster.engine(0), consumer, soon).await.unwrap();
        while third.records.is_empty() {
            third = pull(cluster.engine(0), consumer, soon).await.unwrap();
        }
        assert_eq!(titles(&third), ["Rollback"]);

        cluster.engine(1).close_session(session).await.unwrap();
        let closed = pull(cluster.engine(1), consumer, Duration::ZERO).await;
        let closed = closed.unwrap_err();
        assert!(matches!(closed, PullError::SessionNotFound), "{closed}");
        let other = create(cluster.engine(0)).await;
        let stranger = ConsumerId {
            ordinal: 9,
            token: [9; 16],
        };
        let unknown = pull(cluster.engine(1), (other.0, stranger), soon).await;
        let unknown = unknown.unwrap_err();
        assert!(matches!(unknown, PullError::ConsumerNotFound), "{unknown}");
    });
}

#[test]
fn a_pull_at_another_node_lets_no_second_one_read_at_the_same_time() {
    run(async {
        let cluster = Cluster::start(2).await;
        let consumer = create(cluster.engine(0)).await;
        let soon = Duration::from_secs(20);
        let first = pull(cluster.engine(1), consumer, soon).await.unwrap();
        assert_eq!(first.records.len(), 2);
        let open = {
            let engine = cluster.engine(1).clone();
            in_background(async move { pull(&engine, consumer, soon).await })
        };
        until("a pull is open at the second node", || {
            cluster.engine(1).stats().pulls == 1
        })
        .await;
        // It may be on its way: then this one reads first.
        let mut second = pull(cluster.engine(0), consumer, Duration::ZERO).await;
        assert!(second.as_ref().unwrap().records.is_empty());
        second = pull(cluster.engine(0), consumer, Duration::ZERO).await;
        assert!(second.unwrap().records.is_empty());
        cluster.engine(1).begin_closing();
        assert!(open.await.unwrap().unwrap().records.is_empty());
    });
}

#[test]
fn input_reaches_a_job_of_another_node() {
    run(async {
        let cluster = Cluster::start(2).await;
        let (session, _) = create(cluster.engine(0)).await;
        let engine = cluster.engine(1);
        let mut new = statement(session, "cat");
        new.input = true;
        let job = engine.submit_job(new).await.unwrap().job;
        let hello: &[u8] = b"hello";
        engine
            .write_input(session, job, hello.into(), true)
            .await
            .unwrap();
        until("the job ends", || {
            !engine.session_view(session).unwrap().is_busy()
        })
        .await;
        let events = events(engine, session).await;
        let is_echo = |event: &Event| match event {
            Event::ResultEmitted { result, .. } => result.contains("hello"),
            _ => false,
        };
        assert!(events.iter().any(is_echo), "{events:?}");
        assert_eq!(outcomes(&events), [Outcome::Completed]);
        let late = engine.write_input(session, job, hello.into(), true).await;
        assert!(matches!(late, Err(CommandError::Rejected(_))), "{late:?}");
    });
}

#[test]
fn what_follows_a_session_goes_on_while_another_node_takes_its_log() {
    run(async {
        let cluster = Cluster::start(3).await;
        let (session, _) = create(cluster.engine(0)).await;
        let job = cluster
            .engine(1)
            .submit_job(statement(session, "cat"))
            .await;
        let job = job.unwrap().job;
        let reader = cluster.engine(1).session(session).unwrap();
        let mut stream = reader.events_after(Sequence::START);
        let mut seen = vec![];
        while !seen
            .iter()
            .any(|event| matches!(event, Event::JobStarted { .. }))
        {
            seen.push(stream.next().await.unwrap().unwrap().event.clone());
        }

        // Nobody writes it for a moment: what is asked for meanwhile waits.
        cluster.orphan(0);
        let waiting = {
            let engine = cluster.engine(1).clone();
            in_background(async move { engine.submit_job(statement(session, "true")).await })
        };
        cluster.own(2, 0);
        let second = waiting.await.unwrap().unwrap();
        assert!(second.job > job);
        while outcomes(&seen).len() < 2 {
            seen.push(stream.next().await.unwrap().unwrap().event.clone());
        }
        assert_eq!(outcomes(&seen), [Outcome::Lost, Outcome::Completed]);
        let taken = |event: &Event| match event {
            Event::SessionTakenOver { by } => Some((by.node.to_string(), by.term)),
            _ => None,
        };
        let taken: Vec<_> = seen.iter().filter_map(taken).collect();
        assert_eq!(taken, [("n2".to_owned(), 2)]);

        // The first node does not know it yet. Its next append is refused: it ends the job, and asks the node that
        // writes the log now.
        let engine = cluster.engine(0).clone();
        assert!(engine.owns(0));
        let set = {
            let engine = engine.clone();
            in_background(async move { engine.set_user(session, "ada".into()).await })
        };
        if let Unavailable::LogFailed(why) = engine.log_ended(0).await {
            assert!(matches!(*why, AppendError::Fenced(_)), "{why}");
        }
        until("it no longer writes the log", || !engine.owns(0)).await;
        assert_eq!(engine.position(0), None);
        cluster.follow(0, 0);
        set.await.unwrap().unwrap();
        let user = engine.session_view(session).unwrap().user;
        assert_eq!(user.as_deref(), Some("ada"));
        for node in 0..3 {
            let other = cluster.engine(2);
            assert_eq!(
                events(cluster.engine(node), session).await,
                events(other, session).await,
                "node {node}"
            );
        }
        // Its new sessions are created by the node that writes its log now.
        let (own, _) = create(&engine).await;
        assert_eq!(last(cluster.engine(2), own), Some(Sequence(2)));
    });
}

#[test]
fn a_log_is_given_back_with_its_jobs_ended_and_nothing_lost() {
    run(async {
        let cluster = Cluster::start(2).await;
        let engine = cluster.engine(0);
        let (session, _) = create(engine).await;
        engine.submit_job(statement(session, "cat")).await.unwrap();
        let released = engine.release(0, Duration::from_secs(10)).await;
        assert!(matches!(released, Unavailable::ShuttingDown), "{released}");
        until("it no longer writes the log", || !engine.owns(0)).await;
        // What is there can still be read, and what is asked for waits for the next writer.
        let ended = events(engine, session).await;
        assert_eq!(outcomes(&ended), [Outcome::Interrupted]);
        let waiting = {
            let engine = engine.clone();
            in_background(async move { engine.submit_job(statement(session, "true")).await })
        };
        cluster.follow(0, 0);
        cluster.own(1, 0);
        waiting.await.unwrap().unwrap();
        until("the job ends", || {
            !engine.session_view(session).unwrap().is_busy()
        })
        .await;
        let after = events(engine, session).await;
        assert!(after.starts_with(&ended));
        assert_eq!(outcomes(&after), [Outcome::Interrupted, Outcome::Completed]);

        // And back again.
        let returned = cluster.engine(1).release(0, Duration::from_secs(10)).await;
        assert!(matches!(returned, Unavailable::ShuttingDown), "{returned}");
        cluster.own(0, 0);
        engine.submit_job(statement(session, "true")).await.unwrap();
        let why = engine.shut_down(Duration::from_secs(10)).await;
        assert!(matches!(why, Unavailable::ShuttingDown), "{why}");
    });
}

#[test]
fn a_log_that_is_taken_while_its_new_writer_shuts_down_is_given_up_too() {
    run(async {
        let cluster = Cluster::start(2).await;
        let (session, _) = create(cluster.engine(0)).await;
        cluster.engine(0).release(0, Duration::ZERO).await;
        let engine = cluster.engine(1);
        cluster.own_while_closing(1, 0);
        until("the log is given up", || !engine.owns(0)).await;
        let taken = Event::SessionTakenOver {
            by: NodeTerm {
                node: "n1".into(),
                term: 2,
            }
            .into(),
        };
        assert_eq!(events(engine, session).await.last(), Some(&taken));
    });
}

#[test]
fn what_a_node_missed_is_visible_once_it_follows_a_log_again() {
    run(async {
        let cluster = Cluster::start(2).await;
        let (open, _) = create(cluster.engine(0)).await;
        let (closed, _) = create(cluster.engine(0)).await;
        let (removed, _) = create(cluster.engine(0)).await;
        cluster.hold(1, true);
        let owner = cluster.engine(0);
        owner.set_user(open, "ada".into()).await.unwrap();
        owner.close_session(closed).await.unwrap();
        owner.remove_session(removed).await.unwrap();
        let (new, _) = create(owner).await;
        cluster.forget(1, 0);
        let engine = cluster.engine(1);
        let reader = engine.session(open).unwrap();
        let mut stream = reader.events_after(Sequence(2));
        cluster.hold(1, false);
        cluster.follow(1, 0);
        for session in [open, closed, new] {
            let (here, there) = (engine.session_view(session), owner.session_view(session));
            assert_eq!(here, there);
            assert!(here.is_some());
        }
        assert!(engine.session(removed).is_none());
        assert_eq!(
            engine.view(|views| views.removed(removed)),
            owner.view(|views| views.removed(removed))
        );
        // A reader who waited there goes on.
        let next = stream.next().await.unwrap().unwrap();
        assert!(matches!(next.event, Event::UserSet { .. }));
        assert_eq!(engine.position(0), owner.position(0));
    });
}

#[test]
fn a_node_that_was_away_forgets_sessions_that_were_removed_and_purged_meanwhile() {
    run(async {
        let cluster = Cluster::start(2).await;
        let (owner, engine) = (cluster.engine(0), cluster.engine(1));
        let (open, _) = create(owner).await;
        let (closed, _) = create(owner).await;
        owner.close_session(closed).await.unwrap();
        let (kept, _) = create(owner).await;
        let all = vec![open, closed, kept];
        assert!(all.iter().all(|it| engine.session_view(*it).is_some()));
        let said = owner.kept_sessions(0, all.clone()).await;
        assert_eq!(said, Some(all.clone()), "a closed one is kept, too");
        cluster.hold(1, true);
        owner.remove_session(open).await.unwrap();
        owner.remove_session(closed).await.unwrap();
        assert_eq!(owner.kept_sessions(0, all).await, Some(vec![kept]));
        let followed = engine.kept_sessions(0, vec![kept]).await;
        assert_eq!(followed, None, "only the writer knows");

        cluster.forget(1, 0);
        cluster.hold(1, false);
        cluster.follow_without(1, 0, &[open, closed]);
        for session in [open, closed] {
            assert!(engine.session_view(session).is_none());
        }
        assert_eq!(engine.session_view(kept), owner.session_view(kept));
        assert_eq!(engine.view(|views| views.sessions().count()), 1);
    });
}

#[test]
fn without_a_writer_a_command_fails_after_a_while_and_says_what_to_do() {
    run(async {
        let clock = Clock::default();
        let cluster = Cluster::start_on(2, Arc::new(clock.clone()), Config::default()).await;
        let (session, _) = create(cluster.engine(0)).await;
        cluster.orphan(0);
        let engine = cluster.engine(1).clone();
        let mut asked = in_background(async move {
            let command = engine.set_user(session, "ada".into()).await;
            let missing = SessionId::from_bytes([0; 16]);
            let read = engine.read(missing, Sequence::START, LIMIT, Duration::ZERO);
            (command, read.await)
        });
        let answer = loop {
            if let Some(answer) = (&mut asked).now_or_never() {
                break answer.unwrap();
            }
            clock.advance(Duration::from_secs(1));
            SmolRuntime.timer(Duration::from_millis(5)).await;
        };
        let (Err(command), Err(read)) = answer else {
            panic!("somebody has answered");
        };
        let text = "the session is moving to another node; look whether this was done, and try again if \
                    it was not";
        assert_eq!(command.to_string(), text);
        assert!(
            matches!(read, PullError::Unavailable(Unavailable::Moved)),
            "{read}"
        );
    });
}

#[test]
fn a_node_that_does_not_follow_a_log_yet_does_not_say_that_its_sessions_are_not_there() {
    run(async {
        let clock = Clock::default();
        let cluster = Cluster::start_on(1, Arc::new(clock.clone()), Config::default()).await;
        let engine = cluster.engine(0).clone();
        let of_log = |log| {
            let numbering = Numbering::new(log, 16).unwrap();
            numbering.session(SessionId::from_random([7; 16]))
        };
        // As right after the start of all nodes: it has a writer by its claim, and that one is not there.
        cluster.claim(3);
        let read = |session| {
            let engine = engine.clone();
            in_background(async move {
                let read = engine.read(session, Sequence::START, LIMIT, Duration::ZERO);
                read.await.unwrap_err()
            })
        };
        let mut unknown = read(of_log(3));
        let unknown = loop {
            if let Some(error) = (&mut unknown).now_or_never() {
                break error.unwrap();
            }
            clock.advance(Duration::from_secs(1));
            SmolRuntime.timer(Duration::from_millis(5)).await;
        };
        assert!(
            matches!(unknown, PullError::Unavailable(Unavailable::Moved)),
            "{unknown}"
        );
        let missing = read(of_log(4)).await.unwrap();
        assert!(matches!(missing, PullError::SessionNotFound), "{missing}");
    });
}

#[test]
fn a_session_that_is_in_use_at_another_node_is_not_idle() {
    run(async {
        let clock = Clock::default();
        let config = Config {
            session_timeout: Duration::from_secs(60),
            ..Config::default()
        };
        let cluster = Cluster::start_on(2, Arc::new(clock.clone()), config).await;
        let used = cluster
            .engine(0)
            .create_session("shell")
            .await
            .unwrap()
            .id();
        let unused = cluster
            .engine(0)
            .create_session("shell")
            .await
            .unwrap()
            .id();
        let owner = cluster.engine(0);
        let is_open = |session| owner.session_view(session).unwrap().closed.is_none();
        for second in 1.. {
            if !is_open(unused) {
                break;
            }
            cluster.engine(1).touch(used);
            clock.advance(Duration::from_secs(1));
            let touches = || cluster.touches.load(Ordering::SeqCst);
            until("its use is reported", || touches() >= second).await;
            assert!(second < 1_000, "the unused session stays open");
        }
        assert!(is_open(used));
    });
}

#[test]
fn a_node_that_lost_a_log_and_does_not_know_it_says_of_nothing_that_it_is_not_there() {
    run(async {
        let cluster = Cluster::start(2).await;
        let (known, consumer) = create(cluster.engine(0)).await;
        cluster.own(1, 0);
        // Created by the node that writes the log now.
        let numbering = Numbering::new(0, 16).unwrap();
        let new = numbering.session(SessionId::from_random([7; 16]));
        let joined = cluster.engine(1).join_session(known).await.unwrap();
        let engine = cluster.engine(0).clone();
        assert!(engine.owns(0));

        // It asks for its log's end before it says that there is no such session.
        let read = {
            let engine = engine.clone();
            in_background(async move {
                engine
                    .read(new, Sequence::START, LIMIT, Duration::ZERO)
                    .await
            })
        };
        until("it notices", || !engine.owns(0)).await;
        cluster.follow(0, 0);
        let missing = read.await.unwrap().unwrap_err();
        assert!(matches!(missing, PullError::SessionNotFound), "{missing}");
        let pulled = pull(&engine, (known, joined), Duration::from_secs(10)).await;
        assert!(!pulled.unwrap().records.is_empty());
        let pulled = pull(&engine, (known, consumer), Duration::from_secs(10)).await;
        assert!(!pulled.unwrap().records.is_empty());

        // The same with what its core would refuse.
        cluster.own(0, 0);
        cluster.settle(1).await;
        cluster.own(1, 0);
        cluster
            .engine(1)
            .submit_job(statement(known, "cat"))
            .await
            .unwrap();
        let interrupted = {
            let engine = engine.clone();
            in_background(async move { engine.interrupt_job(known, None).await })
        };
        until("it notices", || !engine.owns(0)).await;
        cluster.follow(0, 0);
        interrupted.await.unwrap().unwrap();
    });
}
