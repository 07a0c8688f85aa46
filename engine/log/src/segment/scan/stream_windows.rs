//! Buffers for reading a compacted segment in log order, which jumps between sessions. The bytes
//! after a record are its session's next records, so each read also fetches some of those.
//!
//! Invariant: takes at most the memory of [`WINDOWS`] times [`WINDOW_BYTES`], and of the longest
//! record.

use crate::disk::{DiskFile, read_exactly};
use crate::segment::scan::compacted::CompactedFrame;
use std::io;

/// How many bytes of a session are read at once.
const WINDOW_BYTES: usize = 4 * 1024;

/// How many windows there are. With more sessions, several share one.
const WINDOWS: usize = 2_048;

/// The bytes that were last read, per session.
#[derive(Debug, Default)]
pub(crate) struct StreamWindows {
    all: Vec<Window>,
    /// A record that is too long for a window.
    long: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Window {
    /// The byte offset in the file where it begins.
    start: u64,
    bytes: Vec<u8>,
}

impl StreamWindows {
    /// The bytes of the frame at `place`, which belongs to the session with this number. `end` is
    /// where the frames in the file end.
    pub(crate) fn get(
        &mut self,
        file: &dyn DiskFile,
        session: usize,
        place: CompactedFrame,
        end: u64,
    ) -> io::Result<&[u8]> {
        let (at, length) = (u64::from(place.byte), place.bytes as usize);
        if length > WINDOW_BYTES {
            self.long.resize(length, 0);
            read_exactly(file, &mut self.long, at)?;
            return Ok(&self.long);
        }
        let number = session % WINDOWS;
        if self.all.len() <= number {
            self.all.resize(number + 1, Window::default());
        }
        let Some(window) = self.all.get_mut(number) else {
            return Ok(&[]);
        };
        if window.part(at, length).is_none() {
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            window.bytes.resize(left.clamp(length, WINDOW_BYTES), 0);
            window.start = at;
            if let Err(error) = read_exactly(file, &mut window.bytes, at) {
                window.bytes.clear();
                return Err(error);
            }
        }
        Ok(window.part(at, length).unwrap_or_default())
    }
}

impl Window {
    fn part(&self, at: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(length)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, write_all};
    use crate::testing::SimulatedDisk;
    use rejoin_core::Sequence;

    #[test]
    fn every_place_is_read_as_it_stands_whoever_shares_a_window() {
        let bytes: Vec<u8> = (0..40_000_u32).map(|it| (it / 3) as u8).collect();
        let file = SimulatedDisk::new().create("file").unwrap();
        write_all(&*file, &bytes, 0).unwrap();
        let mut windows = StreamWindows::default();
        let mut random = 1_u32;
        for _ in 0..2_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (byte, length) = ((random >> 8) % 30_000, (random >> 3) % 9_000);
            let place = CompactedFrame {
                sequence: Sequence(1),
                byte,
                bytes: length,
            };
            let session = (random >> 28) as usize * WINDOWS / 2;
            let read = windows.get(&*file, session, place, 40_000).unwrap();
            assert!(read == &bytes[byte as usize..][..length as usize]);
        }
        assert!(windows.all.len() <= WINDOWS);
    }
}
