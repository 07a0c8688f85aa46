//! Bounds that decide when segments are sealed and rewritten. Those of the format are in
//! `options.rs`.
//!
//! All of them are parts or multiples of [`Options::segment_bytes`](super::Options::segment_bytes).

/// A compacted segment takes in the segments after it until it is this many times as long as a
/// segment.
///
/// A higher number makes fewer files, but each record is copied more often: at most this many times
/// before its file has its final length.
pub(crate) const COMPACTED_SEGMENTS: u64 = 4;

/// A compacted segment is rewritten when removed sessions take at least one part in this many of it.
///
/// So they take at most a third of what is kept, and at most three bytes are copied to free one.
pub(crate) const REMOVABLE_PART: u64 = 4;

/// The active segment is sealed early when the removals in it can free one part in this many of a
/// segment: the compactor only drops what sealed segments record as removed.
///
/// The next segment is filled with zeros ahead, so at most four bytes are written to free one.
pub(crate) const UNSEALED_REMOVED_PART: u64 = 4;
