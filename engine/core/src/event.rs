//! What happened, as it is logged: facts in the past tense. The log is nothing but these.
//!
//! An event says all that a reader needs to tell it: a record of a job repeats how the job was
//! submitted, and timeouts stand in the record that they apply to, so that nobody who folds or
//! shows records has to remember, or to know today's configuration.

use crate::limits::RECORD_BYTES;
use crate::{ConsumerId, JobId, Sequence, SessionId, SessionNumber, Timestamp};
use alloc::sync::Arc;
use core::ops::RangeInclusive;
use core::time::Duration;

/// An event with its place: session, sequence and instant, as logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The session whose stream this is in.
    pub session: SessionId,
    /// The place in that stream: one more than the record before, but for a declared gap
    /// ([`Event::RecordsLost`]).
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
        mode: JobMode,
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
        mode: JobMode,
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
        /// As [`JobMode::is_private`].
        private: bool,
    },
    /// A job said something.
    ResultEmitted {
        /// Which job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
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
        /// As [`JobMode::is_private`].
        private: bool,
    },
    /// A job ended; nothing about it follows.
    JobFinished {
        /// Which job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
        /// How it ended.
        outcome: Outcome,
        /// The status code that it ended with: 0 is success.
        status: i32,
        /// What there is to say about the end, in words for a person.
        message: Option<Arc<str>>,
    },
    /// The last event of every session that ended, but for its removal.
    SessionClosed {
        /// Why.
        cause: CloseCause,
    },
    /// Records of the session are gone: a declared gap. Whoever reads comes to this where they
    /// would have been.
    RecordsLost {
        /// The first sequence that is gone.
        first: Sequence,
        /// The last one.
        last: Sequence,
        /// Why.
        cause: LossCause,
    },
}

impl Record {
    /// The sequences that this record stands for: its own, and those that it says are gone.
    ///
    /// Whoever has read up to `after` goes on with the record that stands for `after.next()`.
    pub fn covered_sequences(&self) -> RangeInclusive<Sequence> {
        match self.event {
            Event::RecordsLost { first, .. } => first.min(self.sequence)..=self.sequence,
            _ => self.sequence..=self.sequence,
        }
    }

    /// Whether this can be the next record of a session whose last one is `before`
    /// ([`Sequence::START`]: there is none).
    ///
    /// Sequences have no gaps that are not declared: a loss by damage stands at the last sequence
    /// that is gone, and follows the one before the first. A removal stands behind the session's
    /// last record, and those before it, from any one on, may be gone already.
    ///
    /// ```
    /// use rejoin_core::{Event, LossCause, Record, Sequence, SessionId, Timestamp};
    ///
    /// let lost = Event::RecordsLost {
    ///     first: Sequence(4),
    ///     last: Sequence(9),
    ///     cause: LossCause::Damage,
    /// };
    /// let at = |sequence, event| Record {
    ///     session: SessionId::from_bytes([1; 16]),
    ///     sequence: Sequence(sequence),
    ///     at: Timestamp::EPOCH,
    ///     event,
    /// };
    /// assert!(at(9, lost.clone()).follows(Sequence(3)));
    /// assert!(!at(9, lost).follows(Sequence(4)));
    /// assert!(at(10, Event::SessionResumed).follows(Sequence(9)));
    /// assert!(!at(10, Event::SessionResumed).follows(Sequence(3)));
    /// ```
    pub fn follows(&self, before: Sequence) -> bool {
        match self.event {
            Event::RecordsLost { first, last, cause } => match cause {
                LossCause::Damage => {
                    first <= last && self.sequence == last && is_next(before, first)
                }
                LossCause::Retention { .. } => {
                    first == Sequence(1) && is_next(last, self.sequence) && before <= last
                }
            },
            _ => is_next(before, self.sequence),
        }
    }
}

fn is_next(before: Sequence, sequence: Sequence) -> bool {
    before.0.checked_add(1) == Some(sequence.0)
}

impl Event {
    /// Where the session's records may be dropped from the log because of this event: all of its
    /// records before this sequence, and never this one, which says so.
    ///
    /// Who drops them takes the last ones first, so that what is left is a beginning of the
    /// session at every moment, with this event behind it.
    pub fn removes_before(&self) -> Option<Sequence> {
        match self {
            Self::RecordsLost {
                last,
                cause: LossCause::Retention { .. },
                ..
            } => Some(Sequence(last.0.saturating_add(1))),
            _ => None,
        }
    }

    /// The job that it is about.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            Self::JobSubmitted { job, .. }
            | Self::JobStarted { job, .. }
            | Self::InputWritten { job, .. }
            | Self::ResultEmitted { job, .. }
            | Self::InterruptRequested { job, .. }
            | Self::JobFinished { job, .. } => Some(*job),
            _ => None,
        }
    }

    /// About the bytes that a record of this event takes in a log, and the same for ever: its
    /// texts, and [`RECORD_BYTES`] for the rest.
    pub fn bytes(&self) -> u64 {
        let optional = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        let texts = match self {
            Self::SessionCreated {
                service,
                user,
                remote,
                server,
                ..
            } => service.len() + optional(user) + optional(remote) + server.version.len(),
            Self::UserSet { user } => user.len(),
            Self::JobSubmitted {
                statement, request, ..
            } => statement.len() + optional(request),
            Self::InputWritten { bytes, .. } => bytes.len(),
            Self::StatementRefused { statement, reason } => optional(statement) + reason.len(),
            Self::ResultEmitted { result, .. } => result.len(),
            Self::JobFinished { message, .. } => optional(message),
            Self::SessionResumed
            | Self::SessionTouched { .. }
            | Self::ConsumerJoined { .. }
            | Self::CursorAdvanced { .. }
            | Self::ConsumerLeft { .. }
            | Self::JobStarted { .. }
            | Self::InterruptRequested { .. }
            | Self::SessionClosed { .. }
            | Self::RecordsLost { .. } => 0,
        };
        RECORD_BYTES + texts as u64
    }
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
pub struct JobMode {
    /// Whether others must wait for it.
    pub slot: JobSlot,
    /// Whom its results are for.
    pub visibility: Visibility,
}

impl JobMode {
    /// Whether nobody but who submitted the job need know that it runs: nobody waits for it, and
    /// nobody else is told its results.
    #[must_use]
    pub const fn is_private(self) -> bool {
        matches!(
            (self.slot, self.visibility),
            (JobSlot::Background, Visibility::Submitter)
        )
    }
}

/// Whether a session's other jobs must wait for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSlot {
    /// Alone: no other foreground job starts before it has finished.
    Foreground,
    /// Beside the others.
    Background,
}

impl JobSlot {
    /// Its name in the API, and wherever a program reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Foreground => "foreground",
            Self::Background => "background",
        }
    }
}

/// Whom a job's results are for. The log holds them all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
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

impl LeaveCause {
    /// Every one, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Left, Self::Expired, Self::SessionClosed];

    /// Its name in the API, in metrics, and wherever a program reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Expired => "expired",
            Self::SessionClosed => "session-closed",
        }
    }
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

impl InterruptCause {
    /// Its name in the API, in metrics, and wherever a program reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Timeout => "timeout",
            Self::OutputLimit => "output-limit",
            Self::SessionClosed => "session-closed",
            Self::Shutdown => "shutdown",
        }
    }
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

impl Outcome {
    /// Every one, in the order of their declaration.
    pub const ALL: [Self; 5] = [
        Self::Completed,
        Self::Failed,
        Self::Interrupted,
        Self::TimedOut,
        Self::Lost,
    ];

    /// Its name in the API, in metrics, and wherever a program reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::TimedOut => "timed-out",
            Self::Lost => "lost",
        }
    }
}

/// Why a session was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCause {
    /// Somebody asked for it.
    Requested,
    /// Nobody used it for its timeout, and no job ran.
    Idle,
}

impl CloseCause {
    /// Every one, in the order of their declaration.
    pub const ALL: [Self; 2] = [Self::Requested, Self::Idle];

    /// Its name in the API, in metrics, and wherever a program reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Idle => "idle",
        }
    }
}

/// Why records are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// They were not readable when the log was salvaged.
    Damage,
    /// The session had been closed for as long as closed sessions are kept, or they took more room
    /// than they may; all of its records are gone.
    ///
    /// What was counted over the whole server by then is said here, because nothing else may be
    /// left that says it: no number is ever used again.
    Retention {
        /// The highest session number.
        last_number: SessionNumber,
        /// The highest job number.
        last_job: JobId,
    },
}

impl LossCause {
    /// Its name in the API, in metrics, and wherever a program reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Retention { .. } => "retention",
        }
    }
}
