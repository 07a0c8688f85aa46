//! Makes an engine one of several nodes, over NATS JetStream.
//!
//! Each node has a log of its own, its home, and copies of the others'. [`Membership::join`] finds or makes
//! the home; [`Membership::start`] then writes a beat each second, follows all other logs into the engine, takes
//! the logs of nodes that are dead, gives them back when they are alive again, and answers what other nodes
//! ask.
//!
//! What must hold whatever happens is in [`rejoin_cluster`] (one writer a log) and in the engine (negatives
//! only from the writer). Here are threads, waiting, and the order of calls.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::indexing_slicing))]

mod beat;
mod driver;
mod join;
pub mod limits;
mod peers;
mod status;
mod watch;
mod watched_log;

pub use join::{JoinError, Joined, MembershipSettings};
pub use rejoin_cluster::{NodeName, Process};
pub use rejoin_log_jetstream::{Access, ConnectionSettings, SyncProof};

use rejoin_cluster::{Beats, Claim, NodeEntry};
use rejoin_engine::peers::{ClusterStatus, LogStatus, Peers, ServerStatus};
use rejoin_engine::{Engine, Runtime, SmolRuntime};
use rejoin_log_jetstream::{Connection, Follower, JetStream};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use watched_log::Appends;

/// One process's part in a cluster. It ends with [`leave`](Self::leave).
pub struct Membership {
    shared: Arc<Shared>,
    /// Until the start.
    entries: Option<JetStream>,
    home: Option<Follower<JetStream>>,
    beating: Option<JoinHandle<()>>,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("node", &self.shared.settings.node)
            .field("home", &self.shared.home)
            .finish_non_exhaustive()
    }
}

/// What all threads of a node know.
struct Shared {
    settings: MembershipSettings,
    connection: Connection,
    home: u8,
    beats: Mutex<Beats>,
    /// The claims of all logs as they were last read, by number.
    claims: Mutex<BTreeMap<u8, Claim>>,
    logs: Mutex<BTreeMap<u8, LogState>>,
    /// What the other nodes said of themselves at their last beats.
    entries: Mutex<BTreeMap<NodeName, NodeEntry>>,
    /// Appends to the logs that this node writes.
    appends: Mutex<BTreeMap<u8, Appends>>,
    servers: Mutex<BTreeMap<Arc<str>, ServerStatus>>,
    /// The services of this node.
    services: Mutex<Vec<Arc<str>>>,
    is_leaving: AtomicBool,
    is_silent: AtomicBool,
    /// What the stopwatch showed when the servers last answered a beat. None: it has not begun.
    answered: Mutex<Option<Duration>>,
}

/// A log as the threads note it.
#[derive(Default)]
struct LogState {
    status: LogStatus,
    /// What the stopwatch showed when this node last had all of its records. None: nobody has looked yet.
    whole: Option<Duration>,
}

impl Shared {
    fn me(&self) -> (&NodeName, Process) {
        (&self.settings.node, self.settings.process)
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    /// Waits, and returns early when the node leaves. Whether it does.
    fn pause(&self, time: Duration) -> bool {
        let step = Duration::from_millis(20);
        let mut left = time;
        while !left.is_zero() && !self.is_leaving() {
            let now = left.min(step);
            std::thread::sleep(now);
            left = left.saturating_sub(now);
        }
        self.is_leaving()
    }

    fn note(&self, log: u8, change: impl FnOnce(&mut LogStatus)) {
        change(&mut lock(&self.logs).entry(log).or_default().status);
    }

    /// This node has all records of a log now.
    fn is_whole(&self, log: u8) {
        lock(&self.logs).entry(log).or_default().whole = Some(now());
    }

    /// For how long the servers have not answered the beats.
    fn unanswered(&self) -> Duration {
        let answered = *lock(&self.answered);
        answered.map_or(Duration::ZERO, |then| now().saturating_sub(then))
    }
}

/// What the stopwatch shows. Nothing that is in a log depends on it.
fn now() -> Duration {
    SmolRuntime.elapsed()
}

/// What is behind a lock is whole at each moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Membership {
    /// Asks other nodes on behalf of the engine.
    #[must_use]
    pub fn peers(&self) -> Arc<dyn Peers> {
        Arc::new(peers::NodePeers::new(self.shared.clone()))
    }

    /// Begins to beat, to follow, and to own: the engine must have been opened with the home log and
    /// [`peers`](Self::peers). Returns at once; the home is owned when [`Engine::owns`] says so.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn start(&mut self, engine: &Engine) -> io::Result<()> {
        let (Some(entries), Some(home)) = (self.entries.take(), self.home.take()) else {
            return Ok(());
        };
        *lock(&self.shared.services) = engine.services().map(|it| it.to_string().into()).collect();
        let (shared, engine) = (self.shared.clone(), engine.clone());
        let watched = shared.clone();
        let watching = std::thread::Builder::new().name("rejoin-watch".to_owned());
        // Nobody waits for its end: it only looks.
        watching.spawn(move || watch::run(&watched))?;
        let beating = std::thread::Builder::new().name("rejoin-beat".to_owned());
        self.beating = Some(beating.spawn(move || beat::run(&shared, &engine, entries, home))?);
        Ok(())
    }

    /// Stops taking logs, and taking part at all once the engine has been shut down: call
    /// [`Engine::shut_down`] between [`begin_leaving`](Self::begin_leaving) and this. Then the node's beat is
    /// deleted, so that the others do not wait for it.
    pub fn leave(mut self) {
        self.begin_leaving();
        if let Some(beating) = self.beating.take() {
            let _ = beating.join();
        }
    }

    /// Takes no log any more.
    pub fn begin_leaving(&self) {
        self.shared.is_leaving.store(true, Ordering::Release);
    }

    /// Ends appends that wait for servers which don't answer, so that the engine can end without them. What
    /// was appended is found out when the log is opened again.
    pub fn give_up_appends(&self) {
        lock(&self.shared.appends).values().for_each(Appends::stop);
    }

    /// For tests: neither beats nor takes logs any more, as a process that hangs. It writes what it has until
    /// it sees that another node has taken it.
    pub fn fall_silent(&self) {
        self.shared.is_silent.store(true, Ordering::Release);
    }

    /// This node, and what it knows of the others.
    #[must_use]
    pub fn status(&self) -> ClusterStatus {
        status::of(&self.shared)
    }
}
