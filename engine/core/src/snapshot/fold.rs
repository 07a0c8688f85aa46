//! The fold of a log's records: the state that decides, and the views that are read.

use super::Snapshot;
use crate::{Limits, Record, State, Views, Violation};

/// What records add up to.
///
/// ```
/// use rejoin_core::testing::{SESSION, created, instant};
/// use rejoin_core::{Event, Projection, Limits, Record, Sequence};
///
/// let record = |sequence, event| Record {
///     session: SESSION, sequence: Sequence(sequence), at: instant(sequence), event,
/// };
/// let mut folded = Projection::new(Limits::DEFAULT);
/// folded.add(&record(1, created()))?;
/// let mut restored = Projection::restored(Limits::DEFAULT, folded.snapshot());
/// for fold in [&mut folded, &mut restored] {
///     fold.add(&record(2, Event::SessionResumed))?;
/// }
/// assert_eq!(folded, restored);
/// # Ok::<(), rejoin_core::Violation>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    state: State,
    views: Views,
}

impl Projection {
    /// What no records add up to.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::new(limits),
            views: Views::default(),
        }
    }

    /// What the records before a snapshot add up to. The limits are today's.
    pub fn restored(limits: Limits, snapshot: Snapshot) -> Self {
        Self {
            state: State::restored(limits, &snapshot),
            views: Views::restored(snapshot),
        }
    }

    /// Adds the log's next record.
    ///
    /// # Errors
    ///
    /// When the record cannot follow the ones before it. What was added before is unchanged.
    pub fn add(&mut self, record: &Record) -> Result<(), Violation> {
        let number = self.state.try_apply_numbered(record)?;
        self.views.apply_numbered(record, number);
        Ok(())
    }

    /// All of it as plain values.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.state.write_to(&mut snapshot);
        self.views.write_to(&mut snapshot);
        snapshot
    }

    /// What the next decision would see.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What readers would see.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Both.
    pub fn into_parts(self) -> (State, Views) {
        (self.state, self.views)
    }
}
