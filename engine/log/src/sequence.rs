//! The check that every log makes on append: a session's sequences have no gaps except declared
//! ones.

use rejoin_core::{Record, Sequence, SessionId};
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

/// Finds a record in `records` that does not follow the one before it in its session. `last`
/// returns the last sequence of a session in the log.
pub(crate) fn find_gap(
    records: &[Arc<Record>],
    last: impl Fn(SessionId) -> Option<Sequence>,
) -> Option<Gap> {
    let mut sorted: Vec<_> = records.iter().collect();
    // The sort is stable: records of a session stay in the order in which they are appended.
    sorted.sort_by_key(|record| record.session);
    let mut before = None;
    for record in sorted {
        let (session, found) = (record.session, record.sequence);
        let last = match before {
            Some((same, sequence)) if same == session => sequence,
            _ => last(session).unwrap_or(Sequence::START),
        };
        if !record.follows(last) {
            return Some(Gap {
                session,
                last,
                found,
            });
        }
        before = Some((session, found));
    }
    None
}
