//! The log's clock, which timeouts are measured on, and the wall's time beside it.
//!
//! The runtime's stopwatch drives the log's clock: setting the wall clock does not change it.

use crate::{Runtime, limits};
use rejoin_core::{Instant, Moment, Numbering, SessionId, Timestamp};
use rejoin_log::{ClockAnchor, Log};
use std::sync::Arc;
use std::time::Duration;

/// What the clocks of an engine's logs show at one moment: see [`Engine::clocks`](crate::Engine::clocks).
#[derive(Clone, Debug)]
pub struct LogClocks {
    numbering: Numbering,
    at: Timestamp,
    /// By the numbers of the logs.
    logs: Arc<[Instant]>,
}

impl LogClocks {
    pub(crate) fn new(numbering: Numbering, at: Timestamp, logs: Arc<[Instant]>) -> Self {
        Self {
            numbering,
            at,
            logs,
        }
    }

    /// The moment, on the clock of the log that a session is in.
    pub fn now(&self, session: SessionId) -> Moment {
        let log = self.logs.get(usize::from(self.numbering.log_of(session)));
        Moment {
            at: self.at,
            clock: log.copied().unwrap_or(Instant::FIRST),
        }
    }
}

/// Those of an engine with one log.
impl From<Moment> for LogClocks {
    fn from(now: Moment) -> Self {
        Self::new(Numbering::ALONE, now.at, [now.clock].into())
    }
}

/// The log's clock in this process. It only runs forward.
#[derive(Debug)]
pub(crate) struct Clock {
    runtime: Arc<dyn Runtime>,
    /// What it showed when the stopwatch showed `started`.
    began: Instant,
    started: Duration,
    /// Whether the stopwatch has run since the log was last used.
    is_continued: bool,
}

impl Clock {
    /// Continues the clock of a log whose last record was decided at `last`. The clock of a new log
    /// begins at the wall's time.
    ///
    /// If the stopwatch has run since the log was last used, the clock has, too. Otherwise it
    /// is unknown how much time has passed, and the clock goes on from the last record: a wall clock
    /// that is wrong when the machine starts would remove sessions too early.
    pub(crate) fn resume(runtime: Arc<dyn Runtime>, log: &mut dyn Log, last: Moment) -> Self {
        let started = runtime.elapsed();
        let boot = runtime.boot();
        let kept = boot.and_then(|boot| log.clock_anchor().filter(|kept| kept.boot == boot));
        let began = match kept {
            Some(kept) => kept.clock + started.saturating_sub(kept.elapsed),
            None if last == Moment::default() => runtime.now().into(),
            None => last.clock,
        };
        let clock = Self {
            runtime,
            began: began.max(last.clock),
            started,
            is_continued: kept.is_some(),
        };
        if let (None, Some(boot)) = (kept, boot) {
            clock.keep(log, boot);
        }
        clock
    }

    /// A clock of its own, which begins at the wall's time.
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self {
            began: runtime.now().into(),
            started: runtime.elapsed(),
            is_continued: false,
            runtime,
        }
    }

    /// Leaves it for the next process. Without that, timeouts don't count the time in between.
    fn keep(&self, log: &mut dyn Log, boot: [u8; 16]) {
        let anchor = ClockAnchor {
            boot,
            elapsed: self.started,
            clock: self.began,
        };
        if let Err(error) = log.keep_clock_anchor(&anchor) {
            tracing::warn!(%error, "the log's clock could not be saved: it will not count the time until the next start");
        }
    }

    /// What the clock shows.
    pub(crate) fn instant(&self) -> Instant {
        let passed = self.runtime.elapsed().saturating_sub(self.started);
        self.began + Duration::from_millis(millis(passed))
    }

    /// Both clocks. For records there is [`WallClock`].
    pub(crate) fn now(&self) -> Moment {
        Moment {
            at: self.runtime.now(),
            clock: self.instant(),
        }
    }
}

/// The wall's time, as far ahead of the log's clock as when it was last set.
///
/// Reading both clocks takes time, and both are rounded, so that their distance is never twice the
/// same. It counts as changed only if no time between the two readings explains it.
#[derive(Debug)]
pub(crate) struct WallClock {
    clock: Arc<Clock>,
    /// By how many milliseconds it is ahead of the log's clock.
    ahead: i64,
}

impl WallClock {
    /// `last` is the moment of the log's last record. If it is known how much time has passed since
    /// then, [`Self::read`] finds that the wall clock was set in between, and in any case if it is
    /// behind.
    pub(crate) fn new(clock: Arc<Clock>, last: Moment) -> Self {
        let wall = clock.runtime.now();
        let is_comparable = clock.is_continued || wall < last.at;
        let ahead = match is_comparable && last != Moment::default() {
            true => distance(last.at, last.clock),
            false => distance(wall, clock.instant()),
        };
        let is_rounding = ahead.abs() <= TOLERANCE;
        let ahead = if is_rounding { 0 } else { ahead };
        Self { clock, ahead }
    }

    /// Both clocks, and by how many milliseconds the wall clock has jumped since the last call, if it
    /// has.
    pub(crate) fn read(&mut self) -> (Moment, Option<i64>) {
        let before = self.clock.instant();
        let wall = self.clock.runtime.now();
        let clock = self.clock.instant();
        let (most, least) = (distance(wall, before), distance(wall, clock));
        let is_same = self.ahead >= least.saturating_sub(TOLERANCE)
            && self.ahead <= most.saturating_add(TOLERANCE);
        let jump = match is_same {
            true => 0,
            false => least.saturating_sub(self.ahead),
        };
        self.ahead = self.ahead.saturating_add(jump);
        let at = clock.as_millis().saturating_add_signed(self.ahead);
        let moment = Moment {
            at: Timestamp::from_millis(at),
            clock,
        };
        let is_jump = jump.unsigned_abs() >= millis(limits::CLOCK_JUMP);
        (moment, is_jump.then_some(jump))
    }
}

fn distance(wall: Timestamp, clock: Instant) -> i64 {
    wall.as_millis()
        .wrapping_sub(clock.as_millis())
        .cast_signed()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A difference in milliseconds that rounding and small corrections explain.
const TOLERANCE: i64 = 20;
