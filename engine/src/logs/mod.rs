//! The logs of an engine by their numbers. Without a cluster there is one, which the engine owns. In a
//! cluster, each log is owned by the one node that writes it, and followed by the others.

mod followed_log;
mod owned_log;
mod peer_pulls;

pub(crate) use followed_log::FollowedLog;
pub(crate) use owned_log::{FoundJobs, OwnedLog, Resumption};

use crate::Runtime;
use event_listener::{Event as Wake, EventListener};
use rejoin_core::{Numbering, SessionId};
use rejoin_log::LogReader;
use std::sync::{Arc, PoisonError, RwLock};

/// The logs by their numbers.
#[derive(Debug)]
pub(crate) struct Logs {
    numbering: Numbering,
    /// None: no such log is known.
    roles: Box<[RwLock<Option<LogRole>>]>,
    on_change: Wake,
}

/// What this engine is for a log.
#[derive(Clone, Debug)]
pub(crate) enum LogRole {
    /// Its writer.
    Owned(Arc<OwnedLog>),
    /// A reader.
    Followed(Arc<FollowedLog>),
}

impl LogRole {
    pub(crate) fn reader(&self) -> &Arc<dyn LogReader> {
        match self {
            Self::Owned(log) => &log.reader,
            Self::Followed(log) => &log.reader,
        }
    }
}

impl Logs {
    pub(crate) fn new(numbering: Numbering) -> Self {
        Self {
            numbering,
            roles: (0..numbering.logs()).map(|_| RwLock::default()).collect(),
            on_change: Wake::new(),
        }
    }

    /// The number of the log that a session is in.
    pub(crate) fn number_of(&self, session: SessionId) -> u8 {
        self.numbering.log_of(session)
    }

    /// What this engine is for a log.
    pub(crate) fn role(&self, log: u8) -> Option<LogRole> {
        let role = self.roles.get(usize::from(log))?;
        role.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What this engine is for the log that a session is in.
    pub(crate) fn of(&self, session: SessionId) -> Option<LogRole> {
        self.role(self.number_of(session))
    }

    /// The log that a session is in, if this engine writes it.
    pub(crate) fn owned_of(&self, session: SessionId) -> Option<Arc<OwnedLog>> {
        match self.of(session)? {
            LogRole::Owned(log) => Some(log),
            LogRole::Followed(_) => None,
        }
    }

    /// Changes what this engine is for a log. False: there is no log of this number.
    pub(crate) fn set(&self, log: u8, role: LogRole) -> bool {
        let Some(place) = self.roles.get(usize::from(log)) else {
            return false;
        };
        *place.write().unwrap_or_else(PoisonError::into_inner) = Some(role);
        self.on_change.notify(usize::MAX);
        true
    }

    /// Makes a log that this engine wrote a followed one that is not followed yet.
    pub(crate) fn give_up(&self, runtime: &dyn Runtime, log: u8, owned: &Arc<OwnedLog>) {
        let Some(place) = self.roles.get(usize::from(log)) else {
            return;
        };
        let mut role = place.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(LogRole::Owned(current)) = &*role
            && Arc::ptr_eq(current, owned)
        {
            let followed = FollowedLog::new(runtime, owned.reader.clone(), None, 0);
            *role = Some(LogRole::Followed(Arc::new(followed)));
        }
        drop(role);
        self.on_change.notify(usize::MAX);
    }

    /// A listener that is woken when this engine becomes something else for a log.
    pub(crate) fn listen(&self) -> EventListener {
        self.on_change.listen()
    }

    fn roles(&self) -> impl Iterator<Item = LogRole> {
        (0..self.numbering.logs()).filter_map(|log| self.role(log))
    }

    /// The logs that this engine writes.
    pub(crate) fn owned(&self) -> impl Iterator<Item = Arc<OwnedLog>> {
        self.roles().filter_map(|role| match role {
            LogRole::Owned(log) => Some(log),
            LogRole::Followed(_) => None,
        })
    }

    /// How many requests wait for sequencers.
    pub(crate) fn queued(&self) -> usize {
        self.owned().map(|log| log.queued()).sum()
    }

    /// How many redactions the logs that this engine writes have not carried out yet.
    pub(crate) fn pending_redactions(&self) -> u64 {
        self.owned()
            .map(|log| log.reader.pending_redactions())
            .sum()
    }

    /// Sessions of which the logs have records, as [`LogReader::sessions`].
    pub(crate) fn sessions(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionId> {
        let mut sessions: Vec<_> = self
            .roles()
            .flat_map(|role| role.reader().sessions(after, limit))
            .collect();
        sessions.sort_unstable();
        sessions.dedup();
        sessions.truncate(limit);
        sessions
    }

    /// Reads the log that a session is in.
    pub(crate) fn reader(&self, session: SessionId) -> Option<Arc<dyn LogReader>> {
        Some(self.of(session)?.reader().clone())
    }
}
