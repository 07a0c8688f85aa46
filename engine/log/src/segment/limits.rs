//! Thresholds for sealing and rewriting segments. The limits of the format are in `options.rs`.
//!
//! All of them are relative to [`Options::segment_bytes`](super::Options::segment_bytes) or to the
//! size of the file in question.

/// A compacted segment absorbs the segments after it until it is this many times the size of a
/// segment.
///
/// A higher number makes fewer files, but copies each record more often: at most this many times
/// before its file has reached its final size.
pub(crate) const COMPACTED_SEGMENTS: u64 = 4;

/// A compacted segment is rewritten when removed sessions take up at least one part in this many of
/// it.
///
/// So removed records add at most a third to what is kept, and at most three bytes are copied to
/// free one.
pub(crate) const REMOVABLE_PART: u64 = 4;

/// The active segment is sealed early when the removals recorded in it can free one part in this
/// many of a segment: the compactor only acts on removals in sealed segments.
///
/// Sealing early costs a new segment filled with zeros, so at most four bytes are written to free
/// one.
pub(crate) const UNSEALED_REMOVED_PART: u64 = 4;
