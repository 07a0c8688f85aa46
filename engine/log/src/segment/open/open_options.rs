//! How a log is opened, and what opening it gives.

use crate::disk::{Directory, Disk, Overlay};
use crate::segment::SegmentLog;
use crate::segment::error::OpenError;
use crate::segment::format::header::LogId;
use crate::segment::open::Replay;
use crate::segment::open::recovery::OpenReport;
use crate::segment::options::{Durability, Options};
use crate::segment::scan::segment::io_error;
use rejoin_core::{Limits, Projection, Record, Snapshot, Violation};
use std::borrow::Borrow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The memory that a read-only log may take for what is appended to it.
pub const READ_ONLY_BYTES: u64 = 256 * 1024 * 1024;

/// A read-only log seals a segment only to read it, so its segments need no zeros ahead.
const READ_ONLY: Options = Options {
    durability: Durability::Flush,
    segment_bytes: 64 * 1024 * 1024,
    zero_ahead: false,
};

/// Opens a segment log. The only way to do so.
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
    /// The log in `directory`, which is created if there is none.
    ///
    /// `new_id` becomes the identity of a log that has no records yet. Draw it at random. Other
    /// logs keep their own: see [`SegmentLog::id`].
    pub fn directory(directory: impl Into<PathBuf>, new_id: LogId) -> Self {
        Self::new(Source::Directory(directory.into()), new_id)
    }

    /// The log in `directory`, of which no byte, name or time is changed.
    ///
    /// It behaves as every log: a torn end is ignored and reported; appended records can be read
    /// back, but stay in memory, up to [`READ_ONLY_BYTES`]. The directory must exist, and may be
    /// one that nobody can write to.
    pub fn read_only(directory: impl Into<PathBuf>) -> Self {
        // The identity that an empty log would get; it is never written.
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

    /// Durability and segment size.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// The limits of the folded state. They decide which commands it accepts later, not which
    /// records it accepts.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Folds from the first record that is kept, although there is a snapshot.
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

    /// Opens the log and folds its records, from the newest sound snapshot on. All of them are
    /// durable when this returns. A torn end is cut off and reported.
    ///
    /// Blocks. A helper thread reads ahead; the records are folded on the calling thread. Takes
    /// memory for the index: about 24 bytes for each run of records that a session has in one
    /// batch.
    ///
    /// # Errors
    ///
    /// The files of the log are unchanged then, unless an `Io` error interrupted the sealing of
    /// the last segment. Damage is an error also if records have been removed and no sound
    /// snapshot covers them. [`verify`](crate::segment::verify) reads on behind damage.
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

    /// Opens the log without folding it: for tests and measurements, whose records need not be
    /// what an engine would write. Without a snapshot, `observe` gets all records that are kept.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), except that the order of events within a session is not checked.
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

/// A log that has been opened, and what its records add up to.
///
/// Invariant: the projection is folded from this log's own records. It can't be replaced.
#[derive(Debug)]
pub struct Opened<L = SegmentLog> {
    log: L,
    projection: Projection,
    report: OpenReport,
}

impl<L> Opened<L> {
    /// A log of another kind that holds these records, in log order.
    ///
    /// # Errors
    ///
    /// When a record can't follow the ones before it.
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

    /// Puts a layer around the log: one that counts or observes appends, say. It must append to
    /// the same log.
    pub fn map_log<M>(self, layer: impl FnOnce(L) -> M) -> Opened<M> {
        Opened {
            log: layer(self.log),
            projection: self.projection,
            report: self.report,
        }
    }

    /// All three.
    pub fn into_parts(self) -> (L, Projection, OpenReport) {
        (self.log, self.projection, self.report)
    }
}

/// Folds records, and stops at the first one that breaks a rule of the fold.
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

/// Folds nothing.
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
