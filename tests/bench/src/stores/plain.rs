//! A file with one write and one sync per batch: the limit for a log in one file on this machine.

use super::Store;
use crate::Outcome;
use rejoin_core::Record;
use rejoin_log::schema;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
pub struct Plain {
    file: File,
    bytes: Vec<u8>,
}

impl Plain {
    /// # Errors
    ///
    /// If the file cannot be created.
    pub fn create(path: &Path) -> Outcome<Self> {
        Ok(Self {
            file: File::create(path)?,
            bytes: Vec::new(),
        })
    }
}

impl Store for Plain {
    fn append(&mut self, records: &[Arc<Record>]) -> Outcome<()> {
        self.bytes.clear();
        for record in records {
            schema::encode(record, &mut self.bytes);
        }
        self.file.write_all(&self.bytes)?;
        Ok(self.file.sync_data()?)
    }
}
