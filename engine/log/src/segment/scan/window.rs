//! A buffer for reading a file from front to back.

use crate::disk::{DiskFile, read_exactly};
use std::io;

/// How many bytes are read at once.
pub(crate) const WINDOW_BYTES: usize = 256 * 1024;

/// A buffered view of a part of a file. It moves on demand.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    file: &'a dyn DiskFile,
    length: u64,
    /// The byte offset in the file where the buffer begins.
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(crate) fn new(file: &'a dyn DiskFile) -> io::Result<Self> {
        Ok(Self {
            file,
            length: file.length()?,
            start: 0,
            buffer: Vec::new(),
        })
    }

    /// The file's length when the window was created.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// `count` bytes from byte `at` on; `None` if the file ends before that. Takes no more memory
    /// than the length of the file.
    pub(crate) fn get(&mut self, at: u64, count: usize) -> io::Result<Option<&[u8]>> {
        let left = self.length.saturating_sub(at);
        if (count as u64) > left {
            return Ok(None);
        }
        if self.buffered(at, count).is_none() {
            let wanted = count.max(WINDOW_BYTES);
            let wanted = usize::try_from(left).map_or(wanted, |left| wanted.min(left));
            self.buffer.resize(wanted, 0);
            self.start = at;
            if let Err(error) = read_exactly(self.file, &mut self.buffer, at) {
                self.buffer.clear();
                return Err(error);
            }
        }
        Ok(self.buffered(at, count))
    }

    fn buffered(&self, at: u64, count: usize) -> Option<&[u8]> {
        let from = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.buffer.get(from..from.checked_add(count)?)
    }
}
