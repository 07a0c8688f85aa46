//! What is still to be had of a batch that is damaged.

use crate::segment::format::frame::{FRAME_HEAD_BYTES, Frame};

/// A part of a batch's body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// A frame as it was written.
    Sound {
        /// The byte of the body that it begins at.
        at: usize,
        frame: Frame<'a>,
    },
    /// Bytes that are no frame, or not any more.
    Damaged {
        at: usize,
        end: usize,
        /// How many frames they were.
        frames: Option<u64>,
        reason: &'static str,
    },
}

impl Part<'_> {
    pub(crate) fn is_sound(&self) -> bool {
        matches!(self, Part::Sound { .. })
    }
}

/// Divides the body of a batch that held so many `records`.
///
/// A frame is believed when its checksum is right and it is certain that a frame begins there:
/// because all before it are frames, or because all behind it are, to the body's end, and their
/// number is right. So what a record prints is never taken for a record.
pub(crate) fn divide(body: &[u8], records: u64) -> Vec<Part<'_>> {
    if let Some(parts) = divide_by_lengths(body, records) {
        return parts;
    }
    // A length is wrong, or bytes are missing: what is before it is believed.
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

/// The frames of a body whose lengths are right; `None` when they are not.
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

/// The frames behind a single one that is damaged and begins at `at`: the first place from which
/// on there are as many as are `left`, all sound, and nothing else to the body's end.
fn divide_behind(body: &[u8], at: usize, left: u64) -> Option<(usize, Vec<Part<'_>>)> {
    if left == 0 {
        return None;
    }
    let first = at.checked_add(FRAME_HEAD_BYTES)?;
    (first..body.len().saturating_sub(FRAME_HEAD_BYTES)).find_map(|begin| {
        let (frame, _) = Frame::split(body.get(begin..)?)?;
        // Before looking at all of them: hardly any place passes this.
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
