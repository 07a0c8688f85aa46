//! For tests of programs that use the engine: an engine on a log in memory, jobs that run until they
//! are interrupted, and a clock that tests advance.

use crate::committed::lock;
use crate::peers::{PeerAnswer, PeerError, PeerRequest, Peers};
use crate::{
    Config, Engine, Exit, HomeLog, LogId, Numbering, OpenError, Projection, Runner, RunnerJob,
    Runtime, Services, SmolRuntime,
};
use futures::channel::oneshot;
use futures::future::BoxFuture;
use rejoin_core::{Record, Timestamp};
use rejoin_log::{Log, MemoryLog};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// An engine on a log in memory that has these records at the start.
///
/// ```
/// use rejoin_engine::testing::{Hold, in_memory};
/// use rejoin_engine::{Config, NewSession, SmolRuntime};
/// use std::sync::Arc;
///
/// let services = Hold::services(["shell"]);
/// let engine = in_memory(Config::default(), Arc::new(SmolRuntime), services, &[]);
/// let created = smol::block_on(engine.create_session(NewSession::default()))?;
/// assert!(created.view().is_some());
/// # Ok::<_, rejoin_engine::CommandError>(())
/// ```
///
/// # Panics
///
/// When these are not the records of a log.
#[expect(clippy::expect_used, reason = "documented to panic")]
#[must_use]
pub fn in_memory(
    config: Config,
    runtime: Arc<dyn Runtime>,
    services: Services,
    records: &[Record],
) -> Engine {
    let mut log = MemoryLog::new();
    let mut replayed = Projection::new(config.limits);
    for record in records {
        replayed.add(record).expect("records of a log");
        log.append(&[Arc::new(record.clone())])
            .expect("memory takes all records");
    }
    start(config, runtime, Box::new(log), replayed, services).expect("an engine starts")
}

/// Starts an engine on a log that the caller has replayed, on the caller's thread: for simulators
/// and models with their own runtimes. Programs use [`Engine::builder`].
///
/// # Errors
///
/// As [`EngineBuilder::open`](crate::EngineBuilder::open).
pub fn start(
    config: Config,
    runtime: Arc<dyn Runtime>,
    log: Box<dyn Log>,
    projection: Projection,
    services: Services,
) -> Result<Engine, OpenError> {
    Engine::start(config, runtime, log, projection, services, None)
}

/// An engine that is one of several nodes and is cut off from the others: it follows log 1, of which it
/// has no record, and the node that writes that log does not answer.
///
/// ```
/// use rejoin_engine::testing::{Hold, cut_off_node};
/// use rejoin_engine::{Numbering, PullError, ReadLimit, Sequence, SessionId, Unavailable};
/// use std::time::Duration;
///
/// let engine = cut_off_node(Hold::services(["shell"]));
/// let there = Numbering::new(1, 16).ok_or("not a power of two")?;
/// let session = there.session(SessionId::from_random([7; 16]));
/// let read = engine.read(session, Sequence::START, ReadLimit::NONE, Duration::ZERO);
/// // It may be there.
/// let Err(PullError::Unavailable(why)) = smol::block_on(read) else { panic!() };
/// assert!(matches!(why, Unavailable::Unanswered));
/// # Ok::<_, &str>(())
/// ```
///
/// # Panics
///
/// When the engine can't be opened.
#[expect(clippy::expect_used, reason = "documented to panic")]
#[must_use]
pub fn cut_off_node(services: Services) -> Engine {
    let config = Config {
        numbering: Numbering::new(0, 16).expect("16 is a power of two"),
        ..Config::default()
    };
    let projection = || Projection::new(config.limits);
    let home = HomeLog {
        id: LogId::from_bytes([0; 16]),
        projection: projection(),
        position: 0,
        reader: MemoryLog::new().reader(),
    };
    let mut builder = Engine::node(home, Arc::new(NoAnswer)).config(config.clone());
    for (name, runner) in services {
        builder = builder.shared_service(name, runner);
    }
    let engine = smol::block_on(builder.open()).expect("an engine starts");
    let reader = MemoryLog::new().reader();
    let followed = engine.follow(1, projection(), reader, 0);
    followed.expect("there is a log 1");
    engine
}

#[derive(Debug)]
struct NoAnswer;

impl Peers for NoAnswer {
    fn ask(&self, _: u8, _: PeerRequest) -> BoxFuture<'static, Result<PeerAnswer, PeerError>> {
        Box::pin(async { Err(PeerError::Unanswered) })
    }
}

/// A runner whose jobs run until they are interrupted. The statement `true` ends at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hold;

impl Hold {
    /// Services with these names, all with this runner.
    #[must_use]
    pub fn services<const N: usize>(names: [&str; N]) -> Services {
        Services::from(names.map(|name| (name.into(), Arc::new(Self) as Arc<dyn Runner>)))
    }
}

impl Runner for Hold {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        Box::pin(async move {
            // An error means that the engine has ended.
            let _ = job.reporter.started().await;
            if &*job.statement != "true" {
                let _ = job.interrupts.next().await;
            }
            Exit::default()
        })
    }
}

/// A clock that tests advance, and a runtime with it. All but time is smol's.
///
/// ```
/// use rejoin_engine::testing::{Clock, Hold, in_memory};
/// use rejoin_engine::{Config, NewSession};
/// use std::sync::Arc;
///
/// let clock = Clock::default();
/// let config = Config::default();
/// let services = Hold::services(["shell"]);
/// let engine = in_memory(config.clone(), Arc::new(clock.clone()), services, &[]);
/// let created = smol::block_on(engine.create_session(NewSession::default()))?;
///
/// // Let hours pass in which the session is not used.
/// while created.view().is_some_and(|view| view.closed.is_none()) {
///     clock.advance(config.session_timeout);
/// }
/// # Ok::<_, rejoin_engine::CommandError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<(Mutex<Ticks>, Condvar)>);

#[derive(Debug, Default)]
struct Ticks {
    millis: u64,
    /// The time of day minus `millis`, if it was set.
    set: Option<u64>,
    timers: Vec<(u64, Duration, oneshot::Sender<()>)>,
}

impl Clock {
    /// Advances the clock, and wakes the timers that are due.
    pub fn advance(&self, by: Duration) {
        let mut ticks = lock(&self.0.0);
        ticks.millis = ticks.millis.saturating_add(millis(by));
        let now = ticks.millis;
        for (_, _, timer) in ticks.timers.extract_if(.., |(due, _, _)| *due <= now) {
            // The timer may have been dropped.
            let _ = timer.send(());
        }
    }

    /// Sets the time of day, as people and time servers do. No time passes.
    pub fn set(&self, to: Timestamp) {
        let mut ticks = lock(&self.0.0);
        ticks.set = Some(to.as_millis().wrapping_sub(ticks.millis));
    }

    /// Blocks until there is a timer of this length.
    ///
    /// # Panics
    ///
    /// When there is none within ten seconds of real time.
    pub fn wait_for_timer(&self, wait: Duration) {
        let (ticks, changed) = &*self.0;
        let is_missing = |ticks: &mut Ticks| {
            let mut timers = ticks.timers.iter();
            !timers.any(|(_, length, timer)| *length == wait && !timer.is_canceled())
        };
        let waited = changed
            .wait_timeout_while(lock(ticks), PATIENCE, is_missing)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.1.timed_out(), "there is no timer of {wait:?}");
    }
}

impl Runtime for Clock {
    fn now(&self) -> Timestamp {
        let ticks = lock(&self.0.0);
        Timestamp::from_millis(ticks.set.unwrap_or(BEGIN).wrapping_add(ticks.millis))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(lock(&self.0.0).millis)
    }

    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        if wait.is_zero() {
            return Box::pin(async {});
        }
        let (timer, due) = oneshot::channel();
        let mut ticks = lock(&self.0.0);
        ticks.timers.retain(|(_, _, timer)| !timer.is_canceled());
        let at = ticks.millis.saturating_add(millis(wait));
        ticks.timers.push((at, wait, timer));
        self.0.1.notify_all();
        Box::pin(async {
            let _ = due.await;
        })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        SmolRuntime.spawn(future);
    }

    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        SmolRuntime.spawn_dedicated(name, future);
    }

    fn random(&self) -> [u8; 16] {
        SmolRuntime.random()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Any time of day.
const BEGIN: u64 = 1_700_000_000_000;

/// Far longer than it takes until a timer begins.
const PATIENCE: Duration = Duration::from_secs(10);
