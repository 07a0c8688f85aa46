//! The batch format: one append. A head states how much follows and up to where the log was durable
//! before; the records' frames follow.

use crate::segment::format::fields::{bytes_at, u32_at, u64_at};
use crate::segment::format::frame::{FRAME_HEAD_BYTES, Frame};
use crate::segment::format::header::LogId;
use rejoin_core::{Sequence, SessionId};

pub(crate) const BATCH_HEAD_BYTES: usize = 36;
/// Begins every batch. Not zero, so that zeros are never a batch, and larger than the length of any
/// frame.
pub(crate) const MARKER: [u8; 4] = *b"btch";
/// The damage reported if a head [`is_durable_too_early`](BatchHead::is_durable_too_early).
pub(crate) const DURABLE_TOO_EARLY: &str =
    "the batch says that its own records were durable before it was written";
const BODY_BYTES_AT: usize = 4;
const RECORDS_AT: usize = 8;
const BODY_CHECKSUM_AT: usize = 12;
const FIRST_AT: usize = 16;
const DURABLE_AT: usize = 24;
const CHECKSUM_AT: usize = 32;

/// Where a batch is stored. The checksum of its head covers this, so a copy of a batch anywhere
/// else, such as in command output that contains a log, is not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchLocation {
    pub(crate) log: LogId,
    /// The first position of the segment.
    pub(crate) segment: u64,
    /// The byte offset of the batch in the segment.
    pub(crate) byte: u64,
}

/// The head of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    /// How many bytes of frames follow.
    pub(crate) body_bytes: u32,
    /// How many frames follow. 0 in the seal, which ends a segment.
    pub(crate) records: u32,
    /// CRC32C of the frames' checksums, in order. Each of those covers its frame, so this covers
    /// all frames and their order without reading them twice.
    pub(crate) body_checksum: u32,
    /// The position of the first record.
    pub(crate) first: u64,
    /// The log was durable up to and including this position when the batch was written.
    pub(crate) durable: u64,
}

impl BatchHead {
    pub(crate) fn encode(&self, site: BatchLocation) -> [u8; BATCH_HEAD_BYTES] {
        let mut bytes = Vec::with_capacity(BATCH_HEAD_BYTES);
        bytes.extend_from_slice(&MARKER);
        bytes.extend_from_slice(&self.body_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.records.to_le_bytes());
        bytes.extend_from_slice(&self.body_checksum.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.durable.to_le_bytes());
        let checksum = checksum(&bytes, site);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes_at(&bytes, 0)
    }

    /// Decodes the head of the batch at `site`; `None` if `bytes` are not a valid head for that
    /// location.
    pub(crate) fn decode(bytes: &[u8; BATCH_HEAD_BYTES], site: BatchLocation) -> Option<Self> {
        if !bytes.starts_with(&MARKER) {
            return None;
        }
        let (covered, _) = bytes.split_at(CHECKSUM_AT);
        if checksum(covered, site) != u32_at(bytes, CHECKSUM_AT) {
            return None;
        }
        Some(Self {
            body_bytes: u32_at(bytes, BODY_BYTES_AT),
            records: u32_at(bytes, RECORDS_AT),
            body_checksum: u32_at(bytes, BODY_CHECKSUM_AT),
            first: u64_at(bytes, FIRST_AT),
            durable: u64_at(bytes, DURABLE_AT),
        })
    }

    /// Whether this is the batch without records that ends a segment.
    pub(crate) fn is_seal(&self) -> bool {
        self.records == 0
    }

    /// Whether it claims that its own records were durable when it was written, which is
    /// impossible.
    pub(crate) fn is_durable_too_early(&self) -> bool {
        self.durable >= self.first
    }

    /// The position after the last record.
    pub(crate) fn next(&self) -> u64 {
        self.first.saturating_add(u64::from(self.records))
    }
}

fn checksum(covered: &[u8], site: BatchLocation) -> u32 {
    let mut sum = crc32c::crc32c(covered);
    sum = crc32c::crc32c_append(sum, &site.log.to_bytes());
    sum = crc32c::crc32c_append(sum, &site.segment.to_le_bytes());
    crc32c::crc32c_append(sum, &site.byte.to_le_bytes())
}

/// Adds a frame's checksum to the checksum of the body.
pub(crate) fn append_checksum(sum: u32, frame: u32) -> u32 {
    crc32c::crc32c_append(sum, &frame.to_le_bytes())
}

/// The first fault in a batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyFault {
    /// The byte offset of the invalid frame in the body.
    pub(crate) byte: usize,
    /// The record that the invalid frame claims to be. It may be wrong.
    pub(crate) record: Option<(SessionId, Sequence)>,
    pub(crate) reason: &'static str,
}

/// How many frames' checksums are added at once, which is faster than one by one.
const SUMMED_AT_ONCE: usize = 64;

/// Checks that `body` is exactly what `head` describes.
pub(crate) fn check(head: &BatchHead, body: &[u8]) -> Result<(), BodyFault> {
    let mut rest = body;
    let mut records: u32 = 0;
    let mut sum = 0;
    let mut sums = [0; 4 * SUMMED_AT_ONCE];
    let mut filled = 0;
    while !rest.is_empty() {
        let byte = body.len().saturating_sub(rest.len());
        let Some((frame, following)) = Frame::split(rest) else {
            return Err(BodyFault {
                byte,
                record: claimed_record(rest),
                reason: "the record's length is wrong",
            });
        };
        if !frame.is_sound() {
            return Err(BodyFault {
                byte,
                record: claimed_record(rest),
                reason: "the record's checksum is wrong",
            });
        }
        if let Some((place, _)) = sums
            .get_mut(filled..)
            .and_then(|free| free.split_first_chunk_mut())
        {
            *place = frame.checksum.to_le_bytes();
            filled += place.len();
        }
        if filled == sums.len() {
            sum = crc32c::crc32c_append(sum, &sums);
            filled = 0;
        }
        records = records.saturating_add(1);
        rest = following;
    }
    sum = crc32c::crc32c_append(sum, sums.get(..filled).unwrap_or_default());
    if records != head.records || sum != head.body_checksum {
        return Err(BodyFault {
            byte: 0,
            record: None,
            reason: "the records do not match the batch's head",
        });
    }
    Ok(())
}

/// The record that the frame at the start of these bytes claims to be.
pub(crate) fn claimed_record(bytes: &[u8]) -> Option<(SessionId, Sequence)> {
    let head = bytes.get(..FRAME_HEAD_BYTES)?;
    let mut frame = head.to_vec();
    // Only the head matters here, so read it as a frame without a record.
    frame.get_mut(..4)?.fill(0);
    let (frame, _) = Frame::split(&frame)?;
    Some((frame.session, frame.sequence))
}
