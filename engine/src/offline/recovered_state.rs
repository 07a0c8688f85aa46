//! Folds the records of a log into the state that an engine starts with.

use crate::Config;
use rejoin_core::{Limits, Projection, Record, Snapshot, State, Views, Violation};
use rejoin_log::segment::Replay;

/// State and views after the records of a log. Takes memory for what is open and for what the views
/// remember, not for the history.
///
/// It is a [`Replay`]: pass it to a log that is being opened, which restores it from a snapshot, if
/// there is one, and adds the records after that.
///
/// ```
/// use rejoin_core::testing::{SESSION, created};
/// use rejoin_core::{Record, Sequence, Timestamp};
/// use rejoin_engine::{Config, RecoveredState};
/// use rejoin_log::segment::{LogId, Options, SegmentLog};
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// # let options = Options { zero_ahead: false, ..Options::default() };
/// let id = LogId::from_bytes([9; 16]); // use random bytes
/// let mut replayed = RecoveredState::new(&Config::default());
/// let (log, recovery) = SegmentLog::open_replaying(directory, id, options, &mut replayed)?;
/// assert_eq!(replayed.violation(), None);
///
/// let mut record = Record { session: SESSION, sequence: Sequence(1), at: Timestamp::EPOCH, event: created() };
/// replayed.add(&record)?;
/// assert_eq!(replayed.views().open_count(), 1);
///
/// // 3 can't follow 1: the record is not added.
/// record.sequence = Sequence(3);
/// assert!(replayed.add(&record).is_err());
/// assert_eq!(replayed.records(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecoveredState {
    projection: Projection,
    limits: Limits,
    records: u64,
    violation: Option<Violation>,
}

impl RecoveredState {
    /// The state before the first record.
    pub fn new(config: &Config) -> Self {
        Self {
            projection: Projection::new(config.limits),
            limits: config.limits,
            records: 0,
            violation: None,
        }
    }

    /// Adds the log's next record.
    ///
    /// # Errors
    ///
    /// When the record cannot follow the ones before it: the log was not written by an engine, or
    /// was tampered with. What was added before is unchanged.
    pub fn add(&mut self, record: &Record) -> Result<(), Violation> {
        self.projection.add(record)?;
        self.records += 1;
        Ok(())
    }

    /// How many records were added, without those in the snapshot.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The first replayed record that could not follow the ones before it. No record after it was
    /// added.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// The state, which decides about commands.
    pub fn state(&self) -> &State {
        self.projection.state()
    }

    /// The views, which readers see.
    pub fn views(&self) -> &Views {
        self.projection.views()
    }

    /// State and views, unless a record could not follow.
    pub(crate) fn into_projection(self) -> Result<Projection, Violation> {
        self.violation.map_or(Ok(self.projection), Err)
    }
}

impl Replay for RecoveredState {
    fn wants_snapshot(&self) -> bool {
        true
    }

    fn restore(&mut self, snapshot: Snapshot) {
        self.projection = Projection::restored(self.limits, snapshot);
    }

    fn add(&mut self, record: &Record) {
        if self.violation.is_none() {
            self.violation = Self::add(self, record).err();
        }
    }
}
