//! Fixed places in bytes, read without a panic.

/// A reader and a writer of the little-endian numbers in a head of fixed length. A head shorter
/// than what is asked for reads as zeros; callers check the length and the checksum first.
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
