//! The sessions in Arthas that wait for the next command of a session of Rejoin.

use crate::queue::Queue;
use rejoin_engine::SessionId;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A session in Arthas, with one consumer.
#[derive(Debug)]
pub(crate) struct UpstreamSession {
    pub(crate) id: String,
    pub(crate) consumer: String,
    pub(crate) queue: Queue,
    /// When it was used last, on the runtime's clock of elapsed time.
    pub(crate) used: Duration,
}

/// The idle sessions in Arthas, by the sessions of Rejoin that own them. While a command runs, its
/// entry is empty; when a session of Rejoin is closed, its entry goes.
#[derive(Debug, Default)]
pub(crate) struct IdleSessions(Mutex<BTreeMap<SessionId, Option<UpstreamSession>>>);

impl IdleSessions {
    /// Takes the idle session of an owner, if there is one, for a command that begins.
    pub(crate) fn take(&self, owner: SessionId) -> Option<UpstreamSession> {
        self.lock().entry(owner).or_default().take()
    }

    /// Keeps the session for the owner's next command, and returns what has to be closed: this one, if
    /// its owner was closed meanwhile.
    pub(crate) fn put_back(
        &self,
        owner: SessionId,
        session: UpstreamSession,
    ) -> Option<UpstreamSession> {
        match self.lock().get_mut(&owner) {
            Some(entry) => entry.replace(session),
            None => Some(session),
        }
    }

    /// Forgets an owner that was closed, and returns its idle session.
    pub(crate) fn remove(&self, owner: SessionId) -> Option<UpstreamSession> {
        self.lock().remove(&owner).flatten()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionId, Option<UpstreamSession>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
