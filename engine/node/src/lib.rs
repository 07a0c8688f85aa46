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
#[cfg(feature = "nats")]
mod nats;
mod peers;
mod purge;
mod restore;
mod retire;
mod shared_entry;
mod status;
mod surroundings;
mod watch;
mod watched_log;

#[cfg(feature = "nats")]
pub use join::MembershipSettings;
pub use join::{JoinError, Joined, Member};
pub use rejoin_cluster::{NodeName, Process};
#[cfg(feature = "nats")]
pub use rejoin_log_jetstream::{Access, ConnectionSettings, SyncProof};
#[cfg(feature = "nats")]
pub use restore::restore;
pub use restore::{OldCopy, RestoreError, old_copies, restore_in};
pub use shared_entry::{SharedEntry, Unanswered};
pub use surroundings::{Answer, NodePatience, Noticing, Server, Surroundings, Thread};

use event_listener::Event as Wake;
use futures::channel::oneshot;
use rejoin_cluster::{Beats, Claim, NodeEntry};
use rejoin_engine::peers::{ClusterStatus, LogStatus, Peers, ServerStatus};
use rejoin_engine::{Engine, Runtime};
use rejoin_log_jetstream::{Follower, StopAppends};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use watched_log::Appends;

/// One process's part in a cluster. It ends with [`leave`](Self::leave).
pub struct Membership {
    shared: Arc<Shared>,
    /// Until the start.
    entries: Option<Server>,
    home: Option<Follower<Server>>,
    beating: Option<Thread>,
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Membership")
            .field("node", &self.shared.member.node)
            .field("home", &self.shared.home)
            .finish_non_exhaustive()
    }
}

/// What all threads of a node know.
struct Shared {
    member: Member,
    surroundings: Arc<dyn Surroundings>,
    stopwatch: Stopwatch,
    home: u8,
    beats: Mutex<Beats>,
    /// The claims of all logs as they were last read, by number.
    claims: Mutex<BTreeMap<u8, Claim>>,
    /// Woken when another node's claim of a log was read.
    on_new_term: Wake,
    /// Who waits until they are read again.
    reading: Mutex<Reading>,
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
    accounts: OnceLock<AccountsMark>,
    /// The mark of this node's accounts, as its beats show it.
    accounts_mark: Mutex<Option<String>>,
    /// Nodes that show another one, as it was last logged.
    other_accounts: Mutex<BTreeSet<NodeName>>,
}

/// Who waits for the next reading of all claims.
#[derive(Debug, Default)]
struct Reading(Vec<oneshot::Sender<bool>>);

impl Reading {
    /// Ready when all claims were read by calls that begin later. False: the servers did not answer.
    fn wait(&mut self) -> oneshot::Receiver<bool> {
        let (sender, receiver) = oneshot::channel();
        self.0.retain(|waiting| !waiting.is_canceled());
        self.0.push(sender);
        receiver
    }
}

/// A log as the threads note it.
#[derive(Default)]
struct LogState {
    status: LogStatus,
    /// What the stopwatch showed when this node last had all of its records. None: nobody has looked yet.
    whole: Option<Duration>,
}

/// See [`Membership::show_accounts`].
type AccountsMark = Box<dyn Fn() -> Option<String> + Send + Sync>;

impl Shared {
    fn me(&self) -> (&NodeName, Process) {
        (&self.member.node, self.member.process)
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    /// Waits, and returns early when the node leaves. Whether it does.
    fn pause(&self, time: Duration) -> bool {
        self.surroundings.sleep_unless(time, &|| self.is_leaving());
        self.is_leaving()
    }

    /// The term of a log's last claim, as far as is known.
    fn term(&self, log: u8) -> u64 {
        lock(&self.claims).get(&log).map_or(0, |claim| claim.term)
    }

    /// Waits until a claim of a log is known that is newer than this term.
    async fn newer_term(&self, log: u8, term: u64) {
        loop {
            let changed = self.on_new_term.listen();
            if self.term(log) > term {
                return;
            }
            changed.await;
        }
    }

    fn note(&self, log: u8, change: impl FnOnce(&mut LogStatus)) {
        change(&mut lock(&self.logs).entry(log).or_default().status);
    }

    /// This node has all records of a log now.
    fn is_whole(&self, log: u8) {
        let now = self.stopwatch.now();
        lock(&self.logs).entry(log).or_default().whole = Some(now);
    }

    /// For how long the servers have not answered the beats.
    fn unanswered(&self) -> Duration {
        let answered = *lock(&self.answered);
        answered.map_or(Duration::ZERO, |then| {
            self.stopwatch.now().saturating_sub(then)
        })
    }

    fn appends_of(&self, stop: StopAppends) -> Appends {
        Appends::new(stop, self.stopwatch.clone())
    }
}

/// The time that has passed, for what is shown and for when a node that is cut off stops its jobs. Nothing that is in
/// a log depends on it. It stands still until the start.
#[derive(Clone, Debug, Default)]
struct Stopwatch(Arc<OnceLock<Arc<dyn Runtime>>>);

impl Stopwatch {
    fn now(&self) -> Duration {
        self.0.get().map_or(Duration::ZERO, |it| it.elapsed())
    }
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
        let _ = self.shared.stopwatch.0.set(engine.runtime().clone());
        *lock(&self.shared.services) = engine.services().map(|it| it.to_string().into()).collect();
        let (shared, engine) = (self.shared.clone(), engine.clone());
        let surroundings = shared.surroundings.clone();
        if !surroundings.monitoring().is_empty() {
            let watched = shared.clone();
            let watching = move || watch::run(&watched);
            // Nobody waits for its end: it only looks.
            drop(surroundings.thread("rejoin-watch".to_owned(), Box::new(watching))?);
        }
        let beating = move || beat::run(&shared, &engine, entries, home);
        let beating = surroundings.thread("rejoin-beat".to_owned(), Box::new(beating));
        self.beating = Some(beating?);
        Ok(())
    }

    /// Shows other nodes a mark with each beat, which is the same on all nodes that have the same accounts and the
    /// same key of logins. None: there is no such key. Works once.
    pub fn show_accounts(&self, mark: impl Fn() -> Option<String> + Send + Sync + 'static) {
        let _ = self.shared.accounts.set(Box::new(mark));
    }

    /// Stops taking logs, and taking part at all once the engine has been shut down: call
    /// [`Engine::shut_down`] between [`begin_leaving`](Self::begin_leaving) and this. Then the node's beat is
    /// deleted, so that the others do not wait for it.
    pub fn leave(mut self) {
        self.begin_leaving();
        if let Some(beating) = self.beating.take() {
            beating();
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
