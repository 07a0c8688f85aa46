//! Playback speed, and the pauses between records.

use rejoin_core::Instant;
use std::str::FromStr;
use std::time::Duration;

/// A factor of the original speed; none: no pauses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speed(Option<f64>);

impl Speed {
    pub(crate) const RECORDED: Self = Self(Some(1.0));
    pub(crate) const MAX: Self = Self(None);
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::MAX);
        }
        match text.parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Self(Some(times))),
            _ => Err("expected a number above 0, or `max`".to_owned()),
        }
    }
}

/// The pauses of one replay.
#[derive(Debug)]
pub(super) struct Playback {
    speed: Speed,
    /// Pauses are cut to this, before the speed is applied.
    idle_limit: Option<Duration>,
    last: Option<Instant>,
}

impl Playback {
    pub(super) fn new(speed: Speed, idle_limit: Option<Duration>) -> Self {
        Self {
            speed,
            idle_limit,
            last: None,
        }
    }

    /// Whether it waits at all.
    pub(super) fn waits(&self) -> bool {
        self.speed.0.is_some()
    }

    /// How long to wait before showing a record that was decided at `at`.
    pub(super) fn pause_before(&mut self, at: Instant) -> Duration {
        let Some(last) = self.last.replace(at) else {
            return Duration::ZERO;
        };
        let passed = at.since(last);
        let passed = self.idle_limit.map_or(passed, |limit| passed.min(limit));
        let Speed(Some(times)) = self.speed else {
            return Duration::ZERO;
        };
        Duration::try_from_secs_f64(passed.as_secs_f64() / times).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(speed: &str, idle_limit: Option<u64>) -> Vec<u128> {
        let idle_limit = idle_limit.map(Duration::from_millis);
        let mut playback = Playback::new(speed.parse().unwrap(), idle_limit);
        [5_000, 5_100, 5_100, 65_100]
            .map(|at| playback.pause_before(Instant::from_millis(at)).as_millis())
            .to_vec()
    }

    #[test]
    fn pauses_follow_the_speed_and_the_limit() {
        assert_eq!(pauses("1", None), [0, 100, 0, 60_000]);
        assert_eq!(pauses("4", None), [0, 25, 0, 15_000]);
        assert_eq!(pauses("0.5", None), [0, 200, 0, 120_000]);
        assert_eq!(pauses("4", Some(2_000)), [0, 25, 0, 500]);
        assert_eq!(pauses("max", None), [0; 4]);
        assert_eq!(pauses("1e-300", None)[3], Duration::MAX.as_millis());
    }

    #[test]
    fn a_speed_is_a_number_above_zero_or_max() {
        for wrong in ["0", "-1", "inf", "NaN", "fast", ""] {
            let error = wrong.parse::<Speed>().unwrap_err();
            assert!(error.contains("above 0"), "{error}");
        }
    }
}
