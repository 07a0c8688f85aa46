//! Runners: the code behind a service. A runner runs statements; what it says of them becomes
//! records.

mod result;
#[cfg(all(feature = "shell", unix))]
mod shell;

pub use result::encode_result;
#[cfg(all(feature = "shell", unix))]
pub use shell::{OpenShellError, ShellRunner, ShellSettings};

use crate::Runtime;
use crate::error::RunnerError;
use crate::input::Input;
use async_channel::{Receiver, Sender};
use futures::future::BoxFuture;
use rejoin_core::{Command, InterruptCause, JobId, JobSlot, SessionId};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Runs the jobs of a service.
pub trait Runner: fmt::Debug + Send + Sync + 'static {
    /// Makes ready to run: called once, when the log has been read and before the first job. Here a
    /// runner ends what an earlier process has left behind, and forgets sessions that were closed.
    ///
    /// # Errors
    ///
    /// When the runner can't run anything; the engine then does not open.
    fn prepare(&self, host: RunnerHost) -> BoxFuture<'static, Result<(), RunnerError>> {
        let _ = host;
        Box::pin(async { Ok(()) })
    }

    /// Runs a job to its end. The engine logs the job as finished when the future is ready; by
    /// then nothing of the job may be left. It should end soon after it is interrupted.
    ///
    /// A panic ends the job as failed, and nothing else.
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit>;

    /// Leaves nothing of a session behind, which has just been closed. Jobs of it may still be
    /// ending: they have been interrupted, and what they report is ignored.
    fn release(&self, session: SessionId) -> BoxFuture<'static, ()> {
        let _ = session;
        Box::pin(async {})
    }
}

/// What a runner is told of the engine that it runs in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunnerHost {
    /// The engine's runtime.
    pub runtime: Arc<dyn Runtime>,
    /// Where runners keep what must outlive a job. None for an engine in memory, unless it was given
    /// one by [`EngineBuilder::runner_directory`](crate::EngineBuilder::runner_directory).
    pub directory: Option<PathBuf>,
    /// The identity of the log, if it has one.
    pub log: Option<String>,
    /// The sessions that are open.
    pub open_sessions: BTreeSet<SessionId>,
}

/// A job, as its runner sees it.
#[derive(Debug)]
pub struct RunnerJob {
    /// The session it belongs to.
    pub session: SessionId,
    /// The job's number.
    pub job: JobId,
    /// What to run.
    pub statement: Arc<str>,
    /// Whether the session's other jobs wait for it.
    pub slot: JobSlot,
    /// Where to say what happens.
    pub reporter: Reporter,
    /// Each word to end; more than one means: more firmly.
    pub interrupts: Receiver<InterruptCause>,
    /// What is written to its standard input; none where that is empty.
    pub input: Option<Input>,
}

/// How a job ended, by its runner's account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// The status code: 0 is success.
    pub status: i32,
    /// What there is to say about it, in words for a person.
    pub message: Option<String>,
}

/// Says what happens to a job.
#[derive(Clone, Debug)]
pub struct Reporter {
    pub(crate) session: SessionId,
    pub(crate) job: JobId,
    pub(crate) reports: Sender<Command>,
}

/// The engine has ended, and nobody takes reports any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine has ended")]
pub struct EngineEnded;

impl Reporter {
    /// A reporter for a job, whose reports go to `reports`: the engine makes them, and whoever
    /// tries a runner without one.
    pub const fn new(session: SessionId, job: JobId, reports: Sender<Command>) -> Self {
        Self {
            session,
            job,
            reports,
        }
    }

    /// Says that the job runs now.
    ///
    /// Waits while the engine has more reports than it can take.
    ///
    /// # Errors
    ///
    /// When the engine has ended.
    pub async fn started(&self) -> Result<(), EngineEnded> {
        let Self { session, job, .. } = *self;
        self.report(Command::ReportStarted { session, job }).await
    }

    /// Says something: one JSON object, as [`encode_result`] makes it.
    ///
    /// Waits while the engine has more reports than it can take: a job is never ahead of the log
    /// by more than that.
    ///
    /// # Errors
    ///
    /// When the engine has ended.
    pub async fn result(&self, result: Arc<str>) -> Result<(), EngineEnded> {
        let Self { session, job, .. } = *self;
        self.report(Command::ReportResult {
            session,
            job,
            result,
        })
        .await
    }

    pub(crate) async fn finished(&self, exit: Exit) -> Result<(), EngineEnded> {
        let Self { session, job, .. } = *self;
        let Exit { status, message } = exit;
        let message = message.map(Into::into);
        self.report(Command::ReportFinished {
            session,
            job,
            status,
            message,
        })
        .await
    }

    async fn report(&self, report: Command) -> Result<(), EngineEnded> {
        self.reports.send(report).await.map_err(|_| EngineEnded)
    }
}
