//! `exec`: a statement and all that comes of it in one answer.
//!
//! An `exec` goes on when its client has left: a session that was made for it has to be closed,
//! whoever listens.

use super::job::job_status;
use crate::Arthas;
use crate::error::Fault;
use crate::limits::{CLOSE_PAUSE, EXEC_GRACE, FOLLOW};
use crate::request::Request;
use crate::statement;
use crate::translate::Told;
use crate::wire::{Answer, Object, State};
use futures::future::BoxFuture;
use rejoin_core::{JobMode, Outcome, SessionId, Visibility};
use rejoin_engine::{CommandError, JobAck, NewJob, Runtime};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

impl Arthas {
    /// In a session of its own, which is gone when the client reads the answer.
    pub(super) async fn exec_once(
        &self,
        request: &Request,
        remote: Option<SocketAddr>,
    ) -> Result<Answer, Fault> {
        let frontend = self.clone();
        let (command, timeout) = (request.command.clone(), self.exec_timeout(request));
        let user = request.user.clone();
        self.to_the_end(|left| async move {
            let session = frontend
                .create_session(user.as_deref(), remote, false)
                .await?
                .id();
            let answer = frontend
                .run(session, command.as_deref(), timeout, &left)
                .await;
            frontend.close(session).await;
            answer
        })
        .await
    }

    /// In a session of the client's. Its consumers see only that something runs.
    pub(super) async fn exec(
        &self,
        request: &Request,
        session: SessionId,
    ) -> Result<Answer, Fault> {
        self.open_since(session)?;
        let frontend = self.clone();
        let (command, timeout) = (request.command.clone(), self.exec_timeout(request));
        self.to_the_end(|left| async move {
            frontend
                .run(session, command.as_deref(), timeout, &left)
                .await
        })
        .await
    }

    fn exec_timeout(&self, request: &Request) -> Duration {
        request.exec_timeout.unwrap_or(self.settings.exec_timeout)
    }

    /// Runs here, and elsewhere to the end once nobody waits any more.
    fn to_the_end<F>(&self, exec: impl FnOnce(Left) -> F) -> ToTheEnd
    where
        F: Future<Output = Result<Answer, Fault>> + Send + 'static,
    {
        let left = Left::default();
        ToTheEnd {
            running: Some(Box::pin(exec(left.clone()))),
            left,
            runtime: self.engine.runtime().clone(),
        }
    }

    async fn run(
        &self,
        session: SessionId,
        command: Option<&str>,
        timeout: Duration,
        left: &Left,
    ) -> Result<Answer, Fault> {
        let run = async {
            let submitted = self.submit_alone(session, command, timeout).await?;
            let told = self.follow(session, submitted, timeout, left).await?;
            Ok(answer(command, submitted, told, timeout).session(session))
        };
        run.await
            .or_else(|fault: Fault| Answer::refusal(fault.of_statement("Exec"), command, session))
    }

    async fn submit_alone(
        &self,
        session: SessionId,
        command: Option<&str>,
        timeout: Duration,
    ) -> Result<JobAck, Fault> {
        let (statement, slot) = statement::parse(command)?;
        let mode = JobMode {
            slot,
            visibility: Visibility::Submitter,
        };
        let job = NewJob {
            timeout: Some(timeout),
            output_limit: Some(self.settings.exec_output),
            ..NewJob::new(session, statement, mode)
        };
        Ok(self.engine.submit_job(job).await?)
    }

    /// Follows a job to its end, or until its time has expired and it has not ended for all that.
    async fn follow(
        &self,
        session: SessionId,
        submitted: JobAck,
        timeout: Duration,
        left: &Left,
    ) -> Result<Told, Fault> {
        let runtime = self.engine.runtime();
        let longest = timeout + EXEC_GRACE;
        let deadline = runtime.now() + longest;
        let mut patience = runtime.timer(longest);
        let mut told = Told::new(submitted.job);
        let mut after = submitted.sequence;
        loop {
            let records = self
                .engine
                .read_until(session, after, FOLLOW, &mut patience)
                .await
                .map_err(|error| Fault::of_read(error, session))?;
            for record in &records {
                told.add(record);
                after = record.sequence;
            }
            if left.0.load(Ordering::Relaxed) {
                told.forget();
            }
            let is_over = records.is_empty() || runtime.now() >= deadline;
            if told.outcome().is_some() || is_over {
                return Ok(told);
            }
        }
    }

    /// Closes a session that nobody knows of, and that nobody else would close for hours.
    async fn close(&self, session: SessionId) {
        loop {
            match self.engine.close_session(session).await {
                Err(CommandError::Overloaded) => self.engine.runtime().timer(CLOSE_PAUSE).await,
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%session, "the session of an exec stays open: {error}");
                    return;
                }
            }
        }
    }
}

/// Whether the client has left.
#[derive(Clone, Debug, Default)]
struct Left(Arc<AtomicBool>);

/// An exec. It is run by whoever waits for it, which spares two ways across threads; when that is
/// dropped, the runtime goes on with it.
struct ToTheEnd {
    /// None once it has ended, and while it is polled: one that panics is not gone on with.
    running: Option<BoxFuture<'static, Result<Answer, Fault>>>,
    left: Left,
    runtime: Arc<dyn Runtime>,
}

impl Future for ToTheEnd {
    type Output = Result<Answer, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(mut running) = self.running.take() else {
            return Poll::Ready(Err(Fault::Unprocessed));
        };
        let answer = running.as_mut().poll(context);
        if answer.is_pending() {
            self.running = Some(running);
        }
        answer
    }
}

impl Drop for ToTheEnd {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        self.left.0.store(true, Ordering::Relaxed);
        self.runtime.spawn(Box::pin(async move {
            let _nobody_waits = running.await;
        }));
    }
}

fn answer(command: Option<&str>, submitted: JobAck, told: Told, timeout: Duration) -> Answer {
    let outcome = told.outcome();
    let is_expired = matches!(outcome, None | Some(Outcome::TimedOut));
    let results = told.finish();
    let room = results.len() + command.map_or(0, str::len);
    let body = Object::around(room, |body| {
        body.optional("command", command);
        body.value("jobId", submitted.job);
        body.plain("jobStatus", job_status(outcome.is_some()));
        body.json("results", &results);
        body.value("timeExpired", is_expired);
        if is_expired {
            body.value("timeout", timeout.as_millis());
        }
    });
    let answer = if is_expired {
        Answer::new(State::Interrupted).message("The job is exceeded time limit, force interrupt")
    } else {
        Answer::new(State::Succeeded)
    };
    answer.body(body).about(submitted.job)
}
