//! The options for opening a log, and the opened log with its folded state.

use crate::disk::{Directory, Disk, Overlay};
use crate::log::{AppendError, Log};
use crate::segment::SegmentLog;
use crate::segment::error::OpenError;
use crate::segment::format::header::LogId;
use crate::segment::open::Replay;
use crate::segment::open::recovery::OpenReport;
use crate::segment::options::{Durability, Options};
use crate::segment::scan::segment::io_error;
use rejoin_core::{Limits, Projection, Record, Sequence, SessionId, Snapshot, Violation};
use std::borrow::Borrow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The memory limit in bytes for records appended to a read-only log.
pub const READ_ONLY_BYTES: u64 = 256 * 1024 * 1024;

/// Appends to a read-only log stay in memory, so it needs neither syncs nor preallocated segments.
const READ_ONLY: Options = Options {
    durability: Durability::Flush,
    segment_bytes: 64 * 1024 * 1024,
    zero_ahead: false,
    ..Options::DEFAULT
};

/// Opens a segment log.
///
/// ```
/// use rejoin_core::testing::{SESSION, created};
/// use rejoin_core::{Record, Sequence, Timestamp};
/// use rejoin_log::Log;
/// use rejoin_log::segment::{LogId, OpenOptions};
/// use std::sync::Arc;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let id = LogId::from_bytes([9; 16]); // use random bytes
/// let (mut log, projection, _) = OpenOptions::directory(directory, id).open()?.into_parts();
/// assert_eq!(projection.views().open_count(), 0);
/// let record = Record {
///     session: SESSION,
///     sequence: Sequence(1),
///     at: Timestamp::EPOCH,
///     clock: Timestamp::EPOCH.into(),
///     actor: None, redacted: None,
///     event: created(),
/// };
/// log.append(&[Arc::new(record)])?;
/// log.close()?;
///
/// let opened = OpenOptions::read_only(directory).open()?;
/// assert_eq!(opened.report().records, 1);
/// assert_eq!(opened.projection().views().open_count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OpenOptions<'a> {
    source: Source,
    new_id: LogId,
    options: Options,
    limits: Limits,
    use_snapshot: bool,
    observer: Option<&'a mut dyn FnMut(&Record)>,
}

/// Where the log is.
enum Source {
    Directory(PathBuf),
    ReadOnly(PathBuf),
    Disk(Arc<dyn Disk>),
}

impl<'a> OpenOptions<'a> {
    /// The log in `directory`, which is created if it does not exist.
    ///
    /// `new_id` becomes the identity of a log that has no records yet; use random bytes. A log with
    /// records keeps its own: see [`SegmentLog::id`].
    pub fn directory(directory: impl Into<PathBuf>, new_id: LogId) -> Self {
        Self::new(Source::Directory(directory.into()), new_id)
    }

    /// The log in `directory`, without changing any content, name or timestamp in it.
    ///
    /// It behaves like any log: an interrupted append at the end is ignored and reported; appended
    /// records can be read back, but stay in memory, up to [`READ_ONLY_BYTES`]. The directory must
    /// exist. Write permission is not needed.
    pub fn read_only(directory: impl Into<PathBuf>) -> Self {
        // An empty log would get this identity, but it is never written to the directory.
        let new_id = LogId::from_bytes([0; 16]);
        Self::new(Source::ReadOnly(directory.into()), new_id).options(READ_ONLY)
    }

    /// The log on a disk of any kind; `new_id` as in [`directory`](Self::directory).
    pub fn disk(disk: Arc<dyn Disk>, new_id: LogId) -> Self {
        Self::new(Source::Disk(disk), new_id)
    }

    fn new(source: Source, new_id: LogId) -> Self {
        Self {
            source,
            new_id,
            options: Options::default(),
            limits: Limits::DEFAULT,
            use_snapshot: true,
            observer: None,
        }
    }

    /// Sets durability, segment size and preallocation.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets the limits of the folded state. They decide which commands it accepts later, not which
    /// records of the log it accepts.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Folds from the first record in the log, even if there is a snapshot.
    #[must_use]
    pub fn ignore_snapshots(mut self) -> Self {
        self.use_snapshot = false;
        self
    }

    /// Calls `observer` with every record that is folded, in log order, on the calling thread.
    #[must_use]
    pub fn observe(mut self, observer: &'a mut dyn FnMut(&Record)) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Opens the log and folds its records, starting from the newest valid snapshot. All of them
    /// are durable when this returns. An interrupted append at the end is cut off and reported.
    ///
    /// Blocks. A helper thread reads ahead; the records are folded on the calling thread. The index
    /// takes memory: about 24 bytes for each run of records that a session has in one batch.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. The files of the log are then unchanged, unless an `Io` error interrupted
    /// the sealing of the last segment. To read a damaged log, use
    /// [`verify`](crate::segment::verify), which continues after damage.
    pub fn open(self) -> Result<Opened<SegmentLog>, OpenError> {
        let mut folding = Folding {
            projection: Projection::new(self.limits),
            limits: self.limits,
            use_snapshot: self.use_snapshot,
            violation: None,
            observer: self.observer,
        };
        let (log, report) = open(self.source, self.new_id, self.options, &mut folding)?;
        Ok(Opened {
            log,
            projection: folding.projection,
            report,
        })
    }

    /// Opens the log without folding it, for tests and measurements with records that an engine
    /// would not write. No snapshot is used: [`observe`](Self::observe) gets all records that have
    /// not been removed.
    ///
    /// # Errors
    ///
    /// Like [`open`](Self::open), except that the order of events within a session is not checked.
    pub fn open_unfolded(self) -> Result<(SegmentLog, OpenReport), OpenError> {
        let mut reading = Observing {
            observer: self.observer,
        };
        open(self.source, self.new_id, self.options, &mut reading)
    }
}

impl fmt::Debug for OpenOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("options", &self.options)
            .field("limits", &self.limits)
            .field("use_snapshot", &self.use_snapshot)
            .finish_non_exhaustive()
    }
}

fn open(
    source: Source,
    new_id: LogId,
    options: Options,
    replay: &mut dyn Replay,
) -> Result<(SegmentLog, OpenReport), OpenError> {
    let disk: Arc<dyn Disk> = match source {
        Source::Disk(disk) => disk,
        Source::Directory(path) => {
            let directory = Directory::open(&path);
            Arc::new(directory.map_err(|error| io_error(&path, error))?)
        }
        Source::ReadOnly(path) => {
            let below = Directory::open_to_read(&path);
            let below = below.map_err(|error| io_error(&path, error))?;
            Arc::new(Overlay::over(Arc::new(below), READ_ONLY_BYTES))
        }
    };
    SegmentLog::open_recovered(disk, new_id, options, replay)
}

/// An opened log, and the projection of its records.
///
/// Invariant: the projection is folded from this log's own records. It can't be replaced.
#[derive(Debug)]
pub struct Opened<L = SegmentLog> {
    log: L,
    projection: Projection,
    report: OpenReport,
}

impl<L> Opened<L> {
    /// Wraps a log of another kind that holds exactly these records, in log order.
    ///
    /// # Errors
    ///
    /// If a record contradicts the ones before it.
    pub fn from_records(
        log: L,
        limits: Limits,
        records: impl IntoIterator<Item = impl Borrow<Record>>,
    ) -> Result<Self, Violation> {
        let mut projection = Projection::new(limits);
        let mut report = OpenReport::default();
        for record in records {
            projection.add(record.borrow())?;
            report.records += 1;
            report.replayed += 1;
        }
        Ok(Self {
            log,
            projection,
            report,
        })
    }

    /// The log.
    pub fn log(&self) -> &L {
        &self.log
    }

    /// State and views after the last record.
    pub fn projection(&self) -> &Projection {
        &self.projection
    }

    /// What opening found.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Wraps the log in a layer, for example one that counts appends. The layer must append to the
    /// same log.
    pub fn map_log<M>(self, layer: impl FnOnce(L) -> M) -> Opened<M> {
        Opened {
            log: layer(self.log),
            projection: self.projection,
            report: self.report,
        }
    }

    /// Splits into the log, the projection and the report.
    pub fn into_parts(self) -> (L, Projection, OpenReport) {
        (self.log, self.projection, self.report)
    }
}

impl Opened<SegmentLog> {
    /// Appends records that the log does not have yet, and folds them. For a log that is a copy of
    /// another one, which has gone on. What is left of a session whose first records were removed is not
    /// folded, but its removal is.
    ///
    /// # Errors
    ///
    /// If they could not be appended, or if one of them contradicts the ones before it. Then this is
    /// dropped: the projection is no longer that of the log.
    pub fn append(mut self, records: &[Arc<Record>]) -> Result<Self, CatchUpError> {
        self.log.append(records)?;
        for record in records {
            self.report.records += 1;
            if self.log.is_left_over(record) {
                continue;
            }
            self.projection.add(record)?;
            self.report.replayed += 1;
        }
        Ok(self)
    }

    /// As [`SegmentLog::skip_removed`].
    ///
    /// # Errors
    ///
    /// As there. Then this is dropped.
    pub fn skip_removed(
        mut self,
        records: u64,
        cut: &[(SessionId, Sequence)],
    ) -> Result<Self, CatchUpError> {
        self.log.skip_removed(records, cut)?;
        self.report.removed = self.report.removed.saturating_add(records);
        Ok(self)
    }
}

/// Why a log could not be continued with records of another one.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// They could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// One of them contradicts the records before it.
    #[error("a record of the other log can't be right: {0}")]
    Invalid(#[from] Violation),
}

/// Folds records, and stops at the first invalid one.
struct Folding<'a> {
    projection: Projection,
    limits: Limits,
    use_snapshot: bool,
    violation: Option<Violation>,
    observer: Option<&'a mut dyn FnMut(&Record)>,
}

impl Replay for Folding<'_> {
    fn wants_snapshot(&self) -> bool {
        self.use_snapshot
    }

    fn restore(&mut self, snapshot: Snapshot) {
        self.projection = Projection::restored(self.limits, snapshot);
    }

    fn add(&mut self, record: &Record) {
        if self.violation.is_none() {
            if let Some(observer) = &mut self.observer {
                observer(record);
            }
            self.violation = self.projection.add(record).err();
        }
    }

    fn violation(&self) -> Option<Violation> {
        self.violation
    }
}

/// Only calls the observer, without folding.
struct Observing<'a> {
    observer: Option<&'a mut dyn FnMut(&Record)>,
}

impl Replay for Observing<'_> {
    fn add(&mut self, record: &Record) {
        if let Some(observer) = &mut self.observer {
            observer(record);
        }
    }
}
