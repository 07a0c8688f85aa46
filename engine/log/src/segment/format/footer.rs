//! The last bytes of a compacted segment: where its parts are, and the checksums over them.

use crate::segment::format::fields::{bytes_at, u32_at, u64_at};
use crate::segment::format::file_header::FILE_HEADER_BYTES;

pub(crate) const FOOTER_BYTES: usize = 48;
const MARKER: [u8; 4] = *b"hend";
const ENTRIES_AT: usize = 4;
const ORDER_AT: usize = 8;
const TABLE_AT: usize = 16;
const HELD_AT: usize = 24;
const REMOVED_AT: usize = 32;
const ORDER_CHECKSUM_AT: usize = 40;
const CHECKSUM_AT: usize = 44;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// How many entries there are.
    pub(crate) entries: u32,
    /// The byte that the order begins at: the one after the last record.
    pub(crate) order_at: u64,
    /// The byte that the entries begin at: the one after the order.
    pub(crate) entries_at: u64,
    /// How many records there are.
    pub(crate) held: u64,
    /// How many there were that have been removed.
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

    /// What the last bytes of a file say; nothing vouches for it yet.
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

    /// Whether these bytes are the footer that was written behind these entries, in the file with
    /// this header.
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
