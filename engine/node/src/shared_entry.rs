//! An entry of the cluster's key-value store that all nodes read and replace.

use crate::surroundings::{Noticing, Server};
use crate::{Membership, lock};
use rejoin_cluster::{LogServer, Written};
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// One entry. Its calls block, a few seconds at most.
pub struct SharedEntry {
    key: &'static str,
    entries: Mutex<Server>,
    notices: Mutex<Box<dyn Noticing + Send>>,
}

impl fmt::Debug for SharedEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedEntry({})", self.key)
    }
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
    pub fn shared_entry(&self, key: &'static str) -> Result<SharedEntry, String> {
        let shared = &self.shared;
        let server = shared.surroundings.server(shared.home);
        let (entries, _) = server.map_err(|error| error.to_string())?;
        let notices = shared.surroundings.entry_notices(key)?;
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
