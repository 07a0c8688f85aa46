//! Finds or makes the home of a node.

use crate::limits::{LOGS, NAME, PAUSE, START};
#[cfg(feature = "nats")]
use crate::surroundings::NodePatience;
use crate::surroundings::{Server, Surroundings};
use crate::{Membership, Shared, Stopwatch};
use event_listener::Event as Wake;
use rejoin_cluster::{
    Beats, CLUSTER_KEY, Claim, ClusterEntry, LogServer, NodeName, Process, Written, claim_key,
    node_key,
};
#[cfg(feature = "nats")]
use rejoin_core::Limits;
use rejoin_core::Numbering;
use rejoin_engine::HomeLog;
use rejoin_log::segment::{LogId, OpenError, Opened};
#[cfg(feature = "nats")]
use rejoin_log_jetstream::{ConnectError, ConnectionSettings, SyncProof};
use rejoin_log_jetstream::{Follower, StreamOpenError, StreamOptions};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

/// How a node takes part in a cluster on servers of NATS.
#[cfg(feature = "nats")]
#[derive(Clone, Debug)]
pub struct MembershipSettings {
    /// The servers of NATS.
    pub connection: ConnectionSettings,
    /// The name of the cluster.
    pub cluster: NodeName,
    /// The name of this node. No other process may use it at the same time.
    pub node: NodeName,
    /// Random bits of this run of the program.
    pub process: Process,
    /// How many servers keep each message: 3, or 5. 1 is for tests.
    pub replicas: usize,
    /// How it is known that the servers sync.
    pub sync: SyncProof,
    /// How long it waits for other nodes and for servers.
    pub patience: NodePatience,
    /// The directory of the copies of the logs.
    pub directory: PathBuf,
    /// The version of the program.
    pub version: String,
    /// The limits of the core, as in the engine's settings.
    pub limits: Limits,
}

/// A process of a node.
#[derive(Clone, Debug)]
pub struct Member {
    /// The name of the cluster.
    pub cluster: NodeName,
    /// The name of the node.
    pub node: NodeName,
    /// Random bits of this run of the program.
    pub process: Process,
    /// The version of the program.
    pub version: String,
}

impl Member {
    /// With which it opens a log: to follow it, or to take it.
    pub(crate) fn stream_options(&self, number: u8, log: LogId, take: bool) -> StreamOptions {
        StreamOptions {
            number,
            log,
            node: self.node.clone(),
            process: self.process,
            version: self.version.clone(),
            take,
        }
    }
}

/// A node that has a home.
#[derive(Debug)]
pub struct Joined {
    /// Its log, for [`Engine::node`](rejoin_engine::Engine::node).
    pub home: HomeLog,
    /// The numbers that it gives, for the engine's settings.
    pub numbering: Numbering,
    /// Its part in the cluster.
    pub membership: Membership,
}

/// Why a node can't take part.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is no connection, or the servers are not as they must be.
    #[cfg(feature = "nats")]
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The servers did not answer in time.
    #[error("the servers of NATS did not answer for {} seconds", START.as_secs())]
    Unanswered,
    /// The cluster was made by another version.
    #[error(
        "the cluster {0} was made by another version of the program, which this one can't read"
    )]
    Format(NodeName),
    /// Another process writes the beat of this node.
    #[error(
        "a node called {0} is running already: give this one another name, or end the other one first"
    )]
    Running(NodeName),
    /// All logs are the homes of other nodes.
    #[error(
        "the cluster {cluster} has had {LOGS} nodes, as many as there can be, and no log is left for {node}: start it \
         with the name of a node that is gone and was not retired, which then gets that one's sessions"
    )]
    Full {
        /// The cluster.
        cluster: NodeName,
        /// This node.
        node: NodeName,
    },
    /// The node was taken out of the cluster.
    #[error(
        "node {node} was retired from cluster {cluster}, and its log stays with the other nodes: start it with another \
         name and an empty directory"
    )]
    Retired {
        /// The cluster.
        cluster: NodeName,
        /// This node.
        node: NodeName,
    },
    /// The copy of a log could not be opened.
    #[error("the copy of log {log} on this machine: {error}")]
    Copy {
        /// The log.
        log: u8,
        /// Why not.
        error: OpenError,
    },
    /// A log could not be followed.
    #[error("log {log}: {error}")]
    Follow {
        /// The log.
        log: u8,
        /// Why not.
        error: StreamOpenError,
    },
    /// A copy that is too old could not be removed.
    #[error("cannot remove the copy of log {log} on this machine: {error}")]
    Discard {
        /// The log.
        log: u8,
        /// Why not.
        error: io::Error,
    },
    /// A directory could not be made.
    #[error("cannot make {}: {error}", .directory.display())]
    Directory {
        /// Which.
        directory: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl Membership {
    /// Connects, finds the log that belongs to the node or takes the first that belongs to none, and reads
    /// it. Blocks, up to a minute if the servers don't answer, and while a long log is read.
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    #[cfg(feature = "nats")]
    pub fn join(settings: MembershipSettings) -> Result<Joined, JoinError> {
        let (member, surroundings) = crate::nats::connect(settings)?;
        Self::join_in(member, surroundings)
    }

    /// As `join`, in surroundings that are given.
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    pub fn join_in(
        member: Member,
        surroundings: Arc<dyn Surroundings>,
    ) -> Result<Joined, JoinError> {
        // The first node has made this one.
        let (mut entries, _) = surroundings.server(0)?;
        check_format(&member, &mut entries)?;
        check_name(&member, &mut entries)?;
        let home = find_home(&member, &mut entries)?;
        let opened = open(&member, &*surroundings, home)?;
        let (follower, projection, _) = opened.into_parts();
        let log = HomeLog {
            id: follower.copy().id(),
            projection,
            position: follower.position(),
            reader: follower.reader(),
        };
        let numbering = Numbering::new(home, LOGS).unwrap_or_default();
        let shared = Arc::new(Shared {
            beats: Mutex::new(Beats::patient(
                surroundings.patience().take_over_after.as_secs(),
            )),
            member,
            surroundings,
            stopwatch: Stopwatch::default(),
            home,
            claims: Mutex::default(),
            on_new_term: Wake::new(),
            reading: Mutex::default(),
            logs: Mutex::default(),
            entries: Mutex::default(),
            appends: Mutex::default(),
            is_leaving: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            answered: Mutex::default(),
            servers: Mutex::default(),
            services: Mutex::default(),
            accounts: OnceLock::new(),
            accounts_mark: Mutex::default(),
            other_accounts: Mutex::default(),
        });
        Ok(Joined {
            home: log,
            numbering,
            membership: Self {
                shared,
                entries: Some(entries),
                home: Some(follower),
                beating: None,
            },
        })
    }
}

/// Opens the copy of a log, and reads all that it doesn't have.
pub(crate) fn open(
    member: &Member,
    surroundings: &dyn Surroundings,
    log: u8,
) -> Result<Opened<Follower<Server>>, JoinError> {
    let once = || {
        let (server, id) = surroundings.server(log)?;
        let copy = surroundings.copy(log, id)?;
        let options = member.stream_options(log, id, false);
        let followed = options.follow(server, copy);
        followed.map_err(|error| JoinError::Follow { log, error })
    };
    match once() {
        Err(JoinError::Follow {
            error: error @ StreamOpenError::Purged { .. },
            ..
        }) => {
            // All of its sessions were removed meanwhile.
            tracing::warn!(log, %error, "the copy of a log is too old, and is made anew");
            let discarded = surroundings.discard_copy(log);
            discarded.map_err(|error| JoinError::Discard { log, error })?;
            once()
        }
        opened => opened,
    }
}

/// Tries until there is an answer.
pub(crate) fn answered<T>(
    entries: &mut Server,
    mut ask: impl FnMut(&mut Server) -> Option<T>,
) -> Result<T, JoinError> {
    // One that is not answered takes a while by itself.
    let until = entries.elapsed().saturating_add(START);
    loop {
        if let Some(answer) = ask(entries) {
            return Ok(answer);
        }
        if entries.elapsed() >= until {
            return Err(JoinError::Unanswered);
        }
        entries.pause(PAUSE);
    }
}

pub(crate) fn check_format(member: &Member, entries: &mut Server) -> Result<(), JoinError> {
    let ours = ClusterEntry {
        format: 1,
        numbers: LOGS,
    };
    let found = answered(entries, |entries| match entries.read(CLUSTER_KEY)? {
        Some(entry) => Some(ClusterEntry::decode(&entry.value)),
        None => {
            // Another node may have made it meanwhile: read what is there.
            entries.write(CLUSTER_KEY, 0, &ours.encode());
            None
        }
    })?;
    match found {
        Some(found) if found == ours => Ok(()),
        _ => Err(JoinError::Format(member.cluster.clone())),
    }
}

/// Looks for a while whether another process of this name is alive. One that hangs is not noticed, and loses its
/// log; a node that has ended cleanly has no beat, and a new one starts at once.
fn check_name(member: &Member, entries: &mut Server) -> Result<(), JoinError> {
    let key = node_key(&member.node);
    let Some(first) = answered(entries, |entries| entries.read(&key))? else {
        return Ok(());
    };
    for _ in 0..NAME.as_millis() / PAUSE.as_millis() {
        if first.value.is_empty() {
            break;
        }
        entries.pause(PAUSE);
        if let Some(Some(now)) = entries.read(&key)
            && now.revision != first.revision
            && !now.value.is_empty()
        {
            return Err(JoinError::Running(member.node.clone()));
        }
    }
    Ok(())
}

/// The number of the log that belongs to the node. If none does, it gets the first that has no home.
fn find_home(member: &Member, entries: &mut Server) -> Result<u8, JoinError> {
    let mut log = 0;
    while log < LOGS {
        let key = claim_key(log);
        let entry = answered(entries, |entries| entries.read(&key))?;
        if let Some(entry) = entry {
            let claim = Claim::decode(&entry.value);
            match claim.filter(|claim| claim.home == member.node) {
                Some(claim) if claim.retired => {
                    return Err(JoinError::Retired {
                        cluster: member.cluster.clone(),
                        node: member.node.clone(),
                    });
                }
                Some(_) => return Ok(log),
                None => {}
            }
            log = log.saturating_add(1);
            continue;
        }
        let claim = Claim {
            home: member.node.clone(),
            owner: None,
            process: None,
            term: 0,
            retired: false,
        };
        // Whether an unanswered one was written shows at the next try, as a conflict.
        let written = answered(entries, |entries| {
            match entries.write(&key, 0, &claim.encode()) {
                Written::Unknown => None,
                written => Some(written),
            }
        })?;
        if let Written::Done(_) = written {
            return Ok(log);
        }
    }
    Err(JoinError::Full {
        cluster: member.cluster.clone(),
        node: member.node.clone(),
    })
}
