//! The logs of an engine. Without a cluster there is one, which the engine owns.

mod owned_log;

pub(crate) use owned_log::{OwnedLog, Resumption};

use crate::engine::JobsAtEnd;
use crate::error::Unavailable;
use rejoin_core::SessionId;
use rejoin_log::LogReader;
use std::sync::{Arc, PoisonError, RwLock};

/// The logs by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    /// None: it was not opened yet.
    only: RwLock<Option<Arc<OwnedLog>>>,
}

impl Logs {
    /// Puts in a log that was opened.
    pub(crate) fn put(&self, log: Arc<OwnedLog>) {
        *self.only.write().unwrap_or_else(PoisonError::into_inner) = Some(log);
    }

    /// The log that a session is in.
    pub(crate) fn of(&self, _session: SessionId) -> Option<Arc<OwnedLog>> {
        self.only
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The logs that this engine writes.
    pub(crate) fn owned(&self) -> Vec<Arc<OwnedLog>> {
        let only = self.only.read().unwrap_or_else(PoisonError::into_inner);
        only.iter().cloned().collect()
    }

    /// Asks the sequencers to close their logs.
    pub(crate) fn end(&self, jobs: JobsAtEnd) {
        self.owned().iter().for_each(|log| log.end(jobs));
    }

    /// How many requests wait for sequencers.
    pub(crate) fn queued(&self) -> usize {
        self.owned().iter().map(|log| log.queued()).sum()
    }

    /// How many redactions the logs have not carried out yet.
    pub(crate) fn pending_redactions(&self) -> u64 {
        let owned = self.owned();
        owned
            .iter()
            .map(|log| log.reader.pending_redactions())
            .sum()
    }

    /// Why there will be no more records of a session, if its log is no longer written.
    pub(crate) fn why_ended(&self, session: SessionId) -> Option<Unavailable> {
        self.of(session)?.ending.get().cloned()
    }

    /// Reads the log that a session is in.
    pub(crate) fn reader(&self, session: SessionId) -> Option<Arc<dyn LogReader>> {
        Some(self.of(session)?.reader.clone())
    }
}
