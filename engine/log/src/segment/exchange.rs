//! The frames of a batch outside of a segment, for logs that are kept elsewhere with a segment log
//! as their copy.

use crate::segment::format::frame::{self, Frame};
use crate::segment::options::MAX_BATCH_BYTES;
use rejoin_core::Record;
use std::sync::Arc;

/// Why bytes are not the frames of records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frame at byte {byte} is wrong: {reason}")]
pub struct FrameFault {
    /// Where the frame begins.
    pub byte: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// Appends the frames of `records` to `out`, as they stand in a segment, and returns their lengths
/// in bytes. None: they are too long for a batch; `out` then has some of them.
#[must_use]
pub fn encode_frames(records: &[Arc<Record>], out: &mut Vec<u8>) -> Option<Vec<usize>> {
    let mut lengths = Vec::with_capacity(records.len());
    for record in records {
        let start = out.len();
        frame::encode(record, out)?;
        if out.len() > MAX_BATCH_BYTES {
            return None;
        }
        lengths.push(out.len().saturating_sub(start));
    }
    Some(lengths)
}

/// The records of frames that follow each other without a gap.
///
/// # Errors
///
/// If the bytes are not exactly such frames, or one of them is damaged.
pub fn decode_frames(frames: &[u8]) -> Result<Vec<Arc<Record>>, FrameFault> {
    let mut records = Vec::new();
    let mut rest = frames;
    while !rest.is_empty() {
        let byte = frames.len().saturating_sub(rest.len());
        let wrong = |reason: &str| FrameFault {
            byte,
            reason: reason.to_owned(),
        };
        let (frame, following) =
            Frame::split(rest).ok_or_else(|| wrong("the record's length is wrong"))?;
        if !frame.is_sound() {
            return Err(wrong("the record's checksum is wrong"));
        }
        let record = crate::schema::decode(frame.session, frame.sequence, frame.record)
            .map_err(|error| wrong(&error.to_string()))?;
        records.push(Arc::new(record));
        rest = following;
    }
    Ok(records)
}

/// CRC32C, as in segments.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record;

    #[test]
    fn frames_are_read_as_they_were_written_and_a_flipped_bit_is_found() {
        let records = [record(1, 1), record(2, 1), record(1, 2)];
        let mut frames = Vec::new();
        let lengths = encode_frames(&records, &mut frames).unwrap();
        assert_eq!(lengths.iter().sum::<usize>(), frames.len());
        assert_eq!(decode_frames(&frames).unwrap(), records);
        for bit in 0..frames.len() * 8 {
            let mut flipped = frames.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_frames(&flipped).is_err(), "bit {bit}");
        }
        assert!(decode_frames(&frames[..frames.len() - 1]).is_err());
    }
}
