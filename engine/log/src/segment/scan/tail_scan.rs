//! Scans the bytes after the last readable batch of a segment: zeros, the remains of an interrupted
//! append, or a batch head that proves damage.

use crate::segment::format::batch::{BATCH_HEAD_BYTES, BatchHead, BatchLocation, MARKER};
use crate::segment::scan::window::{WINDOW_BYTES, Window};
use std::io;
use std::ops::ControlFlow;

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TailScan {
    /// The byte offset after the last nonzero byte; 0 if all are zero.
    pub(crate) used: u64,
    /// The head with the highest durable position, and its byte offset.
    pub(crate) watermark: Option<(u64, BatchHead)>,
    /// The highest position that any head claims, plus one.
    pub(crate) next: Option<u64>,
}

/// Scans the bytes from `from` to the end of the file. `site` identifies the segment.
///
/// A head is trusted even if its records are damaged: its checksum covers its location, so it can
/// only come from a batch that was written here.
pub(crate) fn scan_tail(
    window: &mut Window<'_>,
    site: BatchLocation,
    from: u64,
) -> io::Result<TailScan> {
    let mut tail = TailScan::default();
    each_part(window, from, |bytes, at| {
        tail.look_at(bytes, site, at);
        ControlFlow::<()>::Continue(())
    })?;
    Ok(tail)
}

/// The first valid head at or after `from`, and its byte offset.
pub(crate) fn next_head(
    window: &mut Window<'_>,
    site: BatchLocation,
    from: u64,
) -> io::Result<Option<(u64, BatchHead)>> {
    each_part(window, from, |bytes, at| {
        heads(bytes, site, at)
            .next()
            .map_or(ControlFlow::Continue(()), ControlFlow::Break)
    })
}

/// Calls `look` with the bytes from `from` to the end of the file, in parts that overlap enough for
/// every head to be whole in one of them. Skips parts that are all zeros.
fn each_part<T>(
    window: &mut Window<'_>,
    from: u64,
    mut look: impl FnMut(&[u8], u64) -> ControlFlow<T>,
) -> io::Result<Option<T>> {
    let mut at = from;
    while at < window.length() {
        let left = window.length().saturating_sub(at);
        let count = usize::try_from(left).map_or(WINDOW_BYTES, |left| left.min(WINDOW_BYTES));
        let Some(bytes) = window.get(at, count)? else {
            break;
        };
        if !is_zero(bytes)
            && let ControlFlow::Break(found) = look(bytes, at)
        {
            return Ok(Some(found));
        }
        // A head may cross the end of this part, so the next part overlaps it.
        at += if (count as u64) < left {
            count.saturating_sub(BATCH_HEAD_BYTES - 1) as u64
        } else {
            left
        };
    }
    Ok(None)
}

/// The valid heads in these bytes, which begin at offset `at` of the file.
fn heads(bytes: &[u8], site: BatchLocation, at: u64) -> impl Iterator<Item = (u64, BatchHead)> {
    let places = bytes.windows(BATCH_HEAD_BYTES).enumerate();
    places
        .filter(|(_, window)| window.starts_with(&MARKER))
        .filter_map(move |(place, window)| {
            let byte = at + place as u64;
            let head = BatchHead::decode(window.first_chunk()?, BatchLocation { byte, ..site })?;
            Some((byte, head))
        })
}

impl TailScan {
    fn look_at(&mut self, bytes: &[u8], site: BatchLocation, at: u64) {
        if let Some(last) = bytes.iter().rposition(|&byte| byte != 0) {
            self.used = at + last as u64 + 1;
        }
        for (byte, head) in heads(bytes, site, at) {
            self.next = self.next.max(Some(head.next()));
            if self
                .watermark
                .is_none_or(|(_, best)| best.durable < head.durable)
            {
                self.watermark = Some((byte, head));
            }
        }
    }
}

/// Compares whole blocks to run at memory speed: a segment can have many megabytes of zeros.
fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: &[u8] = &[0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|block| ZEROS.starts_with(block))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;
    use crate::segment::format::header::LogId;
    use crate::testing::SimulatedDisk;

    #[test]
    fn a_head_is_found_wherever_the_window_ends() {
        let site = BatchLocation {
            log: LogId::from_bytes([1; 16]),
            segment: 1,
            byte: 0,
        };
        let head = BatchHead {
            body_bytes: 0,
            records: 3,
            body_checksum: 0,
            first: 10,
            durable: 9,
        };
        let edge = WINDOW_BYTES as u64;
        for byte in (edge - 40..edge + 4).chain([3 * edge]) {
            let disk = SimulatedDisk::new();
            let file = disk.create("file").unwrap();
            file.write_at(&head.encode(BatchLocation { byte, ..site }), byte)
                .unwrap();
            file.set_length(4 * edge).unwrap();
            let mut window = Window::new(&*file).unwrap();
            let expected = TailScan {
                used: byte + BATCH_HEAD_BYTES as u64,
                watermark: Some((byte, head)),
                next: Some(13),
            };
            assert_eq!(scan_tail(&mut window, site, 5).unwrap(), expected, "{byte}");
        }
    }
}
