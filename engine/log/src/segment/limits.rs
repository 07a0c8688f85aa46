//! The bounds that decide when sealed segments are rewritten, and how long the room of removed
//! sessions waits, in one place. Those of the format are in `options.rs`.
//!
//! All are parts or multiples of [`Options::segment_bytes`](super::Options::segment_bytes), so that
//! they fit however long segments are.

/// A compacted segment takes in what follows it until it is so many times as long as a segment.
///
/// More would make a log of fewer files, and each record would be copied more often: at most so
/// many times before its file has its final length.
pub(crate) const COMPACTED_SEGMENTS: u64 = 4;

/// A compacted segment is rewritten when one part in so many of it is of removed sessions.
///
/// So at most a third is added to what is kept, and at most three bytes are copied to gain one.
pub(crate) const REMOVABLE_PART: u64 = 4;

/// The active segment is sealed, however short it is, when removals that it holds are of as many
/// bytes as one part in so many of a segment: the archive drops only what sealed segments say was
/// removed.
///
/// The next segment is filled with zeros ahead: so at most four bytes are written to gain one.
pub(crate) const UNSEALED_REMOVED_PART: u64 = 4;
