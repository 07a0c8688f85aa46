//! Recovers intact frames from a damaged batch.

use crate::segment::format::frame::{FRAME_HEAD_BYTES, Frame};

/// A part of a batch's body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// An intact frame.
    Sound {
        /// Its byte offset in the body.
        at: usize,
        frame: Frame<'a>,
    },
    /// Bytes that are not an intact frame.
    Damaged {
        at: usize,
        end: usize,
        /// How many frames they held, if known.
        frames: Option<u64>,
        reason: &'static str,
    },
}

impl Part<'_> {
    pub(crate) fn is_sound(&self) -> bool {
        matches!(self, Part::Sound { .. })
    }
}

/// Divides the body of a batch of this many `records`.
///
/// A frame is accepted if its checksum is correct and it is certain that a frame begins there:
/// either everything before it is frames, or everything after it up to the end of the body is
/// frames and their number is right. So bytes inside a record are never mistaken for a record.
pub(crate) fn divide(body: &[u8], records: u64) -> Vec<Part<'_>> {
    if let Some(parts) = divide_by_lengths(body, records) {
        return parts;
    }
    // A length is wrong, or bytes are missing: accept the frames before that place.
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some((frame, rest)) = Frame::split(body.get(at..).unwrap_or_default())
        && frame.is_sound()
    {
        parts.push(Part::Sound { at, frame });
        at = body.len().saturating_sub(rest.len());
    }
    let left = records.checked_sub(parts.len() as u64);
    let behind = left.and_then(|left| divide_behind(body, at, left.checked_sub(1)?));
    let (end, behind) = behind.unwrap_or((body.len(), Vec::new()));
    if at < end || left != Some(0) {
        parts.push(Part::Damaged {
            at,
            end,
            frames: left.and_then(|left| left.checked_sub(behind.len() as u64)),
            reason: "the record's length is wrong",
        });
    }
    parts.extend(behind);
    parts
}

/// The frames of a body whose lengths are all right; `None` otherwise.
fn divide_by_lengths(body: &[u8], records: u64) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut at: usize = 0;
    while at < body.len() {
        let (frame, _) = Frame::split(body.get(at..)?)?;
        let end = at.checked_add(frame.length())?;
        parts.push(if frame.is_sound() {
            Part::Sound { at, frame }
        } else {
            Part::Damaged {
                at,
                end,
                frames: Some(1),
                reason: "the record's checksum is wrong",
            }
        });
        at = end;
    }
    (parts.len() as u64 == records).then_some(parts)
}

/// The frames after a single damaged one at `at`. Finds the first offset from which the rest of the
/// body is exactly `left` intact frames.
fn divide_behind(body: &[u8], at: usize, left: u64) -> Option<(usize, Vec<Part<'_>>)> {
    if left == 0 {
        return None;
    }
    let first = at.checked_add(FRAME_HEAD_BYTES)?;
    (first..body.len().saturating_sub(FRAME_HEAD_BYTES)).find_map(|begin| {
        let (frame, _) = Frame::split(body.get(begin..)?)?;
        // Cheap check first: hardly any offset passes it.
        if !frame.is_sound() {
            return None;
        }
        let parts = divide_by_lengths(body.get(begin..)?, left)?;
        let parts: Option<Vec<_>> = parts
            .into_iter()
            .map(|part| match part {
                Part::Sound { at, frame } => {
                    let at = at.saturating_add(begin);
                    Some(Part::Sound { at, frame })
                }
                Part::Damaged { .. } => None,
            })
            .collect();
        Some((begin, parts?))
    })
}
