//! How this API writes JSON: compact, or indented by four spaces. Keys are sorted in both.

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonStyle {
    /// Indented by four spaces.
    Pretty,
    /// Without whitespace.
    Compact,
}

impl JsonStyle {
    pub(crate) fn new(is_pretty: bool) -> Self {
        if is_pretty {
            Self::Pretty
        } else {
            Self::Compact
        }
    }

    /// Appends a value that is `depth` levels deep.
    pub(crate) fn write(self, out: &mut Vec<u8>, value: &impl Serialize, depth: usize) {
        let written = match self {
            Self::Compact => serde_json::to_writer(out, value),
            Self::Pretty => {
                value.serialize(&mut Serializer::with_formatter(out, Indented::at(depth)))
            }
        };
        debug_assert!(written.is_ok(), "writing to memory cannot fail");
    }

    /// Begins a new line with the indentation of `depth` levels. Nothing in the compact style.
    pub(crate) fn new_line(self, out: &mut Vec<u8>, depth: usize) {
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

/// serde_json's pretty formatter always begins at depth 0; this one begins at any depth.
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

const INDENT: &str = "    ";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_is_indented_from_its_depth_and_strings_are_not_changed() {
        let mut out = vec![];
        JsonStyle::Pretty.write(&mut out, &json!({"b": [], "a": ["x\ny"]}), 1);
        let expected =
            "{\n        \"a\": [\n            \"x\\ny\"\n        ],\n        \"b\": []\n    }";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = vec![];
        JsonStyle::Compact.write(&mut out, &json!({"b": 0.0, "a": 1}), 1);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":1,"b":0.0}"#);
    }
}
