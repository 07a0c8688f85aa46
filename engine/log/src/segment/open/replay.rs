//! Who is told what a log holds when it is opened.

use rejoin_core::{Record, Snapshot, Violation};

/// Adds up the records of a log, from the first one or from a snapshot on.
pub trait Replay {
    /// Whether to begin with a snapshot. Without one, every record is told that is there.
    fn wants_snapshot(&self) -> bool {
        false
    }

    /// Begins with what the records up to somewhere add up to. Called once at most, before every
    /// record, and only when wanted.
    fn restore(&mut self, _snapshot: Snapshot) {}

    /// Adds the next record. It is only lent: what a fold keeps of most records is a few numbers.
    fn add(&mut self, record: &Record);

    /// The first record that broke a rule of the fold, if any.
    fn violation(&self) -> Option<Violation> {
        None
    }
}

/// Takes every record.
impl<F: FnMut(Record) + ?Sized> Replay for &mut F {
    fn add(&mut self, record: &Record) {
        self(record.clone());
    }
}
