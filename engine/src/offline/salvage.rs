//! Salvages the readable records of a damaged log into a new one, with a declared gap wherever
//! records are missing.
//!
//! Takes the readable records in the order of the log, and gives those of the new log.
//! Invariant: no record is invented, every gap is declared, and the new log can be replayed.

use rejoin_core::{Event, Limits, LossCause, Record, Sequence, SessionId, State, Violation};
use std::collections::{BTreeMap, BTreeSet};

/// A log that is being salvaged. Takes memory for each session, and for each loss.
///
/// ```
/// use rejoin_core::testing::{SESSION, created, instant};
/// use rejoin_core::{Event, LossCause, Record, Sequence};
/// use rejoin_engine::Salvage;
///
/// let record = |sequence, event| Record {
///     session: SESSION,
///     sequence: Sequence(sequence),
///     at: instant(sequence),
///     clock: instant(sequence).into(),
///     actor: None, redacted: None,
///     event,
/// };
/// let mut salvage = Salvage::default();
/// salvage.take(record(1, created()));
/// // Records 2 to 6 could not be read.
/// let kept = salvage.take(record(7, Event::SessionResumed));
/// let lost = Event::RecordsLost {
///     first: Sequence(2),
///     last: Sequence(6),
///     cause: LossCause::Damage,
/// };
/// assert_eq!(kept, [Record { at: instant(1), clock: instant(1).into(), ..record(6, lost) }, record(7, Event::SessionResumed)]);
/// ```
#[derive(Clone, Debug)]
pub struct Salvage {
    state: State,
    /// The last sequences of sessions whose records were rejected.
    seen: BTreeMap<SessionId, Sequence>,
    /// The sessions that retention has removed.
    removed: BTreeSet<SessionId>,
    salvaged: Salvaged,
}

/// The result of salvaging a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// How many records were kept.
    pub records: u64,
    /// The gaps between them and after them, which are now declared.
    pub gaps: Vec<Gap>,
    /// The sessions whose first record is lost, which are left out, with the number of readable
    /// records of each: 0 if the log only proves that the session existed. Sessions removed by
    /// retention are not listed.
    pub dropped: BTreeMap<SessionId, u64>,
    /// The records that cannot follow the kept ones, although no record is missing between them. They
    /// are declared lost as well.
    pub rejected: Vec<Violation>,
}

/// Records of a session that are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The session.
    pub session: SessionId,
    /// The first sequence that is lost.
    pub first: Sequence,
    /// The last one.
    pub last: Sequence,
}

impl Salvaged {
    /// Whether no record is missing or was left out.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty() && self.dropped.is_empty() && self.rejected.is_empty()
    }
}

impl Default for Salvage {
    fn default() -> Self {
        Self {
            // The fold does not depend on limits.
            state: State::new(Limits::DEFAULT),
            seen: BTreeMap::new(),
            removed: BTreeSet::new(),
            salvaged: Salvaged::default(),
        }
    }
}

impl Salvage {
    /// Takes the next readable record. Returns what the new log gets: nothing, the record, or a
    /// declared gap and the record.
    pub fn take(&mut self, record: Record) -> Vec<Record> {
        let session = record.session;
        let is_known = self.state.last_sequence(session) > Sequence::START;
        if !is_known && !begins(&record.event) {
            *self.salvaged.dropped.entry(session).or_default() += 1;
            return vec![];
        }
        if record.event.removes_before().is_some() {
            // A removed session needs no other record.
            self.salvaged.dropped.remove(&session);
            self.removed.insert(session);
        }
        let start = *record.covered_sequences().start();
        let before = Sequence(start.0.saturating_sub(1));
        let mut kept: Vec<_> = self.declare(session, before).into_iter().collect();
        match self.state.validate(&record) {
            Ok(()) => {
                self.state.apply(&record);
                self.salvaged.records += 1;
                kept.push(record);
            }
            Err(violation) => {
                self.salvaged.rejected.push(violation);
                let seen = self.seen.entry(session).or_default();
                *seen = record.sequence.max(*seen);
            }
        }
        kept
    }

    /// Ends the new log: declares the records that are missing at the ends of sessions, according to
    /// the rejected records and to `missing`, which has last sequences of sessions.
    ///
    /// After the end of a session, only the record of its removal can be missing.
    pub fn finish(
        mut self,
        missing: impl IntoIterator<Item = (SessionId, Sequence)>,
    ) -> (Vec<Record>, Salvaged) {
        let mut ends = std::mem::take(&mut self.seen);
        for (session, last) in missing {
            if self.removed.contains(&session) {
                continue;
            }
            if self.state.last_sequence(session) == Sequence::START {
                self.salvaged.dropped.entry(session).or_default();
                continue;
            }
            let end = ends.entry(session).or_default();
            *end = last.max(*end);
        }
        let declared = ends
            .into_iter()
            .filter_map(|(session, last)| self.declare(session, last))
            .collect();
        (declared, self.salvaged)
    }

    /// Declares the gap after the last record of an open session, up to `last`.
    fn declare(&mut self, session: SessionId, last: Sequence) -> Option<Record> {
        let first = self.state.session(session)?.last_sequence().next();
        if last < first {
            return None;
        }
        let cause = LossCause::Damage;
        let last_moment = self.state.last();
        let gap = Record {
            session,
            sequence: last,
            at: last_moment.at,
            clock: last_moment.clock,
            actor: None,
            redacted: None,
            event: Event::RecordsLost { first, last, cause },
        };
        self.state.apply(&gap);
        self.salvaged.gaps.push(Gap {
            session,
            first,
            last,
        });
        Some(gap)
    }
}

/// Whether a session can begin with this event: its creation, or the removal of all its records.
fn begins(event: &Event) -> bool {
    matches!(
        event,
        Event::SessionCreated { .. }
            | Event::RecordsLost {
                cause: LossCause::Retention { .. },
                ..
            }
    )
}
