//! Opens an engine: reads the log, prepares the runners, starts the sequencer.

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::OpenError;
use crate::jobs::runner::{Exit, LoggedJob, Runner, RunnerHost, RunnerJob};
use crate::logs::{FollowedLog, LogRole};
use crate::node::Node;
use crate::peers::Peers;
use crate::{Config, Runtime, Services, compaction};
use futures::channel::oneshot;
use futures::future::BoxFuture;
use rejoin_core::Projection;
use rejoin_log::disk::Directory;
use rejoin_log::segment::{Compactor, LogId, LogMetrics, OpenOptions, OpenReport, Opened, Options};
use rejoin_log::{Log, LogReader, MemoryLog};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Opens an engine. Made by [`Engine::builder`], [`Engine::in_memory`], [`Engine::on_log`] and
/// [`Engine::node`].
///
/// The state of an engine is always folded from the log that it opens: there is no way to give it
/// another one.
///
/// ```
/// use rejoin_engine::testing::Hold;
/// use rejoin_engine::{Config, Engine};
/// use std::time::Duration;
///
/// # smol::block_on(async {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let mut config = Config::default();
/// config.session_timeout = Duration::from_secs(8 * 60 * 60);
/// let engine = Engine::builder(directory).config(config).service("shell", Hold).open().await?;
/// assert_eq!(engine.services().count(), 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct EngineBuilder {
    source: Source,
    config: Config,
    services: Services,
    runtime: Option<Arc<dyn Runtime>>,
    options: Options,
    runner_directory: Option<PathBuf>,
}

/// Where the log comes from.
enum Source {
    Directory(PathBuf),
    ReadOnly(PathBuf),
    Memory,
    Log(Box<OpenLog>),
    Node(Box<HomeLog>, Arc<dyn Peers>),
}

type OpenLog = dyn FnOnce() -> Result<Opened<Box<dyn Log>>, OpenError> + Send;

/// The log that belongs to a node: new sessions are created in it. It is followed until
/// [`Engine::own`] is called.
#[derive(Debug)]
pub struct HomeLog {
    /// The log's identity.
    pub id: LogId,
    /// What its first records lead to.
    pub projection: Projection,
    /// How many these are.
    pub position: u64,
    /// Reads its copy on this machine.
    pub reader: Arc<dyn LogReader>,
}

/// What was opened, with its state.
struct OpenedSource {
    log: OpenedLog,
    projection: Projection,
    id: Option<LogId>,
    segments: Option<Segments>,
}

/// What becomes of the log that was opened.
enum OpenedLog {
    /// It is the only one.
    Own(Box<dyn Log>),
    /// It is the home of a node, and is followed at first.
    Home {
        reader: Arc<dyn LogReader>,
        position: u64,
        peers: Arc<dyn Peers>,
    },
}

/// Parts that only a segment log has.
struct Segments {
    compactor: Compactor,
    metrics: Arc<LogMetrics>,
}

impl EngineBuilder {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self {
            runner_directory: Some(directory.clone()),
            ..Self::from(Source::Directory(directory.join("log")))
        }
    }

    pub(crate) fn in_memory() -> Self {
        Self::from(Source::Memory)
    }

    pub(crate) fn on_log(
        open: impl FnOnce() -> Result<Opened<Box<dyn Log>>, OpenError> + Send + 'static,
    ) -> Self {
        Self::from(Source::Log(Box::new(open)))
    }

    pub(crate) fn node(home: HomeLog, peers: Arc<dyn Peers>) -> Self {
        Self::from(Source::Node(Box::new(home), peers))
    }

    fn from(source: Source) -> Self {
        Self {
            source,
            config: Config::default(),
            services: Services::new(),
            runtime: None,
            options: Options::default(),
            runner_directory: None,
        }
    }

    /// Adds a service: its name, and the runner that runs the jobs of its sessions. It replaces an
    /// earlier service with the same name.
    #[must_use]
    pub fn service(self, name: impl Into<Arc<str>>, runner: impl Runner) -> Self {
        self.shared_service(name, Arc::new(runner))
    }

    /// As [`service`](Self::service), with a runner to which the program keeps a handle.
    #[must_use]
    pub fn shared_service(mut self, name: impl Into<Arc<str>>, runner: Arc<dyn Runner>) -> Self {
        self.services.insert(name.into(), runner);
        self
    }

    /// Timeouts and limits.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The async runtime: `SmolRuntime` unless you choose another, or build without the feature
    /// `smol`.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Durability and segment size of a log in a directory.
    #[must_use]
    pub fn log_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Opens the log for reading, and changes no file: consumers can join and pull; all other
    /// commands are refused. Sessions keep their services, which run nothing.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.config.read_only = true;
        if let Source::Directory(directory) = self.source {
            self.source = Source::ReadOnly(directory);
        }
        self
    }

    /// The directory of the log's segments, if it is not `log` in the engine's directory.
    #[must_use]
    pub fn log_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.source = match self.source {
            Source::ReadOnly(_) => Source::ReadOnly(directory.into()),
            _ => Source::Directory(directory.into()),
        };
        self
    }

    /// The directory for files of runners that must outlive a job, if it is not the engine's own.
    #[must_use]
    pub fn runner_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.runner_directory = Some(directory.into());
        self
    }

    /// Reads the log, prepares the runners, and starts the engine. Jobs that the log says are
    /// running are finished as lost, durably, before this returns.
    ///
    /// Waits until the log is read, from its newest snapshot on, on another thread. If it is dropped
    /// while it waits, the log is left as after a crash.
    ///
    /// # Errors
    ///
    /// When the log can't be opened, is in use, is damaged, or holds records that break a rule of
    /// the fold; when a runner can't be prepared; when there is no runtime.
    pub async fn open(self) -> Result<Engine, OpenError> {
        let Self {
            source,
            config,
            mut services,
            runtime,
            options,
            runner_directory,
        } = self;
        let runtime = runtime.or_else(default_runtime);
        let runtime = runtime.ok_or(OpenError::NoRuntime)?;
        let new_id = LogId::from_bytes(runtime.random());
        let limits = config.clone();
        let opened = on_thread(&runtime, "rejoin-open", move || {
            open_log(source, &limits, options, new_id)
        });
        let OpenedSource {
            log,
            projection,
            id,
            segments,
        } = opened.await?;

        if config.read_only && services.is_empty() {
            let sessions = projection.state().sessions();
            let names = sessions.map(|(_, session)| session.service().clone());
            services.extend(names.map(|name| (name, Arc::new(RunsNothing) as Arc<dyn Runner>)));
        } else if !config.read_only {
            let (state, views) = (projection.state(), projection.views());
            let jobs = state.sessions().flat_map(|(id, session)| {
                let jobs = session.jobs();
                let views = views.session(id);
                jobs.map(move |(job, running)| {
                    let view = views.and_then(|views| views.job(job));
                    (job, LoggedJob::of(id, running, view))
                })
            });
            let host = RunnerHost {
                running: jobs.collect(),
                last_job: state.last_job(),
                runtime: runtime.clone(),
                directory: runner_directory,
                log: id.map(|id| id.to_string()),
                open_sessions: projection.state().sessions().map(|(id, _)| id).collect(),
            };
            for (service, runner) in &services {
                let prepared = runner.prepare(host.clone()).await;
                prepared.map_err(|source| OpenError::Runner {
                    service: service.clone(),
                    source,
                })?;
            }
        }

        let (metrics, compactor) = match segments {
            Some(segments) => (Some(segments.metrics), Some(segments.compactor)),
            None => (None, None),
        };
        let starting = runtime.clone();
        let is_read_only = config.read_only;
        let engine = on_thread(&runtime, "rejoin-start", move || match log {
            OpenedLog::Own(log) => {
                Engine::start(config, starting, log, projection, services, metrics)
            }
            OpenedLog::Home {
                reader,
                position,
                peers,
            } => {
                let (state, views) = projection.into_parts();
                let clock = Arc::new(Clock::new(starting.clone()));
                let number = config.numbering.log();
                let peers = Some(peers);
                let node = Node::new(config, starting, services, clock, views, peers, None);
                let home = FollowedLog::new(&*node.runtime, reader, Some(state), position);
                node.logs.set(number, LogRole::Followed(Arc::new(home)));
                Ok(Engine::of(node))
            }
        });
        let engine = engine.await?;
        if let Some(compactor) = compactor.filter(|_| !is_read_only) {
            compaction::start(compactor, &runtime);
        }
        Ok(engine)
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("config", &self.config)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

fn open_log(
    source: Source,
    config: &Config,
    options: Options,
    new_id: LogId,
) -> Result<OpenedSource, OpenError> {
    let opened = |log, projection, segments: Option<(LogId, Segments)>| {
        let (id, segments) = segments.unzip();
        OpenedSource {
            log: OpenedLog::Own(log),
            projection,
            id,
            segments,
        }
    };
    match source {
        Source::Memory => {
            let projection = Projection::new(config.limits);
            Ok(opened(Box::new(MemoryLog::new()), projection, None))
        }
        Source::Log(open) => {
            let (log, projection, report) = open()?.into_parts();
            log_report(&report, &projection);
            Ok(opened(log, projection, None))
        }
        Source::Directory(directory) => {
            let (log, projection, report) = OpenOptions::directory(directory, new_id)
                .options(options)
                .limits(config.limits)
                .open()?
                .into_parts();
            log_report(&report, &projection);
            let segments = Segments {
                compactor: log.compactor(),
                metrics: log.metrics(),
            };
            let segments = (log.id(), segments);
            Ok(opened(Box::new(log), projection, Some(segments)))
        }
        Source::Node(home, peers) => {
            let HomeLog {
                id,
                projection,
                position,
                reader,
            } = *home;
            Ok(OpenedSource {
                log: OpenedLog::Home {
                    reader,
                    position,
                    peers,
                },
                projection,
                id: Some(id),
                segments: None,
            })
        }
        Source::ReadOnly(directory) => {
            let (log, projection, report) = OpenOptions::read_only(&directory)
                .limits(config.limits)
                .open()?
                .into_parts();
            if report.segments == 0 && !directory.join(Directory::LOCK).exists() {
                return Err(OpenError::NoLog(directory));
            }
            log_report(&report, &projection);
            Ok(opened(Box::new(log), projection, None))
        }
    }
}

fn log_report(report: &OpenReport, projection: &Projection) {
    for skipped in &report.skipped_snapshots {
        let (file, reason) = (skipped.file.display(), &skipped.reason);
        tracing::warn!(%file, reason, "ignored an unusable snapshot: the records are complete");
    }
    if let Some(torn) = &report.torn {
        let (file, byte) = (torn.file.display(), torn.byte);
        tracing::warn!(%file, byte, "left out the torn end of the log, which was never acknowledged");
    }
    let sessions = projection.views().open_count();
    let (records, replayed) = (report.records, report.replayed);
    tracing::info!("opened the log: {sessions} sessions, {records} records ({replayed} replayed)");
}

/// Runs blocking work on a new thread, and waits for it.
async fn on_thread<T: Send + 'static>(
    runtime: &Arc<dyn Runtime>,
    name: &'static str,
    work: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    let (sender, receiver) = oneshot::channel();
    let work = async move {
        // The caller may have been dropped.
        let _ = sender.send(work());
    };
    runtime.spawn_dedicated(name, Box::pin(work));
    receiver.await.unwrap_or(Err(OpenError::Panicked))
}

#[cfg(feature = "smol")]
fn default_runtime() -> Option<Arc<dyn Runtime>> {
    Some(Arc::new(crate::SmolRuntime))
}

#[cfg(not(feature = "smol"))]
fn default_runtime() -> Option<Arc<dyn Runtime>> {
    None
}

/// The services of a read-only engine, which never calls them.
#[derive(Debug)]
struct RunsNothing;

impl Runner for RunsNothing {
    fn run(&self, _: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async {
            Exit {
                status: 1,
                message: Some("this server is read-only and runs nothing".into()),
                ..Exit::default()
            }
        })
    }
}
