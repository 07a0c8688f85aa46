//! Runners: the code behind a service. A runner runs statements; what it reports becomes records.

use crate::Runtime;
use crate::error::RunnerError;
use crate::jobs::stdin::Input;
use crate::limits;
use async_channel::{Receiver, Sender};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use rejoin_core::{
    Command, InterruptCause, JobId, JobOutput, JobSlot, OutputOffsets, OutputPosition, SessionId,
    Submission, TerminalSize,
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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

    /// The directory in which the next job of a session begins, for people. None if the runner has no
    /// directories. May read a small file.
    fn working_directory(&self, session: SessionId) -> Option<PathBuf> {
        let _ = session;
        None
    }

    /// Runs a job to its end. The engine logs the job as finished when the future is ready; nothing of
    /// the job may still run by then. It should end soon after it is interrupted.
    ///
    /// A panic fails this job only.
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit>;

    /// Whether its jobs outlive the engine. If so, they are not interrupted when the engine fails, or
    /// is [shut down without them](crate::Engine::shut_down_and_keep_jobs): their interrupts then end
    /// without one.
    fn keeps_jobs(&self) -> bool {
        false
    }

    /// The jobs that an earlier process of the engine started and that go on. Called once, after
    /// [`prepare`](Self::prepare); the engine finishes all other jobs as lost, and calls
    /// [`resume`](Self::resume) for each of these. None by default.
    fn kept(&self) -> Vec<KeptJob> {
        Vec::new()
    }

    /// Goes on with a job of [`kept`](Self::kept), as [`run`](Self::run) does. Its output goes on
    /// behind `from`, which is how far it is in the log. Its input and its interrupts are those that
    /// it has not had, according to [`KeptJob`].
    fn resume(&self, job: RunnerJob, from: OutputOffsets) -> BoxFuture<'static, Exit> {
        let _ = (job, from);
        Box::pin(async {
            Exit {
                status: LOST,
                message: Some("its runner does not have it any more".into()),
                is_lost: true,
            }
        })
    }

    /// Why a job that the log says is running is not one of [`kept`](Self::kept), in a few words
    /// for people. Asked once for each such job.
    fn why_lost(&self, job: JobId) -> Option<String> {
        let _ = job;
        None
    }

    /// Forgets a job: its end is durable, and nothing will ask for it again. If some of it still
    /// runs, that has to end: its session was closed, or the engine can't go on with it.
    fn forget(&self, job: JobId) {
        let _ = job;
    }

    /// How the terminal of a job takes input now. None: the job has no terminal, or not any more.
    fn terminal_mode(&self, job: JobId) -> BoxFuture<'static, Option<TerminalMode>> {
        let _ = job;
        Box::pin(async { None })
    }

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
    /// The jobs that the log says are running: those of an earlier process.
    pub running: BTreeMap<JobId, LoggedJob>,
    /// The highest job number in the log.
    pub last_job: JobId,
}

/// A running job, according to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoggedJob {
    /// The session it belongs to.
    pub session: SessionId,
    /// How far its output is logged, if its runner reports positions.
    pub offsets: OutputOffsets,
    /// Whether further output of it is not logged any more, because there was too much.
    pub is_truncated: bool,
    /// How often it was interrupted.
    pub interrupts: u32,
    /// Which submission it is. None if the record of that is lost.
    pub submission: Option<Submission>,
}

impl LoggedJob {
    pub(crate) fn of(
        session: SessionId,
        job: &rejoin_core::Job,
        view: Option<&rejoin_core::JobView>,
    ) -> Self {
        Self {
            session,
            submission: view.map(rejoin_core::JobView::submission),
            offsets: job.offsets(),
            is_truncated: job.is_truncated(),
            interrupts: job.interrupts(),
        }
    }

    /// Whether a job of this number that a runner has may be this one. If not, its number was used
    /// again after a restore of the log. One that does not know its submission, because an older server
    /// started it, may be.
    pub fn may_be(&self, submission: Option<Submission>) -> bool {
        is_same(self.submission, submission)
    }
}

/// Whether two jobs of one number may be the same.
pub(crate) fn is_same(one: Option<Submission>, other: Option<Submission>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// A job that its runner still has after a restart of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptJob {
    /// The job's number.
    pub job: JobId,
    /// Which submission it was started for ([`RunnerJob::submission`]). None if that is not known: the
    /// engine then takes it for the running job of this number.
    pub submission: Option<Submission>,
    /// How many bytes of input it was given. The engine gives it what follows in the log.
    pub input: u64,
    /// Whether it knows that its input has ended.
    pub input_ended: bool,
    /// The number of the last interrupt that it was given; 0 if there was none. The engine repeats
    /// those that follow in the log.
    pub interrupts: u32,
}

/// A job to run.
#[derive(Debug)]
pub struct RunnerJob {
    /// The session it belongs to.
    pub session: SessionId,
    /// The job's number.
    pub job: JobId,
    /// Which submission it is. A runner whose jobs outlive the engine keeps it with the job.
    pub submission: Submission,
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
    /// How its output should go. A runner without terminals ignores it.
    pub output: JobOutput,
    /// The sizes that its terminal gets.
    pub sizes: TerminalSizes,
    /// What happens to the processes that it leaves. A runner without processes ignores it.
    pub leftovers: Leftovers,
}

/// What was said with a job about the processes that it leaves. Clones share it. It is said right after
/// the job's start, so a runner looks when the job ends.
#[derive(Clone, Debug, Default)]
pub struct Leftovers(Arc<OnceLock<bool>>);

impl Leftovers {
    /// Whether they go on until the session ends. None: nothing was said.
    pub fn kept(&self) -> Option<bool> {
        self.0.get().copied()
    }

    pub(crate) fn choose(&self, kept: bool) {
        let _ = self.0.set(kept);
    }
}

/// How a terminal takes input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalMode {
    /// Whether it shows what is typed.
    pub echoes: bool,
    /// Whether it collects a line before the program gets it (canonical mode).
    pub collects_lines: bool,
}

impl TerminalMode {
    /// Whether a program asks for something that is not to be seen, such as a password. A program that
    /// edits lines by itself, as shells do, shows them itself.
    pub const fn hides(self) -> bool {
        self.collects_lines && !self.echoes
    }
}

/// The sizes that the terminal of one job gets. Only the last one counts.
#[derive(Clone, Debug)]
pub struct TerminalSizes(Receiver<TerminalSize>);

impl TerminalSizes {
    pub(crate) fn channel() -> (Sender<TerminalSize>, Self) {
        let (sender, receiver) = async_channel::bounded(1);
        (sender, Self(receiver))
    }

    /// No sizes, to try a runner without an engine.
    pub fn none() -> Self {
        Self::channel().1
    }

    /// Waits for the next size. None: there will be no more. Cancel safe.
    pub async fn next(&self) -> Option<TerminalSize> {
        self.0.recv().await.ok()
    }
}

/// The interrupts of one job, in order. Each is received once, also if there are clones.
#[derive(Clone, Debug)]
pub struct Interrupts(Receiver<Interrupt>);

/// Interrupts one job: the sending end of [`Interrupts`].
#[derive(Clone, Debug)]
pub struct Interrupter {
    sender: Sender<Interrupt>,
    last: Arc<AtomicU32>,
}

/// An interrupt of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Its number: 1, 2, 3 … among the logged interrupts of its job, also across restarts. One that is
    /// not logged, at the end of the engine, has the number of the last one.
    pub number: u32,
    /// Why.
    pub cause: InterruptCause,
}

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
        Self::channel_after(0)
    }

    /// The two ends for a job that already had this number of interrupts.
    pub(crate) fn channel_after(last: u32) -> (Interrupter, Self) {
        let (sender, receiver) = async_channel::bounded(limits::INTERRUPTS);
        let last = Arc::new(AtomicU32::new(last));
        (Interrupter { sender, last }, Self(receiver))
    }

    /// Waits for the next interrupt. None: there will be no more, because the engine has ended or
    /// has logged the job as finished. Cancel safe.
    pub async fn next(&self) -> Option<InterruptCause> {
        Some(self.next_numbered().await?.cause)
    }

    /// As [`next`](Self::next), with the interrupt's number.
    pub async fn next_numbered(&self) -> Option<Interrupt> {
        self.0.recv().await.ok()
    }

    /// The next interrupt, if it is already there.
    pub fn try_next(&self) -> Option<InterruptCause> {
        Some(self.0.try_recv().ok()?.cause)
    }
}

impl Interrupter {
    /// Interrupts the job. Ignored if [`INTERRUPTS`](limits::INTERRUPTS) are waiting already, or
    /// the job's runner receives no more.
    pub fn interrupt(&self, cause: InterruptCause) {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let _ = self.sender.try_send(Interrupt { number, cause });
    }

    /// Interrupts the job without a record of it, because the engine ends. It does not count: a job that
    /// outlives that would otherwise miss the next interrupt that is logged.
    pub(crate) fn interrupt_unlogged(&self, cause: InterruptCause) {
        let number = self.last.load(Ordering::Relaxed);
        let _ = self.sender.try_send(Interrupt { number, cause });
    }
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// The status code: 0 is success.
    pub status: i32,
    /// An explanation for people, if there is something to explain.
    pub message: Option<String>,
    /// Whether it is unknown how it ended: its outcome is then [`Outcome::Lost`](rejoin_core::Outcome::Lost).
    pub is_lost: bool,
}

/// Reports what a job does to the engine.
#[derive(Clone, Debug)]
pub struct Reporter {
    pub(crate) session: SessionId,
    pub(crate) job: JobId,
    pub(crate) reports: Sender<Command>,
    pub(crate) settled: Settled,
}

/// How far the engine has dealt with the output of a job: what was reported with a position up to
/// there is durable, or was refused because the job had printed too much. Its runner need not keep
/// it any longer.
#[derive(Clone, Debug)]
pub struct Settled {
    offsets: Arc<Mutex<OutputOffsets>>,
    changed: (Sender<()>, Receiver<()>),
}

impl Settled {
    pub(crate) fn from(offsets: OutputOffsets) -> Self {
        Self {
            offsets: Arc::new(Mutex::new(offsets)),
            changed: async_channel::bounded(1),
        }
    }

    pub(crate) fn advance(&self, position: OutputPosition) {
        let mut offsets = self.offsets.lock().unwrap_or_else(PoisonError::into_inner);
        offsets.advance(position);
        let _ = self.changed.0.try_send(());
    }

    /// The offsets up to which the output is settled.
    pub fn offsets(&self) -> OutputOffsets {
        *self.offsets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until they have changed since the last call. For one waiter.
    pub async fn changed(&self) {
        let _ = self.changed.1.recv().await;
    }
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
    pub(crate) fn new(
        session: SessionId,
        job: JobId,
        reports: Sender<Command>,
        from: OutputOffsets,
    ) -> Self {
        Self {
            session,
            job,
            reports,
            settled: Settled::from(from),
        }
    }

    /// How far the engine has dealt with what was reported by [`result_at`](Self::result_at).
    pub fn settled(&self) -> &Settled {
        &self.settled
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
        let reporter = Self::new(session, job, sender, OutputOffsets::default());
        (reporter, reports.boxed())
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
        self.result_with(result, None).await
    }

    /// As [`result`](Self::result), for a runner whose jobs outlive the engine: the log keeps how far
    /// the result goes in the job's output.
    ///
    /// # Errors
    ///
    /// When the engine has ended.
    pub async fn result_at(
        &self,
        result: Arc<str>,
        position: OutputPosition,
    ) -> Result<(), EngineEnded> {
        self.result_with(result, Some(position)).await
    }

    async fn result_with(
        &self,
        result: Arc<str>,
        position: Option<OutputPosition>,
    ) -> Result<(), EngineEnded> {
        let Self { session, job, .. } = *self;
        self.report(Command::ReportResult {
            session,
            job,
            result,
            position,
        })
        .await
    }

    pub(crate) async fn finished(&self, exit: Exit) -> Result<(), EngineEnded> {
        let Self { session, job, .. } = *self;
        let Exit {
            status,
            message,
            is_lost: lost,
        } = exit;
        let message = message.map(Into::into);
        self.report(Command::ReportFinished {
            session,
            job,
            status,
            message,
            lost,
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

/// The status of a lost job: that of a process that was ended by SIGKILL.
pub(crate) const LOST: i32 = 128 + 9;
