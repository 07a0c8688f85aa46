//! Logs that change hands all the time, while clients give commands at all nodes.

use crate::cluster::{Cluster, in_background, until};
use crate::{LIMIT, run, statement};
use futures::channel::oneshot::Receiver;
use rejoin_core::{Event, JobId, Sequence, SessionId};
use rejoin_engine::{CommandError, Engine, Runtime, SmolRuntime, Unavailable};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const NODES: u8 = 3;

/// More were run by hand.
const SEEDS: u64 = 4;

/// Numbers that are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn node(&mut self) -> u8 {
        self.below(u64::from(NODES)) as u8
    }
}

/// A change of a session's user, and whether it was acknowledged.
struct Change {
    session: SessionId,
    user: String,
    answer: Receiver<Result<(), CommandError>>,
}

#[test]
fn nothing_acknowledged_is_lost_or_done_twice_however_often_logs_change_hands() {
    for seed in 1..=SEEDS {
        run(round(seed));
    }
}

async fn round(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let cluster = Cluster::start(NODES).await;
    let mut sessions = vec![];
    for node in 0..NODES {
        sessions.push(
            cluster
                .engine(node)
                .create_session("shell")
                .await
                .unwrap()
                .id(),
        );
    }
    let mut changes = vec![];
    for step in 0..100 {
        let session = sessions[random.below(sessions.len() as u64) as usize];
        let engine = cluster.engine(random.node()).clone();
        match random.below(14) {
            0 => sessions.extend(engine.create_session("shell").await.ok().map(|it| it.id())),
            1..=2 => {
                let what = ["true", "cat"][random.below(2) as usize];
                drop(in_background(async move {
                    engine.submit_job(statement(session, what)).await
                }));
            }
            3 => drop(in_background(async move {
                engine.interrupt_job(session, None).await
            })),
            4 => {
                let (node, log) = (random.node(), random.node());
                if cluster.can_own(node, log) {
                    cluster.own(node, log);
                }
            }
            5..=7 => {
                for node in 0..NODES {
                    cluster.settle(node).await;
                }
            }
            8 => {
                let node = random.node();
                cluster.hold(node, true);
                SmolRuntime.timer(Duration::from_millis(5)).await;
                cluster.hold(node, false);
            }
            _ => {
                let user = format!("user {step}");
                let name = user.as_str().into();
                let answer = in_background(async move { engine.set_user(session, name).await });
                changes.push(Change {
                    session,
                    user,
                    answer,
                });
            }
        }
        if random.below(4) == 0 {
            SmolRuntime.timer(Duration::from_millis(2)).await;
        }
    }
    for node in 0..NODES {
        cluster.settle(node).await;
    }
    for log in 0..NODES {
        if cluster.owner(log).is_none() {
            cluster.own(log, log);
        }
    }
    let mut answers = vec![];
    for change in changes {
        answers.push((change.session, change.user, change.answer.await.unwrap()));
    }
    for node in 0..NODES {
        for log in 0..NODES {
            let writer = || cluster.engine(cluster.owner(log).unwrap()).position(log);
            let what = format!("seed {seed}: node {node} has all of log {log}");
            until(&what, || cluster.engine(node).position(log) == writer()).await;
        }
    }

    let mut seen = BTreeMap::new();
    for session in sessions {
        let events = events(cluster.engine(0), session).await;
        for node in 1..NODES {
            let there = self::events(cluster.engine(node), session).await;
            assert_eq!(events, there, "seed {seed}, node {node}");
        }
        let mut finished = BTreeSet::new();
        for event in &events {
            if let Event::JobFinished { job, .. } = event {
                assert!(
                    finished.insert(*job),
                    "seed {seed}: job {job} finished twice"
                );
            }
        }
        let submitted: BTreeSet<JobId> = events
            .iter()
            .filter_map(|event| match event {
                Event::JobSubmitted { job, .. } => Some(*job),
                _ => None,
            })
            .collect();
        assert!(submitted.is_superset(&finished));
        seen.insert(session, events);
    }
    for (session, name, answer) in answers {
        let count = seen[&session]
            .iter()
            .filter(|event| matches!(event, Event::UserSet { user } if **user == *name))
            .count();
        match answer {
            Ok(()) => assert_eq!(count, 1, "seed {seed}: {name}"),
            Err(CommandError::Unavailable(Unavailable::Moved)) => assert!(count <= 1),
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
}

async fn events(engine: &Engine, session: SessionId) -> Vec<Event> {
    let mut events = vec![];
    let mut after = Sequence::START;
    loop {
        let read = engine.read(session, after, LIMIT, Duration::ZERO);
        let records = read.await.unwrap();
        let Some(last) = records.last() else {
            return events;
        };
        after = last.sequence;
        events.extend(records.iter().map(|record| record.event.clone()));
    }
}
