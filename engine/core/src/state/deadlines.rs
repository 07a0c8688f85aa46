//! When something is due: for every session, the earliest of what it waits for.
//!
//! A session stands here with one instant for its consumers and one for itself, however many there
//! are. Who exactly is due then is looked for in the session.

use crate::{ConsumerId, JobId, SessionId, Timestamp};
use alloc::collections::BTreeSet;

/// Something that happens when nothing else does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// A consumer has stayed away for its timeout.
    Consumer(SessionId, ConsumerId),
    /// A job has run for its timeout.
    Job(SessionId, JobId),
    /// A session has been unused for its timeout.
    Session(SessionId),
    /// A closed session has been kept for as long as it is.
    Removal(SessionId),
}

/// The earliest instants at which something of a session is due, where there are such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NextDeadlines {
    pub(crate) consumer: Option<Timestamp>,
    /// The session itself, or a job of it.
    pub(crate) session: Option<Timestamp>,
}

/// Every session of a state by these instants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deadlines {
    consumers: BTreeSet<(Timestamp, SessionId)>,
    sessions: BTreeSet<(Timestamp, SessionId)>,
}

impl Deadlines {
    /// Moves `session` from some instants to others.
    pub(crate) fn reset(&mut self, session: SessionId, from: NextDeadlines, to: NextDeadlines) {
        reset(&mut self.consumers, session, from.consumer, to.consumer);
        reset(&mut self.sessions, session, from.session, to.session);
    }

    /// The earliest instant at which something is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let (consumers, sessions) = (self.consumers.first(), self.sessions.first());
        let first = consumers.into_iter().chain(sessions).min();
        first.map(|(at, _)| *at)
    }

    /// The sessions of which a consumer is due at `now`.
    pub(crate) fn due_consumers(&self, now: Timestamp) -> impl Iterator<Item = SessionId> + '_ {
        due(&self.consumers, now)
    }

    /// The sessions that are due at `now`, themselves or a job of them.
    pub(crate) fn due_sessions(&self, now: Timestamp) -> impl Iterator<Item = SessionId> + '_ {
        due(&self.sessions, now)
    }
}

fn reset(
    instants: &mut BTreeSet<(Timestamp, SessionId)>,
    session: SessionId,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) {
    if from == to {
        return;
    }
    if let Some(from) = from {
        instants.remove(&(from, session));
    }
    if let Some(to) = to {
        instants.insert((to, session));
    }
}

fn due(
    instants: &BTreeSet<(Timestamp, SessionId)>,
    now: Timestamp,
) -> impl Iterator<Item = SessionId> + '_ {
    instants
        .iter()
        .take_while(move |(at, _)| *at <= now)
        .map(|(_, session)| *session)
}
