//! The frame format: one record in a batch. A head has the record's session and sequence; the
//! encoded record follows.

use crate::segment::format::fields::{bytes_at, u32_at, u64_at};
use rejoin_core::{Record, Sequence, SessionId};

/// The record's length, checksum, session and sequence.
pub(crate) const FRAME_HEAD_BYTES: usize = 32;
const CHECKSUM_AT: usize = 4;
const SESSION_AT: usize = 8;
const SEQUENCE_AT: usize = 24;

/// A frame whose checksum has not been verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) session: SessionId,
    pub(crate) sequence: Sequence,
    pub(crate) checksum: u32,
    /// The record, encoded by `schema`.
    pub(crate) record: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Splits `bytes` into the frame at their start and the rest; `None` if they end within it.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let length = Self::length_of(bytes)?;
        let (whole, rest) = bytes.split_at_checked(length)?;
        let (head, record) = whole.split_at_checked(FRAME_HEAD_BYTES)?;
        let frame = Self {
            session: SessionId::from_bytes(bytes_at(head, SESSION_AT)),
            sequence: Sequence(u64_at(head, SEQUENCE_AT)),
            checksum: u32_at(head, CHECKSUM_AT),
            record,
            whole,
        };
        Some((frame, rest))
    }

    /// The length in bytes of the frame with this head.
    pub(crate) fn length_of(head: &[u8]) -> Option<usize> {
        let length = u32_at(head.get(..FRAME_HEAD_BYTES)?, 0);
        FRAME_HEAD_BYTES.checked_add(usize::try_from(length).ok()?)
    }

    /// The frame's bytes.
    pub(crate) fn whole(&self) -> &'a [u8] {
        self.whole
    }

    /// Whether the frame's checksum is correct.
    pub(crate) fn is_sound(&self) -> bool {
        checksum(self.whole) == Some(self.checksum)
    }

    /// The frame's length in bytes.
    pub(crate) fn length(&self) -> usize {
        self.whole.len()
    }
}

/// Appends the frame of `record` to `out`, and returns its checksum. Returns `None` and appends
/// nothing if the record is too long for a frame.
pub(crate) fn encode(record: &Record, out: &mut Vec<u8>) -> Option<u32> {
    let start = out.len();
    out.extend_from_slice(&[0; SESSION_AT]);
    out.extend_from_slice(&record.session.to_bytes());
    out.extend_from_slice(&record.sequence.0.to_le_bytes());
    crate::schema::encode(record, out);
    let finished = finish(out, start);
    if finished.is_none() {
        out.truncate(start);
    }
    finished
}

fn finish(out: &mut [u8], start: usize) -> Option<u32> {
    let frame = out.get_mut(start..)?;
    let length = u32::try_from(frame.len().checked_sub(FRAME_HEAD_BYTES)?).ok()?;
    frame
        .first_chunk_mut::<4>()?
        .copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(frame)?;
    frame
        .get_mut(CHECKSUM_AT..SESSION_AT)?
        .copy_from_slice(&checksum.to_le_bytes());
    Some(checksum)
}

/// The checksum of the whole frame except the checksum field itself.
fn checksum(frame: &[u8]) -> Option<u32> {
    let length = frame.get(..CHECKSUM_AT)?;
    let rest = frame.get(SESSION_AT..)?;
    Some(crc32c::crc32c_append(crc32c::crc32c(length), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_core::{Event, Timestamp};

    fn frame() -> (Record, Vec<u8>) {
        let record = Record {
            session: SessionId::from_bytes([0xcd; 16]),
            sequence: Sequence(5),
            at: Timestamp::from_millis(1),
            clock: Timestamp::from_millis(1).into(),
            actor: None,
            redacted: None,
            event: Event::SessionResumed,
        };
        let mut bytes = Vec::new();
        assert!(encode(&record, &mut bytes).is_some());
        (record, bytes)
    }

    #[test]
    fn a_frame_is_these_bytes() {
        let (record, bytes) = frame();
        assert_eq!(bytes[..4], [2, 0, 0, 0]);
        assert_eq!(bytes[8..24], [0xcd; 16]);
        assert_eq!(bytes[24..32], [5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[32..], [1, 2]);
        let (frame, rest) = Frame::split(&bytes).unwrap();
        assert!(rest.is_empty());
        assert!(frame.is_sound());
        assert_eq!(frame.length(), bytes.len());
        assert_eq!(
            (frame.session, frame.sequence),
            (record.session, record.sequence)
        );
    }

    #[test]
    fn a_cut_or_flipped_frame_is_never_sound() {
        let (_, bytes) = frame();
        for length in 0..bytes.len() {
            assert!(Frame::split(&bytes[..length]).is_none(), "{length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let sound = Frame::split(&flipped).is_some_and(|(frame, _)| frame.is_sound());
            assert!(!sound, "bit {bit}");
        }
    }
}
