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
use futures::channel::oneshot;
use rejoin_core::{Audience, Manner, Outcome, SessionId};
use rejoin_engine::{CommandError, NewJob, NotedJob};
use std::net::SocketAddr;
use std::time::Duration;

type Reply = oneshot::Sender<Result<Answer, Fault>>;

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
        self.detach(|reply| async move {
            let session = match frontend
                .create_session(user.as_deref(), remote, false)
                .await
            {
                Ok(created) => created.session,
                Err(fault) => {
                    let _ = reply.send(Err(fault));
                    return;
                }
            };
            let answer = frontend
                .run(session, command.as_deref(), timeout, &reply)
                .await;
            frontend.close(session).await;
            let _ = reply.send(answer);
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
        self.detach(|reply| async move {
            let answer = frontend
                .run(session, command.as_deref(), timeout, &reply)
                .await;
            let _ = reply.send(answer);
        })
        .await
    }

    fn exec_timeout(&self, request: &Request) -> Duration {
        request.exec_timeout.unwrap_or(self.settings.exec_timeout)
    }

    async fn detach<F>(&self, exec: impl FnOnce(Reply) -> F) -> Result<Answer, Fault>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.engine.runtime().spawn(Box::pin(exec(reply)));
        match answer.await {
            Ok(answer) => answer,
            Err(oneshot::Canceled) => Err(Fault::Unprocessed),
        }
    }

    async fn run(
        &self,
        session: SessionId,
        command: Option<&str>,
        timeout: Duration,
        reply: &Reply,
    ) -> Result<Answer, Fault> {
        let run = async {
            let submitted = self.submit_alone(session, command, timeout).await?;
            let told = self.follow(session, submitted, timeout, reply).await?;
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
    ) -> Result<NotedJob, Fault> {
        let (statement, place) = statement::parse(command)?;
        let manner = Manner {
            place,
            audience: Audience::Submitter,
        };
        let job = NewJob {
            timeout: Some(timeout),
            output_limit: Some(self.settings.exec_output),
            ..NewJob::new(session, statement, manner)
        };
        Ok(self.engine.submit_job(job).await?)
    }

    /// Follows a job to its end, or until its time has expired and it has not ended for all that.
    async fn follow(
        &self,
        session: SessionId,
        submitted: NotedJob,
        timeout: Duration,
        reply: &Reply,
    ) -> Result<Told, Fault> {
        let runtime = self.engine.runtime();
        let deadline = runtime.now() + timeout + EXEC_GRACE;
        let mut told = Told::new(submitted.job);
        let mut after = submitted.sequence;
        loop {
            let wait = deadline.since(runtime.now());
            let records = self
                .engine
                .read(session, after, FOLLOW, wait)
                .await
                .map_err(|error| Fault::of_read(error, session))?;
            for record in &records {
                told.add(record);
                after = record.sequence;
            }
            if reply.is_canceled() {
                told.forget();
            }
            if told.outcome().is_some() {
                return Ok(told);
            }
            if records.is_empty() || wait.is_zero() {
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

fn answer(command: Option<&str>, submitted: NotedJob, told: Told, timeout: Duration) -> Answer {
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
