//! The embedded durable log: a directory of segments.
//!
//! One writer appends batches of records. Any number of readers read the records of a session.
//! Opening folds all records in log order.
//!
#![doc = include_str!("../../FORMAT.md")]

mod compact;
mod error;
mod exchange;
mod format;
mod limits;
mod open;
mod options;
mod read;
mod redactions;
mod scan;
mod verify;
mod write;

pub use compact::{CompactionStats, Compactor};
pub use error::{Damage, OpenError};
pub use exchange::{FrameFault, checksum, decode_frames, encode_frames};
pub use format::header::{FORMAT_VERSION, LogId};
pub use open::open_options::{CatchUpError, OpenOptions, Opened, READ_ONLY_BYTES};
pub use open::recovery::{OpenReport, SkippedSnapshot};
pub use options::{Durability, MAX_BATCH_BYTES, MAX_SEGMENT_BYTES, Options};
pub use scan::segment::TornTail;
pub use verify::{DamagedPlace, DeclaredGap, MissingRecords, VerifyReport, verify};
pub use write::metrics::LogMetrics;

use crate::disk::{Disk, DiskLock};
use crate::log::{AppendError, ClockAnchor, Log, LogReader};
use format::anchor;
use open::Replay;
use open::recovery::recover;
use read::reader::Shared;
use redactions::Redactions;
use rejoin_core::{Record, Sequence, SessionId};
use scan::segment::io_error;
use std::io;
use std::sync::{Arc, PoisonError};
use write::preallocate::Spares;
use write::writer::{Batch, Failure, Writer};

/// A durable log in a directory. [`OpenOptions`] opens it.
///
/// A directory can be open only once, across all processes. Dropping the log without
/// [`close`](Log::close) leaves it as a crash would: nothing acknowledged is lost, but the next
/// opening has to find the end of the last segment.
#[derive(Debug)]
pub struct SegmentLog {
    writer: Writer,
    state: State,
    /// A running compaction round also holds the lock, until it ends.
    lock: Option<Arc<dyn DiskLock>>,
}

#[derive(Debug)]
enum State {
    Open,
    Poisoned(Arc<io::Error>),
    Closed,
}

impl SegmentLog {
    pub(crate) fn open_recovered(
        disk: Arc<dyn Disk>,
        new_id: LogId,
        options: Options,
        replay: &mut dyn Replay,
    ) -> Result<(Self, OpenReport), OpenError> {
        let options = Options {
            segment_bytes: options.segment_bytes.min(MAX_SEGMENT_BYTES),
            ..options
        };
        let io = |error| io_error(disk.path(), error);
        let Some(lock) = disk.lock().map_err(io)? else {
            return Err(OpenError::Locked {
                directory: disk.path().to_owned(),
            });
        };
        let recovered = recover(&*disk, replay)?;
        let spares = Spares::new(Arc::clone(&disk), options.segment_bytes, options.zero_ahead);
        let mut shared = Shared::new(Arc::clone(&disk), recovered.index, &recovered.parts);
        let last = recovered.next.saturating_sub(1);
        shared.redactions = Redactions::load(&*disk, &shared, last)?;
        let mut writer = Writer {
            spares: spares.map_err(io)?,
            shared: Arc::new(shared),
            disk,
            options,
            log: recovered.log.unwrap_or(new_id),
            beginning: None,
            active: None,
            next: recovered.next,
            durable: recovered.next.saturating_sub(1),
            removed: 0,
            batch: Batch::default(),
            numbers: Arc::default(),
        };
        // If the disk is full, the first append tries again.
        if let Err(Failure::Fatal(error)) = writer.can_begin() {
            return Err(io_error(writer.disk.path(), error));
        }
        let log = Self {
            writer,
            state: State::Open,
            lock: Some(Arc::from(lock)),
        };
        Ok((log, recovered.report))
    }

    /// A compactor for this log, to run on another thread. It rewrites sealed segments grouped by
    /// session, and writes snapshots. Use only one at a time.
    #[must_use]
    pub fn compactor(&self) -> Compactor {
        Compactor::new(
            Arc::clone(&self.writer.disk),
            Arc::clone(&self.writer.shared),
            self.lock.as_ref().map(Arc::downgrade),
            self.writer.log,
            self.writer.options,
        )
    }

    /// The log's identity: the `new_id` with which its first segment was created.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.writer.log
    }

    /// The position of the next record: one more than the number of records that were ever
    /// appended.
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.writer.next
    }

    /// Makes an empty log go on behind the first `records` ones of the log that it is a copy of, which were
    /// removed there: of the sessions in `cut` the records before a sequence, whose others follow, and the
    /// record of their removal; of all other sessions all. Makes that durable.
    ///
    /// # Errors
    ///
    /// `Refused` if the log is not empty, or its directory can't be written; `Poisoned` if it is unknown
    /// whether it was.
    pub fn skip_removed(
        &mut self,
        records: u64,
        cut: &[(SessionId, Sequence)],
    ) -> Result<(), AppendError> {
        self.check()?;
        let skipped = self.writer.skip_removed(records, cut);
        skipped.map_err(|failure| self.fail(failure))
    }

    /// Whether a record is of a session whose earlier ones were removed, and does not say so itself. Then it
    /// can't be folded, and the record of the removal follows.
    pub(crate) fn is_left_over(&self, record: &Record) -> bool {
        let index = &self.writer.shared.index;
        let index = index.read().unwrap_or_else(PoisonError::into_inner);
        index.is_removed(record.session) && record.event.removes_before().is_none()
    }

    /// Whether an append of `records` would be accepted as far as their sequences decide it. For a
    /// log whose truth is elsewhere, and this its copy.
    ///
    /// # Errors
    ///
    /// `Refused` if there is a gap in a session, `Poisoned` if the log can't be used.
    pub fn check_sequences(&self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        self.check()?;
        self.writer
            .check_sequences(records)
            .map_err(AppendError::refused)
    }

    /// The metrics of the writer. The counters are live, not a copy.
    #[must_use]
    pub fn metrics(&self) -> Arc<LogMetrics> {
        Arc::clone(&self.writer.numbers)
    }

    fn check(&self) -> Result<(), AppendError> {
        match &self.state {
            // The compactor's sync, otherwise the log was poisoned by its own.
            State::Open if self.writer.disk.has_failed() => {
                Err(AppendError::Poisoned(Arc::new(unsynced_names())))
            }
            State::Open => Ok(()),
            State::Poisoned(error) => Err(AppendError::Poisoned(Arc::clone(error))),
            State::Closed => Err(AppendError::closed()),
        }
    }

    fn fail(&mut self, failure: Failure) -> AppendError {
        match failure {
            Failure::Refused(error) => AppendError::refused(error),
            Failure::Fatal(error) => {
                let error = Arc::new(error);
                self.state = State::Poisoned(Arc::clone(&error));
                AppendError::Poisoned(error)
            }
        }
    }
}

impl Log for SegmentLog {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        self.check()?;
        if records.is_empty() {
            return Ok(());
        }
        let appended = self.writer.append(records);
        let redacts = appended.map_err(|failure| self.fail(failure))?;
        let sealed = match redacts {
            true => self.writer.seal_for_redacted(),
            false => self.writer.seal_for_removed(),
        };
        // If this fails, the records are appended all the same, and the next append gets the error.
        if let Err(failure @ Failure::Fatal(_)) = sealed {
            self.fail(failure);
        }
        Ok(())
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        let shared: Arc<Shared> = Arc::clone(&self.writer.shared);
        shared
    }

    fn close(&mut self) -> Result<(), AppendError> {
        if matches!(self.state, State::Closed) {
            return Ok(());
        }
        self.check()?;
        let sealed = self.writer.seal();
        sealed.map_err(|failure| self.fail(failure))?;
        self.state = State::Closed;
        self.writer.spares.stop();
        self.writer.drop_beginning();
        self.writer.shared.seal_signal.end();
        self.lock = None;
        Ok(())
    }

    fn clock_anchor(&self) -> Option<ClockAnchor> {
        anchor::read(&*self.writer.disk, self.writer.log)
    }

    fn keep_clock_anchor(&mut self, anchor: &ClockAnchor) -> io::Result<()> {
        anchor::write(&*self.writer.disk, self.writer.log, anchor)
    }
}

/// Why a log cannot go on after the directory could not be synced.
fn unsynced_names() -> io::Error {
    io::Error::other(
        "the directory of the log could not be synced, so it is unknown which files are on the disk: \
         open the log again",
    )
}

impl Drop for SegmentLog {
    /// Tells the compactor to stop. A running round holds the lock until it has stopped, so no
    /// other process can open the directory before that.
    fn drop(&mut self) {
        self.writer.shared.seal_signal.end();
    }
}
