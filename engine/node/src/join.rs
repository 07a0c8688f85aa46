//! Finds or makes the home of a node.

use crate::limits::{LOGS, PAUSE, START};
use crate::{Membership, Shared};
use rejoin_cluster::{
    Beats, CLUSTER_KEY, Claim, ClusterEntry, LogServer, NodeName, Process, Written, claim_key,
};
use rejoin_core::{Limits, Numbering};
use rejoin_engine::HomeLog;
use rejoin_log::SegmentLog;
use rejoin_log::segment::{Durability, LogId, OpenError, OpenOptions, Opened, Options};
use rejoin_log_jetstream::{
    ConnectError, Connection, ConnectionSettings, Follower, JetStream, JetStreamSettings,
    StreamOpenError, StreamOptions, SyncProof,
};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

/// How a node takes part in a cluster.
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
    /// The directory of the copies of the logs.
    pub directory: PathBuf,
    /// The version of the program.
    pub version: String,
    /// The limits of the core, as in the engine's settings.
    pub limits: Limits,
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
    /// All logs are the homes of other nodes.
    #[error("the cluster {cluster} has {LOGS} nodes already, and no log is left for {node}")]
    Full {
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
    pub fn join(settings: MembershipSettings) -> Result<Joined, JoinError> {
        let connection = Connection::open(&settings.connection)?;
        // The first node has made this one.
        let mut entries = stream(&settings, &connection, 0)?;
        check_format(&settings, &mut entries)?;
        let home = find_home(&settings, &mut entries)?;
        let opened = open(&settings, &connection, home)?;
        let (follower, projection, _) = opened.into_parts();
        let log = HomeLog {
            id: follower.copy().id(),
            projection,
            position: follower.position(),
            reader: follower.reader(),
        };
        let numbering = Numbering::new(home, LOGS).unwrap_or_default();
        let shared = Arc::new(Shared {
            settings,
            connection,
            home,
            beats: Mutex::new(Beats::new()),
            claims: Mutex::default(),
            logs: Mutex::default(),
            appends: Mutex::default(),
            is_leaving: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
            unanswered_beats: AtomicU64::new(0),
            accounts: OnceLock::new(),
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

/// The stream of a log, made if there is none.
pub(crate) fn stream(
    settings: &MembershipSettings,
    connection: &Connection,
    log: u8,
) -> Result<JetStream, ConnectError> {
    let streams = JetStreamSettings {
        servers: settings.connection.servers.clone(),
        cluster: settings.cluster.clone(),
        number: log,
        replicas: settings.replicas,
        sync: settings.sync.clone(),
    };
    // Random as the process is, and different for each log.
    let Process(mut id) = settings.process;
    if let Some(last) = id.last_mut() {
        *last ^= log;
    }
    let has_records = has_records(settings, log);
    JetStream::on(connection, &streams, LogId::from_bytes(id), has_records)
}

fn directory(settings: &MembershipSettings, log: u8) -> PathBuf {
    settings.directory.join(log.to_string())
}

fn has_records(settings: &MembershipSettings, log: u8) -> bool {
    let directory = directory(settings, log);
    let found = directory
        .exists()
        .then(|| OpenOptions::read_only(directory).open_unfolded());
    matches!(found, Some(Ok((_, report))) if report.records > 0)
}

/// Opens the copy of a log, and reads all that it doesn't have.
pub(crate) fn open(
    settings: &MembershipSettings,
    connection: &Connection,
    log: u8,
) -> Result<Opened<Follower<JetStream>>, JoinError> {
    let server = stream(settings, connection, log)?;
    let copy = copy(settings, log, server.log())?;
    let options = StreamOptions {
        number: log,
        log: server.log(),
        node: settings.node.clone(),
        process: settings.process,
        version: settings.version.clone(),
        take: false,
    };
    let followed = options.follow(server, copy);
    followed.map_err(|error| JoinError::Follow { log, error })
}

fn copy(
    settings: &MembershipSettings,
    log: u8,
    id: LogId,
) -> Result<Opened<SegmentLog>, JoinError> {
    let directory = directory(settings, log);
    std::fs::create_dir_all(&directory).map_err(|error| JoinError::Directory {
        directory: directory.clone(),
        error,
    })?;
    // The stream is durable, and the copy can be read again.
    let options = Options {
        durability: Durability::Flush,
        ..Options::default()
    };
    let opened = OpenOptions::directory(directory, id)
        .options(options)
        .limits(settings.limits)
        .open();
    opened.map_err(|error| JoinError::Copy { log, error })
}

/// Tries until there is an answer.
fn answered<T>(mut ask: impl FnMut() -> Option<T>) -> Result<T, JoinError> {
    let tries = START.as_millis() / PAUSE.as_millis();
    for _ in 0..tries {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        std::thread::sleep(PAUSE);
    }
    Err(JoinError::Unanswered)
}

fn check_format(settings: &MembershipSettings, entries: &mut JetStream) -> Result<(), JoinError> {
    let ours = ClusterEntry {
        format: 1,
        numbers: LOGS,
    };
    let found = answered(|| match entries.read(CLUSTER_KEY)? {
        Some(entry) => Some(ClusterEntry::decode(&entry.value)),
        None => {
            // Another node may have made it meanwhile: read what is there.
            entries.write(CLUSTER_KEY, 0, &ours.encode());
            None
        }
    })?;
    match found {
        Some(found) if found == ours => Ok(()),
        _ => Err(JoinError::Format(settings.cluster.clone())),
    }
}

/// The number of the log that belongs to the node. If none does, it gets the first that has no home.
fn find_home(settings: &MembershipSettings, entries: &mut JetStream) -> Result<u8, JoinError> {
    let mut log = 0;
    while log < LOGS {
        let key = claim_key(log);
        let entry = answered(|| entries.read(&key))?;
        if let Some(entry) = entry {
            let home = Claim::decode(&entry.value).map(|claim| claim.home);
            if home.as_ref() == Some(&settings.node) {
                return Ok(log);
            }
            log = log.saturating_add(1);
            continue;
        }
        let claim = Claim {
            home: settings.node.clone(),
            owner: None,
            process: None,
            term: 0,
        };
        match entries.write(&key, 0, &claim.encode()) {
            Written::Done(_) => return Ok(log),
            // Look what is there.
            Written::Conflict => {}
            Written::Unknown => std::thread::sleep(PAUSE),
        }
    }
    Err(JoinError::Full {
        cluster: settings.cluster.clone(),
        node: settings.node.clone(),
    })
}
