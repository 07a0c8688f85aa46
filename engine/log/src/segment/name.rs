//! What a log's files are called. A segment's name says whether it is sealed: the name changes in
//! one step, which no crash can leave half done.

use std::fmt;

/// The segment that is written to, or was when the process died. Its end may be torn.
const ACTIVE: &str = "active";
/// A segment that is complete and durable to its last byte. Whatever is wrong in it is damage.
const SEALED: &str = "sealed";

/// A segment whose header is not durable yet: nobody has seen it, nothing is in it.
pub(super) const BEGINNING: &str = "beginning";
/// A file that is being filled with zeros, to become the spare.
pub(super) const ZEROING: &str = "zeroing";
/// A file full of zeros, to become the next segment.
pub(super) const SPARE: &str = "spare";

/// A segment's name: the position of its first record, and whether it is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentName {
    pub(super) first: u64,
    pub(super) sealed: bool,
}

impl SegmentName {
    pub(super) fn active(first: u64) -> Self {
        Self {
            first,
            sealed: false,
        }
    }

    pub(super) fn sealed(first: u64) -> Self {
        Self {
            first,
            sealed: true,
        }
    }

    /// Reads exactly what `Display` writes: a file of another name is none of the log's.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (first, state) = name.split_once('.')?;
        let name_read = Self {
            first: first.parse().ok()?,
            sealed: match state {
                ACTIVE => false,
                SEALED => true,
                _ => return None,
            },
        };
        (name_read.to_string() == name).then_some(name_read)
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.sealed { SEALED } else { ACTIVE };
        write!(f, "{:020}.{state}", self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_one_name_only() {
        let name = SegmentName::sealed(17);
        assert_eq!(name.to_string(), "00000000000000000017.sealed");
        assert_eq!(SegmentName::parse(&name.to_string()), Some(name));
        assert_eq!(
            SegmentName::parse("18446744073709551615.active"),
            Some(SegmentName::active(u64::MAX))
        );
        for other in [
            "17.sealed",
            "00000000000000000017.sealed.bak",
            "00000000000000000017",
            "+0000000000000000017.active",
            "99999999999999999999.active",
            "lock",
        ] {
            assert_eq!(SegmentName::parse(other), None, "{other}");
        }
    }
}
