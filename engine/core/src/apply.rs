//! The fold: applies records to the state. Every record that a correct engine logged can be applied.
//!
//! `validate` finds records that a correct engine would not have written, such as an undeclared gap or
//! a job that finishes twice; `apply` panics on them, in release builds too.
//!
//! After a declared gap, the contents of the lost records are unknown. Known jobs and consumers are
//! uncertain then, because they may be over. Unknown ones may have started in the gap: records of them
//! are accepted and ignored.

use crate::VecMap;
use crate::limits::INTERRUPT_TAKES;
use crate::state::consumers::{Consumer, Consumers};
use crate::state::deadlines::NextDeadlines;
use crate::state::idempotency::{AcceptedRequest, IdempotencyKeys, fingerprint};
use crate::state::retention::ClosedSession;
use crate::state::{Input, Job, Session, State};
use crate::{
    ConsumerId, Event, Instant, InterruptCause, JobId, JobSlot, LeaveCause, LossCause, Moment,
    OutputOffsets, Record, Sequence, SessionId, SessionNumber, Violation,
};
use alloc::boxed::Box;

impl State {
    /// Applies the record.
    ///
    /// # Panics
    ///
    /// When [`State::validate`] rejects the record: no decision may be based on such a state.
    pub fn apply(&mut self, record: &Record) {
        if let Err(violation) = self.try_apply(record) {
            panic!("{violation}");
        }
    }

    /// Like [`Self::apply`], for records that may be invalid.
    ///
    /// # Errors
    ///
    /// Which invariant the record breaks. The state is unchanged then.
    pub fn try_apply(&mut self, record: &Record) -> Result<(), Violation> {
        self.try_apply_numbered(record).map(drop)
    }

    /// Like [`Self::try_apply`]. Returns the session's number if the record belongs to an open session
    /// that stays open. Such records, the majority, need a single lookup of the session, which
    /// dominates the cost of a fold.
    pub(crate) fn try_apply_numbered(
        &mut self,
        record: &Record,
    ) -> Result<Option<SessionNumber>, Violation> {
        let session = record.session;
        if !changes_sessions(&record.event)
            && let Some(open) = self.sessions.get_mut(&session)
        {
            let event = &record.event;
            let broken = validate_position(record, open.last_sequence, self.last);
            let broken = broken.or_else(|| open.validate(event, self.last_job));
            Violation::check(record, broken)?;
            self.last = record.moment();
            if let Some(JobId(job)) = event.job() {
                // For every event of a job, because its submission may be lost.
                self.last_job = self.last_job.max(job);
            }
            let before = open.next();
            open.last_sequence = record.sequence;
            open.bytes = open.bytes.saturating_add(record.bytes());
            open.apply(record.clock, record.sequence, event);
            self.deadlines.reset(session, before, open.next());
            return Ok(Some(open.number));
        }
        self.validate(record)?;
        self.last = record.moment();
        match &record.event {
            Event::SessionCreated {
                number,
                service,
                user,
                timeout,
                ..
            } => {
                self.last_number = number.0;
                let created = Box::new(Session {
                    number: *number,
                    service: service.clone(),
                    user: user.clone(),
                    description: None,
                    last_sequence: record.sequence,
                    last_ordinal: 0,
                    consumers: Consumers::default(),
                    jobs: VecMap::default(),
                    foreground: None,
                    requests: IdempotencyKeys::default(),
                    seen: record.clock,
                    timeout: *timeout,
                    bytes: record.bytes(),
                    is_incomplete: false,
                });
                self.deadlines
                    .reset(session, NextDeadlines::default(), created.next());
                self.sessions.insert(session, created);
            }
            Event::SessionClosed { .. } => {
                if let Some(open) = self.forget(session) {
                    let closed = ClosedSession {
                        last_sequence: record.sequence,
                        at: record.clock,
                        bytes: open.bytes.saturating_add(record.bytes()),
                    };
                    self.closed.insert(session, closed);
                }
            }
            Event::RecordsLost {
                cause:
                    LossCause::Retention {
                        last_number,
                        last_job,
                    },
                ..
            } => {
                self.last_number = self.last_number.max(last_number.0);
                self.last_job = self.last_job.max(last_job.0);
                self.closed.remove(session);
                // The records up to its end may be dropped already.
                self.forget(session);
            }
            Event::RecordsRedacted { .. } => {
                if let Some(closed) = self.closed.get(session).copied() {
                    let closed = ClosedSession {
                        last_sequence: record.sequence,
                        bytes: closed.bytes.saturating_add(record.bytes()),
                        ..closed
                    };
                    self.closed.insert(session, closed);
                }
            }
            // `validate` has checked that its session is not open.
            _ => {}
        }
        Ok(None)
    }

    /// The sequence of a session's last record. [`Sequence::START`] if it has none or was removed.
    pub fn last_sequence(&self, session: SessionId) -> Sequence {
        let open = self.sessions.get(&session).map(|open| open.last_sequence);
        open.or_else(|| self.closed.get(session).map(|closed| closed.last_sequence))
            .unwrap_or(Sequence::START)
    }

    /// Removes an open session and its deadlines.
    fn forget(&mut self, session: SessionId) -> Option<Box<Session>> {
        let open = self.sessions.remove(&session)?;
        self.deadlines
            .reset(session, open.next(), NextDeadlines::default());
        Some(open)
    }

    /// Checks that the record may follow the records applied so far.
    ///
    /// # Errors
    ///
    /// Which invariant it breaks.
    pub fn validate(&self, record: &Record) -> Result<(), Violation> {
        let open = self.sessions.get(&record.session);
        // Most records belong to open sessions, which need no second lookup.
        let last = open.map_or_else(
            || self.last_sequence(record.session),
            |open| open.last_sequence,
        );
        let broken = validate_position(record, last, self.last);
        let broken = broken.or_else(|| match (&record.event, open) {
            (Event::SessionCreated { number, .. }, None) => {
                (number.0 <= self.last_number).then_some("its session's number does not grow")
            }
            (Event::SessionCreated { .. }, Some(_)) => Some("its session exists already"),
            (
                Event::RecordsLost {
                    cause: LossCause::Retention { .. },
                    ..
                },
                _,
            ) => None,
            (Event::RecordsRedacted { records }, None) => {
                let is_there = records.last().is_some_and(|it| *it <= last);
                (!is_there).then_some("it redacts a record that is not there")
            }
            (_, None) => Some("its session is not open"),
            (event, Some(open)) => open.validate(event, self.last_job),
        });
        Violation::check(record, broken)
    }
}

/// Whether the event creates, closes or removes a session.
fn changes_sessions(event: &Event) -> bool {
    matches!(
        event,
        Event::SessionCreated { .. }
            | Event::SessionClosed { .. }
            | Event::RecordsLost {
                cause: LossCause::Retention { .. },
                ..
            }
    )
}

/// The byte of the key that interrupts the program in the foreground of a terminal.
const CTRL_C: u8 = 3;

/// Why the record may not follow `last`, if it may not.
fn validate_position(record: &Record, last: Sequence, last_moment: Moment) -> Option<&'static str> {
    if !record.follows(last) {
        Some("it is not the next of its session")
    } else if record.at < last_moment.at || record.clock < last_moment.clock {
        Some("it is stamped before the record before it")
    } else {
        None
    }
}

impl Session {
    fn apply(&mut self, at: Instant, sequence: Sequence, event: &Event) {
        self.seen = self.seen.max(used_at(event, at));
        match event {
            Event::SessionResumed | Event::SessionTakenOver { .. } => self.consumers.see_all(at),
            Event::UserSet { user } => self.user = Some(user.clone()),
            Event::SessionDescribed { description } => {
                self.description = Some(description.clone()).filter(|it| !it.is_empty());
            }
            Event::ConsumerJoined {
                consumer: id,
                timeout,
                ..
            } => {
                let consumer = Consumer {
                    cursor: Sequence::START,
                    seen: at,
                    timeout: *timeout,
                    is_uncertain: false,
                };
                self.last_ordinal = id.ordinal;
                self.consumers.join(*id, consumer);
            }
            Event::CursorAdvanced { consumer, to, seen } => {
                self.consumers.advance(*consumer, *to, *seen);
            }
            Event::ConsumerLeft { consumer, .. } => self.consumers.leave(*consumer),
            Event::JobSubmitted {
                job: id,
                mode,
                statement,
                timeout,
                output_limit,
                request,
                input,
                output,
                controller,
            } => {
                if let Some(request) = request {
                    let accepted = AcceptedRequest {
                        job: *id,
                        sequence,
                        fingerprint: fingerprint(statement, *mode, *input, *output),
                    };
                    self.requests.remember(request, accepted);
                }
                let job = Job {
                    mode: *mode,
                    started: false,
                    emitted: 0,
                    output_limit: *output_limit,
                    offsets: OutputOffsets::default(),
                    interrupt: None,
                    interrupts: 0,
                    key: None,
                    is_truncated: false,
                    due: at + *timeout,
                    is_uncertain: false,
                    input: if *input { Input::Open(0) } else { Input::None },
                    output: *output,
                    controller: controller.clone(),
                    screen: None,
                };
                if mode.slot == JobSlot::Foreground
                    && let Some(previous) = self.foreground.replace(*id)
                {
                    // Its end is in a lost record.
                    self.jobs.remove(&previous);
                }
                self.jobs.insert(*id, job);
            }
            Event::JobStarted { job, .. } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.started = true;
                }
            }
            Event::ResultEmitted {
                job,
                result,
                position,
                ..
            } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.emitted += result.len() as u64;
                    if let Some(position) = position {
                        job.offsets.advance(*position);
                    }
                }
            }
            Event::InputWritten {
                job, bytes, end, ..
            } => {
                if let Some(job) = self.jobs.get_mut(job)
                    && let Input::Open(written) = job.input
                {
                    let has_terminal = job.output.terminal().is_some();
                    // A program that reads single keys may take it for another one: then its status counts.
                    job.key = (has_terminal && bytes.last() == Some(&CTRL_C)).then_some(at);
                    job.input = if *end {
                        Input::Ended
                    } else {
                        Input::Open(written + bytes.len() as u64)
                    };
                }
            }
            Event::InputHidden { job, .. } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.key = None;
                }
            }
            Event::TerminalResized { job, size, .. } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.output.resize(*size);
                }
            }
            Event::ControllerChanged {
                job, controller, ..
            } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.controller.clone_from(controller);
                }
            }
            Event::ScreenCaptured { job, after, .. } => {
                if let Some(job) = self.jobs.get_mut(job) {
                    job.screen = Some(*after);
                }
            }
            Event::InterruptRequested { job: id, cause, .. } => {
                if let Some(job) = self.jobs.get_mut(id) {
                    // In a terminal it is for the program in the foreground, and the job goes on.
                    let is_key =
                        job.output.terminal().is_some() && *cause == InterruptCause::Requested;
                    if is_key {
                        job.key = Some(at + INTERRUPT_TAKES);
                    } else {
                        job.interrupt.get_or_insert(*cause);
                    }
                    job.interrupts = job.interrupts.saturating_add(1);
                    job.is_truncated |= *cause == InterruptCause::OutputLimit;
                }
            }
            Event::JobFinished { job: id, .. } => {
                self.jobs.remove(id);
                self.foreground = self.foreground.filter(|foreground| foreground != id);
            }
            Event::RecordsLost { .. } => {
                self.is_incomplete = true;
                self.jobs
                    .values_mut()
                    .for_each(|job| job.is_uncertain = true);
                self.consumers.mark_all_uncertain();
            }
            Event::SessionTouched { .. }
            | Event::LeftoversChosen { .. }
            | Event::RecordsRedacted { .. }
            | Event::StatementRefused { .. }
            | Event::LinkChanged { .. }
            | Event::SessionCreated { .. }
            | Event::SessionClosed { .. } => {}
        }
    }

    /// Why `event` may not be the session's next, if it may not.
    fn validate(&self, event: &Event, last_job: u64) -> Option<&'static str> {
        match event {
            Event::ConsumerJoined { consumer, .. } => (consumer.ordinal <= self.last_ordinal)
                .then_some("its consumer's ordinal does not grow"),
            Event::CursorAdvanced { consumer, to, .. } => match self.consumers.get(*consumer) {
                None => self
                    .missing_consumer(consumer)
                    .then_some("its consumer has not joined"),
                Some(consumer) if *to < consumer.cursor => Some("its cursor goes back"),
                Some(_) if *to > self.last_sequence => Some("its cursor is ahead of the session"),
                Some(_) => None,
            },
            Event::ConsumerLeft { consumer, .. } => self
                .missing_consumer(consumer)
                .then_some("its consumer has not joined"),
            Event::JobSubmitted {
                job, mode, request, ..
            } => {
                let is_repeated = |request| self.requests.get(request).is_some();
                if job.0 <= last_job {
                    Some("its job's number does not grow")
                } else if request.as_deref().is_some_and(is_repeated) {
                    Some("its request has led to a job already")
                } else {
                    (mode.slot == JobSlot::Foreground && self.is_foreground_taken())
                        .then_some("the foreground is taken")
                }
            }
            Event::JobStarted { job, .. } => match self.jobs.get(job) {
                None => self.missing_job(job).then_some("its job is not running"),
                Some(job) => job.started.then_some("its job has started already"),
            },
            Event::InputWritten { job, .. } => match self.jobs.get(job).map(|job| job.input) {
                None => self.missing_job(job).then_some("its job is not running"),
                Some(Input::Open(_)) => None,
                Some(Input::None | Input::Ended) => Some("its job's input is not open"),
            },
            Event::TerminalResized { job, .. }
            | Event::ControllerChanged { job, .. }
            | Event::InputHidden { job, .. }
            | Event::ScreenCaptured { job, .. } => match self.jobs.get(job) {
                None => self.missing_job(job).then_some("its job is not running"),
                Some(job) => {
                    let has_terminal = job.output.terminal().is_some();
                    (!has_terminal).then_some("its job has no terminal")
                }
            },
            Event::ResultEmitted { job, .. }
            | Event::LeftoversChosen { job, .. }
            | Event::InterruptRequested { job, .. }
            | Event::JobFinished { job, .. } => {
                self.missing_job(job).then_some("its job is not running")
            }
            Event::SessionClosed { .. } => {
                if !self.jobs.values().all(|job| job.is_uncertain) {
                    Some("its session has unfinished jobs")
                } else {
                    let has_consumers = self.consumers.has_certain();
                    has_consumers.then_some("its session has consumers")
                }
            }
            Event::RecordsRedacted { records } => {
                let is_before = records.last().is_some_and(|it| *it <= self.last_sequence);
                (!is_before).then_some("it redacts a record that is not there")
            }
            Event::SessionCreated { .. }
            | Event::RecordsLost { .. }
            | Event::SessionResumed
            | Event::SessionTakenOver { .. }
            | Event::SessionTouched { .. }
            | Event::StatementRefused { .. }
            | Event::UserSet { .. }
            | Event::LinkChanged { .. }
            | Event::SessionDescribed { .. } => None,
        }
    }

    fn missing_consumer(&self, consumer: &ConsumerId) -> bool {
        !self.is_incomplete && self.consumers.get(*consumer).is_none()
    }

    fn missing_job(&self, job: &JobId) -> bool {
        !self.is_incomplete && !self.jobs.contains_key(job)
    }

    fn is_foreground_taken(&self) -> bool {
        let job = self.foreground.and_then(|job| self.jobs.get(&job));
        job.is_some_and(|job| !job.is_uncertain)
    }
}

/// When the session was used, according to the event.
fn used_at(event: &Event, at: Instant) -> Instant {
    match event {
        Event::SessionTouched { seen } | Event::CursorAdvanced { seen, .. } => *seen,
        // An expired consumer has not used the session.
        Event::ConsumerLeft {
            cause: LeaveCause::Expired,
            ..
        }
        // Nor has who redacts what is in it.
        | Event::RecordsRedacted { .. }
        | Event::RecordsLost { .. } => Instant::FIRST,
        _ => at,
    }
}
