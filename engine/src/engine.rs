//! The handle to an engine: all that programs and frontends can ask for.

mod nodes;
mod removal;
mod terminals;

pub(crate) use nodes::Asked;

use crate::builder::EngineBuilder;
use crate::endings::Endings;
use crate::error::{CommandError, OpenError, PullError, Unavailable};
use crate::jobs::supervisor::Services;
use crate::limits::TAIL_PATIENCE;
use crate::logs::{FoundJobs, LogRole, OwnedLog, Resumption};
use crate::node::Node;
use crate::peers::{PeerReply, PeerRequest};
use crate::pull::{Pull, Pulled};
use crate::request::{JobAck, NewJob, NewSession};
use crate::session::Session;
use crate::stats::{Current, Stats};
use crate::takeover::Takeover;
use crate::viewers::{SessionViewers, Viewer, Watch};
use crate::{Config, Runtime};
use futures::future::{pending, select};
use rejoin_core::{
    Actor, CloseCause, Command, ConsumerId, CreateSession, DescribeSession, Event, JobId,
    LinkChange, LossCause, Moment, Projection, Record, Rejection, Sequence, SessionId, SessionView,
    SubmitJob, Timestamp, Views,
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
    pub(crate) node: Arc<Node>,
    /// On whose behalf commands are given.
    actor: Option<Arc<Actor>>,
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
    /// running go on if their runners still have them; the others are finished as lost, durably,
    /// before this returns. Blocks for that append, and while it reads input that a job was not given.
    pub(crate) fn start(
        config: Config,
        runtime: Arc<dyn Runtime>,
        log: Box<dyn Log>,
        projection: Projection,
        services: Services,
        log_metrics: Option<Arc<LogMetrics>>,
    ) -> Result<Self, OpenError> {
        let (state, mut views) = projection.into_parts();
        let state = state.numbered(config.numbering);
        let reader = log.reader();
        let found = FoundJobs::of(&services, &state, &views, &*reader, config.numbering);
        let resumption = Resumption::begin(&config, &runtime, found, log, state, None)?;
        resumption.records.iter().for_each(|it| views.apply(it));
        let clock = resumption.clock().clone();
        let number = config.numbering.log();
        let node = Node::new(config, runtime, services, clock, views, None, log_metrics);
        let _ = node.takeover.set(resumption.takeover.clone());
        let ending = node.committed.ending().clone();
        let log = OwnedLog::start(&node, number, resumption, 0, ending);
        node.logs.set(number, LogRole::Owned(Arc::new(log)));
        Ok(Self::of(node))
    }

    pub(crate) fn of(node: Node) -> Self {
        Self {
            node: Arc::new(node),
            actor: None,
        }
    }

    /// The settings that the engine was started with.
    pub fn config(&self) -> &Config {
        &self.node.config
    }

    /// The names of the services that sessions can be created on, in alphabetical order.
    pub fn services(&self) -> impl Iterator<Item = &Arc<str>> {
        self.node.services.keys()
    }

    /// The counters of the log's writer. None if the engine was opened on a log in memory, on a log
    /// of your own, or read-only.
    pub fn log_metrics(&self) -> Option<&Arc<LogMetrics>> {
        self.node.log_metrics.as_ref()
    }

    /// The jobs that finish and the sessions that are closed from now on, over all sessions, also those of other
    /// nodes: for programs that notify others of it. What ended before is in the views and in the log.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Ended, Engine, Event};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let mut endings = engine.endings();
    /// let session = engine.create_session("shell").await?;
    /// engine.close_session(session.id()).await?;
    /// let ended = endings.next().await.ok_or("the engine has ended")?;
    /// assert!(matches!(ended, Ended::Record(it) if matches!(it.event, Event::SessionClosed { .. })));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn endings(&self) -> Endings {
        self.node.committed.endings()
    }

    /// The runtime that the engine runs on.
    pub fn runtime(&self) -> &Arc<dyn Runtime> {
        &self.node.runtime
    }

    /// The time: the wall's for people, and the log's clock. How long something has lasted is the
    /// time [`since`](Moment::since) a moment of a view.
    pub fn now(&self) -> Moment {
        self.node.clock.now()
    }

    /// The same engine, for somebody: the records that commands given to this handle lead to say who
    /// asked for them. Cheap; reading needs no such handle.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Actor, Engine, ReadLimit, Sequence};
    /// use std::time::Duration;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let ada = Actor {
    ///     account: Some("ada".into()),
    ///     token: None,
    ///     frontend: "desk".into(),
    ///     address: None,
    /// };
    /// let session = engine.on_behalf_of(ada.clone()).create_session("shell").await?;
    /// let limit = ReadLimit { records: 1, bytes: 1 };
    /// let records = engine.read(session.id(), Sequence::START, limit, Duration::ZERO).await?;
    /// assert_eq!(records[0].actor.as_deref(), Some(&ada));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn on_behalf_of(&self, actor: impl Into<Arc<Actor>>) -> Self {
        Self {
            actor: Some(actor.into()),
            ..self.clone()
        }
    }

    /// Creates a session. Waits until that is durable.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Engine, NewSession};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let mut new = NewSession::from("shell");
    /// new.user = Some("ada".into());
    /// let session = engine.create_session(new).await?;
    /// let view = session.view().expect("it was just created");
    /// assert_eq!(view.user.as_deref(), Some("ada"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When there are too many sessions, there is no such service, or as every command.
    pub async fn create_session(
        &self,
        new: impl Into<NewSession>,
    ) -> Result<Session, CommandError> {
        let new = new.into();
        self.node.gate.check_write()?;
        let service = new.service.unwrap_or_else(|| self.default_service());
        if !self.node.services.contains_key(&service) {
            return Err(CommandError::NoSuchService(service));
        }
        let session = SessionId::from_random(self.runtime().random());
        let session = self.node.config.numbering.session(session);
        let consumer = new
            .reads
            .then(|| (self.runtime().random(), self.node.config.consumer_timeout));
        let create = CreateSession {
            session,
            service,
            user: new.user,
            remote: new.remote,
            server: self.node.config.server.clone(),
            timeout: self.node.config.session_timeout,
            consumer,
        };
        let records = self
            .command(session, Command::CreateSession(create))
            .await?;
        let number = find(&records, |record| match record.event {
            Event::SessionCreated { number, .. } => Some(number),
            _ => None,
        });
        Ok(Session::created(self.clone(), session, number, records))
    }

    /// Adds a consumer to a session, whose cursor is before the first record. Waits until that is
    /// durable.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::Engine;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// let consumer = engine.join_session(session.id()).await?;
    /// let view = session.view().expect("it is open");
    /// assert!(view.consumer(consumer).is_some());
    ///
    /// engine.leave_session(session.id(), consumer).await?;
    /// let view = session.view().expect("it is open");
    /// assert!(view.consumer(consumer).is_none());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When the session is not open, has too many consumers, a read-only engine has been joined
    /// [`READ_ONLY_JOINS`](crate::limits::READ_ONLY_JOINS) times, or as every command.
    pub async fn join_session(&self, session: SessionId) -> Result<ConsumerId, CommandError> {
        self.node.gate.check_join()?;
        let token = self.runtime().random();
        let timeout = self.node.config.consumer_timeout;
        let records = self
            .command(
                session,
                Command::JoinSession {
                    session,
                    token,
                    timeout,
                },
            )
            .await?;
        Ok(find(&records, joined))
    }

    /// Removes a consumer from a session: [`join_session`](Self::join_session) has an example. Waits
    /// until that is durable.
    ///
    /// # Errors
    ///
    /// When there is no such consumer, or as every command.
    pub async fn leave_session(
        &self,
        session: SessionId,
        consumer: ConsumerId,
    ) -> Result<(), CommandError> {
        self.command(session, Command::LeaveSession { session, consumer })
            .await
            .map(drop)
    }

    /// Closes a session, after interrupting its jobs and logging them as finished. Waits until that
    /// is durable. The processes of the jobs are ended after that.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::Engine;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// session.run("tail -f app.log").await?;
    /// engine.close_session(session.id()).await?;
    /// assert!(session.run("true").await.is_err(), "it is closed");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When the session is not open, or as every command.
    pub async fn close_session(&self, session: SessionId) -> Result<(), CommandError> {
        self.node.gate.check_write()?;
        let cause = CloseCause::Requested;
        self.command(session, Command::CloseSession { session, cause })
            .await
            .map(drop)
    }

    /// Changes the user of a session. Waits until that is durable.
    ///
    /// # Errors
    ///
    /// When the session is not open, the name is too long, or as every command.
    pub async fn set_user(&self, session: SessionId, user: Arc<str>) -> Result<(), CommandError> {
        self.node.gate.check_write()?;
        self.command(session, Command::SetUser { session, user })
            .await
            .map(drop)
    }

    /// Changes the title and the labels of a session. Waits until that is durable.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{DescribeSession, Engine};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// let describe = DescribeSession {
    ///     session: session.id(),
    ///     title: Some("Release 1.2".into()),
    ///     labels: [("env".into(), Some("live".into()))].into(),
    /// };
    /// engine.describe_session(describe).await?;
    /// let view = engine.session_view(session.id()).ok_or("it is gone")?;
    /// let description = view.description.ok_or("it has none")?;
    /// assert_eq!(description.title.as_deref(), Some("Release 1.2"));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When the session is not open, a text is too long or there are too many labels, or as every
    /// command.
    pub async fn describe_session(&self, describe: DescribeSession) -> Result<(), CommandError> {
        self.node.gate.check_write()?;
        self.command(describe.session, Command::DescribeSession(describe))
            .await
            .map(drop)
    }

    /// Logs what happened to a link by which a session can be watched. Waits until that is durable. The
    /// engine knows no links: who may use one is its frontend's affair.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Engine, LinkChange};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// engine.note_link(session.id(), "k1".into(), LinkChange::Joined).await?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When the session is not open or the name is too long, or as every command.
    pub async fn note_link(
        &self,
        session: SessionId,
        link: Arc<str>,
        change: LinkChange,
    ) -> Result<(), CommandError> {
        self.node.gate.check_write()?;
        let command = Command::NoteLink {
            session,
            link,
            change,
        };
        self.command(session, command).await.map(drop)
    }

    /// Notes that a session is in use, so that its idle timeout begins anew. Writes no record.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::Engine;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// engine.touch(session.id());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn touch(&self, session: SessionId) {
        match self.node.logs.of(session) {
            Some(LogRole::Owned(log)) => log.liveness.touch(session),
            Some(LogRole::Followed(log)) => self.touch_followed(&log, session),
            None => {}
        }
    }

    /// Notes that the one on whose behalf this handle is watches a session, until the answer is
    /// dropped. Writes no record, and does not count as use.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Actor, Engine};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?.id();
    /// let ada = Actor {
    ///     account: Some("ada".into()),
    ///     token: None,
    ///     frontend: "desk".into(),
    ///     address: None,
    /// };
    /// let watch = engine.on_behalf_of(ada.clone()).watch(session);
    /// let viewers = engine.viewers(session);
    /// assert_eq!(viewers.listed[0].actor.as_deref(), Some(&ada));
    /// drop(watch);
    /// assert_eq!(engine.viewers(session).count, 0);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn watch(&self, session: SessionId) -> Watch {
        self.watch_as(session, None)
    }

    /// As [`watch`](Self::watch), by a client that has chosen a name for itself. All that the same account
    /// watches under this name is one viewer.
    #[must_use]
    pub fn watch_as(&self, session: SessionId, client: Option<Arc<str>>) -> Watch {
        let viewer = Viewer {
            actor: self.actor.clone(),
            since: self.now().at,
            client,
        };
        self.node.viewers.enter(session, viewer)
    }

    /// Who [watches](Self::watch) a session now. Consumers are in its view.
    pub fn viewers(&self, session: SessionId) -> SessionViewers {
        self.node.viewers.of(session)
    }

    /// The directory in which the next foreground job of an open session begins, if its runner has
    /// directories. Not while a job runs: that may be anywhere.
    pub fn working_directory(&self, session: SessionId) -> Option<PathBuf> {
        let service = self.node.committed.session(session, |view| {
            let is_idle = view.closed.is_none() && view.foreground.is_none();
            is_idle.then(|| view.service.clone())
        })??;
        // The runner of another node knows it.
        self.node.logs.owned_of(session)?;
        self.node.services.get(&service)?.working_directory(session)
    }

    /// Submits a job, which runs a statement. Waits until the job is durable, not until it has run.
    /// A [request](NewJob::request) that was accepted before is answered with the job of that time.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Engine, JobMode, JobSlot, NewJob, Visibility};
    /// use std::time::Duration;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// let mode = JobMode { slot: JobSlot::Background, visibility: Visibility::Session };
    /// let mut new = NewJob::new(session.id(), "tail -f app.log", mode);
    /// new.timeout = Some(Duration::from_secs(60));
    /// let submitted = engine.submit_job(new).await?;
    /// assert_eq!(submitted.job.0, 1, "the first job of this log");
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When the session is not open, its foreground is taken, a limit is reached, or as every
    /// command.
    pub async fn submit_job(&self, new: NewJob) -> Result<JobAck, CommandError> {
        if self.node.committed.is_closing() {
            return Err(CommandError::Unavailable(Unavailable::ShuttingDown));
        }
        self.node.gate.check_write()?;
        let submit = SubmitJob {
            session: new.session,
            statement: new.statement,
            mode: new.mode,
            timeout: new.timeout.unwrap_or(self.node.config.job_timeout),
            output_limit: new.output_limit.unwrap_or(self.node.config.output_limit),
            request: new.request,
            input: new.input,
            output: new.output,
            controller: new.controller,
            keeps_leftovers: new.keeps_leftovers,
        };
        let records = match self
            .command(submit.session, Command::SubmitJob(submit))
            .await
        {
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

    /// Writes to the standard input of a job, and closes the input if `end` is set. Waits until that
    /// is durable, not until the job has read it: from then on the job gets it, even if the client
    /// goes away. The bytes are in the log, and every reader of the session sees them.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Engine, JobMode, JobSlot, NewJob, Visibility};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// let mode = JobMode { slot: JobSlot::Foreground, visibility: Visibility::Session };
    /// let mut new = NewJob::new(session.id(), "sort", mode);
    /// new.input = true;
    /// let submitted = engine.submit_job(new).await?;
    /// let lines: &[u8] = b"pear\napple\n";
    /// engine.write_input(session.id(), submitted.job, lines.into(), true).await?;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When no such job runs, it has no input, the input was closed, it has not read what was
    /// written before, or as every command.
    pub async fn write_input(
        &self,
        session: SessionId,
        job: JobId,
        bytes: Arc<[u8]>,
        end: bool,
    ) -> Result<(), CommandError> {
        self.write_input_as(None, session, job, bytes, end).await
    }

    /// Logs that a statement was refused, for the session's readers. Waits until that is durable.
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
        self.node.gate.check_write()?;
        self.command(
            session,
            Command::RefuseStatement {
                session,
                statement,
                reason,
            },
        )
        .await
        .map(drop)
    }

    /// Interrupts a job, or the one in the foreground. Each further interrupt is firmer. Waits until
    /// the interrupt is durable, not until the job has ended.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use futures::StreamExt;
    /// use rejoin_engine::{Engine, Event, Outcome};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// let job = session.run("tail -f app.log").await?;
    /// let interrupted = engine.interrupt_job(session.id(), None).await?;
    /// assert_eq!(interrupted.job, job.job);
    ///
    /// let mut events = session.events_after(interrupted.sequence);
    /// while let Some(record) = events.next().await {
    ///     if let Event::JobFinished { outcome, .. } = record?.event {
    ///         assert_eq!(outcome, Outcome::Interrupted);
    ///         break;
    ///     }
    /// }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When no such job runs, or as every command.
    pub async fn interrupt_job(
        &self,
        session: SessionId,
        job: Option<JobId>,
    ) -> Result<JobAck, CommandError> {
        self.node.gate.check_write()?;
        let records = self
            .command(session, Command::InterruptJob { session, job })
            .await?;
        Ok(find(&records, |record| match record.event {
            Event::InterruptRequested { job, .. } => Some(JobAck {
                job,
                sequence: record.sequence,
            }),
            _ => None,
        }))
    }

    /// Pulls the records after a consumer's cursor. Answers as soon as a selected record is there, or
    /// gathers more if [`Pull::gather`] says so;
    /// answers with no records after `pull.wait`, or when the session or the engine ends. A second
    /// concurrent pull of one consumer waits [`Config::pull_lock_timeout`] for the first, and then
    /// answers with no records.
    ///
    /// Cancel safe: the cursor moves only with the answer.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Engine, Event, JobId, NewSession, Pull, ReadLimit, Record};
    /// use std::time::Duration;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let mut new = NewSession::from("shell");
    /// new.reads = true;
    /// let session = engine.create_session(new).await?;
    /// let wanted = session.run("true").await?.job;
    /// let is_end = move |record: &Record| {
    ///     matches!(record.event, Event::JobFinished { job, .. } if job == wanted)
    /// };
    /// let pulled = engine
    ///     .pull(Pull {
    ///         session: session.id(),
    ///         consumer: session.consumer().ok_or("no consumer")?,
    ///         wait: Duration::from_secs(10),
    ///         limit: ReadLimit { records: 100, bytes: 1024 * 1024 },
    ///         select: is_end,
    ///         gather: None,
    ///     })
    ///     .await?;
    /// assert_eq!(pulled.records.len(), 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When the consumer does not read the session, or the log cannot be read.
    pub async fn pull(
        &self,
        mut pull: Pull<impl Fn(&Record) -> bool>,
    ) -> Result<Pulled, PullError> {
        pull.wait = pull.wait.min(self.node.config.max_pull_wait);
        self.pull_records(pull).await
    }

    /// The records of a session after a sequence, without a consumer. If there are none yet, it
    /// waits for the first one, `wait` at most. Empty: nothing came, or the session has ended and
    /// there are no more.
    ///
    /// A record of [`Event::RecordsLost`] replaces records that are gone. It is all that there is of
    /// a session that retention has removed.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Engine, Event, ReadLimit, Sequence};
    /// use std::time::Duration;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// let limit = ReadLimit { records: 100, bytes: 1024 * 1024 };
    /// let records = engine.read(session.id(), Sequence::START, limit, Duration::ZERO).await?;
    /// assert!(matches!(records[0].event, Event::SessionCreated { .. }));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// When neither the engine nor the log knows the session, `after` is beyond its end, the log
    /// cannot be read, or the engine has ended and there is nothing to read.
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

    /// As [`read`](Self::read), but waits until `patience` is ready, so that a reader does not need
    /// a timer for each read. `patience` is not polled while there are records, nor again after it
    /// was ready.
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
        let last = self
            .node
            .committed
            .session(session, |view| view.last_sequence);
        // A session that is not known here may have arrived when the records are read.
        let is_behind = self.node.peers.is_some() && last.is_none();
        if is_behind || last.is_some_and(|last| after > last) {
            self.check_cursor(session, after, None).await?;
        }
        self.next_records(session, after, limit, patience).await
    }

    /// Checks a place that a reader remembers: the sequence of the last record that it has, and when
    /// that was logged, if the reader knows it. Of two logs with a common past, this instant tells
    /// which one the reader has read. Where the records are gone or lost, any place is right.
    ///
    /// A sequence alone, of a session that the views know, is checked without reading the log;
    /// [`Self::read`] checks it, too.
    ///
    /// # Errors
    ///
    /// [`PullError::CursorUnknown`] if the log has never given this place; otherwise as
    /// [`Self::read`].
    pub async fn check_cursor(
        &self,
        session: SessionId,
        after: Sequence,
        at: Option<Timestamp>,
    ) -> Result<(), PullError> {
        if after == Sequence::START {
            return Ok(());
        }
        let last = self
            .node
            .committed
            .session(session, |view| view.last_sequence);
        let last = match last.filter(|last| after <= *last) {
            Some(last) => Some(last),
            None => {
                let caught_up = self.catch_up(session).await;
                caught_up.map_err(PullError::Unavailable)?;
                let committed = &self.node.committed;
                committed.session(session, |view| view.last_sequence)
            }
        };
        let is_known = last.is_some_and(|last| after <= last);
        if is_known && at.is_none() {
            return Ok(());
        }
        match self.node.record_at(session, after, last).await? {
            Some(record) => {
                let is_lost = matches!(record.event, Event::RecordsLost { .. });
                if is_lost || record.sequence != after || at.is_none_or(|at| at == record.at) {
                    return Ok(());
                }
            }
            // Of an open session, nothing can be missing below its end.
            None if is_known => return Ok(()),
            None => {}
        }
        let last = match last {
            Some(last) => last,
            None => self.node.last_sequence(session).await?,
        };
        Err(PullError::CursorUnknown { last })
    }

    /// A handle to the session with this identity. None: it does not exist, or ended too long ago.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::Engine;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let created = engine.create_session("shell").await?;
    /// let session = engine.session(created.id()).ok_or("it is gone")?;
    /// assert_eq!(session.number(), created.number());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn session(&self, session: SessionId) -> Option<Session> {
        let view = |view: &SessionView| view.number;
        let number = self.node.committed.session(session, view)?;
        Some(Session::new(self.clone(), session, number))
    }

    /// The view of the session with this identity. None: it does not exist, or ended too long ago.
    pub fn session_view(&self, session: SessionId) -> Option<SessionView> {
        self.node.committed.session(session, Clone::clone)
    }

    /// Reads the views, for instance to list sessions. The engine can't publish new records until
    /// `ask` returns, so it must be quick.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::Engine;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// engine.create_session("shell").await?;
    /// let services: Vec<_> = engine
    ///     .view(|views| views.open_sessions().map(|session| session.service.clone()).collect());
    /// assert_eq!(services, ["shell".into()]);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn view<T>(&self, ask: impl FnOnce(&Views) -> T) -> T {
        self.node.committed.view(ask)
    }

    /// The engine's metrics. Answers at once.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{CommandKind, Engine};
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// engine.create_session("shell").await?;
    /// let stats = engine.stats();
    /// assert_eq!(stats.sessions, 1);
    /// assert_eq!(stats.accepted.get(CommandKind::CreateSession), 1);
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn stats(&self) -> Stats {
        self.node.counts.read(Current {
            sessions: self.view(Views::open_count),
            recent_bytes: self.node.committed.recent_bytes(),
            queue: (self.node.logs.queued(), self.node.config.queue),
            screens: self.node.screens.kept(),
            pending_redactions: self.node.logs.pending_redactions(),
            status: self.node.committed.status(),
        })
    }

    /// What became of the jobs that the log said were running when this engine was started.
    pub fn takeover(&self) -> &Takeover {
        self.node.takeover.get().unwrap_or(&NO_TAKEOVER)
    }

    /// The last sequence of a session that retention has removed. None: there was no such session,
    /// it has not been removed, or the log cannot be read.
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

    /// Begins to shut down: open pulls are answered, and no more jobs are accepted.
    pub fn begin_closing(&self) {
        self.node.committed.begin_closing();
    }

    /// Shuts down: interrupts all jobs, waits for them `patience` at most, logs the cursors of the
    /// consumers, and closes the log. Jobs that have not ended by then are finished as lost when the
    /// log is opened again. Sessions stay open in the log.
    ///
    /// ```
    /// use rejoin_engine::testing::Hold;
    /// use rejoin_engine::{Engine, Unavailable};
    /// use std::time::Duration;
    ///
    /// # smol::block_on(async {
    /// let engine = Engine::in_memory().service("shell", Hold).open().await?;
    /// let session = engine.create_session("shell").await?;
    /// session.run("tail -f app.log").await?;
    /// let why = engine.shut_down(Duration::from_secs(5)).await;
    /// assert!(matches!(why, Unavailable::ShuttingDown));
    /// assert!(session.run("true").await.is_err());
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub async fn shut_down(&self, patience: Duration) -> Unavailable {
        self.begin_closing();
        if self.interrupt_all().await.is_ok() {
            let idle =
                pin!(self.wait_for_jobs(|session| self.node.logs.owned_of(session).is_some()));
            let _ = select(idle, self.runtime().timer(patience)).await;
        }
        self.close(JobsAtEnd::Interrupted).await
    }

    /// As [`shut_down`](Self::shut_down), but leaves running jobs to their runners: those that a
    /// runner keeps go on when the log is opened again. The others are finished as lost then.
    pub async fn shut_down_and_keep_jobs(&self) -> Unavailable {
        self.begin_closing();
        self.close(JobsAtEnd::Kept).await
    }

    /// Closes the logs that this engine writes.
    async fn close(&self, jobs: JobsAtEnd) -> Unavailable {
        let owned: Vec<_> = self.node.logs.owned().collect();
        owned.iter().for_each(|log| log.end(jobs));
        for log in owned {
            log.ended().await;
        }
        let committed = &self.node.committed;
        committed.end_log(committed.ending(), Unavailable::ShuttingDown);
        self.ended().await
    }

    /// Waits until the engine has ended, by a shutdown or a failure, and returns the reason.
    pub async fn ended(&self) -> Unavailable {
        self.node.committed.wait_for_end().await
    }

    async fn interrupt_all(&self) -> Result<(), CommandError> {
        let owned: Vec<_> = self.node.logs.owned().collect();
        for log in owned {
            log.command(Command::InterruptAll, self.actor.clone())
                .await?;
        }
        Ok(())
    }

    async fn wait_for_jobs(&self, is_wanted: impl Fn(SessionId) -> bool) {
        let sessions: Vec<_> = self.view(|views| {
            let open = views.open_sessions().map(|session| session.id);
            open.filter(|session| is_wanted(*session)).collect()
        });
        for session in sessions {
            let mut after = Sequence::START;
            while let Some((last, true)) = self.node.committed.session(session, |view| {
                (view.last_sequence, view.is_busy() && view.closed.is_none())
            }) {
                // Its next record may be the end of its last job.
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

    /// The service of sessions that are created without one: the only one, or else `shell`.
    pub fn default_service(&self) -> Arc<str> {
        match self.node.services.keys().next() {
            Some(only) if self.node.services.len() == 1 => only.clone(),
            _ => "shell".into(),
        }
    }

    /// Gives a command to the log of a session.
    pub(crate) async fn command(
        &self,
        session: SessionId,
        command: Command,
    ) -> Result<Vec<Arc<Record>>, CommandError> {
        let log = self.node.logs.number_of(session);
        loop {
            let changed = self.node.logs.listen();
            if let Some(LogRole::Owned(owned)) = self.node.logs.role(log) {
                let answer = owned.command(command.clone(), self.actor.clone()).await;
                if !owned.has_left_undone(&answer).await {
                    return answer;
                }
                // The engine is about to become a reader of the log: ask the node that goes on with it.
                select(changed, self.node.runtime.timer(TAIL_PATIENCE)).await;
            }
            let request = PeerRequest::Command {
                command: command.clone(),
                actor: self.actor.clone(),
            };
            let asked = self.ask(log, request).await;
            match asked.map_err(CommandError::Unavailable)? {
                Asked::Owned => {}
                Asked::Answered(PeerReply::Records(answer), _) => return answer,
                Asked::Answered(..) => {
                    return Err(CommandError::Unavailable(Unavailable::Unanswered));
                }
                Asked::NoLog => {
                    return Err(CommandError::Rejected(Rejection::SessionNotFound(session)));
                }
            }
        }
    }
}

/// Of an engine that owns no log.
static NO_TAKEOVER: Takeover = Takeover::NONE;

/// What becomes of running jobs when the engine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobsAtEnd {
    /// They are interrupted.
    Interrupted,
    /// There are none: the log ends once none runs.
    Idle,
    /// Those that their runners keep go on.
    Kept,
    /// None goes on, because they are lost in the log.
    Lost,
}

pub(crate) fn joined(record: &Record) -> Option<ConsumerId> {
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
