//! Replay: the same fold, with the log as the source, and no effects and no answers.

use crate::Config;
use rejoin_core::{Limits, Projection, Record, Snapshot, State, Views, Violation};
use rejoin_log::segment::Replay;

/// What the records of a log add up to: given to [`Engine::start`](crate::Engine::start) with it.
/// Takes memory for what is open and for what the views remember, not for the history.
///
/// A log that is opened tells it all that it must know: what a snapshot says, where there is one,
/// and the records behind it.
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
/// let id = LogId::from_bytes([9; 16]); // drawn at random, in earnest
/// let mut replayed = RecoveredState::new(&Config::default());
/// let (log, recovery) = SegmentLog::open_replaying(directory, id, options, &mut replayed)?;
/// assert_eq!(replayed.violation(), None);
///
/// let mut record = Record { session: SESSION, sequence: Sequence(1), at: Timestamp::EPOCH, event: created() };
/// replayed.add(&record)?;
/// assert_eq!(replayed.views().open_count(), 1);
///
/// // Nobody has written 3 after 1: nothing of it is believed.
/// record.sequence = Sequence(3);
/// assert!(replayed.add(&record).is_err());
/// assert_eq!(replayed.records(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecoveredState {
    folded: Projection,
    limits: Limits,
    records: u64,
    violation: Option<Violation>,
}

impl RecoveredState {
    /// What no records add up to.
    pub fn new(config: &Config) -> Self {
        Self {
            folded: Projection::new(config.limits),
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
        self.folded.add(record)?;
        self.records += 1;
        Ok(())
    }

    /// How many records were added, without those that a snapshot stands for.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The first record that could not follow, where a log has told one. None behind it was added.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// What the next decision would see.
    pub fn state(&self) -> &State {
        self.folded.state()
    }

    /// What readers would see.
    pub fn views(&self) -> &Views {
        self.folded.views()
    }

    pub(crate) fn into_parts(self) -> (State, Views) {
        self.folded.into_parts()
    }
}

impl Replay for RecoveredState {
    fn wants_snapshot(&self) -> bool {
        true
    }

    fn restore(&mut self, snapshot: Snapshot) {
        self.folded = Projection::restored(self.limits, snapshot);
    }

    fn add(&mut self, record: &Record) {
        if self.violation.is_none() {
            self.violation = Self::add(self, record).err();
        }
    }
}
