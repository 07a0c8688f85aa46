//! The end of a run, without faults: each node has its own log again, every job ends, every reader catches
//! up, all nodes show the same, and then they end cleanly.

use super::clients::{PullEnd, pull};
use super::cursors::Key;
use super::ledger::Ledger;
use super::simulation::Simulation;
use crate::oracle::ensure;
use futures::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

impl Simulation {
    pub(super) fn drain(&mut self) -> Result<(), String> {
        self.net.begin_draining();
        self.net.note(format_args!("drains"));
        self.heal();
        // Who was away is still held for dead for a while.
        let healed = self.net.clock.elapsed();
        self.run_until("some time has passed", |simulation| {
            let passed = simulation.net.clock.elapsed().saturating_sub(healed);
            passed > Duration::from_secs(20)
        })?;
        self.run_until("every node has its own log again", |simulation| {
            simulation.nodes.iter().enumerate().all(|(node, it)| {
                let engine = it.process.as_ref().and_then(|process| process.engine());
                let home = simulation.net.ledger().home(node);
                engine.is_some_and(|engine| home.is_some_and(|home| engine.owns(home)))
            })
        })?;
        self.run_until("no job runs any more", |simulation| {
            simulation.net.ledger().running() == 0
        })?;
        self.run_until("keepers have no job that is over", |simulation| {
            let mut nodes = simulation.nodes.iter();
            nodes.all(|node| node.machine.keeper.jobs().is_empty())
        })?;
        self.catch_up()?;
        self.compare()?;
        self.leave_all()
    }

    /// Steps until something is so.
    fn run_until(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) -> Result<(), String> {
        let begun = self.net.clock.elapsed();
        let mut steps = 0_u64;
        loop {
            if self.net.has_failed() {
                return Err("a promise was broken at the end".to_owned());
            }
            if steps.is_multiple_of(20) && is_done(self) {
                return Ok(());
            }
            steps += 1;
            let passed = self.net.clock.elapsed().saturating_sub(begun);
            ensure!(
                passed < LONGEST,
                "the end: after {passed:?} it is not so that {what}: {}",
                self.state()
            );
            self.change();
            self.step()?;
        }
    }

    fn state(&self) -> String {
        let ledger = self.net.ledger();
        let logs = ledger.logs.iter().map(|log| log.writer().cloned());
        let logs: Vec<_> = logs.collect();
        let jobs: Vec<_> = self
            .nodes
            .iter()
            .map(|node| node.machine.keeper.jobs())
            .collect();
        drop(ledger);
        let engines = self.nodes.iter().map(|node| {
            let engine = node.process.as_ref().and_then(|process| process.engine());
            engine.map(|engine| engine.cluster().map(|status| status.logs))
        });
        let engines: Vec<_> = engines.collect();
        format!("{logs:?}, {jobs:?}, {engines:?}")
    }

    /// Each consumer that is left pulls to its end, through any node.
    fn catch_up(&mut self) -> Result<(), String> {
        let keys = self.net.ledger().cursors.keys();
        let is_done = Arc::new(AtomicBool::new(false));
        let node = self.random.index(self.nodes.len());
        let engine = self.nodes[node].process.as_ref().and_then(|process| {
            let engine = process.engine()?;
            Some((process.cell.clone(), engine))
        });
        let Some((cell, engine)) = engine else {
            return Err("the end: a node has no engine".to_owned());
        };
        let (net, at, done) = (self.net.clone(), cell.clone(), is_done.clone());
        let reading = keys.clone();
        let pulling = async move {
            for key in reading {
                // A pull through a node that is gone stays open for a while.
                let mut tries = 0..60;
                while tries.next().is_some() {
                    match pull(&net, &at, &engine, key, Duration::ZERO, 50).await {
                        PullEnd::Gone => break,
                        PullEnd::Records => tries = 0..60,
                        PullEnd::Nothing if has_caught_up(&net.ledger(), key).is_ok() => break,
                        PullEnd::Nothing | PullEnd::Failed => {
                            net.pause(Duration::from_secs(1)).await;
                        }
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
        };
        cell.executor.spawn("reader", pulling.boxed());
        self.run_until("all consumers have pulled", |_| {
            is_done.load(Ordering::Relaxed)
        })?;
        let ledger = self.net.ledger();
        keys.into_iter()
            .try_for_each(|key| has_caught_up(&ledger, key))
    }

    /// All nodes show what is stored, and nothing else.
    fn compare(&mut self) -> Result<(), String> {
        self.run_until("all nodes have followed all logs", |simulation| {
            let ledger = simulation.net.ledger();
            simulation.nodes.iter().all(|node| {
                let engine = node.process.as_ref().and_then(|process| process.engine());
                engine.is_some_and(|engine| {
                    let mut logs = (0..).zip(&ledger.logs);
                    logs.all(|(log, truth)| engine.position(log) == Some(truth.len()))
                })
            })
        })?;
        let ledger = self.net.ledger();
        for (number, node) in self.nodes.iter().enumerate() {
            let engine = node.process.as_ref().and_then(|process| process.engine());
            let is_same = engine.is_some_and(|engine| {
                engine.view(|views| {
                    let own = views.open_sessions().map(|view| (view.id, view.clone()));
                    let expected = ledger.views.open_sessions();
                    let own: std::collections::BTreeMap<_, _> = own.collect();
                    let expected = expected.map(|view| (view.id, view.clone()));
                    own == expected.collect()
                })
            });
            ensure!(
                is_same,
                "promise 1: the views of node {number} are not the fold of all logs"
            );
        }
        Ok(())
    }

    /// All nodes end, and let their logs go.
    fn leave_all(&mut self) -> Result<(), String> {
        for node in &self.nodes {
            if let Some(process) = &node.process {
                process.leave();
            }
        }
        let has_left = |simulation: &Self| {
            let mut nodes = simulation.nodes.iter();
            nodes.all(|node| node.process.as_ref().is_none_or(|it| it.has_left()))
        };
        let begun = self.net.clock.elapsed();
        while !has_left(self) {
            let passed = self.net.clock.elapsed().saturating_sub(begun);
            ensure!(passed < LONGEST, "the end: a node does not end");
            self.step()?;
        }
        let ledger = self.net.ledger();
        for (log, truth) in ledger.logs.iter().enumerate() {
            ensure!(
                truth.is_let_go(),
                "the end: log {log} was not let go by {:?}",
                truth.writer()
            );
        }
        Ok(())
    }
}

/// Whether a consumer, if it still reads, was given all that it wants.
fn has_caught_up(ledger: &Ledger, key: Key) -> Result<(), String> {
    let truth = ledger.truth(key.0);
    let open = truth.state.session(key.0);
    match open.is_some_and(|open| open.consumer(key.1).is_some()) {
        true => ledger.cursors.check_caught_up(key, truth),
        false => Ok(()),
    }
}

/// Far longer than jobs and takeovers take.
const LONGEST: Duration = Duration::from_secs(240);
