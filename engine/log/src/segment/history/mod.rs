//! History segments: records in the order of their sessions, so that a late reader finds what it
//! wants in one place, and opening reads an index instead of every record.
//!
//! What enters: segments that are sealed, or history segments, that follow each other. What
//! leaves: one history segment that stands for all of them. What is never true: that a record is
//! in it that is not as it was written, or lacks that its entries do not say was removed.

mod entry;
mod merge;
mod order;
mod output;
mod read;
mod sort;
mod trailer;
mod windows;
mod write;

pub(super) use entry::Entry;
pub(super) use read::{Fault, History};
pub(super) use sort::{Removal, Source};
pub(super) use write::{Rewritten, rewrite};

use super::heading::Kind;

const KIND: Kind = Kind {
    magic: *b"RejoinHi",
    version: 1,
};
