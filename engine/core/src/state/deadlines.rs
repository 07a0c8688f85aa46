//! The next deadlines of all sessions.
//!
//! Each session has one entry for its consumers and one for itself and its jobs. What exactly is due is
//! searched for in the session.

use crate::{ConsumerId, Instant, JobId, SessionId};
use alloc::collections::BTreeSet;

/// Something that happens at an instant unless something else happens first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deadline {
    /// A consumer has not pulled within its timeout.
    Consumer(SessionId, ConsumerId),
    /// A job has reached its timeout.
    Job(SessionId, JobId),
    /// A session was unused for its timeout.
    Session(SessionId),
    /// The retention of a closed session has passed.
    Removal(SessionId),
}

/// The earliest deadlines of a session, if there are any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NextDeadlines {
    pub(crate) consumer: Option<Instant>,
    /// The session itself or a job.
    pub(crate) session: Option<Instant>,
}

/// All sessions, sorted by their next deadlines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deadlines {
    consumers: BTreeSet<(Instant, SessionId)>,
    sessions: BTreeSet<(Instant, SessionId)>,
}

impl Deadlines {
    /// Changes the deadlines of `session`.
    pub(crate) fn reset(&mut self, session: SessionId, from: NextDeadlines, to: NextDeadlines) {
        reset(&mut self.consumers, session, from.consumer, to.consumer);
        reset(&mut self.sessions, session, from.session, to.session);
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        let (consumers, sessions) = (self.consumers.first(), self.sessions.first());
        let first = consumers.into_iter().chain(sessions).min();
        first.map(|(at, _)| *at)
    }

    /// The sessions that have a consumer due at `now`.
    pub(crate) fn due_consumers(&self, now: Instant) -> impl Iterator<Item = SessionId> + '_ {
        due(&self.consumers, now)
    }

    /// The sessions that are due at `now` themselves or have a job due.
    pub(crate) fn due_sessions(&self, now: Instant) -> impl Iterator<Item = SessionId> + '_ {
        due(&self.sessions, now)
    }
}

fn reset(
    instants: &mut BTreeSet<(Instant, SessionId)>,
    session: SessionId,
    from: Option<Instant>,
    to: Option<Instant>,
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
    instants: &BTreeSet<(Instant, SessionId)>,
    now: Instant,
) -> impl Iterator<Item = SessionId> + '_ {
    instants
        .iter()
        .take_while(move |(at, _)| *at <= now)
        .map(|(_, session)| *session)
}
