//! Writes a file from front to back through one buffer.

use crate::disk::{DiskFile, write_all};
use std::io;
use std::sync::Arc;

/// How much is written at once.
const BUFFER_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Output {
    pub(super) file: Arc<dyn DiskFile>,
    buffer: Vec<u8>,
    /// How much has been written.
    written: u64,
}

impl Output {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> Self {
        Self {
            file,
            buffer: Vec::new(),
            written: 0,
        }
    }

    /// The byte that is next.
    pub(super) fn at(&self) -> u64 {
        self.written.saturating_add(self.buffer.len() as u64)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        write_all(&*self.file, &self.buffer, self.written)?;
        self.written = self.at();
        self.buffer.clear();
        Ok(())
    }
}
