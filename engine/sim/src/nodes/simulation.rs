//! One run of several nodes: their processes, and what goes wrong.

use super::clients::Client;
use super::ledger::Ledger;
use super::mutants::NodesMutant;
use super::net::{Net, ProcessCell};
use super::process::{Machine, Process, limits};
use crate::oracle::{Coverage, Trace, ensure};
use crate::world::{Executor, Random};
use futures::FutureExt;
use rejoin_cluster::testing::{Model, Network};
use rejoin_log::testing::Survival;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodesPlan {
    /// Decides everything.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// How many polls there are before the run is drained.
    pub steps: u64,
    /// A deliberate defect, if any.
    pub mutant: Option<NodesMutant>,
}

/// A run in which every promise was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodesReport {
    /// What happened, line by line.
    pub trace: Trace,
    /// How often each fault and event occurred.
    pub coverage: Coverage,
    /// How many records all logs have in the end.
    pub records: u64,
    /// How many polls there were in total.
    pub steps: u64,
    /// How often a log was taken from a node.
    pub takeovers: u64,
    /// How long it lasted, in simulated time.
    pub lasted: Duration,
}

/// A run in which a promise was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodesFailure {
    /// What was run.
    pub plan: NodesPlan,
    /// Which promise was broken, and how.
    pub what: String,
    /// What happened before, line by line.
    pub trace: Trace,
}

impl fmt::Display for NodesFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, what, trace } = self;
        let NodesPlan {
            seed, steps, nodes, ..
        } = plan;
        writeln!(f, "{}", trace.tail(TAIL))?;
        writeln!(f, "seed {seed} failed: {what}")?;
        write!(
            f,
            "reproduce with: cargo sim -- --nodes {nodes} --seed {seed} --steps {steps}"
        )
    }
}

/// Runs several nodes to the end.
///
/// # Errors
///
/// The first promise that was broken.
pub fn run_nodes(plan: NodesPlan) -> Result<NodesReport, Box<NodesFailure>> {
    let mut simulation = Simulation::new(plan);
    let found = simulation.run();
    simulation.end();
    let net = &simulation.net;
    let vices = net.servers().vices();
    let lasted = net.clock.elapsed();
    let mut ledger = net.ledger();
    let coverage = &mut ledger.coverage;
    for (name, times) in [
        ("vice: answer lost", vices.unanswered),
        ("vice: done after an election", vices.after_election),
        ("vice: done late", vices.late),
        ("vice: done twice", vices.twice),
        ("vice: message skipped", vices.skipped),
        ("vice: not readable yet", vices.hidden),
        ("vice: read before its writer knew", vices.early),
        ("vice: request lost", vices.lost),
        ("vice: wrong last sequence", vices.wrong_last),
    ] {
        coverage.count_times(name, times);
    }
    let trace = ledger.trace.clone();
    match ledger.failure.clone().or_else(|| found.err()) {
        Some(what) => Err(Box::new(NodesFailure { plan, what, trace })),
        None => Ok(NodesReport {
            trace,
            coverage: ledger.coverage.clone(),
            records: ledger.logs.iter().map(|log| log.len()).sum(),
            steps: net.steps(),
            takeovers: ledger.takeovers,
            lasted,
        }),
    }
}

pub(super) struct Simulation {
    pub(super) plan: NodesPlan,
    pub(super) net: Arc<Net>,
    pub(super) random: Random,
    pub(super) nodes: Vec<Node>,
    /// Until when no node reaches the servers.
    is_away: Option<Duration>,
    /// Only the servers fail: then no log may be taken, and no job be lost.
    has_sound_nodes: bool,
    /// Until then, the servers of such a run don't fail again: an election ends in 10 seconds.
    calm_until: Duration,
}

/// A machine, with the process that runs there, and former ones that don't know yet that they are former.
pub(super) struct Node {
    pub(super) machine: Machine,
    pub(super) process: Option<Process>,
    /// Whether the process has its clients.
    is_used: bool,
    /// When it is started again, or its process wakes up, or is no longer cut off.
    next: Option<(Duration, Change)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Start,
    Wake,
    Reconnect,
}

impl Simulation {
    fn new(plan: NodesPlan) -> Self {
        let mut random = Random::new(plan.seed ^ 0x6e6f_6465_7300_0000);
        let network = match random.below(4) {
            0 => Network::CALM,
            _ => NETWORK,
        };
        let model = Model::new(random.bits(), network);
        let ledger = Ledger::new(plan.nodes, limits());
        let net = Net::new(model, random.fork(), ledger, plan.mutant);
        let nodes = (0..plan.nodes).map(|_| Node {
            machine: Machine::default(),
            process: None,
            is_used: false,
            next: Some((Duration::ZERO, Change::Start)),
        });
        let nodes = nodes.collect();
        let has_sound_nodes = random.once_in(6);
        Self {
            plan,
            net,
            random,
            nodes,
            is_away: None,
            has_sound_nodes,
            calm_until: Duration::ZERO,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        while self.net.steps() < self.plan.steps && !self.net.has_failed() {
            if self.random.once_in(FAULTS) {
                self.fault();
            }
            self.change();
            self.step()?;
        }
        if self.net.has_failed() {
            return Ok(());
        }
        self.drain()?;
        let ledger = self.net.ledger();
        // Messages get lost as well, and with bad luck so many in a row that a node seems dead. It may see the claim
        // of the other one in time to let its log go, with its jobs.
        let lost_jobs = ledger.unexplained_losses;
        let is_sound = ledger.takeovers == ledger.unlucky && lost_jobs == 0;
        ensure!(
            !self.has_sound_nodes || is_sound,
            "takeover: {} logs were taken and {} jobs lost, and only the servers failed",
            ledger.takeovers,
            lost_jobs
        );
        drop(ledger);
        if self.has_sound_nodes {
            self.net.count("run: with sound nodes");
        }
        Ok(())
    }

    /// Polls a task of any process, or lets time pass if none can proceed.
    pub(super) fn step(&mut self) -> Result<(), String> {
        let first = self.random.index(self.nodes.len());
        for offset in 0..self.nodes.len() {
            let node = (first + offset) % self.nodes.len();
            if self.poll(node) {
                return Ok(());
            }
        }
        let changes = self.nodes.iter().filter_map(|node| node.next);
        let now = self.net.clock.elapsed();
        let next = changes.map(|(at, _)| at.saturating_sub(now)).min();
        let timer = self.net.clock.next_timer();
        let wait = match (next, timer) {
            (Some(next), Some(timer)) => next.min(timer),
            (Some(wait), None) | (None, Some(wait)) => wait,
            (None, None) => return Err("a wake-up is lost: nothing will ever happen".to_owned()),
        };
        self.net.clock.pass(wait);
        Ok(())
    }

    fn poll(&mut self, node: usize) -> bool {
        let Some(process) = &self.nodes[node].process else {
            return false;
        };
        if process.cell.is_stopped() {
            return false;
        }
        let Some(polled) = process.cell.executor.poll() else {
            return false;
        };
        self.net.step();
        if let Some(panic) = polled.panic {
            let mut ledger = self.net.ledger();
            ledger.fail(format!(
                "task {} of node {node} panicked: {panic}",
                polled.name
            ));
        }
        true
    }

    /// Does what is due: starts nodes, wakes them, and lets clients use them.
    pub(super) fn change(&mut self) {
        let now = self.net.clock.elapsed();
        for node in 0..self.nodes.len() {
            if let Some((_, change)) = self.nodes[node].next.filter(|(at, _)| *at <= now) {
                self.nodes[node].next = None;
                match change {
                    Change::Start => self.start(node),
                    Change::Wake => self.wake(node),
                    Change::Reconnect => self.reconnect(node),
                }
            }
            let Some(process) = &self.nodes[node].process else {
                continue;
            };
            if process.has_failed() || process.has_left() {
                let pause = self.random.millis(8_000);
                self.end_process(node);
                self.nodes[node].next = Some((now + pause, Change::Start));
                continue;
            }
            if !self.nodes[node].is_used
                && let Some(engine) = process.engine()
            {
                let cell = process.cell.clone();
                self.nodes[node].is_used = true;
                for _ in 0..1 + self.random.below(3) {
                    let client = Client {
                        net: self.net.clone(),
                        cell: cell.clone(),
                        engine: engine.clone(),
                        random: self.random.fork(),
                    };
                    cell.executor.spawn("client", client.run().boxed());
                }
            }
        }
        if self.is_away.is_some_and(|until| until <= now) {
            self.is_away = None;
            self.nodes.iter().for_each(|node| {
                if let Some(process) = &node.process {
                    let is_cut = matches!(node.next, Some((_, Change::Reconnect)));
                    process.cell.set_cut(is_cut);
                }
            });
        }
    }

    fn start(&mut self, node: usize) {
        let id = self.net.ledger().begin_process();
        let executor = Executor::new(self.random.fork(), 0);
        let cell = ProcessCell::new(id, node, executor, self.net.millis());
        cell.set_cut(self.is_away.is_some());
        self.net
            .note(format_args!("node {node} starts as process {id}"));
        let process = Process::start(&self.net, cell, &self.nodes[node].machine);
        self.nodes[node].process = Some(process);
        self.nodes[node].is_used = false;
    }

    fn wake(&mut self, node: usize) {
        let now = self.net.clock.elapsed();
        let Some(process) = &self.nodes[node].process else {
            return;
        };
        let id = process.cell.id;
        process.cell.set_stopped(false);
        self.net.note(format_args!("node {node} wakes up"));
        let mut ledger = self.net.ledger();
        ledger.set_away(id, false, now);
        ledger.return_process(now);
        let home = ledger.home(node).map(usize::from);
        let writer = home.and_then(|home| ledger.logs[home].writer());
        if writer.is_some_and(|writer| writer.process != id) {
            ledger.coverage.count("node: woke up as a former owner");
        }
    }

    fn reconnect(&mut self, node: usize) {
        let now = self.net.clock.elapsed();
        if let Some(process) = &self.nodes[node].process {
            process.cell.set_cut(self.is_away.is_some());
            let mut ledger = self.net.ledger();
            ledger.set_away(process.cell.id, false, now);
            ledger.return_process(now);
        }
    }

    /// The process is dead, or has ended.
    pub(super) fn end_process(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process.take() else {
            return;
        };
        let now = self.net.clock.elapsed();
        process.cell.die();
        process.cell.executor.clear();
        self.net.disconnect(process.cell.id);
        process.forget();
        process.cell.executor.clear();
        let mut ledger = self.net.ledger();
        ledger.set_away(process.cell.id, true, now);
        ledger.cursors.lose(process.cell.id);
        drop(ledger);
        drop(process);
    }

    fn fault(&mut self) {
        let node = self.random.index(self.nodes.len());
        // Most interesting is what happens to who has the log of another node.
        let node = match self.random.once_in(2) {
            true => self.has_two_logs().unwrap_or(node),
            false => node,
        };
        let log = u8::try_from(self.random.index(self.nodes.len())).unwrap_or(0);
        if self.has_sound_nodes {
            let now = self.net.clock.elapsed();
            if now < self.calm_until {
                return;
            }
            self.calm_until = now + Duration::from_secs(15);
        }
        let fault = match self.has_sound_nodes {
            // Damage is no election.
            true => 64 + self.random.below(29),
            false => self.random.below(100),
        };
        match fault {
            0..=21 => self.kill(node),
            22..=39 => self.stop(node),
            40..=54 => self.cut_off(node),
            55..=63 => self.leave(node),
            64..=77 => {
                self.net.count("fault: election of a log's leader");
                self.net
                    .note(format_args!("election of log {log}'s leader"));
                self.net.servers().elect(log);
            }
            78..=88 => {
                self.net.count("fault: election of the store's leader");
                self.net
                    .note(format_args!("election of the store's leader"));
                self.net.servers().elect_for_store();
            }
            89..=92 => self.servers_away(),
            _ => {
                self.net.count("fault: hole in a replica");
                self.net.servers().lose(log);
                self.net.ledger().damage(log);
            }
        }
    }

    /// A node whose process writes the log of another one.
    fn has_two_logs(&self) -> Option<usize> {
        let ledger = self.net.ledger();
        let mut nodes = self.nodes.iter().enumerate();
        let found = nodes.find(|(node, it)| {
            let process = it.process.as_ref().map(|process| process.cell.id);
            let home = ledger.home(*node).map(usize::from);
            let mut logs = ledger.logs.iter().enumerate();
            logs.any(|(log, truth)| {
                Some(log) != home
                    && !truth.is_let_go()
                    && truth.writer().map(|writer| writer.process) == process
            })
        });
        found.map(|(node, _)| node)
    }

    /// What may be done with the process now.
    fn is_free(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.next.is_none() && node.process.as_ref().is_some_and(|it| !it.is_leaving())
    }

    fn kill(&mut self, node: usize) {
        // Also one that is stopped or cut off.
        if self.nodes[node].process.is_none() {
            return;
        }
        self.net.count("fault: process killed");
        self.net.note(format_args!("node {node} is killed"));
        self.end_process(node);
        let machine = &self.nodes[node].machine;
        if self.random.once_in(4) {
            self.net.count("fault: power cut");
            let disks = machine.disks.lock().unwrap_or_else(PoisonError::into_inner);
            for disk in disks.values() {
                disk.power_cut(Survival::seeded(self.random.bits()));
            }
            machine.keeper.die();
        }
        if self.random.once_in(6) {
            self.net.count("fault: directory lost");
            let mut disks = machine.disks.lock().unwrap_or_else(PoisonError::into_inner);
            disks.clear();
        }
        let longest = self.random.pick([1_000, 5_000, 30_000]);
        let at = self.net.clock.elapsed() + self.random.millis(longest);
        self.nodes[node].next = Some((at, Change::Start));
    }

    fn stop(&mut self, node: usize) {
        if self.take_away(node, "fault: process stopped", Change::Wake) {
            self.net.note(format_args!("node {node} is stopped"));
            if let Some(process) = &self.nodes[node].process {
                process.cell.set_stopped(true);
            }
        }
    }

    fn cut_off(&mut self, node: usize) {
        if self.take_away(node, "fault: node cut off", Change::Reconnect) {
            self.net.note(format_args!("node {node} is cut off"));
            if let Some(process) = &self.nodes[node].process {
                process.cell.set_cut(true);
            }
        }
    }

    /// From now on until this change, others may take its logs. Whether it can be done.
    fn take_away(&mut self, node: usize, fault: &'static str, until: Change) -> bool {
        if !self.is_free(node) {
            return false;
        }
        self.net.count(fault);
        let now = self.net.clock.elapsed();
        let longest = self.random.pick([3_000, 12_000, 25_000]);
        let at = now + self.random.millis(longest);
        self.nodes[node].next = Some((at, until));
        if let Some(process) = &self.nodes[node].process {
            self.net.ledger().set_away(process.cell.id, true, now);
        }
        true
    }

    /// No node reaches the servers. That is no reason to take a log.
    fn servers_away(&mut self) {
        if self.is_away.is_some() {
            return;
        }
        self.net.count("fault: servers away");
        self.net.note(format_args!("the servers are away"));
        self.is_away = Some(self.net.clock.elapsed() + self.random.millis(15_000));
        for node in &self.nodes {
            if let Some(process) = &node.process {
                process.cell.set_cut(true);
            }
        }
    }

    fn leave(&mut self, node: usize) {
        if !self.is_free(node) {
            return;
        }
        if let Some(process) = &self.nodes[node].process
            && process.engine().is_some()
        {
            self.net.note(format_args!("node {node} leaves"));
            process.leave();
        }
    }

    /// Heals everything: what is stopped or cut off goes on, and no replica lacks a message.
    pub(super) fn heal(&mut self) {
        self.is_away = None;
        self.net.servers().set_network(Network::CALM);
        self.net.servers().mend();
        for node in 0..self.nodes.len() {
            match self.nodes[node].next.take() {
                Some((_, Change::Wake)) => self.wake(node),
                Some((_, Change::Reconnect)) => self.reconnect(node),
                Some((_, Change::Start)) => self.start(node),
                None => {}
            }
            if let Some(process) = &self.nodes[node].process {
                process.cell.set_cut(false);
            }
        }
    }

    fn end(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.end_process(node));
    }
}

/// Something goes wrong once in so many polls.
const FAULTS: u64 = 350;

/// A network that misbehaves now and then. Beats must not get lost for seconds by chance.
const NETWORK: Network = Network {
    lost: 60,
    unanswered: 60,
    late: 60,
    twice: 30,
    hidden: 6,
};

/// How many lines of the trace a failure shows.
const TAIL: usize = 80;
