//! The parts of a compacted segment: the session table, the record order, and the footer.

use crate::schema::{Parts, put_number};
use crate::segment::format::fields::{bytes_at, u32_at, u64_at};
use crate::segment::format::file_header::{FILE_HEADER_BYTES, Kind};
use crate::segment::read::index::Extent;
use rejoin_core::{Sequence, SessionId};

/// The file kind of compacted segments. Their file names end in `.history`.
pub(crate) const KIND: Kind = Kind {
    magic: *b"RejoinHi",
    version: 1,
};

pub(crate) const ENTRY_BYTES: usize = 36;
const FIRST_AT: usize = 16;
const RECORDS_AT: usize = 24;
const BYTE_AT: usize = 28;
const BYTES_AT: usize = 32;

/// Stored in the `byte` field of an entry whose `bytes` field is 0.
const REMOVED_ENTRY: u32 = 0;
const TOMBSTONE_ENTRY: u32 = 1;

/// An entry in the session table of a compacted segment: where records of a session are, or that
/// they have been removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A run of adjacent records.
    Records {
        session: SessionId,
        first: Sequence,
        records: u32,
        byte: u32,
        bytes: u32,
    },
    /// Records in the segment's range that have been removed.
    Removed {
        session: SessionId,
        first: Sequence,
        /// How many sequences were removed, including those of declared gaps in between.
        sequences: u32,
    },
    /// The segment's record with sequence `at` allows all records before it to be removed.
    Tombstone { session: SessionId, at: Sequence },
}

impl Entry {
    pub(crate) fn session(&self) -> SessionId {
        match *self {
            Self::Records { session, .. }
            | Self::Removed { session, .. }
            | Self::Tombstone { session, .. } => session,
        }
    }

    /// The index extent of this entry, in the file with this number.
    pub(crate) fn extent(&self, segment: u32) -> Option<Extent> {
        match *self {
            Self::Records {
                first,
                records,
                byte,
                bytes,
                ..
            } => Some(Extent {
                first: first.0,
                records,
                segment,
                byte,
                bytes,
            }),
            Self::Removed { .. } | Self::Tombstone { .. } => None,
        }
    }

    /// The last removed sequence, if this is a `Removed` entry.
    pub(crate) fn removed_up_to(&self) -> Option<u64> {
        match *self {
            Self::Removed {
                first, sequences, ..
            } => {
                let after = first.0.saturating_add(u64::from(sequences));
                Some(after.saturating_sub(1))
            }
            Self::Records { .. } | Self::Tombstone { .. } => None,
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (first, numbers) = match *self {
            Self::Records {
                first,
                records,
                byte,
                bytes,
                ..
            } => (first, [records, byte, bytes]),
            Self::Removed {
                first, sequences, ..
            } => (first, [sequences, REMOVED_ENTRY, 0]),
            Self::Tombstone { at, .. } => (at, [0, TOMBSTONE_ENTRY, 0]),
        };
        out.extend_from_slice(&self.session().to_bytes());
        out.extend_from_slice(&first.0.to_le_bytes());
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Decodes an entry. The caller has verified the checksum.
    pub(crate) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let session = SessionId::from_bytes(bytes_at(bytes, 0));
        let first = Sequence(u64_at(bytes, FIRST_AT));
        let records = u32_at(bytes, RECORDS_AT);
        let (byte, bytes) = (u32_at(bytes, BYTE_AT), u32_at(bytes, BYTES_AT));
        Some(match (bytes, byte, records) {
            (0, REMOVED_ENTRY, 1..) => Self::Removed {
                session,
                first,
                sequences: records,
            },
            (0, TOMBSTONE_ENTRY, 0) => Self::Tombstone { session, at: first },
            (1.., _, 1..) => Self::Records {
                session,
                first,
                records,
                byte,
                bytes,
            },
            _ => return None,
        })
    }
}

/// Stands in for the session number in a run of removed records.
pub(crate) const REMOVED_RUN: u32 = 0;

/// The order in which the records of a compacted segment were appended, needed to read them in log
/// order.
///
/// Encoded as runs of two numbers: the session, and how many records. Sessions count from 1, in
/// file order; 0 means records that have been removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    runs: Vec<(u32, u64)>,
}

impl Order {
    pub(crate) fn push(&mut self, whose: u32, records: u64) {
        match self.runs.last_mut() {
            Some((last, count)) if *last == whose => *count += records,
            _ => self.runs.push((whose, records)),
        }
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.runs.iter().copied()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (whose, records) in &self.runs {
            put_number(out, u64::from(*whose));
            put_number(out, *records);
        }
    }

    /// `None` if the bytes are not a valid encoding.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = Parts::new(bytes);
        let mut order = Self::default();
        while !parts.is_empty() {
            let whose = parts.number_u32("whose").ok()?;
            let records = parts.number("records").ok()?;
            order.runs.push((whose, records));
        }
        Some(order)
    }
}

pub(crate) const FOOTER_BYTES: usize = 48;
const MARKER: [u8; 4] = *b"hend";
const ENTRIES_AT: usize = 4;
const ORDER_AT: usize = 8;
const TABLE_AT: usize = 16;
const HELD_AT: usize = 24;
const REMOVED_AT: usize = 32;
const ORDER_CHECKSUM_AT: usize = 40;
const CHECKSUM_AT: usize = 44;

/// The last bytes of a compacted segment: where its parts are, and the checksums over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// How many entries there are.
    pub(crate) entries: u32,
    /// The byte offset of the order, directly after the last record.
    pub(crate) order_at: u64,
    /// The byte offset of the entries, directly after the order.
    pub(crate) entries_at: u64,
    /// How many records the segment holds.
    pub(crate) held: u64,
    /// How many records have been removed from it.
    pub(crate) removed: u64,
    pub(crate) order_checksum: u32,
}

impl Footer {
    pub(crate) fn encode(
        &self,
        header: &[u8; FILE_HEADER_BYTES],
        entries: &[u8],
    ) -> [u8; FOOTER_BYTES] {
        let mut bytes = Vec::with_capacity(FOOTER_BYTES);
        bytes.extend_from_slice(&MARKER);
        bytes.extend_from_slice(&self.entries.to_le_bytes());
        for number in [self.order_at, self.entries_at, self.held, self.removed] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.order_checksum.to_le_bytes());
        let checksum = checksum(header, entries, &bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes_at(&bytes, 0)
    }

    /// Decodes the last bytes of a file, without verifying the checksum.
    pub(crate) fn decode(bytes: &[u8; FOOTER_BYTES]) -> Option<Self> {
        bytes.starts_with(&MARKER).then(|| Self {
            entries: u32_at(bytes, ENTRIES_AT),
            order_at: u64_at(bytes, ORDER_AT),
            entries_at: u64_at(bytes, TABLE_AT),
            held: u64_at(bytes, HELD_AT),
            removed: u64_at(bytes, REMOVED_AT),
            order_checksum: u32_at(bytes, ORDER_CHECKSUM_AT),
        })
    }

    /// Whether the checksum of the footer in `bytes` matches this header and these entries.
    pub(crate) fn is_sound(
        bytes: &[u8; FOOTER_BYTES],
        header: &[u8; FILE_HEADER_BYTES],
        entries: &[u8],
    ) -> bool {
        let (covered, _) = bytes.split_at(CHECKSUM_AT);
        checksum(header, entries, covered) == u32_at(bytes, CHECKSUM_AT)
    }
}

fn checksum(header: &[u8], entries: &[u8], footer: &[u8]) -> u32 {
    let sum = crc32c::crc32c(header);
    let sum = crc32c::crc32c_append(sum, entries);
    crc32c::crc32c_append(sum, footer)
}
