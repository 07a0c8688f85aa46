//! JSON and dates as this API writes them.

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;
use rejoin_core::Timestamp;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// How bodies are written: keys sorted either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Indented by four.
    Pretty,
    /// Without a blank.
    Compact,
}

impl Form {
    pub(crate) fn of(is_pretty: bool) -> Self {
        if is_pretty {
            Self::Pretty
        } else {
            Self::Compact
        }
    }

    /// Appends a value that stands `depth` levels deep.
    pub(crate) fn write(self, out: &mut Vec<u8>, value: &Value, depth: usize) {
        if self == Self::Compact {
            out.extend_from_slice(value.to_string().as_bytes());
            return;
        }
        let mut text = Vec::new();
        let formatter = PrettyFormatter::with_indent(INDENT.as_bytes());
        let written = value.serialize(&mut Serializer::with_formatter(&mut text, formatter));
        debug_assert!(written.is_ok(), "memory takes everything");
        for byte in text {
            out.push(byte);
            // Within a text a line's end is written as two characters.
            if byte == b'\n' {
                (0..depth).for_each(|_| out.extend_from_slice(INDENT.as_bytes()));
            }
        }
    }

    /// Appends the end of a line, and what the next one begins with.
    pub(crate) fn line(self, out: &mut Vec<u8>, depth: usize) {
        if self == Self::Pretty {
            out.push(b'\n');
            (0..depth).for_each(|_| out.extend_from_slice(INDENT.as_bytes()));
        }
    }

    /// Appends a member's name.
    pub(crate) fn name(self, out: &mut Vec<u8>, name: &str) {
        out.extend_from_slice(format!("\"{name}\":").as_bytes());
        if self == Self::Pretty {
            out.push(b' ');
        }
    }
}

/// `Mon Jul 17 11:10:39 2017`, UTC.
pub(crate) fn connected(at: Timestamp) -> String {
    let zoned = instant(at).to_zoned(TimeZone::UTC);
    zoned.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// `2017-07-17T11:10:39.250`, in the zone and without naming it.
pub(crate) fn received(at: Timestamp, zone: &TimeZone) -> String {
    let zoned = instant(at).to_zoned(zone.clone());
    zoned.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

/// `Mon, 17 Jul 2017 11:10:39 GMT`
pub(crate) fn http_date(at: Timestamp) -> String {
    let zoned = instant(at).to_zoned(TimeZone::UTC);
    zoned.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The second that a header names.
pub(crate) fn parse_http_date(text: &str) -> Option<u64> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    u64::try_from(parsed.ok()?.as_second()).ok()
}

/// Seconds with as many places as are known.
pub(crate) fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).as_millis() as f64 / 1_000.0
}

/// An instant beyond what a date can be is shown as the epoch.
fn instant(at: Timestamp) -> Instant {
    let millis = i64::try_from(at.as_millis()).unwrap_or_default();
    Instant::from_millisecond(millis).unwrap_or_default()
}

const INDENT: &str = "    ";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const AT: Timestamp = Timestamp::from_millis(1_500_289_839_250);

    #[test]
    fn dates_are_written_as_documented() {
        assert_eq!(connected(AT), "Mon Jul 17 11:10:39 2017");
        let early = Timestamp::from_millis(1_499_252_400_000);
        assert_eq!(connected(early), "Wed Jul  5 11:00:00 2017");
        assert_eq!(received(AT, &TimeZone::UTC), "2017-07-17T11:10:39.250");
        assert_eq!(http_date(AT), "Mon, 17 Jul 2017 11:10:39 GMT");
        assert_eq!(
            parse_http_date(&http_date(AT)),
            Some(AT.as_millis() / 1_000)
        );
        assert_eq!(parse_http_date("yesterday"), None);
        assert_eq!(
            connected(Timestamp::from_millis(u64::MAX)),
            "Thu Jan  1 00:00:00 1970"
        );
    }

    #[test]
    fn indentation_goes_on_from_the_depth_and_texts_stay_as_they_are() {
        let mut out = vec![];
        Form::Pretty.write(&mut out, &json!({"b": [], "a": ["x\ny"]}), 1);
        let expected =
            "{\n        \"a\": [\n            \"x\\ny\"\n        ],\n        \"b\": []\n    }";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = vec![];
        Form::Compact.write(&mut out, &json!({"b": 0.0, "a": 1}), 1);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":1,"b":0.0}"#);
    }
}
