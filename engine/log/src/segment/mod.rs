//! The embedded durable log: a directory of segments.
//!
//! What enters: batches of records, from one writer. What leaves: the records of any session, to
//! any number of readers; and all of them in log order, when the log is opened. Never: a record
//! that is not what was appended, a batch in part, a record that was acknowledged and is missing
//! without the opening saying so.
//!
#![doc = include_str!("../../FORMAT.md")]

mod compact;
mod error;
mod format;
mod limits;
mod open;
mod options;
mod read;
mod scan;
mod verify;
mod write;

pub use compact::{CompactionStats, Compactor};
pub use error::{Damage, OpenError};
pub use format::header::{FORMAT_VERSION, LogId};
pub use open::open_options::{OpenOptions, Opened, READ_ONLY_BYTES};
pub use open::recovery::{OpenReport, SkippedSnapshot};
pub use open::replay::Replay;
pub use options::{Durability, MAX_BATCH_BYTES, MAX_SEGMENT_BYTES, Options};
pub use scan::segment::TornTail;
pub use verify::{DamagedPlace, DeclaredGap, MissingRecords, VerifyReport, verify};
pub use write::metrics::LogMetrics;

use crate::disk::{Directory, Disk, DiskLock};
use crate::log::{AppendError, Log, LogReader};
use open::recovery::recover;
use read::reader::Shared;
use rejoin_core::Record;
use scan::segment::io_error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use write::preallocate::Spares;
use write::writer::{Batch, Failure, Writer};

/// A durable log in a directory of its own.
///
/// One object at a time has the directory open, in all processes together. Dropping it without
/// [`close`](Log::close) leaves the log as a crash would: nothing acknowledged is lost, but the
/// next opening has to find the end itself.
///
/// ```
/// use rejoin_core::{Event, Record, Sequence, SessionId, Timestamp};
/// use rejoin_log::segment::{LogId, Options, SegmentLog};
/// use rejoin_log::{Log, ReadLimit};
/// use std::sync::Arc;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// # let options = Options { zero_ahead: false, ..Options::default() };
/// let id = LogId::from_bytes([9; 16]); // drawn at random, in earnest
/// let session = SessionId::from_bytes([7; 16]);
/// let record = Record {
///     session,
///     sequence: Sequence(1),
///     at: Timestamp::EPOCH,
///     event: Event::SessionResumed,
/// };
///
/// let (mut log, _) = OpenOptions::directory(directory, id).options(options).open_unfolded()?;
/// log.append(&[Arc::new(record.clone())])?;
/// log.close()?;
///
/// let mut replayed = Vec::new();
/// let (log, recovery) = SegmentLog::open(directory, id, options, &mut |record| {
///     replayed.push(record);
/// })?;
/// assert_eq!(replayed, [record]);
/// assert_eq!(recovery.records, 1);
/// assert_eq!(recovery.torn, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SegmentLog {
    writer: Writer,
    state: State,
    /// Pinned by a round of the archive, too, as long as it goes on.
    lock: Option<Arc<dyn DiskLock>>,
}

#[derive(Debug)]
enum State {
    Open,
    Poisoned(Arc<io::Error>),
    Closed,
}

impl SegmentLog {
    /// Opens the log in `directory`, and creates it where there is none.
    ///
    /// Reads the whole log, and tells `visit` every record in the order in which they were
    /// appended. All of them are durable when this returns; what `visit` was told is to be
    /// forgotten if it fails. A torn end is cut off, which the answer tells.
    ///
    /// `new_id` becomes the identity of a log that has no records yet, and is not looked at
    /// otherwise: see [`id`](Self::id).
    ///
    /// Blocks for as long as reading takes, which a thread of its own does: it is a little ahead of
    /// what `visit` is told, on this one. Takes memory for the index, about 24 bytes for each run
    /// of records that one session has in one batch.
    ///
    /// # Errors
    ///
    /// Of the log that is in the directory nothing has been changed or removed then, except that
    /// an `Io` error may have come between cutting a torn end off and sealing what is before it.
    pub fn open(
        directory: &Path,
        new_id: LogId,
        options: Options,
        visit: &mut dyn FnMut(Record),
    ) -> Result<(Self, OpenReport), OpenError> {
        let disk = Directory::open(directory).map_err(|error| io_error(directory, error))?;
        Self::open_on(Arc::new(disk), new_id, options, visit)
    }

    /// As [`open`](Self::open), but begins with the newest snapshot, where `replay` wants one and
    /// there is one: then only the records behind it are told. What this costs depends on these,
    /// and on how many sessions there are, not on how many records there ever were.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open). Damage is, too, when records have been removed and no snapshot is
    /// left that says what they led to.
    pub fn open_replaying(
        directory: &Path,
        new_id: LogId,
        options: Options,
        replay: &mut dyn Replay,
    ) -> Result<(Self, OpenReport), OpenError> {
        let disk = Directory::open(directory).map_err(|error| io_error(directory, error))?;
        Self::open_replaying_on(Arc::new(disk), new_id, options, replay)
    }

    /// As [`open`](Self::open), on a disk of any kind.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_on(
        disk: Arc<dyn Disk>,
        new_id: LogId,
        options: Options,
        mut visit: &mut dyn FnMut(Record),
    ) -> Result<(Self, OpenReport), OpenError> {
        Self::open_replaying_on(disk, new_id, options, &mut visit)
    }

    /// As [`open_replaying`](Self::open_replaying), on a disk of any kind.
    ///
    /// # Errors
    ///
    /// As [`open_replaying`](Self::open_replaying).
    pub fn open_replaying_on(
        disk: Arc<dyn Disk>,
        new_id: LogId,
        options: Options,
        replay: &mut dyn Replay,
    ) -> Result<(Self, OpenReport), OpenError> {
        Self::open_recovered(disk, new_id, options, replay)
    }

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
        let writer = Writer {
            spares: spares.map_err(io)?,
            shared: Arc::new(Shared::new(
                Arc::clone(&disk),
                recovered.index,
                &recovered.parts,
            )),
            disk,
            options,
            log: recovered.log.unwrap_or(new_id),
            active: None,
            next: recovered.next,
            durable: recovered.next.saturating_sub(1),
            removed: 0,
            batch: Batch::default(),
            numbers: Arc::default(),
        };
        let log = Self {
            writer,
            state: State::Open,
            lock: Some(Arc::from(lock)),
        };
        Ok((log, recovered.report))
    }

    /// Who rewrites what is sealed in the order of sessions, and makes snapshots, on another
    /// thread. There should be one at a time.
    #[must_use]
    pub fn compactor(&self) -> Compactor {
        Compactor::new(
            Arc::clone(&self.writer.disk),
            Arc::clone(&self.writer.shared),
            self.lock.as_ref().map(Arc::downgrade),
            self.writer.log,
            self.writer.options.segment_bytes,
        )
    }

    /// The log's identity: what was drawn when its first segment was begun.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.writer.log
    }

    /// What is counted while the log is written, now and later.
    #[must_use]
    pub fn numbers(&self) -> Arc<LogMetrics> {
        Arc::clone(&self.writer.numbers)
    }

    fn check(&self) -> Result<(), AppendError> {
        match &self.state {
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
        appended.map_err(|failure| self.fail(failure))?;
        // What was appended stands, whatever becomes of this; the next append is told.
        if let Err(failure @ Failure::Fatal(_)) = self.writer.seal_for_removed() {
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
        self.writer.shared.seal_signal.end();
        self.lock = None;
        Ok(())
    }
}

impl Drop for SegmentLog {
    /// The archive must not go on changing a directory that somebody else may open: a round that
    /// is under way holds the lock until it has stopped.
    fn drop(&mut self) {
        self.writer.shared.seal_signal.end();
    }
}
