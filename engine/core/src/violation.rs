//! A record that breaks an invariant of the log. Such a record is never applied.

use crate::{Record, Sequence, SessionId};
use core::fmt;

/// A record that a correct log cannot contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The record's session.
    pub session: SessionId,
    /// The record's sequence.
    pub sequence: Sequence,
    /// Which invariant it breaks.
    pub reason: &'static str,
}

impl Violation {
    /// An error if a validation returned a reason.
    pub(crate) fn check(record: &Record, broken: Option<&'static str>) -> Result<(), Self> {
        broken.map_or(Ok(()), |reason| {
            Err(Self {
                session: record.session,
                sequence: record.sequence,
                reason,
            })
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            session,
            sequence,
            reason,
        } = self;
        write!(
            f,
            "record {sequence} of session {session} cannot follow: {reason}"
        )
    }
}

impl core::error::Error for Violation {}
