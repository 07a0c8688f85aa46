//! Which sequences of which sessions are missing: told from the ones that are there.

use super::{DeclaredGap, MissingRecords, VerifyReport};
use rejoin_core::{Event, Record, Sequence, SessionId};
use std::collections::BTreeMap;

/// How far each session has been read.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    sessions: BTreeMap<SessionId, Stream>,
    /// The last record that is lost in a damaged place, where the file says which that is.
    ends: BTreeMap<usize, Sequence>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    last: Sequence,
    /// How many damaged places were known when its last record was read.
    places: usize,
}

/// A record that stands where its session cannot have it.
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

    /// Passes over what was removed of a session.
    pub(crate) fn pass(&mut self, session: SessionId, last: Sequence) {
        let stream = self.sessions.entry(session).or_default();
        stream.last = stream.last.max(last);
    }

    /// The damaged place takes its session's records up to this one.
    pub(crate) fn end(&mut self, place: usize, last: Sequence) {
        self.ends.insert(place, last);
    }

    /// Takes the next record that was read; what is missing before it is added to `findings`, and
    /// what it declares to be.
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
            });
        }
        stream.last = sequence;
        stream.places = places.end;
        Ok(())
    }

    /// What is missing at the ends of sessions, behind which nothing can tell: what damaged
    /// records say of themselves, as far as that is likely.
    pub(crate) fn claim_ends(mut self, findings: &mut VerifyReport) {
        for (place, damaged) in findings.damaged.iter().enumerate() {
            let Some((session, sequence)) = damaged.record else {
                continue;
            };
            let sequence = self.ends.get(&place).copied().unwrap_or(sequence);
            let Some(stream) = self.sessions.get_mut(&session) else {
                continue;
            };
            // What was read behind that place has told already.
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
