//! Decisions about timeouts: what is due is decided like any command, and logged.

use crate::state::deadlines::Deadline;
use crate::{CloseCause, Event, Instant, InterruptCause, LeaveCause, SessionId, State};
use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

impl State {
    /// Handles what is due at `now`, at most as many deadlines as the limits allow.
    ///
    /// The engine must first send `AdvanceCursor` and `TouchSession` for pulls and uses that are not
    /// logged yet.
    pub(super) fn expire(&self, now: Instant) -> Vec<(SessionId, Event)> {
        let due: Vec<_> = self.due(now).take(self.limits.expired).collect();
        // Closing a session ends everything in it, so nothing else of it is due.
        let closing: BTreeSet<_> = due
            .iter()
            .filter_map(|deadline| idle_session(*deadline))
            .collect();
        let mut events = vec![];
        for deadline in due {
            match deadline {
                Deadline::Session(id) => {
                    if let Some(session) = self.session(id) {
                        events.extend(session.close(id, CloseCause::Idle));
                    }
                }
                Deadline::Consumer(id, consumer) if !closing.contains(&id) => {
                    let cause = LeaveCause::Expired;
                    events.push((id, Event::ConsumerLeft { consumer, cause }));
                }
                Deadline::Job(id, job) if !closing.contains(&id) => {
                    let running = self.session(id).and_then(|session| session.job(job).ok());
                    let event = running
                        .map(|running| running.interrupt_event(job, InterruptCause::Timeout));
                    events.extend(event.map(|event| (id, event)));
                }
                Deadline::Removal(id) => {
                    let closed = self.closed.get(id);
                    events.extend(closed.map(|it| (id, self.removal(it.last_sequence))));
                }
                Deadline::Consumer(..) | Deadline::Job(..) => {}
            }
        }
        events
    }

    /// Expires the consumers that are due at `now`, at most as many as the limits allow.
    pub(super) fn expire_consumers(&self, now: Instant) -> Vec<(SessionId, Event)> {
        let due = self
            .due_consumers(now)
            .filter_map(|deadline| match deadline {
                Deadline::Consumer(id, consumer) => Some((id, consumer)),
                Deadline::Session(_) | Deadline::Job(..) | Deadline::Removal(_) => None,
            });
        let cause = LeaveCause::Expired;
        due.take(self.limits.expired)
            .map(|(id, consumer)| (id, Event::ConsumerLeft { consumer, cause }))
            .collect()
    }
}

fn idle_session(deadline: Deadline) -> Option<SessionId> {
    match deadline {
        Deadline::Session(session) => Some(session),
        Deadline::Consumer(..) | Deadline::Job(..) | Deadline::Removal(_) => None,
    }
}
