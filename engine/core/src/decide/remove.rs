//! Decisions about what is removed from the log: whole sessions, and the bytes of records.

use super::{Decision, fewer_than};
use crate::redaction::sorted;
use crate::{
    CloseCause, Event, JobId, LossCause, Rejection, Sequence, SessionId, SessionNumber, State,
};
use alloc::vec;
use alloc::vec::Vec;

impl State {
    pub(super) fn redact_records(&self, session: SessionId, records: Vec<Sequence>) -> Decision {
        if self.session(session).is_none() && self.closed.get(session).is_none() {
            return Err(Rejection::SessionNotFound(session));
        }
        fewer_than("records", self.limits.redacted + 1, records.len())?;
        let records = sorted(records);
        let last = self.last_sequence(session);
        // The first record of a session is never one of these.
        let is_too_early = records.first().is_some_and(|it| *it <= Sequence(1));
        if records.last().is_some_and(|it| *it > last) || is_too_early {
            return Err(Rejection::RecordNotFound);
        }
        Ok(if records.is_empty() {
            vec![]
        } else {
            vec![(session, Event::RecordsRedacted { records })]
        })
    }

    pub(super) fn remove_session(&self, session: SessionId) -> Decision {
        let mut events = match (self.session(session), self.closed.get(session)) {
            (Some(open), _) => open.close(session, CloseCause::Requested),
            (None, Some(_)) => vec![],
            (None, None) => return Err(Rejection::SessionNotFound(session)),
        };
        let last = Sequence(self.last_sequence(session).0 + events.len() as u64);
        events.push((session, self.removal(last)));
        Ok(events)
    }

    /// Allows all records of a closed session, up to the last one, to be removed.
    pub(super) fn removal(&self, last: Sequence) -> Event {
        Event::RecordsLost {
            first: Sequence::START.next(),
            last,
            cause: LossCause::Retention {
                last_number: SessionNumber(self.last_number),
                last_job: JobId(self.last_job),
            },
        }
    }
}
