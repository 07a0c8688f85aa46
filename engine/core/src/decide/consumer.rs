//! Decisions about consumers.

use super::{Decision, fewer_than};
use crate::{ConsumerId, Event, Instant, LeaveCause, Rejection, Sequence, SessionId, State};
use alloc::vec;
use core::time::Duration;

impl State {
    pub(super) fn join_session(
        &self,
        session: SessionId,
        token: [u8; 16],
        timeout: Duration,
    ) -> Decision {
        let open = self.open(session)?;
        fewer_than(
            "consumers of this session",
            self.limits.consumers,
            open.consumers.len(),
        )?;
        let consumer = ConsumerId {
            token,
            ordinal: open.last_ordinal + 1,
        };
        let foreground = open.foreground;
        Ok(vec![(
            session,
            Event::ConsumerJoined {
                consumer,
                timeout,
                foreground,
            },
        )])
    }

    pub(super) fn leave_session(&self, session: SessionId, consumer: ConsumerId) -> Decision {
        if self.open(session)?.consumer(consumer).is_none() {
            return Err(Rejection::ConsumerNotFound(consumer));
        }
        Ok(vec![(
            session,
            Event::ConsumerLeft {
                consumer,
                cause: LeaveCause::Left,
            },
        )])
    }

    /// Cursors only move forward: a late command is ignored.
    pub(super) fn advance_cursor(
        &self,
        session: SessionId,
        consumer: ConsumerId,
        to: Sequence,
        seen: Instant,
    ) -> Decision {
        let open = self.open(session)?;
        let reader = open
            .consumer(consumer)
            .ok_or(Rejection::ConsumerNotFound(consumer))?;
        if to > open.last_sequence {
            return Err(Rejection::CursorAhead);
        }
        if to <= reader.cursor && seen <= reader.seen {
            return Ok(vec![]);
        }
        let to = to.max(reader.cursor);
        Ok(vec![(
            session,
            Event::CursorAdvanced { consumer, to, seen },
        )])
    }
}
