//! The two clocks of a test: one that only runs forward, and one that is set.

use crate::{Moment, Timestamp};
use core::time::Duration;

/// The log's clock and the wall clock of a story.
///
/// ```
/// use core::time::Duration;
/// use rejoin_core::testing::Clocks;
///
/// let mut clocks = Clocks::default();
/// let begin = clocks.now();
/// let set = clocks.turn(-400);
/// assert_eq!(set.since(begin), Duration::ZERO);
/// assert_eq!(set.at.since(begin.at), Duration::from_secs(2 * 24 * 60 * 60));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Clocks(Moment);

/// Both show the hundredth day after the epoch.
impl Default for Clocks {
    fn default() -> Self {
        Self(Moment::from(Timestamp::EPOCH + 100 * DAY))
    }
}

impl Clocks {
    /// What they show.
    pub fn now(&self) -> Moment {
        self.0
    }

    /// Lets `by` milliseconds pass. Nothing passes if that is negative: then the wall clock is set, by
    /// as many days as it has fifths of a second, forward if that is even and otherwise back.
    pub fn turn(&mut self, by: i64) -> Moment {
        let moved = by.unsigned_abs();
        if by >= 0 {
            let passed = Duration::from_millis(moved);
            self.0.at = self.0.at + passed;
            self.0.clock = self.0.clock + passed;
        } else if let days = moved / 200
            && days % 2 == 0
        {
            self.set(days, u64::saturating_add);
        } else {
            self.set(moved / 200, u64::saturating_sub);
        }
        self.0
    }

    fn set(&mut self, days: u64, change: fn(u64, u64) -> u64) {
        let by = days.saturating_mul(MILLIS_OF_DAY);
        self.0.at = Timestamp::from_millis(change(self.0.at.as_millis(), by));
    }
}

const DAY: Duration = Duration::from_millis(MILLIS_OF_DAY);

const MILLIS_OF_DAY: u64 = 24 * 60 * 60 * 1_000;
