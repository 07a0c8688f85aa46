//! The traits of a log. Writer and reader are separate objects, so that a slow reader never blocks
//! the writer.

use rejoin_core::{Instant, Record, Sequence, SessionId};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The only writer of a log.
pub trait Log: fmt::Debug + Send {
    /// Appends `records` as one batch and makes it as durable as the log is configured to be.
    /// After a crash, the log contains either the whole batch or nothing of it.
    ///
    /// Each record must follow the last one of its session: sequences start at 1 and have no gaps.
    ///
    /// Once a batch with an [`Event::RecordsRedacted`](rejoin_core::Event::RecordsRedacted) is appended,
    /// no read returns what it redacts. A durable log then rewrites it where it is stored, also after a
    /// crash.
    ///
    /// Blocks for the write and the sync. An empty batch is a no-op.
    ///
    /// # Errors
    ///
    /// `Refused`: nothing of the batch is in the log, and the log can still be used. Returned for a
    /// batch that has a gap in a session or is too large for the log. `Poisoned`: the object can't
    /// be used any more, every later call fails too, and only reopening the log shows what is in
    /// it. Also returned by a closed log. `Fenced`: another writer has taken a log that is shared.
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError>;

    /// Makes sure that no other writer has taken a log that is shared, since the last append. What is
    /// decided without an append, as a refusal, is right only then. Blocks.
    ///
    /// # Errors
    ///
    /// Same as `append`.
    fn confirm(&mut self) -> Result<(), AppendError> {
        Ok(())
    }

    /// A reader of this log, for any thread. Reading and writing may overlap.
    fn reader(&self) -> Arc<dyn LogReader>;

    /// Closes the log cleanly: seals it, so that the next opening finds no uncertain end. Readers
    /// keep working; closing again does nothing. Dropping a log without closing it leaves it as a
    /// crash would.
    ///
    /// # Errors
    ///
    /// Same as `append`.
    fn close(&mut self) -> Result<(), AppendError>;

    /// The anchor that was kept last. None: there is none, or it was lost. A log that keeps none has
    /// none.
    fn clock_anchor(&self) -> Option<ClockAnchor> {
        None
    }

    /// Keeps `anchor` instead of the one before, if this log keeps any. It may get lost when the
    /// machine ends, with which it loses its meaning.
    ///
    /// # Errors
    ///
    /// When it could not be written. The log can still be used.
    fn keep_clock_anchor(&mut self, anchor: &ClockAnchor) -> io::Result<()> {
        let _ = anchor;
        Ok(())
    }
}

/// What the log's clock showed when a stopwatch showed something else. From this, the next process on
/// the same machine knows how much time has passed, whatever the wall clock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockAnchor {
    /// Identifies the run of the machine that the stopwatch began with.
    pub boot: [u8; 16],
    /// What the stopwatch showed, in whole milliseconds.
    pub elapsed: Duration,
    /// What the log's clock showed.
    pub clock: Instant,
}

/// Reads the streams of sessions.
pub trait LogReader: fmt::Debug + Send + Sync {
    /// The records of `session` after `after`, in order and without gaps: as many as `limit`
    /// allows, but at least one if there is one. Empty if there is none, or no such session.
    ///
    /// Blocks while it reads from the disk.
    ///
    /// # Errors
    ///
    /// A damaged record is never returned: a call returns the records before it, and the call that
    /// starts at it fails.
    fn read(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, ReadError>;

    /// Sessions of which the log has records, in the order of their identities: the first `limit` after
    /// `after`, or the first of all. Sessions that were removed are among them for as long as the log
    /// remembers that.
    fn sessions(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionId>;

    /// How many redactions are recorded and not carried out in all files yet.
    fn pending_redactions(&self) -> u64 {
        0
    }
}

/// How much one `read` may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Maximum number of records.
    pub records: usize,
    /// Stop after the record that makes the total reach this number of bytes, as encoded by
    /// [`schema`](crate::schema).
    pub bytes: usize,
}

impl ReadLimit {
    /// No limit. For tests and exports: memory use is unbounded.
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
    /// Nothing of the batch is in the log, and the log can still be used.
    #[error("the log refused the batch: {0}")]
    Refused(#[source] Arc<io::Error>),
    /// The log can't be used until it is reopened.
    #[error("the log failed and must be reopened: {0}")]
    Poisoned(#[source] Arc<io::Error>),
    /// Another writer has taken the log. Nothing of the batch is in it, and this object can't be used any
    /// more.
    #[error("the log has another writer: {0}")]
    Fenced(#[source] Arc<io::Error>),
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
    /// The bytes at this place are not the ones that were written.
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
