//! Effects: what the engine must do once a record is durable. Replay computes and drops them.

use crate::{
    Event, InterruptCause, JobId, JobOutput, JobSlot, Record, SessionId, State, Submission,
    TerminalSize,
};
use alloc::sync::Arc;

/// An instruction to the runner of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Run a job.
    Start {
        /// The session it belongs to.
        session: SessionId,
        /// The session's service.
        service: Arc<str>,
        /// The job.
        job: JobId,
        /// What to run.
        statement: Arc<str>,
        /// Whether it occupies the session's foreground.
        slot: JobSlot,
        /// Whether its standard input stays open.
        input: bool,
        /// How its output goes.
        output: JobOutput,
        /// Which submission it is.
        submission: Submission,
    },
    /// Leave what a job leaves behind, or end it. Follows the job's start.
    ChooseLeftovers {
        /// The job.
        job: JobId,
        /// Whether it goes on until the session ends.
        kept: bool,
    },
    /// Change the size of a job's terminal.
    Resize {
        /// The job.
        job: JobId,
        /// The size from now on.
        size: TerminalSize,
    },
    /// Write to a job's standard input.
    Write {
        /// The job.
        job: JobId,
        /// The bytes.
        bytes: Arc<[u8]>,
        /// Whether this ends the input.
        end: bool,
    },
    /// Interrupt a job. Repeated interrupts are more forceful.
    Interrupt {
        /// The session it belongs to.
        session: SessionId,
        /// The job.
        job: JobId,
        /// Why.
        cause: InterruptCause,
    },
    /// The session is closed: release everything that the runner holds for it.
    Release {
        /// The session.
        session: SessionId,
        /// The session's service.
        service: Arc<str>,
    },
}

impl Effect {
    /// The effect of `record`, given the state before it.
    pub fn of(state: &State, record: &Record) -> Option<Self> {
        let session = record.session;
        let service = || state.session(session).map(|open| open.service().clone());
        match &record.event {
            Event::JobSubmitted {
                job,
                statement,
                mode,
                input,
                output,
                ..
            } => Some(Self::Start {
                session,
                service: service()?,
                job: *job,
                statement: statement.clone(),
                slot: mode.slot,
                input: *input,
                output: *output,
                submission: record.submission(),
            }),
            Event::LeftoversChosen { job, kept, .. } => Some(Self::ChooseLeftovers {
                job: *job,
                kept: *kept,
            }),
            Event::TerminalResized { job, size, .. } => Some(Self::Resize {
                job: *job,
                size: *size,
            }),
            Event::InputWritten {
                job, bytes, end, ..
            } => Some(Self::Write {
                job: *job,
                bytes: bytes.clone(),
                end: *end,
            }),
            Event::InterruptRequested { job, cause, .. } => Some(Self::Interrupt {
                session,
                job: *job,
                cause: *cause,
            }),
            Event::SessionClosed { .. } => Some(Self::Release {
                session,
                service: service()?,
            }),
            _ => None,
        }
    }
}
