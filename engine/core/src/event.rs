//! Events and records: what happened, as it is logged. The log contains nothing else.
//!
//! An event contains everything that is needed to fold or show it. For example, each record of a job
//! repeats how the job was submitted, and timeouts are part of the record that they apply to. So
//! nothing depends on earlier records or on the current configuration.

use crate::limits::RECORD_BYTES;
use crate::{
    Actor, ConsumerId, Description, Instant, JobId, Moment, Redaction, Sequence, SessionId,
    SessionNumber, Submission, Timestamp,
};
use alloc::sync::Arc;
use core::ops::RangeInclusive;
use core::time::Duration;

/// An event with its session, sequence and instant, as logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The session that it belongs to.
    pub session: SessionId,
    /// Its position in the session: one more than the record before, except after a declared gap
    /// ([`Event::RecordsLost`]).
    pub sequence: Sequence,
    /// When it was decided, for people: the wall's time, but never earlier than the record before it
    /// in the log. While the wall clock is behind that, times stand still.
    pub at: Timestamp,
    /// When it was decided, for timeouts: how the log's clock stood. Never earlier than the record
    /// before it in the log.
    pub clock: Instant,
    /// Who asked for it. None: nobody did, as for a timeout or a result, or it is not known, as in
    /// old logs.
    pub actor: Option<Arc<Actor>>,
    /// Who redacted its bytes, and when. None: they are as they were.
    pub redacted: Option<Arc<Redaction>>,
    /// What happened.
    pub event: Event,
}

/// Something that happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The first event of every session.
    SessionCreated {
        /// The session's number in lists.
        number: SessionNumber,
        /// The service that runs its jobs.
        service: Arc<str>,
        /// The user, if known.
        user: Option<Arc<str>>,
        /// The network address and port of the client, if there is one.
        remote: Option<Arc<str>>,
        /// The server that created it.
        server: Server,
        /// How long it may be unused before it is closed.
        timeout: Duration,
    },
    /// The server was restarted. All timeouts of the session start again.
    SessionResumed,
    /// Another node goes on with the session, because the one that had it has ended, is cut off, or gave
    /// it away. All timeouts of the session start again. What the former node kept on its disk, as the
    /// session's directory and environment, does not follow.
    SessionTakenOver {
        /// The node that goes on.
        by: Arc<NodeTerm>,
    },
    /// The session was used without being changed.
    SessionTouched {
        /// When it was used.
        seen: Instant,
    },
    /// The user of the session was set.
    UserSet {
        /// The user.
        user: Arc<str>,
    },
    /// The title and the labels of the session were set.
    SessionDescribed {
        /// All of them, those that did not change, too.
        description: Arc<Description>,
    },
    /// A link by which the session can be watched was made, used or removed.
    LinkChanged {
        /// The link, by its public name.
        link: Arc<str>,
        /// What happened to it.
        change: LinkChange,
    },
    /// A consumer began to read the session.
    ConsumerJoined {
        /// The consumer.
        consumer: ConsumerId,
        /// How long it may go without a pull before it expires.
        timeout: Duration,
        /// The foreground job at that moment, if any.
        foreground: Option<JobId>,
    },
    /// A consumer was given everything up to a sequence. Logged occasionally, not for each pull.
    CursorAdvanced {
        /// The consumer.
        consumer: ConsumerId,
        /// The last sequence that it was given.
        to: Sequence,
        /// When it last pulled.
        seen: Instant,
    },
    /// A consumer no longer reads the session.
    ConsumerLeft {
        /// The consumer.
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
        /// The client's name for the request (idempotency key), if it gave one.
        request: Option<Arc<str>>,
        /// Whether its standard input stays open for writing. Always, if it has a terminal.
        input: bool,
        /// How its output goes.
        output: JobOutput,
        /// Who controls its terminal at first.
        controller: Option<Arc<Controller>>,
    },
    /// It was said with a job what happens to the processes that it leaves in its process group.
    LeftoversChosen {
        /// The job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
        /// Whether they go on until the session ends; otherwise they end with the job.
        kept: bool,
    },
    /// The terminal of a job got another size.
    TerminalResized {
        /// The job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
        /// Its size from now on.
        size: TerminalSize,
    },
    /// The terminal of a job has another controller from now on, or none.
    ControllerChanged {
        /// The job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
        /// Who controls it.
        controller: Option<Arc<Controller>>,
    },
    /// Bytes were typed while the terminal of a job showed nothing of what is typed, as it does for
    /// passwords. They are given to the job, and are not logged.
    InputHidden {
        /// The job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
        /// How many bytes.
        bytes: u64,
    },
    /// What the terminal of a job showed at a place in the log: computed from the records up to there,
    /// so that a late reader need not read all of them.
    ScreenCaptured {
        /// The job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
        /// The last record that the screen contains.
        after: Sequence,
        /// The size of the terminal at that place.
        size: TerminalSize,
        /// What to write to an empty terminal of this size to get the screen.
        content: Arc<str>,
    },
    /// Bytes were written to a job's standard input.
    InputWritten {
        /// The job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
        /// What was written.
        bytes: Arc<[u8]>,
        /// Whether this ends the input.
        end: bool,
    },
    /// A statement was refused before it could become a job.
    StatementRefused {
        /// The statement, if there was one.
        statement: Option<Arc<str>>,
        /// The reason, as a message for people.
        reason: Arc<str>,
    },
    /// A runner started a job.
    JobStarted {
        /// The job.
        job: JobId,
        /// See [`JobMode::is_private`].
        private: bool,
    },
    /// A job emitted a result.
    ResultEmitted {
        /// The job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
        /// One JSON object with at least `type` and `jobId`, keys in alphabetical order, encoded
        /// once: these bytes are what every reader gets.
        result: Arc<str>,
        /// How far it goes in the job's output, if the runner counts that.
        position: Option<OutputPosition>,
    },
    /// A job was interrupted.
    InterruptRequested {
        /// The job.
        job: JobId,
        /// Why.
        cause: InterruptCause,
        /// See [`JobMode::is_private`].
        private: bool,
    },
    /// A job finished. No more records of it follow.
    JobFinished {
        /// The job.
        job: JobId,
        /// How it was submitted.
        mode: JobMode,
        /// How it ended.
        outcome: Outcome,
        /// The exit status; 0 is success.
        status: i32,
        /// How it ended, as a message for people.
        message: Option<Arc<str>>,
    },
    /// The session was closed. Only redactions and its removal can follow.
    SessionClosed {
        /// Why.
        cause: CloseCause,
    },
    /// The bytes of results and inputs were redacted: other bytes stand for them from now on, in the log,
    /// too. Can follow the end of the session.
    RecordsRedacted {
        /// The records, in ascending order. The screens of the session after the first of them may show
        /// what was redacted, so they are, too.
        records: Arc<[Sequence]>,
    },
    /// Records of the session are lost: a declared gap. Readers get this event in their place.
    RecordsLost {
        /// The first lost sequence.
        first: Sequence,
        /// The last lost sequence.
        last: Sequence,
        /// Why.
        cause: LossCause,
    },
}

impl Record {
    /// When it was decided, on both clocks.
    pub const fn moment(&self) -> Moment {
        let Self { at, clock, .. } = self;
        Moment {
            at: *at,
            clock: *clock,
        }
    }

    /// Which submission it is, for that of a job.
    pub(crate) const fn submission(&self) -> Submission {
        Submission {
            sequence: self.sequence,
            at: self.moment(),
        }
    }

    /// The approximate encoded size in bytes: that of the event, and the texts of the actor.
    ///
    /// Stable: retention decisions in old logs depend on it.
    pub fn bytes(&self) -> u64 {
        // Not what redaction adds: a redacted log leads to the same decisions.
        let actor = self.actor.as_ref().map_or(0, |actor| actor.text_bytes());
        self.event.bytes() + actor as u64
    }

    /// The sequences that this record covers: its own, and those that it declares as lost.
    ///
    /// A reader that has read up to `after` continues with the record that covers `after.next()`.
    pub fn covered_sequences(&self) -> RangeInclusive<Sequence> {
        match self.event {
            Event::RecordsLost { first, .. } => first.min(self.sequence)..=self.sequence,
            _ => self.sequence..=self.sequence,
        }
    }

    /// Why records are lost, if this is about that: as [`LossCause::name`], and `deletion` where somebody
    /// asked for the removal of the session.
    pub fn loss(&self) -> Option<&'static str> {
        match self.event {
            Event::RecordsLost { .. } if self.is_deletion() => Some("deletion"),
            Event::RecordsLost { cause, .. } => Some(cause.name()),
            _ => None,
        }
    }

    /// Whether this removes its session because somebody asked for that.
    pub const fn is_deletion(&self) -> bool {
        self.is_removal() && self.actor.is_some()
    }

    /// Whether this removes its session: by retention, or because somebody asked for that.
    pub const fn is_removal(&self) -> bool {
        matches!(
            self.event,
            Event::RecordsLost {
                cause: LossCause::Retention { .. },
                ..
            }
        )
    }

    /// Whether this can be the next record of a session whose last one is `before`
    /// ([`Sequence::START`] if there is none).
    ///
    /// All gaps in sequences are declared. A loss by damage has the last lost sequence as its own
    /// and follows the record before the first lost one. A removal comes after the session's last
    /// record, and any number of the records before it may be dropped already.
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
    ///     clock: Timestamp::EPOCH.into(),
    ///     actor: None, redacted: None,
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
    /// If this event removes the session's records: all before this sequence may be dropped from the
    /// log, but not this event itself.
    ///
    /// They may be dropped in any order, and at different times. Once one of them is dropped, readers and
    /// folds get this event in place of all of them, also of those that are still there.
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

    /// How its job runs and who sees it, in the events that say so.
    pub fn mode(&self) -> Option<JobMode> {
        match self {
            Self::JobSubmitted { mode, .. }
            | Self::InputWritten { mode, .. }
            | Self::InputHidden { mode, .. }
            | Self::LeftoversChosen { mode, .. }
            | Self::TerminalResized { mode, .. }
            | Self::ControllerChanged { mode, .. }
            | Self::ScreenCaptured { mode, .. }
            | Self::ResultEmitted { mode, .. }
            | Self::JobFinished { mode, .. } => Some(*mode),
            _ => None,
        }
    }

    /// The job that the event is about, if any.
    pub(crate) fn job(&self) -> Option<JobId> {
        match self {
            Self::JobSubmitted { job, .. }
            | Self::JobStarted { job, .. }
            | Self::InputWritten { job, .. }
            | Self::InputHidden { job, .. }
            | Self::LeftoversChosen { job, .. }
            | Self::TerminalResized { job, .. }
            | Self::ControllerChanged { job, .. }
            | Self::ScreenCaptured { job, .. }
            | Self::ResultEmitted { job, .. }
            | Self::InterruptRequested { job, .. }
            | Self::JobFinished { job, .. } => Some(*job),
            _ => None,
        }
    }

    /// The approximate encoded size in bytes without an actor: the texts, and [`RECORD_BYTES`] for
    /// the rest. [`Record::bytes`] counts the actor, too.
    ///
    /// Stable: retention decisions in old logs depend on it.
    pub fn bytes(&self) -> u64 {
        let optional = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len());
        let names = |controller: &Option<Arc<Controller>>| {
            let controller = controller.as_deref();
            controller.map_or(0, |it| it.client.len() + optional(&it.user))
        };
        let texts = match self {
            Self::SessionCreated {
                service,
                user,
                remote,
                server,
                ..
            } => {
                service.len()
                    + optional(user)
                    + optional(remote)
                    + server.version.len()
                    + optional(&server.node)
            }
            Self::SessionTakenOver { by } => by.node.len(),
            Self::UserSet { user } => user.len(),
            Self::SessionDescribed { description } => description.len(),
            Self::LinkChanged { link, .. } => link.len(),
            Self::JobSubmitted {
                statement,
                request,
                controller,
                ..
            } => statement.len() + optional(request) + names(controller),
            Self::ControllerChanged { controller, .. } => names(controller),
            Self::ScreenCaptured { content, .. } => content.len(),
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
            | Self::InputHidden { .. }
            | Self::LeftoversChosen { .. }
            | Self::TerminalResized { .. }
            | Self::InterruptRequested { .. }
            | Self::SessionClosed { .. }
            | Self::RecordsLost { .. } => 0,
            Self::RecordsRedacted { records } => size_of_val(&**records),
        };
        RECORD_BYTES + texts as u64
    }
}

/// The server process that created a session. Readers see it for the life of the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its process ID.
    pub process: u32,
    /// Its version.
    pub version: Arc<str>,
    /// Its name among the nodes of a cluster. None: it is alone.
    pub node: Option<Arc<str>>,
}

/// A node of a cluster that writes a log, and since which change of writers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeTerm {
    /// The node's name.
    pub node: Arc<str>,
    /// Grows with each change of the log's writer.
    pub term: u64,
}

/// How a job was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobMode {
    /// Whether it occupies the foreground.
    pub slot: JobSlot,
    /// Who gets its results.
    pub visibility: Visibility,
}

impl JobMode {
    /// Whether the job concerns only its submitter: it is in the background, and other consumers do
    /// not get its results.
    #[must_use]
    pub const fn is_private(self) -> bool {
        matches!(
            (self.slot, self.visibility),
            (JobSlot::Background, Visibility::Submitter)
        )
    }
}

/// How the output of a job goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobOutput {
    /// Through one pipe for both standard streams, in the order in which it was written.
    #[default]
    Merged,
    /// Through a pipe for each standard stream. There is no order between them.
    Separate,
    /// To a terminal of this size.
    Terminal(TerminalSize),
}

impl JobOutput {
    /// Its name in the API and in other machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Separate => "separate",
            Self::Terminal(_) => "terminal",
        }
    }

    /// The size of the terminal, if it is one.
    pub const fn terminal(self) -> Option<TerminalSize> {
        match self {
            Self::Terminal(size) => Some(size),
            Self::Merged | Self::Separate => None,
        }
    }

    /// Changes the size, if it is a terminal.
    pub(crate) fn resize(&mut self, size: TerminalSize) {
        if let Self::Terminal(old) = self {
            *old = size;
        }
    }
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// How many characters a line has.
    pub columns: u16,
    /// How many lines it has.
    pub rows: u16,
}

/// Who may type into a terminal and change its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// The name that a client has chosen for itself.
    pub client: Arc<str>,
    /// The account of the client, if known.
    pub user: Option<Arc<str>>,
}

/// How far a result goes in the output of its job. A job that outlives the server goes on behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputPosition {
    /// The stream that the result is from.
    pub stream: OutputStream,
    /// How many bytes the job has written to this stream up to the end of the result.
    pub bytes: u64,
}

/// A stream of a job's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output, or all output of a job that does not have two streams.
    Stdout,
    /// Standard error.
    Stderr,
}

impl OutputStream {
    /// Every variant, in declaration order.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Its name in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How far the output of a job goes in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputOffsets {
    /// Bytes of standard output.
    pub stdout: u64,
    /// Bytes of standard error.
    pub stderr: u64,
}

impl OutputOffsets {
    /// The offset of one stream.
    pub const fn of(self, stream: OutputStream) -> u64 {
        match stream {
            OutputStream::Stdout => self.stdout,
            OutputStream::Stderr => self.stderr,
        }
    }

    /// Moves one stream on. It never goes back.
    pub fn advance(&mut self, position: OutputPosition) {
        let offset = match position.stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        *offset = position.bytes.max(*offset);
    }
}

/// Where a job runs in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSlot {
    /// At most one foreground job runs at a time.
    Foreground,
    /// Any number of background jobs run at the same time, within the limits.
    Background,
}

impl JobSlot {
    /// Its name in the API and in other machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Foreground => "foreground",
            Self::Background => "background",
        }
    }
}

/// Who gets a job's results. They are logged in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Every consumer of the session.
    Session,
    /// Only the submitter of the job.
    Submitter,
}

/// What happened to a link by which a session can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// It was made.
    Added {
        /// When it ends by itself.
        expires: Timestamp,
    },
    /// It was removed before it ended.
    Removed,
    /// Somebody began to watch by it.
    Joined,
    /// Its last viewer has left.
    Left,
}

impl LinkChange {
    /// Its name in the API and in other machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added { .. } => "added",
            Self::Removed => "removed",
            Self::Joined => "joined",
            Self::Left => "left",
        }
    }
}

/// Why a consumer no longer reads a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveCause {
    /// It left.
    Left,
    /// It did not pull within its timeout.
    Expired,
    /// The session was closed.
    SessionClosed,
}

impl LeaveCause {
    /// Every variant, in declaration order.
    pub const ALL: [Self; 3] = [Self::Left, Self::Expired, Self::SessionClosed];

    /// Its name in the API, in metrics and in other machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Expired => "expired",
            Self::SessionClosed => "session-closed",
        }
    }
}

/// Why a job was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterruptCause {
    /// A client requested it.
    Requested,
    /// It reached its timeout.
    Timeout,
    /// It exceeded its output limit.
    OutputLimit,
    /// Its session was closed.
    SessionClosed,
    /// The server is shutting down.
    Shutdown,
}

impl InterruptCause {
    /// Its name in the API, in metrics and in other machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Timeout => "timeout",
            Self::OutputLimit => "output-limit",
            Self::SessionClosed => "session-closed",
            Self::Shutdown => "shutdown",
        }
    }

    /// The message of a job that ends for this reason, if its runner does not say more about it.
    ///
    /// Stable: frontends recognize it in old logs.
    pub const fn message(self) -> Option<&'static str> {
        match self {
            Self::Timeout => Some("the job ran for its timeout and was interrupted"),
            Self::SessionClosed => Some("the session was closed"),
            Self::Shutdown => Some("the server was shut down"),
            Self::Requested | Self::OutputLimit => None,
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with status 0.
    Completed,
    /// It exited with another status, could not run, or exceeded its output limit.
    Failed,
    /// It was interrupted on request, or because its session was closed or the server shut down.
    Interrupted,
    /// It reached its timeout and was interrupted.
    TimedOut,
    /// The process that ran it ended first, so that it is unknown how it ended.
    Lost,
}

impl Outcome {
    /// Every variant, in declaration order.
    pub const ALL: [Self; 5] = [
        Self::Completed,
        Self::Failed,
        Self::Interrupted,
        Self::TimedOut,
        Self::Lost,
    ];

    /// Its name in the API, in metrics and in other machine-readable output.
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
    /// A client requested it.
    Requested,
    /// It was unused for its timeout, and no job was running.
    Idle,
}

impl CloseCause {
    /// Every variant, in declaration order.
    pub const ALL: [Self; 2] = [Self::Requested, Self::Idle];

    /// Its name in the API, in metrics and in other machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Idle => "idle",
        }
    }
}

/// Why records are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// They could not be read when the log was salvaged.
    Damage,
    /// Retention removed the closed session, by age or because closed sessions took too much space; or
    /// somebody deleted it, whom the record then names ([`Record::is_deletion`]). All of its records are
    /// lost.
    ///
    /// The counters of the server are repeated here, because no other record may be left that
    /// contains them, and numbers must never be reused.
    Retention {
        /// The highest session number.
        last_number: SessionNumber,
        /// The highest job number.
        last_job: JobId,
    },
}

impl LossCause {
    /// Its name in the API, in metrics and in other machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Damage => "damage",
            Self::Retention { .. } => "retention",
        }
    }
}
