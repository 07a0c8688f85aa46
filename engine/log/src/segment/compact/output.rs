//! A buffer for writing a file from front to back.

use crate::disk::{DiskFile, write_all};
use std::io;
use std::sync::Arc;

/// How many bytes are written at once.
const BUFFER_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    /// How many bytes have been written.
    written: u64,
}

impl Output {
    pub(crate) fn new(file: Arc<dyn DiskFile>) -> Self {
        Self {
            file,
            buffer: Vec::new(),
            written: 0,
        }
    }

    /// The byte offset where the next bytes go.
    pub(crate) fn at(&self) -> u64 {
        self.written.saturating_add(self.buffer.len() as u64)
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        write_all(&*self.file, &self.buffer, self.written)?;
        self.written = self.at();
        self.buffer.clear();
        Ok(())
    }
}
