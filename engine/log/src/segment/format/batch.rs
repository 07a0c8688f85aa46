//! One append: a head that says how much follows and how far the log was durable before, then the
//! records' frames.

use crate::segment::format::fields::{bytes_at, u32_at, u64_at};
use crate::segment::format::frame::{FRAME_HEAD_BYTES, Frame};
use crate::segment::format::header::LogId;
use rejoin_core::{Sequence, SessionId};

pub(crate) const BATCH_HEAD_BYTES: usize = 36;
/// Begins every batch. Not zero, so that zeros are never a batch; larger than any frame's length.
pub(crate) const MARKER: [u8; 4] = *b"btch";
/// Why a head is not believed that [`is_durable_too_early`](BatchHead::is_durable_too_early).
pub(crate) const DURABLE_TOO_EARLY: &str =
    "the batch says that its own records were durable before it was written";
const BODY_BYTES_AT: usize = 4;
const RECORDS_AT: usize = 8;
const BODY_CHECKSUM_AT: usize = 12;
const FIRST_AT: usize = 16;
const DURABLE_AT: usize = 24;
const CHECKSUM_AT: usize = 32;

/// Where a batch stands. Its head's checksum covers that, so that a copy of a batch anywhere else,
/// in a result that prints a log, say, is not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchLocation {
    pub(crate) log: LogId,
    /// The first position of the segment.
    pub(crate) segment: u64,
    /// The byte of the segment that the batch begins at.
    pub(crate) byte: u64,
}

/// What a batch says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHead {
    /// How many bytes of frames follow.
    pub(crate) body_bytes: u32,
    /// How many frames that is. None is the seal, which ends a segment.
    pub(crate) records: u32,
    /// CRC32C of the frames' checksums, one after the other. Each of them covers its frame, so
    /// this covers them all, and their order, without reading them twice.
    pub(crate) body_checksum: u32,
    /// The position of the first record.
    pub(crate) first: u64,
    /// The log was durable up to and with this position when the batch was written.
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

    /// The head of the batch at `site`; `None` when that is not what `bytes` are.
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

    /// Whether it says that the log was durable up to its own records: none was, when it was
    /// written.
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

/// Sums up the frames' checksums.
pub(crate) fn append_checksum(sum: u32, frame: u32) -> u32 {
    crc32c::crc32c_append(sum, &frame.to_le_bytes())
}

/// The first thing that is wrong in a batch's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyFault {
    /// The byte of the body that the bad frame begins at.
    pub(crate) byte: usize,
    /// The record that the bad frame says it is, as far as it can be believed.
    pub(crate) record: Option<(SessionId, Sequence)>,
    pub(crate) reason: &'static str,
}

/// The frames' checksums are summed up so many at once: that is quicker than one by one.
const SUMMED_AT_ONCE: usize = 64;

/// Whether `body` is what `head` says, to the last bit.
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
            reason: "these are not the batch's records",
        });
    }
    Ok(())
}

/// The record that the frame at the front of these bytes says it is.
pub(crate) fn claimed_record(bytes: &[u8]) -> Option<(SessionId, Sequence)> {
    let head = bytes.get(..FRAME_HEAD_BYTES)?;
    let mut frame = head.to_vec();
    // Only the head matters here: read it as a frame without a record.
    frame.get_mut(..4)?.fill(0);
    let (frame, _) = Frame::split(&frame)?;
    Some((frame.session, frame.sequence))
}
