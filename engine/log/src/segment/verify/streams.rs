//! Finds the missing sequences of each session from the ones that are present.

use super::{DeclaredGap, MissingRecords, VerifyReport};
use rejoin_core::{Event, Record, Sequence, SessionId};
use std::collections::BTreeMap;

/// How far each session has been read.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    sessions: BTreeMap<SessionId, Stream>,
    /// For damaged places, by index: the last sequence lost there, if the file states it.
    ends: BTreeMap<usize, Sequence>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    last: Sequence,
    /// How many damaged places were known when its last record was read.
    places: usize,
}

/// A record that cannot follow the earlier records of its session.
#[derive(Debug)]
pub(crate) struct OutOfOrder {
    pub(crate) last: Sequence,
}

impl Streams {
    pub(crate) fn count(&self) -> u64 {
        self.sessions.len() as u64
    }

    pub(crate) fn last(&self, session: SessionId) -> Sequence {
        self.sessions
            .get(&session)
            .map_or(Sequence::START, |stream| stream.last)
    }

    /// Skips the removed records of a session, up to `last`.
    pub(crate) fn pass(&mut self, session: SessionId, last: Sequence) {
        let stream = self.sessions.entry(session).or_default();
        stream.last = stream.last.max(last);
    }

    /// Notes that a damaged place covers its session's records up to `last`.
    pub(crate) fn end(&mut self, place: usize, last: Sequence) {
        self.ends.insert(place, last);
    }

    /// Takes the next record that was read. Adds the records that are missing before it, and those
    /// that it declares as lost, to `findings`.
    pub(crate) fn take(
        &mut self,
        record: &Record,
        findings: &mut VerifyReport,
    ) -> Result<(), OutOfOrder> {
        let Record {
            session, sequence, ..
        } = *record;
        let stream = self.sessions.entry(session).or_default();
        let last = stream.last;
        let from = (*record.covered_sequences().start()).max(last.next());
        let before = Sequence(from.0.saturating_sub(1));
        if sequence <= last || !record.follows(before) {
            return Err(OutOfOrder { last });
        }
        let places = stream.places..findings.damaged.len();
        if from > last.next() {
            findings.missing.push(MissingRecords {
                session,
                first: last.next(),
                last: before,
                places: places.clone(),
            });
        }
        if let Event::RecordsLost { first, last, cause } = record.event {
            findings.declared.push(DeclaredGap {
                session,
                first,
                last,
                cause,
                is_deletion: record.is_deletion(),
            });
        }
        stream.last = sequence;
        stream.places = places.end;
        Ok(())
    }

    /// Adds the records that are missing at the ends of sessions, where no later record reveals
    /// them. Relies on the identities that damaged records claim, where those are plausible.
    pub(crate) fn claim_ends(mut self, findings: &mut VerifyReport) {
        for (place, damaged) in findings.damaged.iter().enumerate() {
            let Some((session, sequence)) = damaged.record else {
                continue;
            };
            let sequence = self.ends.get(&place).copied().unwrap_or(sequence);
            let Some(stream) = self.sessions.get_mut(&session) else {
                continue;
            };
            // Records read after that place have already revealed the gaps before them.
            let claimed = sequence.0.saturating_sub(stream.last.0);
            let places = stream.places..place.saturating_add(1);
            let lost = findings.damaged.get(places.clone()).unwrap_or_default();
            let lost = lost.iter().filter_map(|place| place.lost);
            if claimed == 0 || claimed > lost.fold(0, u64::saturating_add) {
                continue;
            }
            findings.missing.push(MissingRecords {
                session,
                first: stream.last.next(),
                last: sequence,
                places,
            });
            stream.last = sequence;
            stream.places = place.saturating_add(1);
        }
    }
}
