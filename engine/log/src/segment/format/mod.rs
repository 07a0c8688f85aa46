//! What the files of a log are, byte by byte: encoding and decoding, and the names of the files.

pub(crate) mod batch;
pub(crate) mod entry;
pub(crate) mod fields;
pub(crate) mod file_header;
pub(crate) mod footer;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod name;
pub(crate) mod order;
pub(crate) mod snapshot;

use file_header::Kind;

/// A compacted segment. Its files are called `history`.
pub(crate) const KIND: Kind = Kind {
    magic: *b"RejoinHi",
    version: 1,
};
