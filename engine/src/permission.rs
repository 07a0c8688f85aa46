//! What an engine that only reads refuses.
//!
//! Never: a command that would change what is read reaches the sequencer. Who reads has to join, so
//! that is permitted; the records of it are kept, and so there is an end to it.

use crate::error::CommandError;
use crate::limits;
use rejoin_core::Rejection;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(crate) struct Permission {
    read_only: bool,
    /// How many may still join, where nothing else is permitted.
    joins_left: AtomicUsize,
}

impl Permission {
    pub(crate) fn new(read_only: bool) -> Self {
        Self {
            read_only,
            joins_left: AtomicUsize::new(limits::READ_ONLY_JOINS),
        }
    }

    pub(crate) fn to_change(&self) -> Result<(), CommandError> {
        if self.read_only {
            return Err(CommandError::ReadOnly);
        }
        Ok(())
    }

    pub(crate) fn to_join(&self) -> Result<(), CommandError> {
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
