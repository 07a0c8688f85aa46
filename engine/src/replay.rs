//! Replay: the same fold, with the log as the source, and no effects and no answers.

use crate::Config;
use rejoin_core::{Record, State, Views, Violation};

/// What the records of a log add up to: given to [`Engine::start`](crate::Engine::start) with it.
/// Takes memory for what is open and for what the views remember, not for the history.
///
/// ```
/// use rejoin_core::testing::{SESSION, created};
/// use rejoin_core::{Record, Sequence, Timestamp};
/// use rejoin_engine::{Config, Replayed};
///
/// let mut replayed = Replayed::new(&Config::default());
/// let mut record = Record { session: SESSION, sequence: Sequence(1), at: Timestamp::EPOCH, event: created() };
/// replayed.add(&record)?;
/// assert_eq!(replayed.views().open_count(), 1);
///
/// // Nobody has written 3 after 1: nothing of it is believed.
/// record.sequence = Sequence(3);
/// assert!(replayed.add(&record).is_err());
/// assert_eq!(replayed.records(), 1);
/// # Ok::<_, rejoin_core::Violation>(())
/// ```
#[derive(Clone, Debug)]
pub struct Replayed {
    state: State,
    views: Views,
    records: u64,
}

impl Replayed {
    /// What no records add up to.
    pub fn new(config: &Config) -> Self {
        Self {
            state: State::new(config.limits),
            views: Views::default(),
            records: 0,
        }
    }

    /// Adds the log's next record.
    ///
    /// # Errors
    ///
    /// When the record cannot follow the ones before it: the log was not written by an engine, or
    /// was tampered with. What was added before is unchanged.
    pub fn add(&mut self, record: &Record) -> Result<(), Violation> {
        self.state.admit(record)?;
        self.views.apply(record);
        self.records += 1;
        Ok(())
    }

    /// How many records were added.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What the next decision would see.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What readers would see.
    pub fn views(&self) -> &Views {
        &self.views
    }

    pub(crate) fn into_parts(self) -> (State, Views) {
        (self.state, self.views)
    }
}
