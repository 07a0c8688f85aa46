//! Commands: requests to change state. Identities, instants and timeouts are passed in, because the
//! core does not create any.

use crate::{
    CloseCause, ConsumerId, Controller, Instant, JobId, JobMode, JobOutput, LinkChange, NodeTerm,
    OutputPosition, Sequence, Server, SessionId, TerminalSize,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// A request to change state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Create a session.
    CreateSession(CreateSession),
    /// Join a session as a reader.
    JoinSession {
        /// The session.
        session: SessionId,
        /// The random part of the new consumer's identity.
        token: [u8; 16],
        /// How long the consumer may go without a pull before it expires.
        timeout: Duration,
    },
    /// Stop reading a session.
    LeaveSession {
        /// The session.
        session: SessionId,
        /// The consumer that leaves.
        consumer: ConsumerId,
    },
    /// Close a session after its jobs have finished.
    CloseSession {
        /// The session.
        session: SessionId,
        /// Why.
        cause: CloseCause,
    },
    /// Set the user of a session.
    SetUser {
        /// The session.
        session: SessionId,
        /// The user.
        user: Arc<str>,
    },
    /// Change the title and the labels of a session.
    DescribeSession(DescribeSession),
    /// Record what happened to a link by which a session can be watched.
    NoteLink {
        /// The session.
        session: SessionId,
        /// The link, by its public name.
        link: Arc<str>,
        /// What happened to it.
        change: LinkChange,
    },
    /// Record that a session was used without being changed.
    TouchSession {
        /// The session.
        session: SessionId,
        /// When it was used.
        seen: Instant,
    },
    /// Run a statement.
    SubmitJob(SubmitJob),
    /// Write to a running job's standard input.
    WriteInput {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// The bytes to write. They are logged like everything else.
        bytes: Arc<[u8]>,
        /// Whether this ends the input.
        end: bool,
        /// Who writes. It takes the control of a terminal that nobody controls.
        client: Option<Arc<Controller>>,
    },
    /// Record how many bytes were typed into a terminal that shows nothing of them. The sender
    /// gives them to the job.
    HideInput {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// How many bytes.
        bytes: u64,
        /// Who writes. It takes the control of a terminal that nobody controls.
        client: Option<Arc<Controller>>,
    },
    /// Change the size of a job's terminal.
    ResizeTerminal {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// The size from now on.
        size: TerminalSize,
        /// Who changes it. It takes the control of a terminal that nobody controls.
        client: Option<Arc<Controller>>,
    },
    /// Take the control of a job's terminal from its controller.
    TakeControl {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// Who takes it.
        client: Arc<Controller>,
    },
    /// Give back the control of a job's terminal.
    GiveControl {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// Who gives it back.
        client: Arc<Controller>,
    },
    /// Record for the session's readers that a statement was refused.
    RefuseStatement {
        /// The session.
        session: SessionId,
        /// The statement, if there was one.
        statement: Option<Arc<str>>,
        /// The reason, as a message for people.
        reason: Arc<str>,
    },
    /// Interrupt a job.
    InterruptJob {
        /// The session.
        session: SessionId,
        /// The job; none for the one in the foreground.
        job: Option<JobId>,
    },
    /// Record how far a consumer has read.
    AdvanceCursor {
        /// The session.
        session: SessionId,
        /// The consumer.
        consumer: ConsumerId,
        /// The last sequence that it was given.
        to: Sequence,
        /// When it last pulled.
        seen: Instant,
    },
    /// From a runner: the job has started.
    ReportStarted {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
    },
    /// From a runner: the job emitted a result.
    ReportResult {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// One JSON object, encoded; see [`Event::ResultEmitted`](crate::Event::ResultEmitted).
        result: Arc<str>,
        /// How far it goes in the job's output, if the runner counts that.
        position: Option<OutputPosition>,
    },
    /// From the engine: what the terminal of a job showed at a place in the log.
    ReportScreen {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// The last record that the screen contains.
        after: Sequence,
        /// The size of the terminal at that place.
        size: TerminalSize,
        /// See [`Event::ScreenCaptured`](crate::Event::ScreenCaptured).
        content: Arc<str>,
    },
    /// From a runner: the job has finished and left nothing behind.
    ReportFinished {
        /// The session.
        session: SessionId,
        /// The job.
        job: JobId,
        /// The exit status; 0 is success.
        status: i32,
        /// How it ended, as a message for people.
        message: Option<Arc<str>>,
        /// Whether the runner could not see how it ended.
        lost: bool,
    },
    /// Redact the bytes of results and inputs. The sender has checked that they are such.
    RedactRecords {
        /// The session, open or closed.
        session: SessionId,
        /// The records.
        records: Vec<Sequence>,
    },
    /// Remove a session with all of its records. If it is open, it is closed first.
    RemoveSession {
        /// The session.
        session: SessionId,
    },
    /// From the timers: handle what is due.
    Expire,
    /// From the timers of a read-only server: expire consumers, but close no sessions.
    ExpireConsumers,
    /// The server has started: jobs that were running before are lost, but for those that their
    /// runners still have.
    Resume {
        /// The jobs that go on.
        kept: BTreeSet<JobId>,
        /// Why others that had started do not, where their runners know it, in a few words for people.
        lost: BTreeMap<JobId, Arc<str>>,
        /// The node that takes the log from another one. None: the same node goes on, or there is only
        /// one.
        by: Option<Arc<NodeTerm>>,
    },
    /// The server is shutting down: interrupt every job.
    InterruptAll,
}

/// The parameters of a new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateSession {
    /// The session's identity, drawn at random.
    pub session: SessionId,
    /// The service that runs its jobs.
    pub service: Arc<str>,
    /// The user, if known.
    pub user: Option<Arc<str>>,
    /// The network address and port of the client, if there is one.
    pub remote: Option<Arc<str>>,
    /// The server that creates it.
    pub server: Server,
    /// How long it may be unused before it is closed.
    pub timeout: Duration,
    /// The first consumer, if the creator also reads: the random part of its identity and its
    /// timeout.
    pub consumer: Option<([u8; 16], Duration)>,
}

/// A change of a session's title and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeSession {
    /// The session.
    pub session: SessionId,
    /// The title; an empty one removes it, and none leaves it as it is.
    pub title: Option<Arc<str>>,
    /// The labels to set, by key; one without a value is removed. The others stay.
    pub labels: BTreeMap<Arc<str>, Option<Arc<str>>>,
}

/// The parameters of a new job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmitJob {
    /// The session to run it in.
    pub session: SessionId,
    /// The statement to run.
    pub statement: Arc<str>,
    /// How to run it.
    pub mode: JobMode,
    /// How long it may run before it is interrupted.
    pub timeout: Duration,
    /// How many bytes of results it may emit before it is interrupted.
    pub output_limit: u64,
    /// The client's name for the request (idempotency key): repeating it with the same statement
    /// returns the same job instead of starting another one.
    pub request: Option<Arc<str>>,
    /// Whether its standard input stays open for writing. Always, if it has a terminal.
    pub input: bool,
    /// How its output goes.
    pub output: JobOutput,
    /// Who controls its terminal at first. Ignored without a terminal.
    pub controller: Option<Arc<Controller>>,
    /// Whether the processes that it leaves go on until the session ends. None: as the runner does with
    /// all jobs.
    pub keeps_leftovers: Option<bool>,
}
