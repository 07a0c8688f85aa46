//! What surrounds the engine in a run: tasks, time, randomness, the disk, and the checker.

mod clock;
mod disk;
mod executor;
mod random;
mod recorder;
mod runtime;

pub(crate) use clock::Clock;
pub(crate) use disk::FaultyDisk;
pub(crate) use executor::Executor;
pub(crate) use random::Random;
pub(crate) use recorder::Recorder;
pub(crate) use runtime::SimulatedRuntime;

use crate::oracle::Checker;
use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The world of one run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) executor: Arc<Executor>,
    pub(crate) clock: Clock,
    random: Mutex<Random>,
    checker: Mutex<Checker>,
    steps: AtomicU64,
    /// The process is dead, and none of its tasks may do anything.
    is_crashed: AtomicBool,
    /// No more faults, and no new work.
    is_draining: AtomicBool,
    /// Disk operations left until the opening of the log is interrupted.
    opening: AtomicU64,
}

impl World {
    pub(crate) fn new(mut random: Random, checker: Checker, forgets: u64) -> Arc<Self> {
        Arc::new(Self {
            executor: Executor::new(random.fork(), forgets),
            clock: Clock::default(),
            random: Mutex::new(random),
            checker: Mutex::new(checker),
            steps: AtomicU64::new(0),
            is_crashed: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            opening: AtomicU64::new(u64::MAX),
        })
    }

    /// Draws random values.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.random.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The checker. The lock must not be held while the engine runs.
    pub(crate) fn checker(&self) -> MutexGuard<'_, Checker> {
        self.checker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, line: Arguments<'_>) {
        let step = self.steps();
        self.checker().trace.note(step, line);
    }

    pub(crate) fn count(&self, name: &'static str) {
        self.checker().coverage.count(name);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(crate) fn begin_draining(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process is dead or a promise was found broken.
    pub(crate) fn is_over(&self) -> bool {
        self.is_crashed() || self.checker().failure.is_some()
    }

    pub(crate) fn is_crashed(&self) -> bool {
        self.is_crashed.load(Ordering::Relaxed)
    }

    pub(crate) fn crash(&self) {
        self.is_crashed.store(true, Ordering::Relaxed);
        self.note(format_args!("crash"));
    }

    /// Prepares for a new process.
    pub(crate) fn revive(&self) {
        let crashes = !self.is_draining() && self.draw(|random| random.once_in(CRASH_IN_RECOVERY));
        let last = self.draw(|random| random.below(RECOVERY));
        self.opening
            .store(if crashes { last } else { u64::MAX }, Ordering::Relaxed);
        self.is_crashed.store(false, Ordering::Relaxed);
    }

    /// Polls a task that was woken. Returns false if there is none.
    pub(crate) fn poll(&self) -> bool {
        let Some(polled) = self.executor.poll() else {
            return false;
        };
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        let mut checker = self.checker();
        let end = if polled.ended { ", ended" } else { "" };
        checker.trace.note(
            step,
            format_args!("polled {} {}{end}", polled.name, polled.task),
        );
        if polled.is_out_of_order {
            checker.coverage.count("fault: wake-up out of order");
        }
        if let Some(panic) = polled.panic {
            checker.fail(format!("task {} panicked: {panic}", polled.name));
        }
        true
    }

    /// Runs other tasks while one is blocked in the disk. The process may die here.
    pub(crate) fn meanwhile(&self) {
        if self.is_over() {
            return;
        }
        if self.executor.live() == 0 {
            // Without tasks, the log is being opened.
            if self.opening.fetch_sub(1, Ordering::Relaxed) == 0 {
                self.count("fault: crash during recovery");
                self.crash();
            }
            return;
        }
        let polls = self.draw(|random| {
            if random.once_in(3) {
                random.below(9)
            } else {
                0
            }
        });
        let mut polled = 0;
        while polled < polls && !self.is_over() && self.poll() {
            polled += 1;
        }
        if polled > 0 {
            self.count("fault: completion delayed");
        }
        if !self.is_over() && !self.is_draining() && self.draw(|random| random.once_in(CRASH)) {
            self.count("fault: crash while the log is written or read");
            self.crash();
        }
    }

    /// Waits in simulated time.
    pub(crate) async fn pause(&self, wait: Duration) {
        self.clock.timer(wait).await;
    }
}

/// The process dies in one of this many disk operations.
const CRASH: u64 = 400;

/// One opening of the log in `CRASH_IN_RECOVERY` is interrupted within `RECOVERY` disk operations.
const CRASH_IN_RECOVERY: u64 = 4;
const RECOVERY: u64 = 40;

/// Clients pause at least this long between two requests, so that other tasks get their turn.
pub(crate) const MIN_PAUSE: Duration = Duration::from_millis(1);
