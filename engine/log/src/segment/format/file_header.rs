//! The header of compacted segments and snapshots: magic bytes, version, log identity and two
//! numbers.

use crate::segment::format::fields::{bytes_at, u32_at, u64_at};
use crate::segment::format::header::LogId;

pub(crate) const FILE_HEADER_BYTES: usize = 48;
const VERSION_AT: usize = 8;
const LOG_AT: usize = 12;
const NUMBERS_AT: usize = 28;
const CHECKSUM_AT: usize = 44;

/// The magic bytes and the version of one kind of file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) magic: [u8; 8],
    /// The version that is written, or that is to be read.
    pub(crate) version: u32,
}

/// A valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) log: LogId,
    pub(crate) numbers: [u64; 2],
}

/// Why bytes are not a header that this version can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileHeaderFault {
    Unsound(&'static str),
    Version(u32),
}

impl FileHeader {
    pub(crate) fn encode(&self, kind: Kind) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(FILE_HEADER_BYTES);
        bytes.extend_from_slice(&kind.magic);
        bytes.extend_from_slice(&kind.version.to_le_bytes());
        bytes.extend_from_slice(&self.log.to_bytes());
        for number in self.numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes_at(&bytes, 0)
    }

    pub(crate) fn decode(bytes: &[u8], kind: Kind) -> Result<Self, FileHeaderFault> {
        let Some(bytes) = bytes.get(..FILE_HEADER_BYTES) else {
            return Err(FileHeaderFault::Unsound("the file ends within its header"));
        };
        if !bytes.starts_with(&kind.magic) {
            return Err(FileHeaderFault::Unsound(
                "the header's magic bytes are wrong",
            ));
        }
        let (covered, _) = bytes.split_at(CHECKSUM_AT);
        if crc32c::crc32c(covered) != u32_at(bytes, CHECKSUM_AT) {
            return Err(FileHeaderFault::Unsound("the header's checksum is wrong"));
        }
        let version = u32_at(bytes, VERSION_AT);
        if version != kind.version {
            return Err(FileHeaderFault::Version(version));
        }
        Ok(Self {
            log: LogId::from_bytes(bytes_at(bytes, LOG_AT)),
            numbers: [u64_at(bytes, NUMBERS_AT), u64_at(bytes, NUMBERS_AT + 8)],
        })
    }
}
