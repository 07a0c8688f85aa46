//! Decisions about jobs: requests of clients and reports of runners.

use super::terminal::{check_client, check_size};
use super::{Decision, at_most, fewer_than};
use crate::state::idempotency::{AcceptedRequest, fingerprint};
use crate::state::{Input, Job, Session};
use crate::{
    Controller, Event, Instant, InterruptCause, JobId, JobSlot, Outcome, OutputPosition, Rejection,
    SessionId, State, SubmitJob,
};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

impl State {
    pub(super) fn submit_job(&self, submit: SubmitJob) -> Decision {
        let SubmitJob {
            session,
            statement,
            mode,
            timeout,
            output_limit,
            request,
            input,
            output,
            controller,
            keeps_leftovers,
        } = submit;
        let input = input || output.terminal().is_some();
        let controller = controller.filter(|_| output.terminal().is_some());
        let open = self.open(session)?;
        at_most("statement", self.limits.statement, statement.len())?;
        if let Some(request) = &request {
            at_most("name of the request", self.limits.name, request.len())?;
            if let Some(accepted) = open.requests.get(request) {
                // Before the other checks: a repeated request succeeds even if a new one would be
                // rejected now.
                return Err(repeated(
                    accepted,
                    fingerprint(&statement, mode, input, output),
                ));
            }
        }
        if let Some(size) = output.terminal() {
            check_size(size)?;
        }
        if let Some(controller) = &controller {
            check_client(controller, &self.limits)?;
        }
        if let (JobSlot::Foreground, Some(running)) = (mode.slot, open.foreground) {
            return Err(Rejection::JobRunning(running));
        }
        fewer_than(
            "jobs running in this session",
            self.limits.jobs,
            open.jobs.len(),
        )?;
        let job = JobId(self.numbering.after(self.last_job));
        let chosen = keeps_leftovers.map(|kept| Event::LeftoversChosen { job, mode, kept });
        let submitted = (
            session,
            Event::JobSubmitted {
                job,
                mode,
                statement,
                timeout,
                output_limit,
                request,
                input,
                output,
                controller,
            },
        );
        let mut events = vec![submitted];
        events.extend(chosen.map(|chosen| (session, chosen)));
        Ok(events)
    }

    pub(super) fn write_input(
        &self,
        session: SessionId,
        job: JobId,
        bytes: Arc<[u8]>,
        end: bool,
        client: Option<Arc<Controller>>,
    ) -> Decision {
        let running = self.open(session)?.job(job)?;
        let mut events = self.controlled(session, job, running, client)?;
        let written = match running.input {
            Input::Open(written) => written,
            Input::None => return Err(Rejection::NoInput(job)),
            Input::Ended => return Err(Rejection::InputEnded(job)),
        };
        at_most("input", self.limits.input, bytes.len())?;
        if written + bytes.len() as u64 > self.limits.job_input {
            return Err(Rejection::TooLong {
                what: "input of the job in all",
                limit: usize::try_from(self.limits.job_input).unwrap_or(usize::MAX),
            });
        }
        if bytes.is_empty() && !end {
            return Ok(vec![]);
        }
        let mode = running.mode;
        events.push((
            session,
            Event::InputWritten {
                job,
                mode,
                bytes,
                end,
            },
        ));
        Ok(events)
    }

    pub(super) fn refuse_statement(
        &self,
        session: SessionId,
        statement: Option<Arc<str>>,
        reason: Arc<str>,
    ) -> Decision {
        self.open(session)?;
        at_most(
            "statement",
            self.limits.statement,
            statement.as_ref().map_or(0, |statement| statement.len()),
        )?;
        at_most("reason", self.limits.message, reason.len())?;
        Ok(vec![(
            session,
            Event::StatementRefused { statement, reason },
        )])
    }

    pub(super) fn interrupt_job(&self, session: SessionId, job: Option<JobId>) -> Decision {
        let open = self.open(session)?;
        let job = job.or(open.foreground).ok_or(Rejection::NoForegroundJob)?;
        let event = open
            .job(job)?
            .interrupt_event(job, InterruptCause::Requested);
        Ok(vec![(session, event)])
    }

    /// Interrupts every job that was not interrupted yet.
    pub(super) fn interrupt_all(&self) -> Vec<(SessionId, Event)> {
        let cause = InterruptCause::Shutdown;
        self.sessions()
            .flat_map(|(id, session)| session.jobs().map(move |(job, running)| (id, job, running)))
            .filter(|(_, _, running)| running.interrupt.is_none())
            .map(|(id, job, running)| (id, running.interrupt_event(job, cause)))
            .collect()
    }

    pub(super) fn report_started(&self, session: SessionId, job: JobId) -> Decision {
        let running = self.open(session)?.job(job)?;
        let private = running.mode.is_private();
        Ok(if running.started {
            vec![]
        } else {
            vec![(session, Event::JobStarted { job, private })]
        })
    }

    /// A result that is too long or exceeds the output limit is not logged. The job is interrupted
    /// instead, and its end says that results are missing.
    pub(super) fn report_result(
        &self,
        session: SessionId,
        job: JobId,
        result: Arc<str>,
        position: Option<OutputPosition>,
    ) -> Decision {
        let running = self.open(session)?.job(job)?;
        if running.is_truncated {
            return Err(Rejection::OutputLimitReached(job));
        }
        let is_short = result.len() <= self.limits.result;
        let event = if is_short && running.emitted + result.len() as u64 <= running.output_limit {
            Event::ResultEmitted {
                job,
                mode: running.mode,
                result,
                position,
            }
        } else {
            running.interrupt_event(job, InterruptCause::OutputLimit)
        };
        Ok(vec![(session, event)])
    }

    /// A message that is too long is cut, because the job has finished in any case.
    pub(super) fn report_finished(
        &self,
        now: Instant,
        session: SessionId,
        job: JobId,
        status: i32,
        message: Option<Arc<str>>,
        lost: bool,
    ) -> Decision {
        let running = self.open(session)?.job(job)?;
        let message = message.map(|message| cut(message, self.limits.message));
        let (outcome, message) = match lost {
            true => (Outcome::Lost, message),
            false => running.outcome(now, status, message, self.limits.result),
        };
        // A job that was interrupted for its output may still exit with 0, but it has failed.
        let status = if outcome == Outcome::Failed && status == 0 {
            FAILED_STATUS
        } else {
            status
        };
        let mode = running.mode;
        Ok(vec![(
            session,
            Event::JobFinished {
                job,
                mode,
                outcome,
                status,
                message,
            },
        )])
    }
}

impl Session {
    pub(super) fn job(&self, job: JobId) -> Result<&Job, Rejection> {
        self.jobs.get(&job).ok_or(Rejection::JobNotFound(job))
    }
}

impl Job {
    pub(super) fn interrupt_event(&self, job: JobId, cause: InterruptCause) -> Event {
        let private = self.mode.is_private();
        Event::InterruptRequested {
            job,
            cause,
            private,
        }
    }

    /// The outcome, which depends on the first interrupt, and the message. That results are missing
    /// takes precedence over any other message.
    fn outcome(
        &self,
        now: Instant,
        status: i32,
        message: Option<Arc<str>>,
        result_limit: usize,
    ) -> (Outcome, Option<Arc<str>>) {
        // In a terminal the job may go on after an interrupt, and end much later for another reason.
        let is_by_key = |until| now < until || status == STATUS_OF_SIGINT;
        let outcome = match self.interrupt {
            None if self.key.is_some_and(is_by_key) => Outcome::Interrupted,
            None if status == 0 => Outcome::Completed,
            None | Some(InterruptCause::OutputLimit) => Outcome::Failed,
            Some(
                InterruptCause::Requested
                | InterruptCause::SessionClosed
                | InterruptCause::Shutdown,
            ) => Outcome::Interrupted,
            Some(InterruptCause::Timeout) => Outcome::TimedOut,
        };
        let message = match self.interrupt.and_then(InterruptCause::message) {
            Some(why) => Some(why.into()),
            None => message,
        };
        if !self.is_truncated {
            return (outcome, message);
        }
        let limit = self.output_limit;
        let cut = format!(
            "the job was interrupted: its results may have {limit} bytes, {result_limit} each, and the next would have exceeded that"
        );
        (outcome, Some(cut.into()))
    }
}

/// The rejection of a request whose name was used before.
fn repeated(accepted: AcceptedRequest, fingerprint: u128) -> Rejection {
    if accepted.fingerprint == fingerprint {
        Rejection::RequestRepeated {
            job: accepted.job,
            sequence: accepted.sequence,
        }
    } else {
        Rejection::RequestTaken(accepted.job)
    }
}

/// The exit status that a shell reports of a program that SIGINT has ended.
const STATUS_OF_SIGINT: i32 = 130;

/// The exit status of a job that failed with status 0.
const FAILED_STATUS: i32 = 1;

/// Cuts the text to at most `bytes` bytes, at a character boundary.
pub(super) fn cut(text: Arc<str>, bytes: usize) -> Arc<str> {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default().into()
}
