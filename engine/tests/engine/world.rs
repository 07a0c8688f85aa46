//! The environment of the tests: a clock that they advance, jobs that they control, and a log that
//! waits or fails on demand.

use futures::channel::oneshot;
use futures::future::{BoxFuture, Either, select};
use rejoin_core::{
    ConsumerId, Event, JobMode, JobSlot, Record, Sequence, SessionId, Timestamp, Visibility,
};
use rejoin_engine::{
    Config, Engine, Exit, JobAck, NewJob, NewSession, Projection, Pull, Pulled, Runner, RunnerJob,
    Runtime, Services, SmolRuntime, encode_result,
};
use rejoin_log::{Log, MemoryLog, ReadLimit};
use serde_json::{Map, json};
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

pub(crate) const FOREGROUND: JobMode = JobMode {
    slot: JobSlot::Foreground,
    visibility: Visibility::Session,
};

pub(crate) const ALL: ReadLimit = ReadLimit {
    records: usize::MAX,
    bytes: usize::MAX,
};

/// The executor that the engine runs on.
#[derive(Clone, Copy)]
pub(crate) enum Host {
    Smol,
    Tokio(&'static tokio::runtime::Runtime),
}

/// One for all tests, and never dropped: a tokio runtime must not be dropped on its own threads.
static TOKIO: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().unwrap()
});

impl Host {
    pub(crate) fn smol() -> Self {
        Self::Smol
    }

    pub(crate) fn tokio() -> Self {
        Self::Tokio(&TOKIO)
    }

    /// Runs a test, and fails it if it waits for too long.
    pub(crate) fn block_on(&self, test: impl Future<Output = ()>) {
        let bounded = async {
            match select(pin!(test), SmolRuntime.timer(PATIENCE)).await {
                Either::Left(((), _)) => {}
                Either::Right(_) => panic!("the test waited for longer than {PATIENCE:?}"),
            }
        };
        match self {
            Self::Smol => smol::block_on(bounded),
            Self::Tokio(runtime) => runtime.block_on(bounded),
        }
    }
}

/// Far longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that tests advance.
pub(crate) struct Clock {
    host: Host,
    /// How much time has passed.
    millis: AtomicU64,
    /// The time of day, in milliseconds, before any time had passed.
    day: AtomicU64,
    moved: event_listener::Event,
}

impl Clock {
    fn new(host: &Host) -> Arc<Self> {
        Arc::new(Self {
            host: *host,
            millis: AtomicU64::new(0),
            day: AtomicU64::new(BEGIN),
            moved: event_listener::Event::new(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        let day = self.day.load(Ordering::SeqCst);
        Timestamp::from_millis(day + self.millis.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::SeqCst))
    }

    /// Sets the time of day back, as one does with a clock that was fast. No time passes.
    pub(crate) fn set_back(&self, by: Duration) {
        self.day.fetch_sub(by.as_millis() as u64, Ordering::SeqCst);
    }

    /// Sets the time of day ahead. No time passes.
    pub(crate) fn set_ahead(&self, by: Duration) {
        self.day.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.millis
            .fetch_add(by.as_millis() as u64, Ordering::SeqCst);
        self.moved.notify(usize::MAX);
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("millis", &self.millis)
            .finish_non_exhaustive()
    }
}

/// The time of day when a test begins, in milliseconds.
pub(crate) const BEGIN: u64 = 1_000_000;

/// Counts up, so that no value appears twice in one run of the tests.
static DRAWN: AtomicU64 = AtomicU64::new(1);

/// Virtual time; all else is the host's.
#[derive(Clone, Debug)]
struct Virtual(Arc<Clock>);

impl Runtime for Virtual {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        let due = self.elapsed().saturating_add(wait);
        Box::pin(async move {
            loop {
                let moved = clock.0.moved.listen();
                if clock.elapsed() >= due {
                    return;
                }
                moved.await;
            }
        })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        match &self.0.host {
            Host::Smol => SmolRuntime.spawn(future),
            Host::Tokio(runtime) => drop(runtime.spawn(future)),
        }
    }

    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        let host = self.0.host;
        let run = move || match host {
            Host::Smol => smol::block_on(future),
            Host::Tokio(runtime) => runtime.handle().block_on(future),
        };
        std::thread::Builder::new()
            .name(name.into())
            .spawn(run)
            .unwrap();
    }

    fn random(&self) -> [u8; 16] {
        let drawn = DRAWN.fetch_add(1, Ordering::SeqCst);
        u128::from(drawn).to_be_bytes()
    }
}

/// A runner that passes each job to the test, which controls it.
#[derive(Debug)]
pub(crate) struct Puppets {
    jobs: async_channel::Sender<Puppet>,
    released: async_channel::Sender<SessionId>,
}

/// A job that the test controls.
#[derive(Debug)]
pub(crate) struct Puppet {
    pub(crate) job: RunnerJob,
    exit: oneshot::Sender<Exit>,
}

impl Puppet {
    /// Emits a result, and waits until the engine has taken it.
    pub(crate) async fn emit(&self, content: &str) {
        let members = Map::from_iter([("content".into(), json!(content))]);
        self.job
            .reporter
            .result(encode_result(self.job.job, "said", members))
            .await
            .unwrap();
    }

    /// Ends the job. Dropping the puppet instead makes its runner panic.
    pub(crate) fn exit(self, status: i32) {
        let _ = self.exit.send(Exit {
            status,
            message: None,
            ..Exit::default()
        });
    }
}

impl Runner for Puppets {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let jobs = self.jobs.clone();
        Box::pin(async move {
            let (exit, end) = oneshot::channel();
            job.reporter.started().await.unwrap();
            jobs.send(Puppet { job, exit }).await.unwrap();
            end.await.expect("the puppet was dropped")
        })
    }

    fn release(&self, session: SessionId) -> BoxFuture<'static, ()> {
        let released = self.released.clone();
        Box::pin(async move { released.send(session).await.unwrap() })
    }
}

/// An engine and its environment.
pub(crate) struct World {
    pub(crate) host: Host,
    pub(crate) clock: Arc<Clock>,
    pub(crate) engine: Engine,
    pub(crate) puppets: async_channel::Receiver<Puppet>,
    pub(crate) released: async_channel::Receiver<SessionId>,
}

impl World {
    pub(crate) fn new(host: &Host) -> Self {
        let config = config();
        let replayed = Projection::new(config.limits);
        Self::with(host, config, Box::new(MemoryLog::new()), replayed)
    }

    pub(crate) fn with(
        host: &Host,
        config: Config,
        log: Box<dyn Log>,
        replayed: Projection,
    ) -> Self {
        let last = replayed.state().last().at.as_millis();
        Self::beginning(host, config, log, replayed, last.max(BEGIN))
    }

    /// A process that begins when the wall clock shows `day`, in milliseconds.
    pub(crate) fn beginning(
        host: &Host,
        config: Config,
        log: Box<dyn Log>,
        replayed: Projection,
        day: u64,
    ) -> Self {
        let clock = Clock::new(host);
        clock.day.store(day, Ordering::SeqCst);
        let (jobs, puppets) = async_channel::unbounded();
        let (release, released) = async_channel::unbounded();
        let runner: Arc<dyn Runner> = Arc::new(Puppets {
            jobs,
            released: release,
        });
        let services = Services::from([("puppets".into(), runner)]);
        let runtime = Arc::new(Virtual(clock.clone()));
        let engine =
            rejoin_engine::testing::start(config, runtime, log, replayed, services).unwrap();
        Self {
            host: *host,
            clock,
            engine,
            puppets,
            released,
        }
    }

    /// Creates a session with its creator as the first consumer.
    pub(crate) async fn create(&self) -> (SessionId, ConsumerId) {
        let new = NewSession {
            reads: true,
            ..NewSession::default()
        };
        let created = self.engine.create_session(new).await.unwrap();
        let (session, consumer) = (created.id(), created.consumer());
        (session, consumer.unwrap())
    }

    pub(crate) async fn submit(&self, session: SessionId, statement: &str) -> JobAck {
        self.engine
            .submit_job(NewJob::new(session, statement, FOREGROUND))
            .await
            .unwrap()
    }

    /// Runs a statement whose job the test controls.
    pub(crate) async fn run(&self, session: SessionId) -> Puppet {
        self.submit(session, "puppet").await;
        self.puppets.recv().await.unwrap()
    }

    /// Pulls, and waits for two seconds of virtual time at most.
    pub(crate) async fn pull(&self, session: SessionId, consumer: ConsumerId) -> Pulled {
        self.engine.pull(results(session, consumer)).await.unwrap()
    }

    /// Pulls until the consumer has received `count` results, and returns their contents.
    pub(crate) async fn pull_results(
        &self,
        session: SessionId,
        consumer: ConsumerId,
        count: usize,
    ) -> Vec<String> {
        let mut contents = vec![];
        while contents.len() < count {
            contents.extend(
                self.pull(session, consumer)
                    .await
                    .records
                    .iter()
                    .map(content),
            );
        }
        contents
    }

    /// Waits until a record of the session satisfies the test.
    pub(crate) async fn wait_for(
        &self,
        session: SessionId,
        found: impl Fn(&Record) -> bool,
    ) -> Arc<Record> {
        let mut after = Sequence::START;
        loop {
            let wait = Duration::from_secs(3_600);
            for record in self.engine.read(session, after, ALL, wait).await.unwrap() {
                if found(&record) {
                    return record;
                }
                after = record.sequence;
            }
        }
    }

    /// Advances the clock by `seconds`, and waits until all that is due has happened.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.settle().await;
    }

    /// Waits until the engine has answered a command, and so has checked what is due.
    pub(crate) async fn settle(&self) {
        let nobody = SessionId::from_bytes([0xee; 16]);
        for _ in 0..2 {
            let consumer = ConsumerId {
                token: [0; 16],
                ordinal: 1,
            };
            let _ = self.engine.leave_session(nobody, consumer).await;
        }
    }
}

pub(crate) fn config() -> Config {
    Config {
        session_timeout: Duration::from_secs(1_000),
        consumer_timeout: Duration::from_secs(100),
        job_timeout: Duration::from_secs(5_000),
        ..Config::default()
    }
}

pub(crate) fn results(session: SessionId, consumer: ConsumerId) -> Pull {
    Pull {
        session,
        consumer,
        wait: Duration::from_secs(2),
        limit: ALL,
        select: is_result,
        gather: None,
    }
}

pub(crate) fn is_result(record: &Record) -> bool {
    matches!(record.event, Event::ResultEmitted { .. })
}

pub(crate) fn is_finished(record: &Record) -> bool {
    matches!(record.event, Event::JobFinished { .. })
}

/// The content of a result.
pub(crate) fn content(record: &Arc<Record>) -> String {
    let Event::ResultEmitted { result, .. } = &record.event else {
        panic!("not a result: {record:?}")
    };
    let result: serde_json::Value = serde_json::from_str(result).unwrap();
    result["content"].as_str().unwrap_or_default().to_owned()
}

/// A log that waits or fails on demand.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) log: MemoryLog,
    pub(crate) gate: Arc<GateKeeper>,
}

#[derive(Debug, Default)]
pub(crate) struct GateKeeper {
    pub(crate) lock: Mutex<()>,
    pub(crate) fails: std::sync::atomic::AtomicBool,
    /// Appends that have arrived at the gate.
    pub(crate) arrived: AtomicU64,
    /// Appends that may pass the gate.
    pub(crate) appends: AtomicU64,
}

impl Log for Gate {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), rejoin_log::AppendError> {
        self.gate.arrived.fetch_add(1, Ordering::SeqCst);
        let _open = self.gate.lock.lock().unwrap();
        self.gate.appends.fetch_add(1, Ordering::SeqCst);
        if self.gate.fails.load(Ordering::SeqCst) {
            let error = Arc::new(std::io::Error::other("the disk is gone"));
            return Err(rejoin_log::AppendError::Poisoned(error));
        }
        self.log.append(records)
    }

    fn reader(&self) -> Arc<dyn rejoin_log::LogReader> {
        self.log.reader()
    }

    fn close(&mut self) -> Result<(), rejoin_log::AppendError> {
        self.log.close()
    }
}
