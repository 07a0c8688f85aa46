//! The header of a segment: its log and its first position.

use crate::segment::format::fields::{bytes_at, u32_at, u64_at};
use std::fmt;

/// The format version that is written, and the newest that can be read.
pub const FORMAT_VERSION: u32 = 1;

pub(crate) const HEADER_BYTES: usize = 48;
const MAGIC: [u8; 8] = *b"RejoinLg";
const VERSION_AT: usize = 8;
const LOG_AT: usize = 12;
const FIRST_AT: usize = 28;
/// The eight bytes before the checksum are zero in this format.
const CHECKSUM_AT: usize = 44;

/// A log's identity: 128 random bits, chosen by the caller when the log is created. It keeps
/// segments of another log from being accepted as part of this one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId([u8; 16]);

impl LogId {
    /// The identity with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The identity's bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// Formats as 32 hexadecimal digits.
impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) log: LogId,
    /// The position of the segment's first record.
    pub(crate) first: u64,
}

/// Why bytes are not a header that this version can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// They are not a header, or a damaged one.
    Unsound(&'static str),
    /// They are a valid header of another format version.
    Version(u32),
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        self.encode_as(FORMAT_VERSION)
    }

    /// The header as format `version` would encode it.
    fn encode_as(&self, version: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&self.log.to_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.resize(CHECKSUM_AT, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes_at(&bytes, 0)
    }

    /// Decodes a header. Magic, version and checksum are at the same offsets in every format
    /// version, so a newer format can be distinguished from a flipped bit in the version.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderFault> {
        if !bytes.starts_with(&MAGIC) {
            return Err(HeaderFault::Unsound("this is not a segment header"));
        }
        let (covered, _) = bytes.split_at(CHECKSUM_AT);
        if crc32c::crc32c(covered) != u32_at(bytes, CHECKSUM_AT) {
            return Err(HeaderFault::Unsound("the header's checksum is wrong"));
        }
        match u32_at(bytes, VERSION_AT) {
            FORMAT_VERSION => Ok(Self {
                log: LogId(bytes_at(bytes, LOG_AT)),
                first: u64_at(bytes, FIRST_AT),
            }),
            version => Err(HeaderFault::Version(version)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        log: LogId([0xab; 16]),
        first: 17,
    };

    #[test]
    fn a_header_is_these_bytes() {
        let bytes = HEADER.encode();
        assert_eq!(bytes[..8], *b"RejoinLg");
        assert_eq!(bytes[8..12], [1, 0, 0, 0]);
        assert_eq!(bytes[12..28], [0xab; 16]);
        assert_eq!(bytes[28..36], [17, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[36..44], [0; 8]);
        assert_eq!(bytes[44..], crc32c::crc32c(&bytes[..44]).to_le_bytes());
        assert_eq!(Header::decode(&bytes), Ok(HEADER));
    }

    #[test]
    fn a_newer_format_is_not_damage_and_damage_is_not_a_newer_format() {
        let newer = HEADER.encode_as(2);
        assert_eq!(Header::decode(&newer), Err(HeaderFault::Version(2)));
        let mut flipped = HEADER.encode();
        flipped[VERSION_AT] ^= 3;
        assert_eq!(
            Header::decode(&flipped),
            Err(HeaderFault::Unsound("the header's checksum is wrong"))
        );
    }
}
