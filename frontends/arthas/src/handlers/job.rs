//! `async_exec interrupt_job`.

use crate::Arthas;
use crate::error::Fault;
use crate::limits::{FOLLOW, INTERRUPT_WAIT};
use crate::request::Request;
use crate::statement;
use crate::wire::{Answer, Object, State};
use rejoin_core::{Event, JobId, JobMode, SessionId, Visibility};
use rejoin_engine::{JobAck, NewJob};

impl Arthas {
    pub(super) async fn async_exec(
        &self,
        request: &Request,
        session: SessionId,
    ) -> Result<Answer, Fault> {
        let command = request.command.as_deref();
        let fault = match self.submit(session, command).await {
            Ok(job) => {
                let body = Object::of(|body| {
                    body.optional("command", command);
                    body.value("jobId", job);
                    // Whatever has become of it by now: clients begin to pull when they read this.
                    body.plain("jobStatus", "READY");
                });
                let answer = Answer::new(State::Scheduled).body(body);
                return Ok(answer.session(session).about(job));
            }
            Err(fault) => fault.of_statement("Async exec"),
        };
        if let Fault::StatementFailed { .. } = fault
            && !self.engine.config().read_only
        {
            self.tell_refused(session, command, &fault).await?;
        }
        Answer::refusal(fault, command, session)
    }

    async fn submit(&self, session: SessionId, command: Option<&str>) -> Result<JobId, Fault> {
        let (statement, slot) = statement::parse(command)?;
        let mode = JobMode {
            slot,
            visibility: Visibility::Session,
        };
        let job = NewJob::new(session, statement, mode);
        Ok(self.engine.submit_job(job).await?.job)
    }

    /// Tells the session's consumers why a statement did not become a job.
    async fn tell_refused(
        &self,
        session: SessionId,
        command: Option<&str>,
        fault: &Fault,
    ) -> Result<(), Fault> {
        // One that is too long to run is too long to be noted, too.
        let longest = self.engine.config().limits.statement;
        let statement = command.filter(|command| command.len() <= longest);
        self.engine
            .refuse_statement(session, statement.map(Into::into), fault.to_string().into())
            .await?;
        Ok(())
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

    /// Whether the job finishes soon after the interrupt.
    async fn wait_for_end(&self, session: SessionId, interrupted: JobAck) -> bool {
        let runtime = self.engine.runtime();
        let deadline = runtime.now() + INTERRUPT_WAIT;
        let mut after = interrupted.sequence;
        loop {
            let wait = deadline.since(runtime.now());
            let records = match self.engine.read(session, after, FOLLOW, wait).await {
                Ok(records) => records,
                // The interrupt is a fact all the same; only its end is not known here.
                Err(error) => {
                    tracing::warn!(%session, "an interrupted job cannot be followed: {error}");
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

/// How far a job has come, in the words of the wire.
pub(super) const fn job_status(has_finished: bool) -> &'static str {
    if has_finished {
        "TERMINATED"
    } else {
        "RUNNING"
    }
}

impl Answer {
    /// The answer to a statement that did not become a job: it repeats the statement, unless there
    /// is no such session.
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
