//! What the nodes of a cluster ask of each other: a node that gets a command for a session whose log another
//! node writes asks that one.
//!
//! Reads are never sent: each node has a copy of all logs. So what can be asked is what only the writer of
//! a log can decide, and how far its log has come. What a node knows of its cluster is here, too.

mod bytes;

pub use bytes::PeerBytesError;

use crate::error::{CommandError, PullError};
use crate::limits::CUT_OFF_BEATS;
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

/// What a node knows of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// This node's name.
    pub node: Arc<str>,
    /// The number of the log that belongs to it.
    pub home: u8,
    /// How many of its last beats, one a second, the servers did not answer. 0: it is connected.
    pub unanswered_beats: u64,
    /// The other live nodes, each with how many of this one's beats in a row it has been silent for.
    pub nodes: BTreeMap<Arc<str>, u64>,
    /// The logs that are known, by number.
    pub logs: BTreeMap<u8, LogStatus>,
}

/// A log as one node sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Which node it belongs to, and which one writes it. None: that is not known yet.
    pub place: Option<LogPlace>,
    /// In which term.
    pub term: u64,
    /// How many of its records this node has.
    pub position: u64,
    /// How many beats ago this node last had all records of it that the servers had.
    pub beats_behind: u64,
    /// How often this node has taken it from another one.
    pub takeovers: u64,
    /// How often another node, or another process of the same name, has taken it from this one.
    pub fenced: u64,
    /// Why it can't be followed, if it can't.
    pub fault: Option<String>,
}

impl ClusterStatus {
    /// Whether this node writes a log.
    pub fn writes(&self, log: &LogStatus) -> bool {
        let place = log.place.as_ref();
        place.is_some_and(|place| place.owner.as_ref() == Some(&self.node))
    }

    /// Why this node should not be asked at present. None: it can be.
    pub fn unready(&self) -> Option<String> {
        if self.unanswered_beats >= CUT_OFF_BEATS {
            let seconds = self.unanswered_beats;
            return Some(format!(
                "cut off from the NATS servers for about {seconds} seconds: other nodes go on with its sessions"
            ));
        }
        let faulty = |(log, status): (&u8, &LogStatus)| match status.fault {
            // Why is for admins: this is shown to everyone.
            Some(_) => Some(format!("cannot follow log {log}")),
            None if status.beats_behind >= CUT_OFF_BEATS => Some(format!(
                "behind with log {log} for about {} seconds",
                status.beats_behind
            )),
            None => None,
        };
        if let Some(reason) = self.logs.iter().find_map(faulty) {
            return Some(reason);
        }
        let home = self.logs.get(&self.home).and_then(|it| it.place.as_ref());
        match home.is_some_and(|place| place.owner.is_some()) {
            true => None,
            false => Some("no node writes its log yet".to_owned()),
        }
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
}
