//! The part of a session to show: from and until a sequence, a point in time, or some time after the
//! session's first record.

use crate::settings::Wait;
use rejoin_core::{Moment, Record, Timestamp};
use std::str::FromStr;
use std::time::Duration;

/// A position in a session, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Sequence(u64),
    Instant(Timestamp),
    /// After the session's first record.
    After(Duration),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(sequence) = text.parse() {
            return Ok(Self::Sequence(sequence));
        }
        if let Ok(Wait(wait)) = text.parse() {
            return Ok(Self::After(wait));
        }
        let instant: Option<jiff::Timestamp> = text.parse().ok();
        let millis = instant.and_then(|instant| u64::try_from(instant.as_millisecond()).ok());
        millis
            .map(|millis| Self::Instant(Timestamp::from_millis(millis)))
            .ok_or_else(|| {
                "expected a sequence (17), a point in time (2026-01-31T12:00:00Z) or a duration \
                     (90s)"
                    .to_owned()
            })
    }
}

/// A point in time, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    Ago(Duration),
}

impl When {
    pub(crate) fn timestamp(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(ago))
            }
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(Bound::Instant(at)) => Ok(Self::At(at)),
            Ok(Bound::After(ago)) => Ok(Self::Ago(ago)),
            _ => Err("expected a point in time (2026-01-31T12:00:00Z) or how long ago (2h)".into()),
        }
    }
}

/// A part of a session, both ends included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) from: Option<Bound>,
    pub(crate) until: Option<Bound>,
}

impl Span {
    /// Whether `record` is in this part of a session whose first record is from `begin`.
    pub(crate) fn contains(&self, record: &Record, begin: Moment) -> bool {
        let is_from = |bound| match bound {
            Bound::Sequence(sequence) => record.sequence.0 >= sequence,
            Bound::Instant(instant) => record.at >= instant,
            Bound::After(wait) => record.moment().since(begin) >= wait,
        };
        let is_until = |bound| match bound {
            Bound::Sequence(sequence) => record.sequence.0 <= sequence,
            Bound::Instant(instant) => record.at <= instant,
            Bound::After(wait) => record.moment().since(begin) <= wait,
        };
        self.from.is_none_or(is_from) && self.until.is_none_or(is_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::{Event, Sequence, SessionId};

    #[test]
    fn a_bound_is_a_sequence_an_instant_or_a_time() {
        assert_eq!("17".parse(), Ok(Bound::Sequence(17)));
        assert_eq!("90s".parse(), Ok(Bound::After(Duration::from_secs(90))));
        let instant = Timestamp::from_millis(1_769_860_800_500);
        for text in ["2026-01-31T12:00:00.5Z", "2026-01-31T13:00:00.5+01:00"] {
            assert_eq!(text.parse(), Ok(Bound::Instant(instant)));
        }
        for wrong in ["", "-1", "soon", "2026-01-31", "1969-12-31T00:00:00Z"] {
            let error = wrong.parse::<Bound>().unwrap_err();
            assert!(error.contains("expected a sequence"), "{error}");
        }
    }

    #[test]
    fn a_point_in_time_is_an_instant_or_some_time_ago() {
        let now = Timestamp::from_millis(1_769_860_800_000);
        for (text, expected) in [
            ("2026-01-31T12:00:00.5Z", 1_769_860_800_500),
            ("90s", 1_769_860_710_000),
            ("100000d", 0),
        ] {
            let when: When = text.parse().unwrap();
            assert_eq!(when.timestamp(now).as_millis(), expected, "{text}");
        }
        for wrong in ["17", "", "yesterday"] {
            let error = wrong.parse::<When>().unwrap_err();
            assert!(error.contains("how long ago (2h)"), "{error}");
        }
    }

    #[test]
    fn a_span_contains_both_of_its_ends() {
        let held = |from: Option<&str>, until: Option<&str>| -> Vec<u64> {
            let parse = |bound: &str| bound.parse().unwrap();
            let span = Span {
                from: from.map(parse),
                until: until.map(parse),
            };
            let record = |sequence: u64| Record {
                session: SessionId::from_bytes([1; 16]),
                sequence: Sequence(sequence),
                at: Timestamp::from_millis(sequence * 1_000),
                clock: Timestamp::from_millis(sequence * 1_000).into(),
                actor: None,
                redacted: None,
                event: Event::SessionResumed,
            };
            let begin = Timestamp::from_millis(1_000).into();
            (1..=5)
                .filter(|sequence| span.contains(&record(*sequence), begin))
                .collect()
        };
        assert_eq!(held(None, None), [1, 2, 3, 4, 5]);
        assert_eq!(held(Some("2"), Some("4")), [2, 3, 4]);
        assert_eq!(held(Some("3s"), None), [4, 5]);
        assert_eq!(held(None, Some("1970-01-01T00:00:02Z")), [1, 2]);
        assert_eq!(held(Some("4"), Some("1s")), [0; 0]);
    }
}
