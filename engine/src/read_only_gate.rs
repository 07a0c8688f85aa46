//! Refuses commands in a read-only engine.
//!
//! Invariant: in a read-only engine, no command that changes a session reaches the sequencer. Joining
//! is allowed, because readers need it, but limited, because its records stay in memory.

use crate::error::CommandError;
use crate::limits;
use rejoin_core::Rejection;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(crate) struct ReadOnlyGate {
    read_only: bool,
    /// How many consumers may still join a read-only engine.
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
    fn a_read_only_engine_takes_a_limited_number_of_consumers_and_no_changes() {
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
    fn an_engine_that_may_write_takes_any_number_of_consumers() {
        let gate = ReadOnlyGate::new(false);
        for _ in 0..=limits::READ_ONLY_JOINS {
            gate.check_join().unwrap();
        }
        gate.check_write().unwrap();
    }
}
