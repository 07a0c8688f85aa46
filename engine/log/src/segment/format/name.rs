//! The names of a log's files. A segment's name says whether it is sealed, because a rename is
//! atomic even in a crash.

use rejoin_core::{Record, Sequence, SessionId};
use std::fmt;

/// The segment that is written to, or was when the process ended. Its last append may be torn.
const ACTIVE: &str = "active";
/// A segment that is complete and durable to its last byte. Any fault in it is damage.
const SEALED: &str = "sealed";

/// A new segment whose header is not durable yet. It has no records, and readers don't know it.
pub(crate) const BEGINNING: &str = "beginning";
/// A file that is being filled with zeros. It becomes the spare.
pub(crate) const ZEROING: &str = "zeroing";
/// A file full of zeros. It becomes the next segment.
pub(crate) const SPARE: &str = "spare";

/// A file that the compactor is writing. It becomes a compacted segment or a snapshot.
pub(crate) const REWRITING: &str = "rewriting";

/// A redaction that is not carried out in all files yet.
const REDACTION: &str = "redaction";

/// Where the log's clock stood on the machine's stopwatch.
pub(crate) const CLOCK: &str = "clock";

/// A compacted segment: records grouped by session.
const HISTORY: &str = "history";
/// A snapshot: the state after all records up to a position.
const SNAPSHOT: &str = "snapshot";

/// The name of the file of a redaction: the record that redacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RedactionName {
    pub(crate) session: SessionId,
    pub(crate) sequence: Sequence,
}

impl RedactionName {
    pub(crate) fn of(record: &Record) -> Self {
        Self {
            session: record.session,
            sequence: record.sequence,
        }
    }

    /// Accepts exactly what `Display` writes; files with other names are ignored.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (name_read, kind) = name.rsplit_once('.')?;
        let (session, sequence) = name_read.split_once('_')?;
        let parsed = Self {
            session: session.parse().ok()?,
            sequence: Sequence(sequence.parse().ok()?),
        };
        (kind == REDACTION && parsed.to_string() == name).then_some(parsed)
    }
}

impl fmt::Display for RedactionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}.{REDACTION}", self.session, self.sequence)
    }
}

/// A segment's name: the position of its first record, and whether it is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    pub(crate) first: u64,
    pub(crate) sealed: bool,
}

impl SegmentName {
    pub(crate) fn active(first: u64) -> Self {
        Self {
            first,
            sealed: false,
        }
    }

    pub(crate) fn sealed(first: u64) -> Self {
        Self {
            first,
            sealed: true,
        }
    }

    /// Accepts exactly what `Display` writes; files with other names are ignored.
    pub(crate) fn parse(name: &str) -> Option<Self> {
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

/// A compacted segment's name: the positions of the first and the last record that it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CompactedName {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl CompactedName {
    /// Like [`SegmentName::parse`].
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (positions, kind) = name.split_once('.')?;
        let (first, last) = positions.split_once('-')?;
        let name_read = Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
        };
        let is_history = kind == HISTORY && name_read.first <= name_read.last;
        (is_history && name_read.to_string() == name).then_some(name_read)
    }

    /// Whether this position is within its range.
    pub(crate) fn covers(&self, first: u64) -> bool {
        (self.first..=self.last).contains(&first)
    }
}

impl fmt::Display for CompactedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:020}.{HISTORY}", self.first, self.last)
    }
}

/// A snapshot's name: the position of the last record in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SnapshotName(pub(crate) u64);

impl SnapshotName {
    /// Like [`SegmentName::parse`].
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (position, kind) = name.split_once('.')?;
        let name_read = Self(position.parse().ok()?);
        (kind == SNAPSHOT && name_read.to_string() == name).then_some(name_read)
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}.{SNAPSHOT}", self.0)
    }
}

/// A file that holds records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartName {
    Compacted(CompactedName),
    Segment(SegmentName),
}

impl PartName {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let compacted = CompactedName::parse(name).map(Self::Compacted);
        compacted.or_else(|| SegmentName::parse(name).map(Self::Segment))
    }

    /// The position of the first record that it covers.
    pub(crate) fn first(&self) -> u64 {
        match self {
            Self::Compacted(name) => name.first,
            Self::Segment(name) => name.first,
        }
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compacted(name) => name.fmt(f),
            Self::Segment(name) => name.fmt(f),
        }
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

    #[test]
    fn history_and_snapshots_have_one_name_only() {
        let compacted = CompactedName { first: 1, last: 20 };
        let name = "00000000000000000001-00000000000000000020.history";
        assert_eq!(compacted.to_string(), name);
        assert_eq!(PartName::parse(name), Some(PartName::Compacted(compacted)));
        let name = "00000000000000000020.snapshot";
        assert_eq!(SnapshotName::parse(name), Some(SnapshotName(20)));
        for other in [
            "00000000000000000021-00000000000000000020.history",
            "1-20.history",
            "00000000000000000020.history",
            "20.snapshot",
        ] {
            assert_eq!(PartName::parse(other), None, "{other}");
            assert_eq!(SnapshotName::parse(other), None, "{other}");
        }
    }
}
