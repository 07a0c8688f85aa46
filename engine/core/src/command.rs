//! What may be asked of the core: requests in the imperative. Identities, instants and timeouts
//! are inside: the core invents nothing.

use crate::{CloseCause, ConsumerId, JobId, JobMode, Sequence, Server, SessionId, Timestamp};
use alloc::sync::Arc;
use core::time::Duration;

/// A request to change state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begin a session.
    CreateSession(CreateSession),
    /// Begin to read a session.
    JoinSession {
        /// The session.
        session: SessionId,
        /// The random part of the new consumer's identity.
        token: [u8; 16],
        /// How long the consumer may stay away before it is expired.
        timeout: Duration,
    },
    /// Stop reading a session.
    LeaveSession {
        /// The session.
        session: SessionId,
        /// Who leaves.
        consumer: ConsumerId,
    },
    /// End a session, its jobs first.
    CloseSession {
        /// The session.
        session: SessionId,
        /// Why.
        cause: CloseCause,
    },
    /// Say who uses a session from now on.
    SetUser {
        /// The session.
        session: SessionId,
        /// The user.
        user: Arc<str>,
    },
    /// Say that a session was used without being changed.
    TouchSession {
        /// The session.
        session: SessionId,
        /// When.
        seen: Timestamp,
    },
    /// Run a statement.
    SubmitJob(SubmitJob),
    /// Write to a running job's standard input.
    WriteInput {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// What is written. It is logged, as everything is.
        bytes: Arc<[u8]>,
        /// Whether nothing follows.
        end: bool,
    },
    /// Note for the session's readers that a statement could not become a job.
    RefuseStatement {
        /// The session.
        session: SessionId,
        /// The statement, where there was one.
        statement: Option<Arc<str>>,
        /// Why, in words for a person.
        reason: Arc<str>,
    },
    /// Tell a job to end.
    InterruptJob {
        /// The session.
        session: SessionId,
        /// The job; none means the one in the foreground.
        job: Option<JobId>,
    },
    /// Say how far a consumer was given its session's records.
    AdvanceCursor {
        /// The session.
        session: SessionId,
        /// Who.
        consumer: ConsumerId,
        /// The last sequence that it was given.
        to: Sequence,
        /// When it last pulled.
        seen: Timestamp,
    },
    /// From a runner: the job runs.
    ReportStarted {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
    },
    /// From a runner: the job said something.
    ReportResult {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// One JSON object, encoded; see [`Event::ResultEmitted`](crate::Event::ResultEmitted).
        result: Arc<str>,
    },
    /// From a runner: the job ended, and nothing of it is left.
    ReportFinished {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// The status code that it ended with: 0 is success.
        status: i32,
        /// What there is to say about the end, in words for a person.
        message: Option<Arc<str>>,
    },
    /// From the timers: do what is due.
    Expire,
    /// From the timers of a server that only reads: consumers that are due leave, and no session
    /// ends.
    ExpireConsumers,
    /// The server starts: what the log says is running does not run any more.
    Resume,
    /// The server is about to end: tell every job to end.
    InterruptAll,
}

/// What it takes to begin a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSession {
    /// The session's identity, drawn at random.
    pub session: SessionId,
    /// The service that is to run its jobs.
    pub service: Arc<str>,
    /// Who creates it, where that is known.
    pub user: Option<Arc<str>>,
    /// The network address that it is created from, with its port, where there is one.
    pub remote: Option<Arc<str>>,
    /// The server that creates it.
    pub server: Server,
    /// How long it may stay unused before it is closed.
    pub timeout: Duration,
    /// The first consumer, where the creator reads too: the random part of its identity, and how
    /// long it may stay away.
    pub consumer: Option<([u8; 16], Duration)>,
}

/// What it takes to run a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitJob {
    /// The session to run it in.
    pub session: SessionId,
    /// What to run.
    pub statement: Arc<str>,
    /// How.
    pub mode: JobMode,
    /// How long it may run before it is interrupted.
    pub timeout: Duration,
    /// How many bytes of results it may emit before it is interrupted.
    pub output_limit: u64,
    /// What the client calls this request, where it may ask again: the same name with the same
    /// statement is the same job, and not another one.
    pub request: Option<Arc<str>>,
    /// Whether its standard input stays open, to be written to.
    pub input: bool,
}
