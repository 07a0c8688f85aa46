//! What a compacted segment says of a session: which of its records stand where, and which have
//! been removed.

use crate::segment::format::fields::{bytes_at, u32_at, u64_at};
use crate::segment::read::index::Extent;
use rejoin_core::{Sequence, SessionId};

pub(crate) const ENTRY_BYTES: usize = 36;
const FIRST_AT: usize = 16;
const RECORDS_AT: usize = 24;
const BYTE_AT: usize = 28;
const BYTES_AT: usize = 32;

/// What stands for the first byte where there are no bytes.
const REMOVED: u32 = 0;
const NOTICE: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Records that follow each other.
    Records {
        session: SessionId,
        first: Sequence,
        records: u32,
        byte: u32,
        bytes: u32,
    },
    /// Records that were here, and have been removed.
    Removed {
        session: SessionId,
        first: Sequence,
        /// How many sequences that is, those of declared gaps among them included.
        sequences: u32,
    },
    /// The record here with sequence `at` says that all before it may be removed.
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

    /// As the index keeps it, in the file of this number.
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

    /// The last sequence that was removed here.
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
            } => (first, [sequences, REMOVED, 0]),
            Self::Tombstone { at, .. } => (at, [0, NOTICE, 0]),
        };
        out.extend_from_slice(&self.session().to_bytes());
        out.extend_from_slice(&first.0.to_le_bytes());
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// The entry that these bytes are; their checksum has been looked at.
    pub(crate) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let session = SessionId::from_bytes(bytes_at(bytes, 0));
        let first = Sequence(u64_at(bytes, FIRST_AT));
        let records = u32_at(bytes, RECORDS_AT);
        let (byte, bytes) = (u32_at(bytes, BYTE_AT), u32_at(bytes, BYTES_AT));
        Some(match (bytes, byte, records) {
            (0, REMOVED, 1..) => Self::Removed {
                session,
                first,
                sequences: records,
            },
            (0, NOTICE, 0) => Self::Tombstone { session, at: first },
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
