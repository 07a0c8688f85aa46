//! The projection of a log: the state for decisions and the views for readers.

use super::Snapshot;
use crate::{Limits, Record, State, Views, Violation};

/// State and views after some records.
///
/// ```
/// use rejoin_core::testing::{SESSION, created, instant};
/// use rejoin_core::{Event, Projection, Limits, Record, Sequence};
///
/// let record = |sequence, event| Record {
///     session: SESSION, sequence: Sequence(sequence), at: instant(sequence),
///     clock: instant(sequence).into(), actor: None, redacted: None, event,
/// };
/// let mut projection = Projection::new(Limits::DEFAULT);
/// projection.add(&record(1, created()))?;
/// let mut restored = Projection::restored(Limits::DEFAULT, projection.snapshot());
/// for fold in [&mut projection, &mut restored] {
///     fold.add(&record(2, Event::SessionResumed))?;
/// }
/// assert_eq!(projection, restored);
/// # Ok::<(), rejoin_core::Violation>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Projection {
    state: State,
    views: Views,
}

impl Projection {
    /// The projection of an empty log.
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::new(limits),
            views: Views::default(),
        }
    }

    /// The projection that the snapshot was made of, with the current limits.
    pub fn restored(limits: Limits, snapshot: Snapshot) -> Self {
        Self {
            state: State::restored(limits, &snapshot),
            views: Views::restored(snapshot),
        }
    }

    /// Applies the next record of the log.
    ///
    /// # Errors
    ///
    /// When the record cannot follow the ones before it. The projection is unchanged then.
    pub fn add(&mut self, record: &Record) -> Result<(), Violation> {
        let number = self.state.try_apply_numbered(record)?;
        self.views.apply_numbered(record, number);
        Ok(())
    }

    /// A snapshot of it.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        self.state.write_to(&mut snapshot);
        self.views.write_to(&mut snapshot);
        snapshot
    }

    /// The state for the next decision.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The views for readers.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// The state and the views.
    pub fn into_parts(self) -> (State, Views) {
        (self.state, self.views)
    }
}
