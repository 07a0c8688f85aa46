//! Slows down repeated failed logins. Pure: the time is an argument.
//!
//! The first few failures cost nothing. Each further one of the same account from the same address
//! doubles the wait before the next attempt; until then, attempts are refused without a check. The
//! memory is bounded: when it is full, the oldest failure is forgotten.

use crate::limits::{FAILING, FIRST_PAUSE, FORGIVEN, FREE_FAILURES, LONGEST_PAUSE};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Identifies failures: the code of an account's name, and an address.
pub(crate) type Key = ([u8; 32], IpAddr);

#[derive(Debug, Default)]
pub(crate) struct Failures {
    of: BTreeMap<Key, Failed>,
    /// The same, ordered by time, to forget the oldest.
    by_age: BTreeMap<(Duration, Key), ()>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last: Duration,
}

impl Failures {
    /// The remaining wait; none if another attempt is allowed.
    pub(crate) fn wait(&self, key: &Key, now: Duration) -> Option<Duration> {
        let failed = self.of.get(key)?;
        let until = failed.last.saturating_add(pause(failed.times));
        until.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// Records a failure.
    pub(crate) fn note(&mut self, key: Key, now: Duration) {
        let before = self.forget(&key);
        let times = before
            .filter(|failed| now.saturating_sub(failed.last) < FORGIVEN)
            .map_or(0, |failed| failed.times);
        if self.of.len() >= FAILING
            && let Some(((_, oldest), ())) = self.by_age.pop_first()
        {
            self.of.remove(&oldest);
        }
        let failed = Failed {
            times: times.saturating_add(1),
            last: now,
        };
        self.of.insert(key, failed);
        self.by_age.insert((now, key), ());
    }

    /// Records a success, which forgets the failures.
    pub(crate) fn forgive(&mut self, key: &Key) {
        self.forget(key);
    }

    fn forget(&mut self, key: &Key) -> Option<Failed> {
        let failed = self.of.remove(key)?;
        self.by_age.remove(&(failed.last, *key));
        Some(failed)
    }
}

/// The part of an address that a client can't change at will: of IPv6, the network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

fn pause(times: u32) -> Duration {
    let Some(doublings) = times.checked_sub(FREE_FAILURES) else {
        return Duration::ZERO;
    };
    let factor = 2u32.checked_pow(doublings).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let mut name = [0; 32];
        name[..4].copy_from_slice(&number.to_le_bytes());
        (name, IpAddr::from([127, 0, 0, 1]))
    }

    #[test]
    fn each_failure_after_the_free_ones_costs_twice_as_much() {
        let mut failures = Failures::default();
        let mut now = Duration::from_secs(100);
        let mut waits = Vec::new();
        for _ in 0..13 {
            failures.note(key(1), now);
            let wait = failures.wait(&key(1), now).unwrap_or_default();
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(failures.wait(&key(1), now), None, "it has waited");
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(failures.wait(&key(2), now), None, "others wait for nothing");
        failures.note(key(1), now + FORGIVEN);
        assert_eq!(failures.wait(&key(1), now + FORGIVEN), None);
    }

    #[test]
    fn success_forgives() {
        let mut failures = Failures::default();
        for _ in 0..9 {
            failures.note(key(1), Duration::ZERO);
        }
        failures.forgive(&key(1));
        assert_eq!(failures.wait(&key(1), Duration::ZERO), None);
        assert!(failures.by_age.is_empty());
    }

    #[test]
    fn no_more_is_remembered_than_the_bound() {
        let mut failures = Failures::default();
        for number in 0..12_000 {
            failures.note(key(number), Duration::from_millis(number.into()));
        }
        assert_eq!(
            (failures.of.len(), failures.by_age.len()),
            (FAILING, FAILING)
        );
        assert!(!failures.of.contains_key(&key(1)) && failures.of.contains_key(&key(11_999)));
    }

    #[test]
    fn one_network_of_ipv6_is_one_client() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::2:3"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:127.0.0.1"), of("127.0.0.1"));
    }
}
