//! The options of a segment log, and the bounds of its format.

/// The largest batch in bytes: a longer append is refused. Opening holds one batch in memory.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024 * 1024;

/// The largest size that [`Options::segment_bytes`] can ask for.
pub const MAX_SEGMENT_BYTES: u64 = 1024 * 1024 * 1024;

// The index counts a segment's bytes in 32 bits; one batch may reach beyond the segment's size.
const _: () = assert!(MAX_SEGMENT_BYTES + (MAX_BATCH_BYTES as u64) < u32::MAX as u64);

/// The options of a [`SegmentLog`](super::SegmentLog). They are not stored: each opening can choose
/// others.
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
    /// The length of a segment in bytes: an append that would make it longer starts the next one.
    /// At most [`MAX_SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Fill the next segment with zeros ahead of time, on a helper thread. Makes appends faster, and
    /// takes the space of one more segment.
    pub zero_ahead: bool,
}

/// Durable appends, segments of 64 MiB, zeroed ahead.
impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            segment_bytes: 64 * 1024 * 1024,
            zero_ahead: true,
        }
    }
}

/// What an acknowledged append survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: it is on the disk.
    Sync,
    /// The death of the process, not of the machine: the operating system has it. A power cut can lose
    /// the last appends, always whole batches from the end. Sealed segments are durable anyway.
    Flush,
}
