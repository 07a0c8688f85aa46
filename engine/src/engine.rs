//! The engine's handle: what clients and frontends may ask for.

use crate::builder::EngineBuilder;
use crate::committed::Committed;
use crate::committed::log_reads::LogReadQueue;
use crate::error::{CommandError, OpenError, PullError, Unavailable};
use crate::jobs::builtin::Builtin;
use crate::jobs::stdin::Inputs;
use crate::jobs::supervisor::{Services, Supervisor};
use crate::liveness::Liveness;
use crate::pull::{Pull, Pulled};
use crate::read_only_gate::ReadOnlyGate;
use crate::request::{JobAck, NewJob, NewSession};
use crate::sequencer::{Request, Sequencer};
use crate::session::Session;
use crate::stats::{Counts, Current, Stats};
use crate::{Config, Runtime, limits};
use async_channel::{Sender, TrySendError};
use futures::channel::oneshot;
use futures::future::{pending, select};
use rejoin_core::{
    CloseCause, Command, ConsumerId, CreateSession, Event, JobId, LossCause, Projection, Record,
    Rejection, Sequence, SessionId, SessionView, SubmitJob, Views,
};
use rejoin_log::segment::{LogMetrics, Opened};
use rejoin_log::{Log, ReadLimit};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// Sessions, jobs and consumers on one durable log. Clones are handles to the same engine; when
/// the last is dropped, the engine ends. The [crate's page](crate) begins with an example.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) config: Arc<Config>,
    pub(crate) runtime: Arc<dyn Runtime>,
    services: Arc<Services>,
    pub(crate) committed: Arc<Committed>,
    pub(crate) liveness: Arc<Liveness>,
    pub(crate) log_reads: LogReadQueue,
    pub(crate) counts: Arc<Counts>,
    pub(crate) requests: Sender<Request>,
    inputs: Arc<Inputs>,
    pub(crate) end: Sender<()>,
    gate: Arc<ReadOnlyGate>,
    log_metrics: Option<Arc<LogMetrics>>,
}

impl Engine {
    /// Opens an engine on a durable log in a directory, which is created if it is missing. The
    /// [crate's page](crate) begins with an example.
    pub fn builder(directory: impl Into<PathBuf>) -> EngineBuilder {
        EngineBuilder::new(directory.into())
    }

    /// Opens an engine on a log in memory, which ends with the process.
    pub fn in_memory() -> EngineBuilder {
        EngineBuilder::in_memory()
    }

    /// Opens an engine on a log of your own, or on a layer around a `SegmentLog`. `open` gives the
    /// log, with the state that its records lead to.
    ///
    /// ```
    /// use rejoin_engine::{Config, Engine, Log, MemoryLog, Opened, Record};
    ///
    /// # smol::block_on(async {
    /// let config = Config::default();
    /// let limits = config.limits;
    /// let engine = Engine::on_log(move || {
    ///     // This log is empty. Pass its records if it has some.
    ///     let log = Box::new(MemoryLog::new()) as Box<dyn Log>;
    ///     Ok(Opened::from_records(log, limits, [] as [Record; 0])?)
    /// });
    /// engine.config(config).open().await?;
    /// # Ok::<_, rejoin_engine::OpenError>(())
    /// # }).unwrap();
    /// ```
    pub fn on_log(
        open: impl FnOnce() -> Result<Opened<Box<dyn Log>>, OpenError> + Send + 'static,
    ) -> EngineBuilder {
        EngineBuilder::on_log(open)
    }

    /// Starts an engine on a log that was just folded into `projection`. Jobs that the log says are
    /// running are finished as lost, durably, before this returns. Blocks for that append.
    pub(crate) fn start(
        config: Config,
        runtime: Arc<dyn Runtime>,
        mut log: Box<dyn Log>,
        projection: Projection,
        services: Services,
        log_metrics: Option<Arc<LogMetrics>>,
    ) -> Result<Self, OpenError> {
        let (mut state, mut views) = projection.into_parts();
        let resumed = state
            .step(runtime.now(), Command::Resume)
            .expect("resuming is never rejected");
        let resumed: Vec<_> = resumed
            .into_iter()
            .map(|step| Arc::new(step.record))
            .collect();
        log.append(&resumed)?;
        resumed.iter().for_each(|record| views.apply(record));

        let (requests, request_inbox) = async_channel::bounded(config.queue);
        let (report_sender, reports) = async_channel::bounded(limits::REPORTS);
        let (end, end_inbox) = async_channel::bounded(1);
        let counts = Arc::new(Counts::new(&views));
        let committed = Arc::new(Committed::new(views, config.recent_bytes));
        let liveness = Arc::new(Liveness::new(runtime.clone(), committed.clone()));
        liveness.stamp(state.last_at());
        let log_reads =
            LogReadQueue::start(&runtime, committed.clone(), counts.clone(), log.reader());
        let services = Arc::new(services);
        let inputs = Arc::new(Inputs::default());
        let supervisor = Supervisor::new(
            runtime.clone(),
            services.clone(),
            Arc::new(Builtin::new(committed.clone(), config.server.clone())),
            report_sender,
            inputs.clone(),
        );
        let sequencer = Sequencer {
            state,
            log,
            runtime: runtime.clone(),
            committed: committed.clone(),
            liveness: liveness.clone(),
            counts: counts.clone(),
            supervisor,
            requests: request_inbox,
            reports,
            end: end_inbox,
            cursors_logged: runtime.now(),
            read_only: config.read_only,
        };
        runtime.spawn_dedicated("rejoin-sequencer", Box::pin(sequencer.run()));
        let gate = Arc::new(ReadOnlyGate::new(config.read_only));
        Ok(Self {
            config: Arc::new(config),
            runtime,
            services,
            committed,
            liveness,
            log_reads,
            counts,
            requests,
            inputs,
            end,
            gate,
            log_metrics,
        })
    }

    /// The settings that the engine was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The names of the services that sessions can be created on, in alphabetical order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        self.services.keys()
    }

    /// The counters of the log's writer. None if the engine was opened on a log in memory, on a log
    /// of your own, or read-only.
    pub fn log_metrics(&self) -> Option<&Arc<LogMetrics>> {
        self.log_metrics.as_ref()
    }

    /// The runtime that the engine runs on.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.runtime
    }

    /// Begins a session. Waits until that is durable.
    ///
    /// # Errors
    ///
    /// When there are too many sessions, no such service, or as every command.
    pub async fn create_session(
        &self,
        new: impl Into<NewSession>,
    ) -> Result<Session, CommandError> {
        let new = new.into();
        self.gate.check_write()?;
        let service = new.service.unwrap_or_else(|| self.default_service());
        if !self.services.contains_key(&service) {
            return Err(CommandError::NoSuchService(service));
        }
        let session = SessionId::from_bytes(
            uuid::Builder::from_random_bytes(self.runtime().random())
                .into_uuid()
                .into_bytes(),
        );
        let consumer = new
            .reads
            .then(|| (self.runtime().random(), self.config.consumer_timeout));
        let create = CreateSession {
            session,
            service,
            user: new.user,
            remote: new.remote,
            server: self.config.server.clone(),
            timeout: self.config.session_timeout,
            consumer,
        };
        let records = self.command(Command::CreateSession(create)).await?;
        let number = find(&records, |record| match record.event {
            Event::SessionCreated { number, .. } => Some(number),
            _ => None,
        });
        let consumer = records.iter().find_map(|record| joined(record));
        Ok(Session::new(self.clone(), session, number, consumer))
    }

    /// Begins to read a session, from its first record on. Waits until that is durable.
    ///
    /// # Errors
    ///
    /// When the session is not open, has too many consumers, a read-only engine has been joined
    /// [`READ_ONLY_JOINS`](limits::READ_ONLY_JOINS) times, or as every command.
    pub async fn join_session(&self, session: SessionId) -> Result<ConsumerId, CommandError> {
        self.gate.check_join()?;
        let token = self.runtime().random();
        let timeout = self.config.consumer_timeout;
        let records = self
            .command(Command::JoinSession {
                session,
                token,
                timeout,
            })
            .await?;
        Ok(find(&records, joined))
    }

    /// Stops reading a session. Waits until that is durable.
    ///
    /// # Errors
    ///
    /// When there is no such consumer, or as every command.
    pub async fn leave_session(
        &self,
        session: SessionId,
        consumer: ConsumerId,
    ) -> Result<(), CommandError> {
        self.command(Command::LeaveSession { session, consumer })
            .await
            .map(drop)
    }

    /// Ends a session, its jobs first. Waits until that is durable; what is left of the jobs in
    /// the world is ended after that.
    ///
    /// # Errors
    ///
    /// When the session is not open, or as every command.
    pub async fn close_session(&self, session: SessionId) -> Result<(), CommandError> {
        self.gate.check_write()?;
        let cause = CloseCause::Requested;
        self.command(Command::CloseSession { session, cause })
            .await
            .map(drop)
    }

    /// Says who uses a session from now on. Waits until that is durable.
    ///
    /// # Errors
    ///
    /// When the session is not open, the name is too long, or as every command.
    pub async fn set_user(&self, session: SessionId, user: Arc<str>) -> Result<(), CommandError> {
        self.gate.check_write()?;
        self.command(Command::SetUser { session, user })
            .await
            .map(drop)
    }

    /// Says that a session was used, without changing it.
    pub fn touch(&self, session: SessionId) {
        self.liveness.touch(session);
    }

    /// Runs a statement. Waits until it is durable that it will be run, not until it was. A request
    /// that has a name and was accepted before is answered with the job that it led to.
    ///
    /// # Errors
    ///
    /// When the session is not open, its foreground is taken, a limit is reached, or as every
    /// command.
    pub async fn submit_job(&self, new: NewJob) -> Result<JobAck, CommandError> {
        if self.committed.is_closing() {
            return Err(CommandError::Unavailable(Unavailable::ShuttingDown));
        }
        self.gate.check_write()?;
        let submit = SubmitJob {
            session: new.session,
            statement: new.statement,
            mode: new.mode,
            timeout: new.timeout.unwrap_or(self.config.job_timeout),
            output_limit: new.output_limit.unwrap_or(self.config.output_limit),
            request: new.request,
            input: new.input,
        };
        let records = match self.command(Command::SubmitJob(submit)).await {
            Err(CommandError::Rejected(Rejection::RequestRepeated { job, sequence })) => {
                return Ok(JobAck { job, sequence });
            }
            submitted => submitted?,
        };
        Ok(find(&records, |record| match record.event {
            Event::JobSubmitted { job, .. } => Some(JobAck {
                job,
                sequence: record.sequence,
            }),
            _ => None,
        }))
    }

    /// Writes to the standard input of a job, and ends it where nothing follows. Waits until that is
    /// durable, not until the job has read it: then the job gets it, whatever else happens to the
    /// client. What is written is in the log, and every reader of the session sees it.
    ///
    /// # Errors
    ///
    /// When no such job runs, it has no input or that was ended, it has not read what was written
    /// before, or as every command.
    pub async fn write_input(
        &self,
        session: SessionId,
        job: JobId,
        bytes: Arc<[u8]>,
        end: bool,
    ) -> Result<(), CommandError> {
        self.gate.check_write()?;
        // An end alone takes no room, and a job may wait for nothing else.
        if !bytes.is_empty() && self.inputs.is_full(job) {
            return Err(CommandError::InputFull);
        }
        self.command(Command::WriteInput {
            session,
            job,
            bytes,
            end,
        })
        .await
        .map(drop)
    }

    /// Tells the session's readers that a statement could not become a job. Waits until that is
    /// durable.
    ///
    /// # Errors
    ///
    /// When the session is not open, a text is too long, or as every command.
    pub async fn refuse_statement(
        &self,
        session: SessionId,
        statement: Option<Arc<str>>,
        reason: Arc<str>,
    ) -> Result<(), CommandError> {
        self.gate.check_write()?;
        self.command(Command::RefuseStatement {
            session,
            statement,
            reason,
        })
        .await
        .map(drop)
    }

    /// Tells a job to end, or the one in the foreground; told again, more firmly. Waits until that
    /// is durable, not until the job has ended.
    ///
    /// # Errors
    ///
    /// When no such job runs, or as every command.
    pub async fn interrupt_job(
        &self,
        session: SessionId,
        job: Option<JobId>,
    ) -> Result<JobAck, CommandError> {
        self.gate.check_write()?;
        let records = self.command(Command::InterruptJob { session, job }).await?;
        Ok(find(&records, |record| match record.event {
            Event::InterruptRequested { job, .. } => Some(JobAck {
                job,
                sequence: record.sequence,
            }),
            _ => None,
        }))
    }

    /// What the session has for a consumer after its cursor. Answers as soon as a selected record
    /// is there, and with nothing after `pull.wait`, or when the session or the engine ends. A
    /// second pull at once on a consumer waits [`Config::pull_lock_timeout`] for its turn, then answers
    /// with nothing.
    ///
    /// Dropping the future takes nothing away from the consumer.
    ///
    /// # Errors
    ///
    /// When the consumer does not read the session, or the log cannot be read.
    pub async fn pull(
        &self,
        mut pull: Pull<impl Fn(&Record) -> bool>,
    ) -> Result<Pulled, PullError> {
        pull.wait = pull.wait.min(self.config.max_pull_wait);
        self.pull_records(pull).await
    }

    /// The records of a session after a sequence that the reader names, and whoever reads; waits
    /// for the first of them, `wait` at most. Empty: nothing came, or the session has ended and
    /// nothing follows.
    ///
    /// Where records are gone, the one that stands in their place says so
    /// ([`Event::RecordsLost`]); of a session that retention has removed, that is all there is.
    ///
    /// # Errors
    ///
    /// When no such session is known, nor in the log, the log cannot be read, or the engine has ended while
    /// nothing was there.
    pub async fn read(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
        wait: Duration,
    ) -> Result<Vec<Arc<Record>>, PullError> {
        let patience = self.runtime().timer(wait);
        self.read_until(session, after, limit, patience).await
    }

    /// As [`Self::read`], and waits until `patience` is ready: for whoever reads on and on, and
    /// need not set a timer each time. `patience` is not asked while there are records, nor again
    /// once it was ready.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub async fn read_until(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
        patience: impl Future + Unpin,
    ) -> Result<Vec<Arc<Record>>, PullError> {
        self.next_records(session, after, limit, patience).await
    }

    /// A handle to the session of this identity, open or ended not long ago.
    pub fn session(&self, session: SessionId) -> Option<Session> {
        let view = |view: &SessionView| view.number;
        let number = self.committed.session(session, view)?;
        Some(Session::new(self.clone(), session, number, None))
    }

    /// What lists show of the session of this identity, open or ended not long ago.
    pub fn session_view(&self, session: SessionId) -> Option<SessionView> {
        self.committed.session(session, Clone::clone)
    }

    /// Asks the views something, for instance a list. They cannot change meanwhile: be quick.
    pub fn view<T>(&self, ask: impl FnOnce(&Views) -> T) -> T {
        self.committed.view(ask)
    }

    /// What the engine has counted, and what there is now. Answers at once.
    pub fn stats(&self) -> Stats {
        self.counts.read(Current {
            sessions: self.view(Views::open_count),
            recent_bytes: self.committed.recent_bytes(),
            queue: (self.requests.len(), self.config.queue),
            status: self.committed.status(),
        })
    }

    /// The last sequence of a session that retention has removed, with all before it. None: there
    /// was no such session, or it has not been removed, or that cannot be read.
    pub async fn removed(&self, session: SessionId) -> Option<Sequence> {
        if let Some(last) = self.view(|views| views.removed(session)) {
            return Some(last);
        }
        let first = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let read = self.read(session, Sequence::START, first, Duration::ZERO);
        match read.await.ok()?.first()?.event {
            Event::RecordsLost {
                last,
                cause: LossCause::Retention { .. },
                ..
            } => Some(last),
            _ => None,
        }
    }

    /// Begins the end: open pulls are answered, and no job is accepted any more.
    pub fn begin_closing(&self) {
        self.committed.begin_closing();
    }

    /// Ends the engine: interrupts what runs, waits for it `patience` at most, logs how far the
    /// consumers have come, and closes the log. Jobs that did not end in time are found as lost
    /// when the log is opened again. Sessions stay.
    pub async fn shut_down(&self, patience: Duration) -> Unavailable {
        self.begin_closing();
        if self.command(Command::InterruptAll).await.is_ok() {
            let idle = pin!(self.wait_for_jobs());
            let _ = select(idle, self.runtime().timer(patience)).await;
        }
        let _ = self.end.try_send(());
        self.ended().await
    }

    /// Waits until the engine has ended, for whatever reason.
    pub async fn ended(&self) -> Unavailable {
        self.committed.wait_for_end().await
    }

    async fn wait_for_jobs(&self) {
        let sessions: Vec<_> = self.view(|views| views.open_sessions().map(|it| it.id).collect());
        for session in sessions {
            let mut after = Sequence::START;
            while let Some((last, true)) = self.committed.session(session, |view| {
                (view.last_sequence, view.is_busy() && view.closed.is_none())
            }) {
                // Its next record may be that its last job has finished.
                after = last.max(after);
                let limit = ReadLimit {
                    records: 1,
                    bytes: 1,
                };
                let next = self.next_records(session, after, limit, pending::<()>());
                if next.await.is_err() {
                    break;
                }
            }
        }
    }

    fn default_service(&self) -> Arc<str> {
        match self.services.keys().next() {
            Some(only) if self.services.len() == 1 => only.clone(),
            _ => "shell".into(),
        }
    }

    pub(crate) async fn command(&self, command: Command) -> Result<Vec<Arc<Record>>, CommandError> {
        let (reply, answer) = oneshot::channel();
        match self.requests.try_send(Request { command, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(self.overloaded()),
            Err(TrySendError::Closed(_)) => return Err(self.unavailable().await),
        }
        match answer.await {
            Ok(answer) => answer,
            Err(oneshot::Canceled) => Err(self.unavailable().await),
        }
    }

    async fn unavailable(&self) -> CommandError {
        CommandError::Unavailable(self.ended().await)
    }

    /// Counts a request that found the queue full.
    fn overloaded(&self) -> CommandError {
        self.counts.overloaded.inc();
        CommandError::Overloaded
    }
}

fn joined(record: &Record) -> Option<ConsumerId> {
    match record.event {
        Event::ConsumerJoined { consumer, .. } => Some(consumer),
        _ => None,
    }
}

/// The event that an accepted command must have led to.
///
/// # Panics
///
/// When the core accepted the command without that event.
fn find<T>(records: &[Arc<Record>], pick: impl Fn(&Record) -> Option<T>) -> T {
    records
        .iter()
        .find_map(|record| pick(record))
        .expect("the event of an accepted command")
}
