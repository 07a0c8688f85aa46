//! What happened, as it is logged: facts in the past tense. The log is nothing but these.
//!
//! An event says all that a reader needs to tell it: a record of a job repeats how the job was
//! submitted, and timeouts stand in the record that they apply to, so that nobody who folds or
//! shows records has to remember, or to know today's configuration.

use crate::{ConsumerId, JobId, Sequence, SessionId, SessionNumber, Timestamp};
use alloc::sync::Arc;
use core::time::Duration;

/// An event with its place: session, sequence and instant, as logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The session whose stream this is in.
    pub session: SessionId,
    /// The place in that stream: one more than the record before.
    pub sequence: Sequence,
    /// When it was decided; never before the record that was logged before it.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// Something that happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first event of every session.
    SessionCreated {
        /// The session's number in list views.
        number: SessionNumber,
        /// The service that runs its jobs.
        service: Arc<str>,
        /// Who created it, where that is known.
        user: Option<Arc<str>>,
        /// The network address that it was created from, with its port, where there is one.
        remote: Option<Arc<str>>,
        /// The server that created it.
        server: Server,
        /// How long it may stay unused before it is closed.
        timeout: Duration,
    },
    /// The server that holds the session started again; everybody in it counts as just seen.
    SessionResumed,
    /// A request named the session without changing it.
    SessionTouched {
        /// When that was.
        seen: Timestamp,
    },
    /// A request said who uses the session from now on.
    UserSet {
        /// The user.
        user: Arc<str>,
    },
    /// Somebody began to read the session.
    ConsumerJoined {
        /// Who.
        consumer: ConsumerId,
        /// How long it may stay away before it is expired.
        timeout: Duration,
        /// The job that ran in the foreground at that moment.
        foreground: Option<JobId>,
    },
    /// A consumer was given everything up to a sequence. Logged now and then, not for each pull.
    CursorAdvanced {
        /// Who.
        consumer: ConsumerId,
        /// The last sequence that it was given.
        to: Sequence,
        /// When it last pulled.
        seen: Timestamp,
    },
    /// A consumer no longer reads the session.
    ConsumerLeft {
        /// Who.
        consumer: ConsumerId,
        /// Why.
        cause: LeaveCause,
    },
    /// A job was accepted.
    JobSubmitted {
        /// The job's number.
        job: JobId,
        /// How it was submitted.
        manner: Manner,
        /// What it runs.
        statement: Arc<str>,
        /// How long it may run before it is interrupted.
        timeout: Duration,
        /// How many bytes of results it may emit before it is interrupted.
        output_limit: u64,
        /// What the client called its request, where it did.
        request: Option<Arc<str>>,
        /// Whether its standard input stays open, to be written to.
        input: bool,
    },
    /// Something was written to a job's standard input.
    InputWritten {
        /// Which job.
        job: JobId,
        /// How it was submitted.
        manner: Manner,
        /// What was written.
        bytes: Arc<[u8]>,
        /// Whether nothing follows.
        end: bool,
    },
    /// A statement was refused before it could become a job.
    StatementRefused {
        /// The statement, where there was one.
        statement: Option<Arc<str>>,
        /// Why, in words for a person.
        reason: Arc<str>,
    },
    /// A runner began to run a job.
    JobStarted {
        /// Which job.
        job: JobId,
    },
    /// A job said something.
    ResultEmitted {
        /// Which job.
        job: JobId,
        /// How it was submitted.
        manner: Manner,
        /// One JSON object with at least `type` and `jobId`, keys in alphabetical order, encoded
        /// once: these bytes are what every reader gets.
        result: Arc<str>,
    },
    /// A job was told to end.
    InterruptRequested {
        /// Which job.
        job: JobId,
        /// Why.
        cause: InterruptCause,
    },
    /// A job ended; nothing about it follows.
    JobFinished {
        /// Which job.
        job: JobId,
        /// How it was submitted.
        manner: Manner,
        /// How it ended.
        outcome: Outcome,
        /// The status code that it ended with: 0 is success.
        status: i32,
        /// What there is to say about the end, in words for a person.
        message: Option<Arc<str>>,
    },
    /// The last event of every session that ended.
    SessionClosed {
        /// Why.
        cause: CloseCause,
    },
}

/// The server process that created a session, as its readers are told for ever after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its process number.
    pub process: u32,
    /// Its version.
    pub version: Arc<str>,
}

/// How a job was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Whether others must wait for it.
    pub place: Place,
    /// Whom its results are for.
    pub audience: Audience,
}

/// Whether a session's other jobs must wait for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Alone: no other foreground job starts before it has finished.
    Foreground,
    /// Beside the others.
    Background,
}

/// Whom a job's results are for. The log holds them all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every consumer of the session.
    Session,
    /// Only who submitted the job.
    Submitter,
}

/// Why a consumer no longer reads a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveCause {
    /// It said so.
    Left,
    /// It did not pull for its timeout.
    Expired,
    /// The session was closed.
    SessionClosed,
}

/// Why a job was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptCause {
    /// Somebody asked for it.
    Requested,
    /// It ran for its timeout.
    Timeout,
    /// It emitted as many bytes of results as it may.
    OutputLimit,
    /// Its session was closed.
    SessionClosed,
    /// The server shuts down.
    Shutdown,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, with status 0.
    Completed,
    /// By itself, with another status; or it could not run, or emitted too much.
    Failed,
    /// Because somebody asked for it.
    Interrupted,
    /// Because it ran for its timeout.
    TimedOut,
    /// With the server process that ran it.
    Lost,
}

/// Why a session was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// Somebody asked for it.
    Requested,
    /// Nobody used it for its timeout, and no job ran.
    Idle,
}
