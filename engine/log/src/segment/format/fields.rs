//! Reads fields at fixed byte offsets, without panicking.

/// Reads a little-endian number. A field beyond the end of `head` reads as zero, so callers check
/// the length and the checksum first.
pub(crate) fn u32_at(head: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes_at(head, at))
}

pub(crate) fn u64_at(head: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes_at(head, at))
}

pub(crate) fn bytes_at<const N: usize>(head: &[u8], at: usize) -> [u8; N] {
    head.get(at..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .unwrap_or([0; N])
}
