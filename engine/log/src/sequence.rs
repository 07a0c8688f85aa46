//! That a session's sequences have no gaps is checked by every log, when it is appended to.

use rejoin_core::{Record, Sequence, SessionId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A record that does not follow the one before it in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) session: SessionId,
    pub(crate) last: Sequence,
    pub(crate) found: Sequence,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            session,
            last,
            found,
        } = self;
        write!(
            f,
            "sequence {found} of session {session} does not follow sequence {last}"
        )
    }
}

impl std::error::Error for Gap {}

/// The first of `records` that does not follow, where `last` tells the last sequence of a session
/// that the log has.
pub(crate) fn first_gap(
    records: &[Arc<Record>],
    last: impl Fn(SessionId) -> Option<Sequence>,
) -> Option<Gap> {
    let mut lasts = BTreeMap::new();
    for record in records {
        let last = lasts
            .entry(record.session)
            .or_insert_with(|| last(record.session).unwrap_or(Sequence::START));
        if last.0.checked_add(1) != Some(record.sequence.0) {
            return Some(Gap {
                session: record.session,
                last: *last,
                found: record.sequence,
            });
        }
        *last = record.sequence;
    }
    None
}
