//! What the nodes of a cluster ask of each other: a node that gets a command for a session whose log another
//! node writes asks that one.
//!
//! Reads are never sent: each node has a copy of all logs. So what can be asked is what only the writer of
//! a log can decide, and how far its log has come. What a node knows of its cluster is here, too.

mod bytes;

pub use bytes::PeerBytesError;

use crate::error::{CommandError, PullError};
use crate::limits::CUT_OFF;
use futures::future::BoxFuture;
use rejoin_core::{Actor, Command, ConsumerId, Controller, JobId, Record, Sequence, SessionId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Carries requests to the nodes that write the other logs. On the other side,
/// [`Engine::answer`](crate::Engine::answer) answers them.
///
/// Methods are called from any thread and must not block.
pub trait Peers: fmt::Debug + Send + Sync + 'static {
    /// Asks the node that writes log `log`. The future must end in bounded time. If it is dropped, the
    /// request may still be carried out.
    fn ask(
        &self,
        log: u8,
        request: PeerRequest,
    ) -> BoxFuture<'static, Result<PeerAnswer, PeerError>>;

    /// What is known of the cluster at this moment. None: nothing.
    fn status(&self) -> Option<ClusterStatus> {
        None
    }

    /// Takes a node out of the cluster for good. Bounded in time.
    fn retire(&self, _node: &str) -> BoxFuture<'static, Result<RetiredNode, RetireError>> {
        Box::pin(std::future::ready(Err(RetireError::Alone)))
    }

    /// Where a log is written. None: that is not known.
    fn place(&self, _log: u8) -> Option<LogPlace> {
        None
    }
}

/// Which node writes a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The node that it belongs to: its sessions were created there.
    pub home: Arc<str>,
    /// The node that writes it. None: it was let go, and no node has taken it yet.
    pub owner: Option<Arc<str>>,
}

/// What stays of a node that was taken out of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredNode {
    /// Its log.
    pub log: u8,
    /// Which node writes it at this moment.
    pub owner: Option<Arc<str>>,
}

/// Why a node was not taken out of its cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetireError {
    /// There is no cluster.
    #[error("this server is alone: it was started without --cluster")]
    Alone,
    /// Its sessions would move while it uses them.
    #[error(
        "node {0} is alive: stop it first, and if it did not end by itself, wait until it has been silent for \
         some seconds"
    )]
    Alive(Arc<str>),
    /// Who answers would have to be silent.
    #[error("node {0} is the one that was asked: stop it, and ask another one")]
    Itself(Arc<str>),
    /// No log belongs to it.
    #[error("there is no node {0} in this cluster")]
    Unknown(Arc<str>),
    /// It is unknown whether it was done.
    #[error(
        "the servers of NATS do not answer: try again, which is harmless if it was done already"
    )]
    Unanswered,
}

/// What a node knows of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// This node's name.
    pub node: Arc<str>,
    /// The number of the log that belongs to it.
    pub home: u8,
    /// What the servers say if they have no room for what this node writes, which waits then.
    pub no_room: Option<String>,
    /// How long the servers have not answered this node's beats, one a second.
    pub unanswered: Duration,
    /// All nodes that are known, this one included.
    pub nodes: BTreeMap<Arc<str>, NodeStatus>,
    /// The logs that are known, by number.
    pub logs: BTreeMap<u8, LogStatus>,
    /// The servers that keep the logs, by the addresses of their monitoring. They are asked every few seconds.
    pub servers: BTreeMap<Arc<str>, ServerStatus>,
}

/// Another node, or this one, as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// Whether it lives.
    pub state: NodeState,
    /// For how many beats of the observer in a row it has not beaten.
    pub silent_beats: u64,
    /// The version of its program. None: that is not known.
    pub version: Option<Arc<str>>,
    /// The services that sessions can be created on there.
    pub services: Vec<Arc<str>>,
    /// How many records it had of each log at its last beat.
    pub copies: BTreeMap<u8, u64>,
    /// Whether it has other accounts or another login key than this node: who is logged in here may not be there.
    pub has_other_accounts: bool,
}

/// Whether a node lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeState {
    /// It beats.
    Live,
    /// It has been silent for so long that it is held for dead.
    Silent,
    /// The observer is cut off.
    Unknown,
    /// It has no beat: it has ended cleanly, or has not begun yet.
    #[default]
    Ended,
    /// It was taken out of the cluster for good, and has no beat.
    Retired,
}

impl NodeState {
    /// Its name, for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
            Self::Ended => "ended",
            Self::Retired => "retired",
        }
    }
}

/// A server that keeps logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerStatus {
    /// Its name. None: it has not said it yet.
    pub name: Option<Arc<str>>,
    /// Its version.
    pub version: Option<Arc<str>>,
    /// Whether it syncs what it acknowledges. None: it does not answer at present.
    pub syncs: Option<bool>,
}

/// A log as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Which node it belongs to, and which one writes it. None: that is not known yet.
    pub place: Option<LogPlace>,
    /// Whether the node that it belongs to was taken out of the cluster for good.
    pub is_retired: bool,
    /// In which term.
    pub term: u64,
    /// What this node does with it.
    pub activity: LogActivity,
    /// How many of its records this node has.
    pub position: u64,
    /// How many it has in all, as its writer said at its last beat.
    pub end: u64,
    /// The sequence of the last message in its stream, as the servers said a few seconds ago. None: they have
    /// not said it yet.
    pub sequence: Option<u64>,
    /// For how long this node has not had all records of it that the servers had. Up to two seconds are usual.
    pub behind: Duration,
    /// For how long the servers have not answered what this node writes to it.
    pub append_waiting: Duration,
    /// How often this node has taken it from another one.
    pub takeovers: u64,
    /// How often another node, or another process of the same name, has taken it from this one.
    pub fenced: u64,
    /// Why it can't be followed, if it can't.
    pub fault: Option<String>,
    /// How many bytes its stream has at each server, as this node last saw. None: it has not looked yet.
    pub stream_bytes: Option<u64>,
}

/// What a node does with a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogActivity {
    /// Opens its copy, and reads what that does not have.
    #[default]
    Opening,
    /// Reads what another node writes.
    Following,
    /// Has claimed it and takes it over.
    Taking,
    /// Writes it.
    Writing,
}

impl LogActivity {
    /// Its name, for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Following => "following",
            Self::Taking => "taking",
            Self::Writing => "writing",
        }
    }
}

impl LogStatus {
    /// How many records of it this node does not have.
    pub const fn lag(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }

    /// For how many seconds this node has been behind, about. 0: for no more than is usual.
    pub const fn seconds_behind(&self) -> u64 {
        self.behind.as_secs().saturating_sub(1)
    }
}

impl ClusterStatus {
    /// The nodes that live.
    pub fn live(&self) -> impl Iterator<Item = &Arc<str>> {
        let is_live = |(_, status): &(&Arc<str>, &NodeStatus)| status.state == NodeState::Live;
        self.nodes.iter().filter(is_live).map(|(node, _)| node)
    }

    /// Why this node should not be asked at present. None: it can be.
    pub fn unready(&self) -> Option<String> {
        if let Some(reason) = &self.no_room {
            return Some(format!(
                "the NATS servers have no room ({reason}): what is written waits until they have"
            ));
        }
        if self.unanswered >= CUT_OFF {
            let seconds = self.unanswered.as_secs();
            return Some(format!(
                "cut off from the NATS servers for about {seconds} seconds; nodes that reach them go on with its sessions"
            ));
        }
        if self.logs.get(&self.home).is_some_and(|log| log.is_retired) {
            return Some("was taken out of the cluster: start it with another name".to_owned());
        }
        if let Some(reason) = self.logs.iter().find_map(|(log, it)| it.unready(*log)) {
            return Some(reason);
        }
        let home = self.logs.get(&self.home).and_then(|it| it.place.as_ref());
        match home.is_some_and(|place| place.owner.is_some()) {
            true => None,
            false => Some("no node writes its log yet".to_owned()),
        }
    }
}

impl LogStatus {
    fn unready(&self, log: u8) -> Option<String> {
        if self.fault.is_some() {
            // Why is for admins: this is shown to everyone.
            return Some(format!("cannot follow log {log}"));
        }
        if self.append_waiting >= CUT_OFF {
            let seconds = self.append_waiting.as_secs();
            return Some(format!(
                "waiting for the NATS servers to store log {log} for about {seconds} seconds"
            ));
        }
        let seconds = self.behind.as_secs();
        (self.behind >= CUT_OFF)
            .then(|| format!("behind with log {log} for about {seconds} seconds"))
    }
}

/// What a node asks of the one that writes a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerRequest {
    /// How far the log has come. Answered with [`PeerReply::Position`].
    Position,
    /// A command. Answered with [`PeerReply::Records`].
    Command {
        /// The command, of a client.
        command: Command,
        /// On whose behalf it is given.
        actor: Option<Arc<Actor>>,
    },
    /// Input for a job: [`Engine::write_input_as`](crate::Engine::write_input_as). Answered with
    /// [`PeerReply::Done`].
    WriteInput {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// The bytes to write.
        bytes: Arc<[u8]>,
        /// Whether this ends the input.
        end: bool,
        /// The client, if it may control the job's terminal.
        client: Option<Arc<Controller>>,
        /// On whose behalf it is written.
        actor: Option<Arc<Actor>>,
    },
    /// These sessions were used. Answered with [`PeerReply::Position`].
    Touch {
        /// The sessions, at most [`TOUCHED_SESSIONS`](crate::limits::TOUCHED_SESSIONS).
        sessions: Vec<SessionId>,
    },
    /// A pull begins at the asking node, which reads the records itself. Answered with
    /// [`PeerReply::Pull`].
    BeginPull {
        /// The session.
        session: SessionId,
        /// The consumer.
        consumer: ConsumerId,
        /// Names the pull: random.
        pull: [u8; 16],
        /// How long it may be open without an end. Then the asking node is held for dead.
        lease: Duration,
    },
    /// A pull has ended. Answered with [`PeerReply::Position`].
    EndPull {
        /// The pull.
        pull: [u8; 16],
        /// Where to move the consumer's cursor, and whether that is worth being logged. None: it stays
        /// where it is.
        advance: Option<(Sequence, bool)>,
    },
}

impl PeerRequest {
    /// Whether it has the same effect if it is carried out twice, by two writers of the log.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Self::Position | Self::Touch { .. } | Self::BeginPull { .. } | Self::EndPull { .. } => {
                true
            }
            Self::Command { command, .. } => {
                matches!(command, Command::SubmitJob(job) if job.request.is_some())
            }
            Self::WriteInput { .. } => false,
        }
    }
}

/// What a node answers.
#[derive(Clone, Debug)]
pub struct PeerAnswer {
    /// How many records the log has, at least: all that the reply depends on are among them.
    pub position: u64,
    /// What was asked for.
    pub reply: PeerReply,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub enum PeerReply {
    /// Nothing but the position.
    Position,
    /// The durable records of a command, or why it had no effect.
    Records(Result<Vec<Arc<Record>>, CommandError>),
    /// What was asked for is done and durable, or why not.
    Done(Result<(), CommandError>),
    /// The pull has begun, or why not.
    Pull(Result<BegunPull, PullError>),
}

/// A pull that was begun for another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunPull {
    /// The consumer's cursor.
    pub cursor: Sequence,
    /// The sequence at which the consumer joined.
    pub joined: Sequence,
    /// False: another pull of the consumer is open, so this one is answered with no records and has
    /// ended.
    pub is_open: bool,
}

/// Why a node did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No node has the log at present, and the request was not carried out.
    #[error("no node writes the log at present")]
    NoOwner,
    /// There is no such log: that is known, and not only unknown.
    #[error("there is no such log")]
    NoLog,
    /// No answer came. The request may have been carried out.
    #[error("the node that writes the log did not answer")]
    Unanswered,
    /// Another node has taken the log while this one waited for the answer. The request may have been carried
    /// out before that.
    #[error("another node has taken the log")]
    Deposed,
}
