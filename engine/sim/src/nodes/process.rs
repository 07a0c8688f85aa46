//! A process of a node: the real engine and the real driver, in simulated surroundings.

use super::mutants::NodesMutant;
use super::net::{Net, ProcessCell};
use super::runner::{Keeper, KeptRunner, PlainRunner};
use super::surroundings::{Disks, SimulatedSurroundings};
use super::threads::{self, SimulatedThread};
use super::truth::node_name;
use crate::world::Clock;
use futures::FutureExt;
use futures::future::BoxFuture;
use rejoin_cluster::NodeName;
use rejoin_core::{Limits, Numbering, Retention, Server, Timestamp};
use rejoin_engine::peers::{ClusterStatus, LogPlace, PeerAnswer, PeerError, PeerRequest, Peers};
use rejoin_engine::{Config, Engine, Runtime};
use rejoin_node::{Joined, Member, Membership};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One run of a node's program.
pub(super) struct Process {
    pub(super) cell: Arc<ProcessCell>,
    state: Arc<Mutex<Started>>,
    is_leaving: Arc<AtomicBool>,
}

#[derive(Default)]
struct Started {
    engine: Option<Engine>,
    has_failed: bool,
    has_left: bool,
}

/// What a machine has on its disks and in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) disks: Disks,
    pub(super) keeper: Arc<Keeper>,
}

impl Process {
    /// Starts the program. It joins the cluster, and has an engine a while later.
    pub(super) fn start(net: &Arc<Net>, cell: Arc<ProcessCell>, machine: &Machine) -> Self {
        let state = Arc::<Mutex<Started>>::default();
        let is_leaving = Arc::new(AtomicBool::new(false));
        let main = Main {
            net: net.clone(),
            cell: cell.clone(),
            machine: machine.clone(),
            state: state.clone(),
            is_leaving: is_leaving.clone(),
        };
        let thread = SimulatedThread::new(move || main.run());
        cell.executor.spawn("main", thread.boxed());
        Self {
            cell,
            state,
            is_leaving,
        }
    }

    fn state(&self) -> MutexGuard<'_, Started> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, once there is one.
    pub(super) fn engine(&self) -> Option<Engine> {
        self.state().engine.clone()
    }

    /// It could not start, and must be started again.
    pub(super) fn has_failed(&self) -> bool {
        self.state().has_failed
    }

    /// Asks it to end cleanly.
    pub(super) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    /// Whether it has ended cleanly.
    pub(super) fn has_left(&self) -> bool {
        self.state().has_left
    }

    /// Drops what is held of it.
    pub(super) fn forget(&self) {
        let engine = self.state().engine.take();
        drop(engine);
    }
}

struct Main {
    net: Arc<Net>,
    cell: Arc<ProcessCell>,
    machine: Machine,
    state: Arc<Mutex<Started>>,
    is_leaving: Arc<AtomicBool>,
}

impl Main {
    fn state(&self) -> MutexGuard<'_, Started> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let started = self.start();
        let (engine, membership) = match started {
            Ok(started) => started,
            Err(why) => {
                self.net.note(format_args!("cannot start: {why}"));
                self.net.count("node: could not start");
                self.state().has_failed = true;
                return;
            }
        };
        self.net.count("node: started");
        self.state().engine = Some(engine.clone());
        while !self.is_leaving.load(Ordering::Relaxed) {
            threads::sleep(&self.net.clock, Duration::from_millis(400));
        }
        // From here on it beats no more, also where it can't let a log go because the servers elect.
        let now = self.net.clock.elapsed();
        self.net.ledger().set_away(self.cell.id, true, now);
        membership.begin_leaving();
        threads::block_on(engine.shut_down(Duration::from_secs(2)));
        membership.leave();
        self.net.count("node: left");
        self.state().engine = None;
        self.state().has_left = true;
    }

    fn start(&self) -> Result<(Engine, Membership), String> {
        let name: NodeName = node_name(self.cell.node)
            .parse()
            .map_err(|error| format!("{error}"))?;
        let cluster = "sim".parse().map_err(|error| format!("{error}"))?;
        let mut random = [0; 16];
        random[..8].copy_from_slice(&(self.cell.id as u64).to_be_bytes());
        let member = Member {
            cluster,
            node: name,
            process: rejoin_node::Process(random),
            version: "simulated".to_owned(),
        };
        let surroundings = SimulatedSurroundings {
            net: self.net.clone(),
            process: self.cell.clone(),
            disks: self.machine.disks.clone(),
            limits: limits(),
            segment_bytes: 20_000,
        };
        let joined = Membership::join_in(member, Arc::new(surroundings));
        let Joined {
            home,
            numbering,
            mut membership,
        } = joined.map_err(|error| error.to_string())?;
        {
            let mut ledger = self.net.ledger();
            let joined = ledger.join(self.cell.node, numbering.log());
            ledger.report(joined);
        }
        let peers: Arc<dyn Peers> = Arc::new(MutantPeers {
            net: self.net.clone(),
            peers: membership.peers(),
        });
        let runtime = Arc::new(NodeRuntime {
            net: self.net.clone(),
            cell: self.cell.clone(),
        });
        let kept = KeptRunner {
            net: self.net.clone(),
            keeper: self.machine.keeper.clone(),
        };
        let opening = Engine::node(home, peers)
            .config(config(numbering))
            .service("kept", kept)
            .service("plain", PlainRunner(self.net.clone()))
            .runtime(runtime)
            .open();
        let engine = threads::block_on(opening).map_err(|error| error.to_string())?;
        membership
            .start(&engine)
            .map_err(|error| error.to_string())?;
        Ok((engine, membership))
    }
}

/// The limits of the simulated nodes.
pub(super) fn limits() -> Limits {
    Limits {
        sessions: 12,
        consumers: 5,
        jobs: 4,
        retention: Retention {
            age: None,
            bytes: None,
        },
        ..Limits::DEFAULT
    }
}

fn config(numbering: Numbering) -> Config {
    Config {
        limits: limits(),
        session_timeout: Duration::from_secs(60),
        consumer_timeout: Duration::from_secs(40),
        job_timeout: Duration::from_secs(40),
        max_pull_wait: Duration::from_secs(10),
        recent_bytes: 10_000,
        numbering,
        server: Server {
            process: 1,
            version: "simulated".into(),
            node: None,
        },
        ..Config::default()
    }
}

/// The runtime of one process.
#[derive(Debug)]
struct NodeRuntime {
    net: Arc<Net>,
    cell: Arc<ProcessCell>,
}

impl NodeRuntime {
    fn clock(&self) -> &Clock {
        &self.net.clock
    }
}

impl Runtime for NodeRuntime {
    fn now(&self) -> Timestamp {
        self.clock().now()
    }

    fn elapsed(&self) -> Duration {
        self.clock().stopwatch()
    }

    fn boot(&self) -> Option<[u8; 16]> {
        Some(self.clock().boot())
    }

    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(self.clock().timer(wait))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        if !self.cell.is_dead() {
            self.cell.executor.spawn("task", future);
        }
    }

    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        if !self.cell.is_dead() {
            let thread = SimulatedThread::of(future);
            self.cell.executor.spawn(name, thread.boxed());
        }
    }

    fn random(&self) -> [u8; 16] {
        self.net.draw(|random| random.bytes())
    }
}

/// Asks as the node does, or as a mutant would.
#[derive(Debug)]
struct MutantPeers {
    net: Arc<Net>,
    peers: Arc<dyn Peers>,
}

impl Peers for MutantPeers {
    fn ask(
        &self,
        log: u8,
        request: PeerRequest,
    ) -> BoxFuture<'static, Result<PeerAnswer, PeerError>> {
        let is_position = matches!(request, PeerRequest::Position);
        if is_position && self.net.has(NodesMutant::AnswersNegatives) {
            let answer = PeerAnswer {
                position: 0,
                reply: rejoin_engine::peers::PeerReply::Position,
            };
            return Box::pin(async { Ok(answer) });
        }
        let is_command = matches!(request, PeerRequest::Command { .. });
        let request = match request {
            PeerRequest::EndPull { pull, .. } if self.net.has(NodesMutant::ForgetsCursors) => {
                PeerRequest::EndPull {
                    pull,
                    advance: None,
                }
            }
            other => other,
        };
        let asked = self.peers.ask(log, request.clone());
        if is_command && self.net.has(NodesMutant::AsksTwice) {
            let peers = self.peers.clone();
            return async move {
                match asked.await {
                    Err(PeerError::Unanswered) => peers.ask(log, request).await,
                    other => other,
                }
            }
            .boxed();
        }
        if self.net.has(NodesMutant::DoesNotWaitForOwnWrites) {
            return async move {
                asked.await.map(|answer| PeerAnswer {
                    position: 0,
                    ..answer
                })
            }
            .boxed();
        }
        asked
    }

    fn status(&self) -> Option<ClusterStatus> {
        self.peers.status()
    }

    fn place(&self, log: u8) -> Option<LogPlace> {
        self.peers.place(log)
    }
}
