//! JSON and dates as this API writes them.

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;
use rejoin_core::Timestamp;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

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
    pub(crate) fn write(self, out: &mut Vec<u8>, value: &impl Serialize, depth: usize) {
        let written = match self {
            Self::Compact => serde_json::to_writer(out, value),
            Self::Pretty => {
                value.serialize(&mut Serializer::with_formatter(out, Indented::at(depth)))
            }
        };
        debug_assert!(written.is_ok(), "memory takes everything");
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

/// Writes what stands some levels deep. As serde_json's own, which always begins at the first.
struct Indented {
    depth: usize,
    has_members: bool,
}

impl Indented {
    const fn at(depth: usize) -> Self {
        let has_members = false;
        Self { depth, has_members }
    }

    fn begin<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.has_members = false;
        out.write_all(bracket)
    }

    fn end<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.has_members {
            self.line(out)?;
        }
        out.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&self, out: &mut W, is_first: bool) -> io::Result<()> {
        if !is_first {
            out.write_all(b",")?;
        }
        self.line(out)
    }

    fn line<W: ?Sized + Write>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| out.write_all(INDENT.as_bytes()))
    }
}

impl Formatter for Indented {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_members = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.begin(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.end(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_members = true;
        Ok(())
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
