//! Replay: the same fold, with the log as the source, and no effects and no answers.

use crate::Config;
use rejoin_core::{Folded, Record, Snapshot, State, Views, Violation};

/// What the records of a log add up to.
#[derive(Clone, Debug)]
pub struct Replayed {
    folded: Folded,
    records: u64,
}

impl Replayed {
    /// What no records add up to.
    pub fn new(config: &Config) -> Self {
        Self {
            folded: Folded::new(config.limits),
            records: 0,
        }
    }

    /// What the records before a snapshot add up to.
    pub fn from_snapshot(config: &Config, snapshot: Snapshot) -> Self {
        Self {
            folded: Folded::restored(config.limits, snapshot),
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
        self.folded.add(record)?;
        self.records += 1;
        Ok(())
    }

    /// How many records were added, without those that a snapshot stands for.
    pub fn records(&self) -> u64 {
        self.records
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
