//! What a log is. Who writes it and who reads it are two objects, so that a late reader never
//! stands in the writer's way.

use rejoin_core::{Record, Sequence, SessionId};
use std::fmt;
use std::sync::Arc;

/// The one writer of a log.
pub trait Log: fmt::Debug + Send {
    /// Appends `records` as one batch and makes it as durable as the log is configured to be.
    /// After a crash, all of the batch is there or nothing of it.
    ///
    /// Blocks for the write and the sync. An empty batch is a no-op.
    ///
    /// # Errors
    ///
    /// `Refused`: nothing of the batch is in the log, and the log can go on. `Poisoned`: nothing
    /// more is promised of this object; every later call fails likewise, and only opening the log
    /// anew tells what is in it.
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError>;

    /// Who reads what this log holds, on any thread, while it is written.
    fn reader(&self) -> Arc<dyn LogReader>;

    /// Ends the log cleanly: seals it, so that the next opening finds no doubtful end.
    ///
    /// # Errors
    ///
    /// As `append`.
    fn close(&mut self) -> Result<(), AppendError>;
}

/// Reads the streams of sessions.
pub trait LogReader: fmt::Debug + Send + Sync {
    /// The records of `session` after `after`, in order and without gaps, as many as `limit`
    /// allows but at least one where there is one. Empty when there is none, or no such session.
    ///
    /// Blocks while it reads from the disk.
    ///
    /// # Errors
    ///
    /// A record that is damaged is never returned: the records before it are, and the call that
    /// begins at it fails.
    fn read(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, ReadError>;
}

/// How much one `read` may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// At most so many records.
    pub records: usize,
    /// Stop after the record with which the encoded records reach so many bytes.
    pub bytes: usize,
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing of the batch is in the log, and the log can go on.
    #[error("the log took nothing of this batch: {0}")]
    Refused(#[source] Arc<std::io::Error>),
    /// The log promises nothing more before it is opened anew.
    #[error("the log failed and must be opened anew: {0}")]
    Poisoned(#[source] Arc<std::io::Error>),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes at this place are not what was written.
    #[error("the log is damaged: {place}: {reason}")]
    Damaged {
        /// File and byte offset.
        place: String,
        /// What is wrong there.
        reason: String,
    },
    /// The operating system could not read.
    #[error("the log could not be read: {0}")]
    Io(#[from] std::io::Error),
}
