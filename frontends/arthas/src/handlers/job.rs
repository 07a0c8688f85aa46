//! The actions `async_exec` and `interrupt_job`.

use crate::Arthas;
use crate::error::Fault;
use crate::limits::{FOLLOW, INTERRUPT_WAIT};
use crate::request::Request;
use crate::statement;
use crate::wire::{Answer, Object, State};
use rejoin_engine::{CommandError, Event, JobAck, JobMode, JobSlot, NewJob, SessionId, Visibility};

impl Arthas {
    pub(super) async fn async_exec(
        &self,
        request: &Request,
        session: SessionId,
    ) -> Result<Answer, Fault> {
        let command = request.command.as_deref();
        let submitted = match self.new_job(session, command, Visibility::Session).await {
            Ok(job) => self.engine.submit_job(job).await.map_err(Fault::from),
            Err(fault) => Err(fault),
        };
        let fault = match submitted {
            Ok(JobAck { job, .. }) => {
                let body = Object::of(|body| {
                    body.optional("command", command);
                    body.value("jobId", job);
                    // Always READY, whatever its state is by now: clients start to pull on this.
                    body.plain("jobStatus", "READY");
                });
                let answer = Answer::new(State::Scheduled).body(body);
                return Ok(answer.session(session).about(job));
            }
            Err(fault) => fault.into_statement_failure("Async exec"),
        };
        if let Fault::StatementFailed { .. } = fault
            && !self.engine.config().read_only
        {
            // The session's consumers see why the statement did not become a job. A statement that
            // is too long to run is too long for the log as well.
            let longest = self.engine.config().limits.statement;
            let statement = command.filter(|command| command.len() <= longest);
            self.engine
                .refuse_statement(session, statement.map(Into::into), fault.to_string().into())
                .await?;
        }
        Answer::refusal(fault, command, session)
    }

    pub(super) async fn interrupt_job(&self, session: SessionId) -> Result<Answer, Fault> {
        let interrupted = self.engine.interrupt_job(session, None).await?;
        let has_finished = self.wait_for_end(session, interrupted).await;
        let body = Object::of(|body| {
            body.value("jobId", interrupted.job);
            body.plain("jobStatus", job_status(has_finished));
        });
        Ok(Answer::new(State::Succeeded)
            .body(body)
            .about(interrupted.job))
    }

    /// The job of a command line that a client sent.
    pub(super) async fn new_job(
        &self,
        session: SessionId,
        command: Option<&str>,
        visibility: Visibility,
    ) -> Result<NewJob, Fault> {
        let parsed = statement::parse(command);
        // As in the product, a line is not looked at while another job runs: it may be right later,
        // and the session's consumers need not know of it. A background job needs no free foreground.
        let is_background = matches!(parsed, Ok((_, JobSlot::Background)));
        if !is_background && self.is_foreground_taken(session) {
            // It may have ended at another node.
            let caught_up = self.engine.catch_up(session).await;
            caught_up.map_err(CommandError::Unavailable)?;
            if self.is_foreground_taken(session) {
                return Err(Fault::JobRunning);
            }
        }
        let (statement, slot) = parsed?;
        let mode = JobMode { slot, visibility };
        Ok(NewJob::new(session, statement, mode))
    }

    fn is_foreground_taken(&self, session: SessionId) -> bool {
        self.engine.view(|views| {
            let view = views.session(session);
            view.is_some_and(|view| view.foreground.is_some())
        })
    }

    /// Whether the job finishes within [`INTERRUPT_WAIT`].
    async fn wait_for_end(&self, session: SessionId, interrupted: JobAck) -> bool {
        let runtime = self.engine.runtime();
        let deadline = runtime.elapsed().saturating_add(INTERRUPT_WAIT);
        let mut after = interrupted.sequence;
        loop {
            let wait = deadline.saturating_sub(runtime.elapsed());
            let records = match self.engine.read(session, after, FOLLOW, wait).await {
                Ok(records) => records,
                // The interrupt is recorded all the same; only the job's end is unknown here.
                Err(error) => {
                    tracing::warn!(%session, "cannot follow the interrupted job: {error}");
                    return false;
                }
            };
            for record in &records {
                match record.event {
                    Event::JobFinished { job, .. } if job == interrupted.job => return true,
                    _ => after = record.sequence,
                }
            }
            if records.is_empty() || wait.is_zero() {
                return false;
            }
        }
    }
}

/// The `jobStatus` of a job.
pub(super) const fn job_status(has_finished: bool) -> &'static str {
    if has_finished {
        "TERMINATED"
    } else {
        "RUNNING"
    }
}

impl Answer {
    /// The answer to a statement that did not become a job. It repeats the statement, unless the
    /// session does not exist.
    pub(super) fn refusal(
        fault: Fault,
        command: Option<&str>,
        session: SessionId,
    ) -> Result<Self, Fault> {
        match fault {
            Fault::SessionNotFound(_) => Err(fault),
            fault => {
                let body = Object::of(|body| body.optional("command", command));
                Ok(Self::from(fault).body(body).session(session))
            }
        }
    }
}
