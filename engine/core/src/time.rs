//! Time as a value. The core reads no clock: instants are passed in.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// Milliseconds since the Unix epoch, UTC.
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

    /// The time since `earlier`; zero if that is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Saturates. Rounds up to whole milliseconds, so that a deadline is never early.
impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        let whole = wait.as_secs().saturating_mul(1_000);
        let millis = whole.saturating_add(wait.subsec_nanos().div_ceil(1_000_000).into());
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_millisecond_is_never_early() {
        let due = Timestamp::from_millis(5) + Duration::from_nanos(1);
        assert_eq!(due, Timestamp::from_millis(6));
    }

    #[test]
    fn the_end_of_time_is_reached_and_not_passed() {
        let due = Timestamp::from_millis(u64::MAX - 1) + Duration::MAX;
        assert_eq!(due.as_millis(), u64::MAX);
    }
}
