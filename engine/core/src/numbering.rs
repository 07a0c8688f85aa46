//! Numbers and identities that say to which of several logs they belong.

use crate::SessionId;

/// Which numbers and identities a log gives, so that those of several logs are never the same and each
/// says its log without being looked up.
///
/// The sessions and jobs of log `log` of `logs` have numbers that leave the remainder `log` when divided by
/// `logs`. The last bits of a session's identity are the log's number.
///
/// It is configuration, and not part of a snapshot: a replay accepts all numbers that grow.
///
/// ```
/// use rejoin_core::{Numbering, SessionId};
///
/// let numbering = Numbering::new(3, 16).ok_or("not a power of two")?;
/// assert_eq!(numbering.after(0), 3);
/// assert_eq!(numbering.after(3), 19);
/// let session = numbering.session(SessionId::from_random([0xff; 16]));
/// assert_eq!(session.to_string(), "ffffffff-ffff-4fff-bfff-fffffffffff3");
/// assert_eq!(numbering.log_of(session), 3);
/// assert_eq!(numbering.log_of_number(19), 3);
///
/// // A log alone counts 1, 2, 3 …, and its identities are all random.
/// assert_eq!(Numbering::ALONE.after(0), 1);
/// # Ok::<_, &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    log: u8,
    /// A power of two.
    logs: u8,
}

impl Numbering {
    /// Of a log that shares its numbers with no other.
    pub const ALONE: Self = Self { log: 0, logs: 1 };

    /// The most logs that can share numbers.
    pub const LOGS: u8 = 64;

    /// Of log `log`, counted from 0, among `logs`. None if `logs` is not a power of two up to
    /// [`LOGS`](Self::LOGS), or `log` is not one of them.
    pub const fn new(log: u8, logs: u8) -> Option<Self> {
        if logs.is_power_of_two() && logs <= Self::LOGS && log < logs {
            Some(Self { log, logs })
        } else {
            None
        }
    }

    /// The log's number.
    pub const fn log(self) -> u8 {
        self.log
    }

    /// How many logs share the numbers.
    pub const fn logs(self) -> u8 {
        self.logs
    }

    /// The first number of this log that is greater than `last`; saturates.
    pub const fn after(self, last: u64) -> u64 {
        let (log, logs) = (self.log as u64, self.logs as u64);
        let next = last.saturating_add(1);
        let below = next % logs;
        let missing = (log + logs - below) % logs;
        next.saturating_add(missing)
    }

    /// The log that gave a session or a job this number.
    pub const fn log_of_number(self, number: u64) -> u8 {
        (number % self.logs as u64) as u8
    }

    /// A session of this log, with the other bits of `random`.
    pub const fn session(self, random: SessionId) -> SessionId {
        let mut bytes = random.to_bytes();
        bytes[15] = bytes[15] & !(self.logs - 1) | self.log;
        SessionId::from_bytes(bytes)
    }

    /// The log of a session.
    pub const fn log_of(self, session: SessionId) -> u8 {
        session.to_bytes()[15] & (self.logs - 1)
    }
}

impl Default for Numbering {
    fn default() -> Self {
        Self::ALONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_several_logs_are_never_the_same_and_miss_none() {
        for logs in [1, 2, 16, 64] {
            let mut seen = alloc::collections::BTreeSet::new();
            for log in 0..logs {
                let numbering = Numbering::new(log, logs).unwrap();
                let mut last = 0;
                for _ in 0..10 {
                    let next = numbering.after(last);
                    assert!(next > last);
                    assert_eq!(numbering.log_of_number(next), log);
                    assert!(seen.insert(next), "{next} twice");
                    last = next;
                }
            }
            assert!(seen.into_iter().eq(1..=10 * u64::from(logs)));
        }
    }

    #[test]
    fn numbers_of_another_log_or_of_none_are_passed_over() {
        let third = Numbering::new(3, 16).unwrap();
        assert_eq!(third.after(2), 3);
        assert_eq!(third.after(4), 19);
        assert_eq!(third.after(18), 19);
        assert_eq!(third.after(u64::MAX), u64::MAX);
    }

    #[test]
    fn logs_are_a_power_of_two_and_a_log_is_one_of_them() {
        for (log, logs) in [(0, 0), (1, 1), (16, 16), (0, 3), (0, 128)] {
            assert_eq!(Numbering::new(log, logs), None, "{log} of {logs}");
        }
        assert_eq!(Numbering::new(0, 1), Some(Numbering::ALONE));
        assert!(Numbering::new(63, 64).is_some());
    }

    #[test]
    fn an_identity_says_its_log_and_keeps_its_other_bits() {
        let random = SessionId::from_random([0xa5; 16]);
        assert_eq!(Numbering::ALONE.session(random), random);
        assert_eq!(Numbering::ALONE.log_of(random), 0);
        let numbering = Numbering::new(9, 16).unwrap();
        let session = numbering.session(random);
        assert_eq!(numbering.log_of(session), 9);
        assert_eq!(session.to_bytes()[..15], random.to_bytes()[..15]);
        assert_eq!(session.to_bytes()[15], 0xa9);
    }
}
