//! What an engine that only reads refuses.
//!
//! Never: a command that would change what is read reaches the sequencer. Who reads has to join, so
//! that is permitted; the records of it are kept, and so there is an end to it.

use crate::error::CommandError;
use crate::limits;
use rejoin_core::Rejection;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(crate) struct ReadOnlyGate {
    read_only: bool,
    /// How many may still join, where nothing else is permitted.
    joins_left: AtomicUsize,
}

impl ReadOnlyGate {
    pub(crate) fn new(read_only: bool) -> Self {
        Self {
            read_only,
            joins_left: AtomicUsize::new(limits::READ_ONLY_JOINS),
        }
    }

    pub(crate) fn check_write(&self) -> Result<(), CommandError> {
        if self.read_only {
            return Err(CommandError::ReadOnly);
        }
        Ok(())
    }

    pub(crate) fn check_join(&self) -> Result<(), CommandError> {
        if !self.read_only {
            return Ok(());
        }
        let take = |left: usize| left.checked_sub(1);
        let taken = self
            .joins_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        taken.map(drop).map_err(|_| {
            CommandError::Rejected(Rejection::TooMany {
                what: "consumers that have joined since this read-only server was started",
                limit: limits::READ_ONLY_JOINS,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_only_reading_is_permitted_so_many_may_join_and_no_more() {
        let gate = ReadOnlyGate::new(true);
        for _ in 0..limits::READ_ONLY_JOINS {
            gate.check_join().unwrap();
        }
        let refused = gate.check_join().unwrap_err().to_string();
        assert_eq!(
            refused,
            "there are 100000 consumers that have joined since this read-only server was started \
             already, and no more are allowed"
        );
        let refused = gate.check_write().unwrap_err();
        assert!(matches!(refused, CommandError::ReadOnly), "{refused}");
    }

    #[test]
    fn whoever_may_write_may_join_without_end() {
        let gate = ReadOnlyGate::new(false);
        for _ in 0..=limits::READ_ONLY_JOINS {
            gate.check_join().unwrap();
        }
        gate.check_write().unwrap();
    }
}
