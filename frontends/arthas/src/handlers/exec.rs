//! The action `exec`: runs a statement and answers with all of its results.
//!
//! An `exec` goes on when its client disconnects, because it has to close the session that was
//! created for it.

use super::job::job_status;
use super::logged_results::{LoggedAnswer, LoggedResults};
use crate::Arthas;
use crate::error::Fault;
use crate::limits::{CLOSE_PAUSE, EXEC_GRACE, FOLLOW};
use crate::request::Request;
use crate::translate::{End, JobResults};
use crate::wire::{Answer, Object, State};
use futures::future::BoxFuture;
use rejoin_engine::{CommandError, JobAck, NewJob, Runtime, Sequence, SessionId, Visibility};
use rejoin_http::ClientAddress;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

impl Arthas {
    /// Runs in a new session, which is closed before the answer is sent, or after a long one.
    pub(super) async fn exec_once(
        &self,
        request: &Request,
        remote: Option<ClientAddress>,
    ) -> Result<Answer, Fault> {
        let frontend = self.clone();
        let (command, timeout) = (request.command.clone(), self.exec_timeout(request));
        let user = request.user.clone();
        self.detach_on_drop(|client_gone| async move {
            let session = frontend
                .create_session(user.as_deref(), remote, false)
                .await?
                .id();
            let mut answer = frontend
                .run(session, command.as_deref(), timeout, &client_gone)
                .await;
            // Retention may remove a closed session, and with it what is still to be read.
            let logged = answer.as_mut().ok().and_then(|it| it.logged.as_mut());
            match logged {
                Some(logged) => logged.logged.closes = Some(CloseOnDrop { frontend, session }),
                None => frontend.close(session).await,
            }
            answer
        })
        .await
    }

    /// Runs in the session that the client names. Its consumers see only that something runs.
    pub(super) async fn exec(
        &self,
        request: &Request,
        session: SessionId,
    ) -> Result<Answer, Fault> {
        self.open_since(session)?;
        let frontend = self.clone();
        let (command, timeout) = (request.command.clone(), self.exec_timeout(request));
        self.detach_on_drop(|client_gone| async move {
            frontend
                .run(session, command.as_deref(), timeout, &client_gone)
                .await
        })
        .await
    }

    fn exec_timeout(&self, request: &Request) -> Duration {
        request.exec_timeout.unwrap_or(self.settings.exec_timeout)
    }

    fn detach_on_drop<F>(&self, exec: impl FnOnce(ClientGone) -> F) -> DetachOnDrop
    where
        F: Future<Output = Result<Answer, Fault>> + Send + 'static,
    {
        let client_gone = ClientGone::default();
        DetachOnDrop {
            running: Some(Box::pin(exec(client_gone.clone()))),
            client_gone,
            runtime: self.engine.runtime().clone(),
        }
    }

    async fn run(
        &self,
        session: SessionId,
        command: Option<&str>,
        timeout: Duration,
        client_gone: &ClientGone,
    ) -> Result<Answer, Fault> {
        let run = async {
            let job = NewJob {
                timeout: Some(timeout),
                output_limit: Some(self.settings.exec_output),
                ..self
                    .new_job(session, command, Visibility::Submitter)
                    .await?
            };
            let submitted = self.engine.submit_job(job).await?;
            let followed = self
                .follow(session, submitted, timeout, client_gone)
                .await?;
            let logged = LoggedResults {
                engine: self.engine.clone(),
                session,
                job: submitted.job,
                after: submitted.sequence,
                until: followed.until,
                is_begun: false,
                closes: None,
            };
            Ok(answer(command, followed.results, logged, timeout).session(session))
        };
        run.await.or_else(|fault: Fault| {
            Answer::refusal(fault.into_statement_failure("Exec"), command, session)
        })
    }

    /// Collects a job's results until it ends, at most for its timeout and [`EXEC_GRACE`].
    async fn follow(
        &self,
        session: SessionId,
        submitted: JobAck,
        timeout: Duration,
        client_gone: &ClientGone,
    ) -> Result<Followed, Fault> {
        let runtime = self.engine.runtime();
        let longest = timeout + EXEC_GRACE;
        let deadline = runtime.elapsed().saturating_add(longest);
        let mut timer = runtime.timer(longest);
        let mut results = JobResults::new(submitted.job, self.settings.exec_answers.share());
        let mut after = submitted.sequence;
        loop {
            let records = self
                .engine
                .read_until(session, after, FOLLOW, &mut timer)
                .await
                .map_err(|error| Fault::of_read(error, session))?;
            for record in &records {
                results.add(record);
                after = record.sequence;
            }
            if client_gone.0.load(Ordering::Relaxed) {
                results.discard();
            }
            let has_expired = records.is_empty() || runtime.elapsed() >= deadline;
            if results.end().is_some() || has_expired {
                let until = after;
                return Ok(Followed { results, until });
            }
        }
    }

    /// Closes the session of an `exec`. It has no other user who could close it, and would stay open
    /// until it expires.
    async fn close(&self, session: SessionId) {
        loop {
            match self.engine.close_session(session).await {
                Err(CommandError::Overloaded) => self.engine.runtime().timer(CLOSE_PAUSE).await,
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%session, "cannot close the session of an exec: {error}");
                    return;
                }
            }
        }
    }
}

/// A job that was followed.
struct Followed {
    results: JobResults,
    /// The last record that was seen.
    until: Sequence,
}

/// Closes the session of an `exec` whose answer was read from the log.
#[derive(Debug)]
pub(crate) struct CloseOnDrop {
    frontend: Arthas,
    session: SessionId,
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let (frontend, session) = (self.frontend.clone(), self.session);
        let runtime = self.frontend.engine.runtime();
        runtime.spawn(Box::pin(async move { frontend.close(session).await }));
    }
}

/// Whether the client has disconnected.
#[derive(Clone, Debug, Default)]
struct ClientGone(Arc<AtomicBool>);

/// A running `exec`. The task that awaits it polls it, which saves two switches between threads; if
/// that task drops it, it goes on as a task of the runtime.
struct DetachOnDrop {
    /// `None` once it has ended, and while it is polled, so that it doesn't go on after a panic.
    running: Option<BoxFuture<'static, Result<Answer, Fault>>>,
    client_gone: ClientGone,
    runtime: Arc<dyn Runtime>,
}

impl Future for DetachOnDrop {
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

impl Drop for DetachOnDrop {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        self.client_gone.0.store(true, Ordering::Relaxed);
        self.runtime.spawn(Box::pin(async move {
            let _ = running.await;
        }));
    }
}

fn answer(
    command: Option<&str>,
    results: JobResults,
    logged: LoggedResults,
    timeout: Duration,
) -> Answer {
    let job = logged.job;
    let end = results.end().cloned();
    let is_expired = matches!(end, None | Some(End::TimedOut));
    let held = results.finish();
    let array = held.as_ref().map_or(&b"[]"[..], |(array, _)| array);
    let mut begin = 0;
    let body = Object::with_capacity(array.len(), |body| {
        body.optional("command", command);
        body.value("jobId", job);
        body.plain("jobStatus", job_status(end.is_some()));
        begin = body.json("results", array);
        body.value("timeExpired", is_expired);
        if is_expired {
            body.value("timeout", timeout.as_millis());
        }
    });
    let answer = match &end {
        None | Some(End::TimedOut) => Answer::new(State::Interrupted)
            .message("The job is exceeded time limit, force interrupt"),
        // The product answers SUCCEEDED, and its client takes half of the results for all.
        Some(End::CutOff(why)) => Answer::new(State::Interrupted).message(why),
        Some(End::Finished) => Answer::new(State::Succeeded),
    };
    let mut answer = answer.body(body).about(job);
    match held {
        Some((_, share)) => answer.share = Some(share),
        None => answer.logged = Some(LoggedAnswer { begin, logged }),
    }
    answer
}
