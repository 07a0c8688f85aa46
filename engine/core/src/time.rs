//! Time as values. The core reads no clock: moments are passed in.
//!
//! There are two clocks. People are shown the **wall's time** ([`Timestamp`]), which is set forward and
//! back while the machine runs. Timeouts are measured on the **log's clock** ([`Instant`]), which only
//! runs forward, as fast as time passes. A [`Moment`] is both at once.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// What both clocks can do with their milliseconds.
macro_rules! milliseconds {
    ($time:ident) => {
        /// Saturates. Rounds up to whole milliseconds, so that a deadline is never early.
        impl Add<Duration> for $time {
            type Output = Self;

            fn add(self, wait: Duration) -> Self {
                let whole = wait.as_secs().saturating_mul(1_000);
                let millis = whole.saturating_add(wait.subsec_nanos().div_ceil(1_000_000).into());
                Self(self.0.saturating_add(millis))
            }
        }

        impl fmt::Debug for $time {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}ms", self.0)
            }
        }
    };
}

/// The wall's time: milliseconds since the Unix epoch, UTC.
///
/// ```
/// use core::time::Duration;
/// use rejoin_core::Timestamp;
///
/// let start = Timestamp::from_millis(1_000);
/// assert_eq!(start + Duration::from_secs(2), Timestamp::from_millis(3_000));
/// assert_eq!(Timestamp::from_millis(3_000).since(start), Duration::from_secs(2));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);

    /// The instant `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if that is not earlier. How long something took, measure with
    /// [`Moment::since`] or [`Instant::since`]: this clock may have been set in between.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

milliseconds!(Timestamp);

/// An instant of the log's clock, in milliseconds. Only differences have a meaning.
///
/// The clock begins at the wall's time of the log's first record. From then on it runs as a stopwatch
/// does, in one process after the other, and it can't be set.
///
/// ```
/// use core::time::Duration;
/// use rejoin_core::Instant;
///
/// let start = Instant::from_millis(1_000);
/// assert_eq!((start + Duration::from_secs(2)).since(start), Duration::from_secs(2));
/// assert_eq!(start.since(start + Duration::from_secs(2)), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// Before everything else.
    pub const FIRST: Self = Self(0);

    /// The instant at which the clock shows `millis`.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// What the clock shows, in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if that is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

milliseconds!(Instant);

/// What the log's clock shows at a time of a wall clock that was never set.
impl From<Timestamp> for Instant {
    fn from(at: Timestamp) -> Self {
        Self(at.0)
    }
}

/// A moment on both clocks.
///
/// ```
/// use core::time::Duration;
/// use rejoin_core::{Instant, Moment, Timestamp};
///
/// // The wall clock was set two days ahead in a second that passed.
/// let begin = Moment::from(Timestamp::from_millis(1_000));
/// let end = Moment {
///     at: begin.at + Duration::from_secs(2 * 24 * 60 * 60),
///     clock: Instant::from_millis(2_000),
/// };
/// assert_eq!(end.since(begin), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Moment {
    /// The wall's time.
    pub at: Timestamp,
    /// What the log's clock shows.
    pub clock: Instant,
}

impl Moment {
    /// How much time has passed since `earlier`, however the wall clock was set; zero if that is not
    /// earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        self.clock.since(earlier.clock)
    }

    /// The later reading of each clock: neither runs back in a log.
    #[must_use]
    pub fn not_before(self, last: Self) -> Self {
        Self {
            at: self.at.max(last.at),
            clock: self.clock.max(last.clock),
        }
    }

    /// The wall's time at another instant, if the wall clock was not set in between.
    pub const fn wall_at(self, clock: Instant) -> Timestamp {
        let ahead = clock.0.saturating_sub(self.clock.0);
        let back = self.clock.0.saturating_sub(clock.0);
        Timestamp(self.at.0.saturating_add(ahead).saturating_sub(back))
    }
}

/// A moment of a wall clock that was never set.
impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        let clock = at.into();
        Self { at, clock }
    }
}

impl From<Moment> for Instant {
    fn from(moment: Moment) -> Self {
        moment.clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_millisecond_is_never_early() {
        let due = Instant::from_millis(5) + Duration::from_nanos(1);
        assert_eq!(due, Instant::from_millis(6));
        let due = Timestamp::from_millis(5) + Duration::from_nanos(1);
        assert_eq!(due, Timestamp::from_millis(6));
    }

    #[test]
    fn the_end_of_time_is_reached_and_not_passed() {
        let due = Instant::from_millis(u64::MAX - 1) + Duration::MAX;
        assert_eq!(due.as_millis(), u64::MAX);
    }

    #[test]
    fn the_wall_time_of_another_instant_is_as_far_away_as_that() {
        let moment = Moment {
            at: Timestamp::from_millis(5_000),
            clock: Instant::from_millis(2_000),
        };
        let wall = |clock| moment.wall_at(Instant::from_millis(clock)).as_millis();
        assert_eq!([wall(0), wall(2_000), wall(2_500)], [3_000, 5_000, 5_500]);
        assert_eq!(wall(u64::MAX), u64::MAX);
    }
}
