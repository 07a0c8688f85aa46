//! The options of a segment log, and the bounds of its format.

use rejoin_core::limits::REMEMBERED_REMOVALS;

/// The largest batch in bytes; a longer append fails. Opening holds one batch in memory.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024 * 1024;

/// The largest effective value of [`Options::segment_bytes`].
pub const MAX_SEGMENT_BYTES: u64 = 1024 * 1024 * 1024;

// The index stores byte offsets in 32 bits, and one batch may exceed the segment size.
const _: () = assert!(MAX_SEGMENT_BYTES + (MAX_BATCH_BYTES as u64) < u32::MAX as u64);

/// The options of a [`SegmentLog`](super::SegmentLog). They are not stored in the log, and can
/// differ at each opening.
///
/// ```
/// use rejoin_log::segment::{Durability, Options};
///
/// let options = Options { segment_bytes: 8 * 1024 * 1024, ..Options::default() };
/// assert_eq!(options.durability, Durability::Sync);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What an acknowledged append survives.
    pub durability: Durability,
    /// The size of a segment in bytes: an append that would exceed it starts the next segment.
    /// At most [`MAX_SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Fill the next segment with zeros ahead of time, on a helper thread. Makes appends faster,
    /// and takes the disk space of one more segment.
    pub zero_ahead: bool,
    /// How many removed sessions the log keeps a record of, at least one: the ones that were removed
    /// last. Nothing shows any more that an older one has existed.
    pub remembered_removals: usize,
}

impl Options {
    /// Durable appends, segments of 64 MiB, zeroed ahead.
    pub const DEFAULT: Self = Self {
        durability: Durability::Sync,
        segment_bytes: 64 * 1024 * 1024,
        zero_ahead: true,
        remembered_removals: REMEMBERED_REMOVALS,
    };
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What an acknowledged append survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power failure: it is on the disk.
    Sync,
    /// A crash of the process, but not of the machine: the operating system has the data. A power
    /// failure can lose the last appends, always whole batches from the end. Sealed segments are
    /// durable in either mode.
    Flush,
}
