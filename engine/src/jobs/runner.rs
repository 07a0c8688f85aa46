//! Runners: the code behind a service. A runner runs statements; what it reports becomes records.

use crate::Runtime;
use crate::error::RunnerError;
use crate::jobs::stdin::Input;
use crate::limits;
use async_channel::{Receiver, Sender};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use rejoin_core::{Command, InterruptCause, JobId, JobSlot, SessionId};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Runs the jobs of a service.
pub trait Runner: fmt::Debug + Send + Sync + 'static {
    /// Prepares the runner: called once, after the log was read and before the first job. Here a
    /// runner ends what an earlier process has left behind, and forgets sessions that were closed.
    ///
    /// # Errors
    ///
    /// When the runner can't run anything; the engine then does not open.
    fn prepare(&self, host: RunnerHost) -> BoxFuture<'static, Result<(), RunnerError>> {
        let _ = host;
        Box::pin(async { Ok(()) })
    }

    /// Whether Rejoin itself answers `help`, `version`, `session`, `jobs` and `history` in the
    /// sessions of this service. A runner that has commands of these names says no, and gets them.
    fn has_builtins(&self) -> bool {
        true
    }

    /// Runs a job to its end. The engine logs the job as finished when the future is ready; nothing of
    /// the job may still run by then. It should end soon after it is interrupted.
    ///
    /// A panic fails this job only.
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit>;

    /// Cleans up after a session that was just closed. Its jobs may still be ending: they have been
    /// interrupted, and what they report is ignored.
    fn release(&self, session: SessionId) -> BoxFuture<'static, ()> {
        let _ = session;
        Box::pin(async {})
    }
}

/// What a runner needs to know about the engine that it runs in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunnerHost {
    /// The engine's runtime.
    pub runtime: Arc<dyn Runtime>,
    /// The directory for files that must outlive a job. None for an engine in memory, unless it was
    /// set by [`EngineBuilder::runner_directory`](crate::EngineBuilder::runner_directory).
    pub directory: Option<PathBuf>,
    /// The identity of the log, if it has one.
    pub log: Option<String>,
    /// The sessions that are open.
    pub open_sessions: BTreeSet<SessionId>,
}

/// A job to run.
#[derive(Debug)]
pub struct RunnerJob {
    /// The session it belongs to.
    pub session: SessionId,
    /// The job's number.
    pub job: JobId,
    /// What to run.
    pub statement: Arc<str>,
    /// Whether it runs in the foreground or the background of its session.
    pub slot: JobSlot,
    /// Reports what the job does.
    pub reporter: Reporter,
    /// The interrupts of the job. A second one asks more firmly than the first.
    pub interrupts: Interrupts,
    /// What is written to its standard input. None: the input is empty.
    pub input: Option<Input>,
}

/// The interrupts of one job, in order. Each is received once, also if there are clones.
#[derive(Clone, Debug)]
pub struct Interrupts(Receiver<InterruptCause>);

/// Interrupts one job: the sending end of [`Interrupts`].
#[derive(Clone, Debug)]
pub struct Interrupter(Sender<InterruptCause>);

impl Interrupts {
    /// Makes the two ends, to try a runner without an engine.
    ///
    /// ```
    /// use rejoin_engine::{InterruptCause, Interrupts};
    ///
    /// let (interrupter, interrupts) = Interrupts::channel();
    /// assert_eq!(interrupts.try_next(), None);
    /// interrupter.interrupt(InterruptCause::Requested);
    /// assert_eq!(interrupts.try_next(), Some(InterruptCause::Requested));
    /// drop(interrupter);
    /// assert_eq!(smol::block_on(interrupts.next()), None);
    /// ```
    pub fn channel() -> (Interrupter, Self) {
        let (sender, receiver) = async_channel::bounded(limits::INTERRUPTS);
        (Interrupter(sender), Self(receiver))
    }

    /// Waits for the next interrupt. None: there will be no more, because the engine has ended or
    /// has logged the job as finished. Cancel safe.
    pub async fn next(&self) -> Option<InterruptCause> {
        self.0.recv().await.ok()
    }

    /// The next interrupt, if it is already there.
    pub fn try_next(&self) -> Option<InterruptCause> {
        self.0.try_recv().ok()
    }
}

impl Interrupter {
    /// Interrupts the job. Ignored if [`INTERRUPTS`](limits::INTERRUPTS) are waiting already, or
    /// the job's runner receives no more.
    pub fn interrupt(&self, cause: InterruptCause) {
        let _ = self.0.try_send(cause);
    }
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// The status code: 0 is success.
    pub status: i32,
    /// An explanation for people, if there is something to explain.
    pub message: Option<String>,
}

/// Reports what a job does to the engine.
#[derive(Clone, Debug)]
pub struct Reporter {
    pub(crate) session: SessionId,
    pub(crate) job: JobId,
    pub(crate) reports: Sender<Command>,
}

/// What a runner reports of a job, as [`Reporter::channel`] shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunnerReport {
    /// [`Reporter::started`].
    Started,
    /// [`Reporter::result`].
    Result(Arc<str>),
}

/// The engine has ended and takes no reports any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine has ended")]
pub struct EngineEnded;

impl Reporter {
    pub(crate) const fn new(session: SessionId, job: JobId, reports: Sender<Command>) -> Self {
        Self {
            session,
            job,
            reports,
        }
    }

    /// Makes a reporter and the stream of its reports, to try a runner without an engine. The
    /// reporter waits while `capacity` reports are unread; the stream ends when all clones of the
    /// reporter are dropped.
    ///
    /// ```
    /// use futures::StreamExt;
    /// use rejoin_engine::{JobId, RunnerReport, Reporter, SessionId};
    ///
    /// # smol::block_on(async {
    /// let session = SessionId::from_bytes([7; 16]);
    /// let (reporter, mut reports) = Reporter::channel(session, JobId(1), 4);
    /// reporter.started().await?;
    /// reporter.result("{}".into()).await?;
    /// assert_eq!(reports.next().await, Some(RunnerReport::Started));
    /// assert_eq!(reports.next().await, Some(RunnerReport::Result("{}".into())));
    /// # Ok::<_, rejoin_engine::EngineEnded>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Panics
    ///
    /// When `capacity` is 0.
    pub fn channel(
        session: SessionId,
        job: JobId,
        capacity: usize,
    ) -> (Self, BoxStream<'static, RunnerReport>) {
        let (sender, receiver) = async_channel::bounded(capacity);
        let reports = receiver.filter_map(async |command| match command {
            Command::ReportStarted { .. } => Some(RunnerReport::Started),
            Command::ReportResult { result, .. } => Some(RunnerReport::Result(result)),
            _ => None,
        });
        (Self::new(session, job, sender), reports.boxed())
    }

    /// Reports that the job is running now.
    ///
    /// Waits while the queue of reports is full.
    ///
    /// # Errors
    ///
    /// When the engine has ended.
    pub async fn started(&self) -> Result<(), EngineEnded> {
        let Self { session, job, .. } = *self;
        self.report(Command::ReportStarted { session, job }).await
    }

    /// Reports a result: one JSON object, as [`encode_result`] makes it.
    ///
    /// Waits while the queue of reports is full, so a job is never further ahead of the log than
    /// that.
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

/// Encodes a result: the members, `jobId` and `type`, keys in alphabetical order, no nulls at the
/// top, no spaces.
///
/// ```
/// use rejoin_core::JobId;
/// use rejoin_engine::encode_result;
/// use serde_json::{Map, json};
///
/// let members = Map::from_iter([("content".into(), json!("hi"))]);
/// let result = encode_result(JobId(3), "echo", members);
/// assert_eq!(&*result, r#"{"content":"hi","jobId":3,"type":"echo"}"#);
/// ```
pub fn encode_result(job: JobId, kind: &str, mut members: Map<String, Value>) -> Arc<str> {
    members.retain(|_, value| !value.is_null());
    members.insert("jobId".into(), job.0.into());
    members.insert("type".into(), kind.into());
    Value::Object(members).to_string().into()
}
