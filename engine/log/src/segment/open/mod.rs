//! Opens a log: finds its files, reads them, and seals the last one.

pub(crate) mod dir_listing;
pub(crate) mod open_options;
pub(crate) mod read_ahead;
pub(crate) mod recovery;
pub(crate) mod renaming;

use rejoin_core::{Record, Snapshot, Violation};

/// Folds the records of a log, from the first one or from a snapshot on.
pub(crate) trait Replay {
    /// Whether to begin with a snapshot. Without one, every record in the log is added.
    fn wants_snapshot(&self) -> bool {
        false
    }

    /// Begins with a snapshot. Called at most once, before the first record, and only if wanted.
    fn restore(&mut self, _snapshot: Snapshot) {}

    /// Adds the next record. It is borrowed because a fold keeps little of most records.
    fn add(&mut self, record: &Record);

    /// How the first invalid record contradicts the records before it, if there is one.
    fn violation(&self) -> Option<Violation> {
        None
    }
}
