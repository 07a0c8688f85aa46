//! Where servers keep what they share: a small document that one of them replaces at a time.

use crate::file::replace;
use crate::limits::SHARED_BYTES;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A document that several servers read and replace. Calls block, for seconds if need be, and are made from
/// several threads.
pub trait SharedStore: Send + Sync + 'static {
    /// The document as it is now, not as it was. A new store has an empty one, of revision 0.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    fn read(&self) -> Result<Stored, StoreError>;

    /// Replaces the document if it still has this revision.
    ///
    /// # Errors
    ///
    /// When the store does not answer. The document may have been replaced all the same.
    fn replace(&self, revision: u64, bytes: &[u8]) -> Result<Replaced, StoreError>;

    /// Waits until the document may have changed, `patience` at most. Whether it may have.
    fn wait(&self, patience: Duration) -> bool;

    /// Whether other servers read and replace it, too.
    fn is_shared(&self) -> bool;
}

/// A document in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Changes with the document.
    pub revision: u64,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// What became of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// Done; the new revision.
    Done(u64),
    /// The document had another revision.
    Conflict,
}

/// The store did not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// The store of a server that is alone: a file in its directory, so that logins outlive the process.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    /// How often it was replaced. One process has the directory.
    revision: Mutex<u64>,
}

impl FileStore {
    /// The store in this file, which need not exist.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self {
            path,
            revision: Mutex::new(0),
        }
    }

    fn revision(&self) -> MutexGuard<'_, u64> {
        self.revision.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, what: &str, error: &io::Error) -> StoreError {
        StoreError(format!("cannot {what} {}: {error}", self.path.display()))
    }
}

impl SharedStore for FileStore {
    fn read(&self) -> Result<Stored, StoreError> {
        let revision = self.revision();
        let mut bytes = Vec::new();
        match File::open(&self.path) {
            // One more byte than the bound makes it no document.
            Ok(file) => file
                .take(SHARED_BYTES as u64 + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| self.failed("read", &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(self.failed("read", &error)),
        };
        Ok(Stored {
            revision: *revision,
            bytes,
        })
    }

    fn replace(&self, expected: u64, bytes: &[u8]) -> Result<Replaced, StoreError> {
        let mut revision = self.revision();
        if *revision != expected {
            return Ok(Replaced::Conflict);
        }
        replace(&self.path, bytes).map_err(|error| self.failed("write", &error))?;
        *revision = revision.saturating_add(1);
        Ok(Replaced::Done(*revision))
    }

    fn wait(&self, patience: Duration) -> bool {
        std::thread::sleep(patience);
        false
    }

    fn is_shared(&self) -> bool {
        false
    }
}
