//! The state that decisions are based on: the fold of all records.
//!
//! Only `apply` changes it. Of closed sessions it keeps what retention needs.

pub(crate) mod consumers;
pub(crate) mod deadlines;
pub(crate) mod idempotency;
pub(crate) mod retention;

pub use consumers::Consumer;
pub use deadlines::Deadline;

use self::consumers::Consumers;
use self::deadlines::{Deadlines, NextDeadlines};
use self::idempotency::IdempotencyKeys;
use self::retention::RetentionQueue;
use crate::VecMap;
use crate::{
    ConsumerId, Controller, Description, Instant, InterruptCause, JobId, JobMode, JobOutput,
    Limits, Moment, Numbering, OutputOffsets, Sequence, SessionId, SessionNumber,
};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// The open sessions, their consumers and their unfinished jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub(crate) limits: Limits,
    pub(crate) numbering: Numbering,
    // Boxed, because about a third of the space in tree nodes is unused.
    pub(crate) sessions: BTreeMap<SessionId, Box<Session>>,
    pub(crate) closed: RetentionQueue,
    pub(crate) deadlines: Deadlines,
    pub(crate) last_number: u64,
    pub(crate) last_job: u64,
    pub(crate) last: Moment,
}

impl State {
    /// The state before the first record.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The same state, whose next sessions and jobs get numbers as `numbering` says.
    #[must_use]
    pub fn numbered(self, numbering: Numbering) -> Self {
        Self { numbering, ..self }
    }

    /// The open session of this identity.
    pub fn session(&self, session: SessionId) -> Option<&Session> {
        self.sessions.get(&session).map(Box::as_ref)
    }

    /// The open sessions, by identity.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.sessions.iter().map(|(id, session)| (*id, &**session))
    }

    /// The earliest deadline. A timer need not fire earlier.
    pub fn next_deadline(&self) -> Option<Instant> {
        let removal = self.closed.next(self.limits.retention);
        self.deadlines.next().into_iter().chain(removal).min()
    }

    /// What is due at `now`, earliest first, removals last.
    pub fn due(&self, now: impl Into<Instant>) -> impl Iterator<Item = Deadline> {
        let now = now.into();
        let sessions = self.deadlines.due_sessions(now);
        let sessions = sessions.filter_map(|id| Some((id, self.session(id)?)));
        let mut due: Vec<_> = self
            .instants_of_consumers(now)
            .chain(sessions.flat_map(|(id, open)| open.due(id, now)))
            .collect();
        due.sort_unstable();
        let removals = self.closed.due(self.limits.retention, now);
        let due = due.into_iter().map(|(_, deadline)| deadline);
        due.chain(removals.map(Deadline::Removal))
    }

    /// The consumers among [`Self::due`]. Does not look at anything else that is due.
    pub fn due_consumers<T: Into<Instant>>(
        &self,
        now: T,
    ) -> impl Iterator<Item = Deadline> + use<T> {
        let mut due: Vec<_> = self.instants_of_consumers(now.into()).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, deadline)| deadline)
    }

    fn instants_of_consumers(
        &self,
        now: Instant,
    ) -> impl Iterator<Item = (Instant, Deadline)> + '_ {
        let sessions = self.deadlines.due_consumers(now);
        let sessions = sessions.filter_map(|id| Some((id, self.session(id)?)));
        sessions.flat_map(move |(id, open)| {
            let due = open.consumers.due(now);
            due.map(move |(at, consumer)| (at, Deadline::Consumer(id, consumer)))
        })
    }

    /// The highest job number used.
    pub fn last_job(&self) -> JobId {
        JobId(self.last_job)
    }

    /// The moment of the last record. Neither clock of a later record shows an earlier one.
    pub fn last(&self) -> Moment {
        self.last
    }
}

/// An open session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub(crate) number: SessionNumber,
    pub(crate) service: Arc<str>,
    pub(crate) user: Option<Arc<str>>,
    /// None if it is empty.
    pub(crate) description: Option<Arc<Description>>,
    pub(crate) last_sequence: Sequence,
    pub(crate) last_ordinal: u32,
    pub(crate) consumers: Consumers,
    pub(crate) jobs: VecMap<JobId, Job>,
    pub(crate) foreground: Option<JobId>,
    pub(crate) requests: IdempotencyKeys,
    pub(crate) seen: Instant,
    pub(crate) timeout: Duration,
    /// The size of its records, as counted by [`Event::bytes`](crate::Event::bytes).
    pub(crate) bytes: u64,
    /// Some of its records are lost, and their contents are unknown.
    pub(crate) is_incomplete: bool,
}

impl Session {
    /// The session's number in lists.
    pub fn number(&self) -> SessionNumber {
        self.number
    }

    /// The service that runs its jobs.
    pub fn service(&self) -> &Arc<str> {
        &self.service
    }

    /// The user, if known.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// Its title and labels, if it has any.
    pub fn description(&self) -> Option<&Description> {
        self.description.as_deref()
    }

    /// The sequence of its last record.
    pub fn last_sequence(&self) -> Sequence {
        self.last_sequence
    }

    /// Whether records of it are lost. Jobs and consumers may then be missing here, or be listed
    /// although they are over.
    pub fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// The job in its foreground.
    pub fn foreground(&self) -> Option<JobId> {
        self.foreground
    }

    /// Its unfinished jobs, by number.
    pub fn jobs(&self) -> impl Iterator<Item = (JobId, &Job)> {
        self.jobs.iter().map(|(id, job)| (*id, job))
    }

    /// Its consumers in the order in which they joined.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerId, Consumer)> {
        self.consumers.iter()
    }

    /// The consumer of this identity.
    pub fn consumer(&self, consumer: ConsumerId) -> Option<Consumer> {
        self.consumers.get(consumer)
    }

    /// When it was last used according to the log.
    pub fn seen(&self) -> Instant {
        self.seen
    }

    /// When it is closed as idle. None while it is busy.
    pub fn deadline(&self) -> Option<Instant> {
        self.jobs.is_empty().then(|| self.seen + self.timeout)
    }

    /// The next deadlines in it.
    pub(crate) fn next(&self) -> NextDeadlines {
        let first_job = || self.jobs.values().filter_map(Job::deadline).min();
        NextDeadlines {
            consumer: self.consumers.next_deadline(),
            session: self.deadline().or_else(first_job),
        }
    }

    /// What is due at `now`, without consumers.
    fn due(&self, id: SessionId, now: Instant) -> impl Iterator<Item = (Instant, Deadline)> + '_ {
        let idle = self.deadline().map(|at| (at, Deadline::Session(id)));
        let jobs = self.jobs.iter();
        let jobs =
            jobs.filter_map(move |(job, it)| Some((it.deadline()?, Deadline::Job(id, *job))));
        jobs.chain(idle).filter(move |(at, _)| *at <= now)
    }
}

/// A job that has not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub(crate) mode: JobMode,
    pub(crate) started: bool,
    /// Bytes of its results.
    pub(crate) emitted: u64,
    pub(crate) output_limit: u64,
    pub(crate) offsets: OutputOffsets,
    pub(crate) interrupt: Option<InterruptCause>,
    pub(crate) interrupts: u32,
    /// The interrupt of the program in the foreground of its terminal, if nothing was typed after it: until
    /// then, the job's end follows from it whatever its status.
    pub(crate) key: Option<Instant>,
    /// A result was too long to be logged. Later ones are not logged either, so that the output has
    /// no hole.
    pub(crate) is_truncated: bool,
    pub(crate) due: Instant,
    /// It may have finished in a lost record.
    pub(crate) is_uncertain: bool,
    pub(crate) input: Input,
    /// How its output goes. If it has a terminal, with the size of now.
    pub(crate) output: JobOutput,
    pub(crate) controller: Option<Arc<Controller>>,
    /// The last record that its last logged screen contains.
    pub(crate) screen: Option<Sequence>,
}

/// The state of a job's standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// The job has no input.
    None,
    /// Open, with this many bytes written.
    Open(u64),
    /// It was ended.
    Ended,
}

impl Job {
    /// How it was submitted.
    pub fn mode(&self) -> JobMode {
        self.mode
    }

    /// How far its output is logged, if its runner counts that.
    pub fn offsets(&self) -> OutputOffsets {
        self.offsets
    }

    /// How its output goes. If it has a terminal, with its size of now.
    pub fn output(&self) -> JobOutput {
        self.output
    }

    /// Who controls its terminal.
    pub fn controller(&self) -> Option<&Arc<Controller>> {
        self.controller.as_ref()
    }

    /// How often it was interrupted.
    pub fn interrupts(&self) -> u32 {
        self.interrupts
    }

    /// Whether its later results are not logged any more, because there were too many.
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }

    /// Whether it has a standard input. It may have ended.
    pub fn has_input(&self) -> bool {
        !matches!(self.input, Input::None)
    }

    /// Whether its standard input was ended.
    pub fn input_has_ended(&self) -> bool {
        matches!(self.input, Input::Ended)
    }

    /// Why it was first interrupted so that it ends, if it was. A request to interrupt a terminal is for
    /// the program in its foreground.
    pub fn interrupt(&self) -> Option<InterruptCause> {
        self.interrupt
    }

    /// When it times out. None once it was interrupted.
    pub fn deadline(&self) -> Option<Instant> {
        self.interrupt.is_none().then_some(self.due)
    }
}
