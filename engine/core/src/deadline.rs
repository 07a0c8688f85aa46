//! What is due when: one ordered set of instants for the whole state.

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

/// Every deadline of a state, by its instant. A deadline is in it once at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deadlines(BTreeSet<(Timestamp, Deadline)>);

impl Deadlines {
    /// Moves `deadline` from one instant to another; `None` is not to be due at all.
    pub(crate) fn reset(
        &mut self,
        deadline: Deadline,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.0.remove(&(from, deadline));
        }
        if let Some(to) = to {
            self.0.insert((to, deadline));
        }
    }

    /// The earliest instant at which something is due.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// What is due at `now`, earliest first.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = Deadline> + '_ {
        self.0
            .iter()
            .take_while(move |(at, _)| *at <= now)
            .map(|(_, deadline)| *deadline)
    }
}
