//! What a log is. Who writes it and who reads it are two objects, so that a late reader never
//! stands in the writer's way.

use rejoin_core::{Record, Sequence, SessionId};
use std::fmt;
use std::io;
use std::sync::Arc;

/// The one writer of a log.
pub trait Log: fmt::Debug + Send {
    /// Appends `records` as one batch and makes it as durable as the log is configured to be.
    /// After a crash, all of the batch is there or nothing of it.
    ///
    /// Each record must follow the last one of its session: sequences begin at 1 and have no gaps.
    ///
    /// Blocks for the write and the sync. An empty batch is a no-op.
    ///
    /// # Errors
    ///
    /// `Refused`: nothing of the batch is in the log, and the log can go on. `Poisoned`: nothing
    /// more is promised of this object; every later call fails likewise, and only opening the log
    /// anew tells what is in it. A closed log fails so, too. A batch with a gap in a session, or
    /// too large for the log, is refused.
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError>;

    /// Who reads what this log holds, on any thread, while it is written.
    fn reader(&self) -> Arc<dyn LogReader>;

    /// Ends the log cleanly: seals it, so that the next opening finds no doubtful end. Readers go
    /// on; closing twice is closing once. A log that is dropped unclosed is left as a crash
    /// would leave it.
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
    /// Stop after the record with which the encoded records (as [`schema`](crate::schema) encodes
    /// them) reach so many bytes.
    pub bytes: usize,
}

impl ReadLimit {
    /// Everything there is. For tests and exports: nothing bounds the memory that it takes.
    pub const NONE: Self = Self {
        records: usize::MAX,
        bytes: usize::MAX,
    };

    pub(crate) fn is_reached(self, records: usize, bytes: usize) -> bool {
        records >= self.records || bytes >= self.bytes
    }
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Nothing of the batch is in the log, and the log can go on.
    #[error("the log took nothing of this batch: {0}")]
    Refused(#[source] Arc<io::Error>),
    /// The log promises nothing more before it is opened anew.
    #[error("the log failed and must be opened anew: {0}")]
    Poisoned(#[source] Arc<io::Error>),
}

impl AppendError {
    pub(crate) fn refused(why: io::Error) -> Self {
        Self::Refused(Arc::new(why))
    }

    pub(crate) fn closed() -> Self {
        Self::Poisoned(Arc::new(io::Error::other("the log is closed")))
    }
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
    Io(#[from] io::Error),
}
