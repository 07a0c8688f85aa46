//! Verifies one segment from front to back, continuing after damage.

use super::body::{Part, divide};
use super::streams::OutOfOrder;
use super::{DamagedPlace, MissingRecords, Segment, Verifier};
use crate::schema;
use crate::segment::error::OpenError;
use crate::segment::format::batch::{BATCH_HEAD_BYTES, BatchLocation, claimed_record};
use crate::segment::scan::cursor::{BatchFault, Damaged, SegmentCursor, Step};
use crate::segment::scan::segment::{TornTail, io_error};
use crate::segment::scan::window::Window;
use rejoin_core::{Sequence, SessionId};
use std::ops::Range;
use std::path::Path;

impl Verifier<'_> {
    /// Reads one segment, whose first batch is at `site`. `following` is the first position of the
    /// next file.
    pub(super) fn read_segment(
        &mut self,
        segment: &Segment,
        window: Window<'_>,
        site: BatchLocation,
        following: Option<u64>,
    ) -> Result<(), OpenError> {
        let io = |error| io_error(&segment.path, error);
        let before = self.done;
        let mut cursor = SegmentCursor::new(window, site, self.next, segment.name.sealed);
        loop {
            let at = cursor.byte();
            let fault = match cursor.step().map_err(io)? {
                Step::Batch(batch) => {
                    let records = u64::from(batch.head.records);
                    let parts = divide(batch.body, records);
                    self.take_parts(&segment.path, parts, batch.body, batch.body_at, records)?;
                    self.findings.batches += 1;
                    None
                }
                Step::Seal => break,
                Step::CleanEnd => {
                    if following.is_some() {
                        let reason =
                            "another segment follows, but this one was never sealed".to_owned();
                        self.damage(&segment.path, 0..0, reason, Some(0));
                    }
                    break;
                }
                Step::TornTail {
                    fault,
                    bytes,
                    records,
                } => {
                    if following.is_none() {
                        self.findings.torn = Some(TornTail {
                            file: segment.path.clone(),
                            byte: at,
                            bytes,
                            records,
                            reason: fault.reason,
                        });
                        break;
                    }
                    // Another segment follows, so this one must have been durable.
                    Some(fault)
                }
                Step::Damaged(Damaged::BehindSeal(bytes)) => {
                    let reason = Damaged::BehindSeal(bytes.clone()).to_string();
                    self.damage(&segment.path, bytes, reason, None);
                    break;
                }
                Step::Damaged(Damaged::Batch { fault, .. }) => Some(fault),
                Step::Damaged(damaged) => {
                    let (bytes, lost) = match damaged {
                        Damaged::Position { first, expected } => {
                            (at..at, first.saturating_sub(expected))
                        }
                        _ => (at..at.saturating_add(BATCH_HEAD_BYTES as u64), 0),
                    };
                    self.damage(&segment.path, bytes, damaged.to_string(), Some(lost));
                    cursor.accept(&damaged);
                    None
                }
            };
            if let Some(fault) = fault {
                let goes_on = self.pass_damaged(segment, &mut cursor, &fault, following)?;
                if !goes_on {
                    break;
                }
            }
            self.done = before.saturating_add(cursor.byte());
            (self.progress)(self.done, self.total);
        }
        self.next = cursor.next();
        Ok(())
    }

    /// Moves past a damaged batch, and takes what can still be read of it. Returns whether more
    /// batches may follow.
    fn pass_damaged(
        &mut self,
        segment: &Segment,
        cursor: &mut SegmentCursor<'_>,
        fault: &BatchFault,
        following: Option<u64>,
    ) -> Result<bool, OpenError> {
        let path = &segment.path;
        let skipped = cursor.skip(fault, following);
        let skipped = skipped.map_err(|error| io_error(path, error))?;
        let (at, body_at, end) = (skipped.at, skipped.body_at, skipped.end);
        let body = &skipped.body[..];
        let all_sound = |parts: &[Part<'_>]| parts.iter().all(Part::is_sound);
        let parts = skipped
            .records
            .map(|records| (records, divide(body, records)));
        match parts {
            // Each frame is intact, but not all of them belong to this batch.
            Some((records, parts)) if fault.head.is_some() && all_sound(&parts) => {
                let reason = "the records do not match the batch's head".to_owned();
                self.damage(path, body_at..end, reason, Some(records));
            }
            Some((records, parts)) if fault.head.is_some() => {
                self.take_parts(path, parts, body, body_at, records)?;
            }
            // Only the head is damaged.
            Some((records, parts)) if !parts.is_empty() && all_sound(&parts) => {
                self.damage(path, at..body_at, fault.reason.to_owned(), Some(0));
                self.take_parts(path, parts, body, body_at, records)?;
            }
            _ => self.damage(path, at..end, fault.reason.to_owned(), skipped.records),
        }
        Ok(skipped.goes_on)
    }

    /// Takes the intact records of a batch's body, and reports the damaged ones.
    fn take_parts(
        &mut self,
        path: &Path,
        parts: Vec<Part<'_>>,
        body: &[u8],
        body_at: u64,
        records: u64,
    ) -> Result<(), OpenError> {
        for part in parts {
            match part {
                Part::Sound { at, frame } => {
                    let byte = body_at.saturating_add(at as u64);
                    let end = byte.saturating_add(frame.length() as u64);
                    self.take_record(path, frame.session, frame.sequence, frame.record, byte..end)?;
                }
                Part::Damaged {
                    at,
                    end,
                    frames,
                    reason,
                } => {
                    let claimed = claimed_record(body.get(at..end).unwrap_or_default());
                    let record = claimed.filter(|(session, sequence)| {
                        let last = self.streams.last(*session);
                        *sequence > last && sequence.0.saturating_sub(last.0) <= records
                    });
                    let bytes =
                        body_at.saturating_add(at as u64)..body_at.saturating_add(end as u64);
                    self.findings.damaged.push(DamagedPlace {
                        file: path.to_owned(),
                        bytes,
                        reason: reason.to_owned(),
                        record,
                        lost: frames,
                    });
                }
            }
        }
        Ok(())
    }

    fn take_record(
        &mut self,
        path: &Path,
        session: SessionId,
        sequence: Sequence,
        record: &[u8],
        bytes: Range<u64>,
    ) -> Result<(), OpenError> {
        let record = match schema::decode(session, sequence, record) {
            Ok(record) => record,
            Err(source) if source.may_be_newer() => {
                return Err(OpenError::UnknownRecord {
                    file: path.to_owned(),
                    byte: bytes.start,
                    session,
                    sequence,
                    source,
                });
            }
            Err(error) => {
                self.misplaced(path, bytes, (session, sequence), error.to_string(), 1);
                return Ok(());
            }
        };
        let missing = self.findings.missing.len();
        let taken = self.streams.take(&record, &mut self.findings);
        if let Err(OutOfOrder { last }) = taken {
            let reason = format!("it does not follow the session's sequence {last}");
            self.misplaced(path, bytes, (session, sequence), reason, 0);
            return Ok(());
        }
        // No damage explains this gap, so it was there when the log was written: report it here.
        let unexplained = self
            .findings
            .missing
            .get(missing)
            .filter(|gap| gap.places.is_empty())
            .map(MissingRecords::count);
        if let Some(count) = unexplained {
            let reason = format!("{count} sequences of the session are missing before this record");
            let place = self.findings.damaged.len();
            if let Some(gap) = self.findings.missing.get_mut(missing) {
                gap.places = place..place.saturating_add(1);
            }
            let at = bytes.start..bytes.start;
            self.misplaced(path, at, (session, sequence), reason, count);
        }
        self.findings.records += 1;
        (self.visit)(record);
        Ok(())
    }

    fn misplaced(
        &mut self,
        path: &Path,
        bytes: Range<u64>,
        record: (SessionId, Sequence),
        reason: String,
        lost: u64,
    ) {
        self.findings.damaged.push(DamagedPlace {
            file: path.to_owned(),
            bytes,
            reason,
            record: Some(record),
            lost: Some(lost),
        });
    }
}
