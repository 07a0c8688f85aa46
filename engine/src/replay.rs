//! Replay: the same fold, with the log as the source, and no effects and no answers.

use crate::Config;
use rejoin_core::{Record, State, Views, Violation};

/// What the records of a log add up to.
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
