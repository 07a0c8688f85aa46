//! Several nodes in one process, on real servers of NATS. Needs `nats-server` in the path, or in
//! `NATS_SERVER`: see `.ci/run` for how it is installed.
#![allow(
    clippy::disallowed_methods,
    reason = "real servers take real time, and nothing waits for them without a deadline"
)]

#[allow(dead_code, reason = "shared with the tests of the log alone")]
#[path = "../../../log-jetstream/tests/jetstream/servers.rs"]
mod servers;
#[path = "../../../log-jetstream/tests/jetstream/settings.rs"]
mod settings;

use futures::StreamExt;
use rejoin_cluster::Process;
use rejoin_core::{JobId, Sequence, SessionId};
use rejoin_engine::{Config, Engine, Event, Limits, Outcome, Session, ShellRunner};
use rejoin_log_jetstream::ConnectionSettings;
use rejoin_node::{JoinError, Joined, Membership, MembershipSettings, NodePatience};
use servers::{ServerOptions, Servers};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Longer than any election and any takeover.
const PATIENCE: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(5);

struct Node {
    engine: Engine,
    membership: Membership,
}

fn settings(servers: &Servers, name: &str, directory: &Path) -> MembershipSettings {
    static RUN: AtomicU8 = AtomicU8::new(1);
    let streams = servers.settings("test");
    let mut process = [0; 16];
    process[0] = RUN.fetch_add(1, Ordering::Relaxed);
    MembershipSettings {
        connection: ConnectionSettings {
            servers: streams.servers,
            ..ConnectionSettings::default()
        },
        cluster: streams.cluster,
        node: name.parse().unwrap(),
        process: Process(process),
        replicas: streams.replicas,
        sync: streams.sync,
        patience: NodePatience::default(),
        directory: directory.join(name),
        version: "1.2.3".to_owned(),
        limits: Limits::DEFAULT,
    }
}

/// Starts a node, and waits until it writes its home.
async fn start(servers: &Servers, name: &str, directory: &Path) -> Node {
    let node = begin(servers, name, directory).await;
    let home = node.membership.status().home;
    until("it writes its home", || node.engine.owns(home)).await;
    node
}

async fn begin(servers: &Servers, name: &str, directory: &Path) -> Node {
    let joined = Membership::join(settings(servers, name, directory)).unwrap();
    let Joined {
        home,
        numbering,
        mut membership,
    } = joined;
    let runners = directory.join(name).join("runners");
    std::fs::create_dir_all(&runners).unwrap();
    let config = Config {
        numbering,
        ..Config::default()
    };
    let engine = Engine::node(home, membership.peers())
        .config(config)
        .runner_directory(runners)
        .service("shell", ShellRunner::default())
        .open()
        .await
        .unwrap();
    membership.start(&engine).unwrap();
    Node { engine, membership }
}

impl Node {
    /// Ends it cleanly.
    async fn leave(self) {
        self.membership.begin_leaving();
        self.engine.shut_down(GRACE).await;
        self.membership.leave();
    }

    /// Its handle to a session, once it knows the session.
    async fn session(&self, id: SessionId) -> Session {
        until("the session is known", || self.engine.session(id).is_some()).await;
        self.engine.session(id).unwrap()
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not become so: {what}");
        smol::Timer::after(Duration::from_millis(10)).await;
    }
}

/// The records of a session up to the end of a job, as one node shows them.
async fn up_to_end(session: &Session, job: JobId) -> Vec<Event> {
    let mut events = session.events_after(Sequence::START);
    let mut seen = Vec::new();
    while let Some(record) = events.next().await {
        let event = record.unwrap().event.clone();
        let is_end = matches!(event, Event::JobFinished { job: ended, .. } if ended == job);
        seen.push(event);
        if is_end {
            break;
        }
    }
    seen
}

fn has_printed(events: &[Event], text: &str) -> bool {
    let is_it = |event: &Event| matches!(event, Event::ResultEmitted { result, .. } if result.contains(text));
    events.iter().any(is_it)
}

#[test]
fn a_session_of_one_node_is_used_at_another_and_lists_show_all() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let directory = tempfile::tempdir().unwrap();
    smol::block_on(async {
        let one = start(&servers, "n1", directory.path()).await;
        let two = start(&servers, "n2", directory.path()).await;
        assert_eq!(one.membership.status().home, 0);
        assert_eq!(two.membership.status().home, 1);
        let created = one.engine.create_session("shell").await.unwrap();
        assert_eq!(created.number().0, 16);
        let own = two.engine.create_session("shell").await.unwrap();
        assert_eq!(own.number().0, 1);

        // A command for it at the other node is answered by the first one, and visible at once.
        let there = two.session(created.id()).await;
        let job = there.run("echo one of $((40 + 2))").await.unwrap().job;
        assert_eq!(job.0, 16);
        let view = two.engine.session_view(created.id()).unwrap();
        assert!(view.job(job).is_some(), "an own write is not visible");
        assert!(has_printed(&up_to_end(&there, job).await, "one of 42"));
        assert!(has_printed(&up_to_end(&created, job).await, "one of 42"));
        for node in [&one, &two] {
            until("both sessions are listed", || {
                node.engine.view(|views| views.open_count()) == 2
            })
            .await;
        }

        // Only its node says that a session does not exist.
        let closed = there.id();
        two.engine.close_session(closed).await.unwrap();
        assert!(
            two.engine
                .session(closed)
                .is_none_or(|it| { it.view().is_none_or(|view| view.closed.is_some()) })
        );
        two.leave().await;
        one.leave().await;
    });
}

#[test]
fn a_node_that_ends_cleanly_hands_its_log_over_and_gets_it_back() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let directory = tempfile::tempdir().unwrap();
    smol::block_on(async {
        let one = start(&servers, "n1", directory.path()).await;
        let two = start(&servers, "n2", directory.path()).await;
        let id = one.engine.create_session("shell").await.unwrap().id();
        let session = two.session(id).await;
        one.leave().await;
        until("the other node writes it", || two.engine.owns(0)).await;
        let job = session.run("echo here").await.unwrap().job;
        let events = up_to_end(&session, job).await;
        assert!(has_printed(&events, "here"), "{events:#?}");
        let by = |event: &Event| match event {
            Event::SessionTakenOver { by } => Some((by.node.to_string(), by.term)),
            _ => None,
        };
        assert_eq!(events.iter().find_map(by), Some(("n2".to_owned(), 2)));

        // The home comes back as soon as its node is there and no job runs.
        let one = start(&servers, "n1", directory.path()).await;
        until("the other node no longer writes it", || !two.engine.owns(0)).await;
        let session = one.session(id).await;
        let job = session.run("echo back").await.unwrap().job;
        let events = up_to_end(&session, job).await;
        let has_both = has_printed(&events, "here") && has_printed(&events, "back");
        assert!(has_both, "{events:#?}");
        // Each change of the node is said once, and nobody has taken it in between.
        let moves: Vec<_> = events.iter().filter_map(by).collect();
        assert_eq!(moves, [("n2".to_owned(), 2), ("n1".to_owned(), 3)]);
        one.leave().await;
        two.leave().await;
    });
}

#[test]
fn the_log_of_a_silent_node_is_taken_its_jobs_are_lost_and_it_goes_on_as_a_reader() {
    let servers = Servers::start(3, ServerOptions::USUAL);
    let directory = tempfile::tempdir().unwrap();
    smol::block_on(async {
        let one = start(&servers, "n1", directory.path()).await;
        let two = start(&servers, "n2", directory.path()).await;
        let session = one.engine.create_session("shell").await.unwrap();
        let id = session.id();
        let job = session.run("sleep 1000").await.unwrap().job;
        let there = two.session(id).await;
        let silent = Instant::now();
        one.membership.fall_silent();
        until("the other node writes it", || two.engine.owns(0)).await;
        let took = silent.elapsed();
        assert!(took > GRACE, "after {took:?}: a node is not dead so soon");
        let events = up_to_end(&there, job).await;
        let lost = |event: &Event| {
            matches!(event, Event::JobFinished { outcome: Outcome::Lost, message: Some(why), .. }
                if why.contains("was taken over"))
        };
        assert!(events.iter().any(lost), "{events:?}");
        let next = there.run("echo next").await.unwrap().job;
        assert!(has_printed(&up_to_end(&there, next).await, "next"));

        // The silent one notices without being asked for anything, and shows what the other one writes.
        until("the first node has noticed", || !one.engine.owns(0)).await;
        until("the first node follows", || {
            let view = one.engine.session_view(id);
            view.is_some_and(|view| view.job(next).is_some())
        })
        .await;
        two.leave().await;
        one.leave().await;
    });
}

#[test]
fn no_log_is_taken_because_the_servers_elect_a_leader() {
    let mut servers = Servers::start(3, ServerOptions::USUAL);
    let directory = tempfile::tempdir().unwrap();
    smol::block_on(async {
        let one = start(&servers, "n1", directory.path()).await;
        let two = start(&servers, "n2", directory.path()).await;
        let session = one.engine.create_session("shell").await.unwrap();
        let job = session.run("sleep 1000").await.unwrap().job;
        for stream in ["KV_REJOIN-test", "REJOIN-test-0"] {
            let leader = servers.leader(stream);
            servers.kill(leader);
            let there = two.session(session.id()).await;
            let next = one.engine.create_session("shell").await.unwrap();
            two.session(next.id()).await;
            assert!(there.view().unwrap().is_busy(), "its job was lost");
            servers.restart(leader);
        }
        let view = session.view().unwrap();
        assert!(view.job(job).is_some() && view.is_busy());
        let terms: Vec<_> = two
            .membership
            .status()
            .logs
            .values()
            .map(|it| it.term)
            .collect();
        assert_eq!(terms, [1, 1]);
        one.leave().await;
        two.leave().await;
    });
}

#[test]
fn a_node_gets_its_home_again_and_a_seventeenth_node_is_refused() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let directory = tempfile::tempdir().unwrap();
    for number in 0..16 {
        let settings = settings(&servers, &format!("n{number}"), directory.path());
        let joined = Membership::join(settings).unwrap();
        assert_eq!(joined.numbering.log(), number);
    }
    let again = Membership::join(settings(&servers, "n7", directory.path())).unwrap();
    assert_eq!(again.numbering.log(), 7);
    // A machine that is replaced has its name and no directory.
    let elsewhere = directory.path().join("elsewhere");
    let replaced = Membership::join(settings(&servers, "n5", &elsewhere)).unwrap();
    assert_eq!(replaced.numbering.log(), 5);
    let refused = Membership::join(settings(&servers, "n16", directory.path()));
    let refused = refused.unwrap_err();
    assert!(matches!(refused, JoinError::Full { .. }), "{refused}");
    let said = refused.to_string();
    assert!(
        said.contains("has had 16 nodes") && said.contains("name of a node that is gone"),
        "{said}"
    );
}
