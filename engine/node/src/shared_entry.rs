//! An entry of the cluster's key-value store that all nodes read and replace.

use crate::{JoinError, Membership, join, lock};
use rejoin_cluster::{LogServer, Written};
use rejoin_log_jetstream::{JetStream, Notices};
use std::sync::Mutex;
use std::time::Duration;

/// One entry. Its calls block, a few seconds at most.
#[derive(Debug)]
pub struct SharedEntry {
    key: &'static str,
    entries: Mutex<JetStream>,
    notices: Mutex<Notices>,
}

/// The servers did not answer. What was asked for may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the servers of NATS do not answer")]
pub struct Unanswered;

impl Membership {
    /// The entry with this key. Blocks.
    ///
    /// # Errors
    ///
    /// When the servers of NATS do not answer.
    pub fn shared_entry(&self, key: &'static str) -> Result<SharedEntry, JoinError> {
        let shared = &self.shared;
        let entries = join::stream(&shared.settings, &shared.connection, shared.home)?;
        let notices = shared
            .connection
            .notice_entry(&shared.settings.cluster, key)?;
        Ok(SharedEntry {
            key,
            entries: Mutex::new(entries),
            notices: Mutex::new(notices),
        })
    }
}

impl SharedEntry {
    /// Its revision and its value, as they are now. Revision 0: it was never written.
    ///
    /// # Errors
    ///
    /// When the servers do not answer.
    pub fn read(&self) -> Result<(u64, Vec<u8>), Unanswered> {
        let entry = lock(&self.entries).read(self.key).ok_or(Unanswered)?;
        Ok(entry.map_or((0, vec![]), |entry| (entry.revision, entry.value)))
    }

    /// Replaces it if it has this revision. The new revision; none if it had another one.
    ///
    /// # Errors
    ///
    /// When the servers do not answer.
    pub fn replace(&self, revision: u64, value: &[u8]) -> Result<Option<u64>, Unanswered> {
        match lock(&self.entries).write(self.key, revision, value) {
            Written::Done(revision) => Ok(Some(revision)),
            Written::Conflict => Ok(None),
            Written::Unknown => Err(Unanswered),
        }
    }

    /// Waits until it may be about to change, `patience` at most. Whether it may be.
    pub fn wait(&self, patience: Duration) -> bool {
        lock(&self.notices).wait(patience)
    }
}
