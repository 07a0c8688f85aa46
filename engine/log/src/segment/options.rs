//! How a segment log is to be run, and the bounds of its format.

/// The largest batch: frames of more bytes in one append are refused. OpenReport holds one batch in
/// memory.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024 * 1024;

/// The largest size that [`Options::segment_bytes`] can ask for.
pub const MAX_SEGMENT_BYTES: u64 = 1024 * 1024 * 1024;

// The index counts a segment's bytes in 32 bits; one batch may reach beyond the segment's size.
const _: () = assert!(MAX_SEGMENT_BYTES + (MAX_BATCH_BYTES as u64) < u32::MAX as u64);

/// How a [`SegmentLog`](super::SegmentLog) is to be run. None of it is written down: every
/// opening may choose anew.
///
/// ```
/// use rejoin_log::segment::{Durability, Options};
///
/// let options = Options { segment_bytes: 8 * 1024 * 1024, ..Options::default() };
/// assert_eq!(options.durability, Durability::Sync);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What an append that has succeeded has survived.
    pub durability: Durability,
    /// A segment ends with the append that would make it longer than so many bytes. At most
    /// [`MAX_SEGMENT_BYTES`].
    pub segment_bytes: u64,
    /// Fill the next segment with zeros ahead of time, on a thread of its own. Makes appends
    /// faster, and costs a segment's room on the disk.
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

/// What an append that has succeeded has survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is on the disk: not even a power cut loses it.
    Sync,
    /// It has been handed to the operating system: it survives the death of the process, not that
    /// of the machine. A power cut can lose the last appends, always whole batches from the end;
    /// sealed segments are durable all the same.
    Flush,
}
