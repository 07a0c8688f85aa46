//! One segment from front to back, and on behind whatever is damaged.

use super::body::{Part, divide};
use super::*;
use crate::schema;
use crate::segment::format::batch::{VOUCHES_FOR_ITSELF, claimed_record};
use crate::segment::scan::tail_scan::{Survey, next_head, survey};
use std::io;

/// Reads one segment.
pub(crate) struct Walk<'w, 'v> {
    verifying: &'w mut Verifying<'v>,
    segment: &'w Segment,
    window: Window<'w>,
    site: Site,
    /// The position that the next segment begins with.
    following: Option<u64>,
    /// What stands behind the first place of an active segment that was found to be wrong.
    behind: Option<Survey>,
}

/// Something is wrong where a batch should be.
struct Fault {
    reason: &'static str,
    head: Option<BatchHead>,
}

enum Step {
    Batch,
    End,
}

impl<'w, 'v> Walk<'w, 'v> {
    pub(crate) fn new(
        verifying: &'w mut Verifying<'v>,
        segment: &'w Segment,
        window: Window<'w>,
        site: Site,
        following: Option<u64>,
    ) -> Self {
        Self {
            verifying,
            segment,
            window,
            site,
            following,
            behind: None,
        }
    }

    pub(crate) fn run(mut self) -> Result<(), OpenError> {
        let before = self.verifying.done;
        while let Step::Batch = self.step()? {
            self.verifying.done = before.saturating_add(self.site.byte);
            (self.verifying.progress)(self.verifying.done, self.verifying.total);
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Step, OpenError> {
        let at = self.site.byte;
        let Some(bytes) = self
            .window
            .get(at, BATCH_HEAD_BYTES)
            .map_err(io_at(self.segment))?
        else {
            let reason = if at < self.window.length() {
                "the segment ends within a batch's head"
            } else {
                "the segment ends without its seal"
            };
            return self.fault(&Fault { reason, head: None });
        };
        let head = bytes
            .first_chunk()
            .and_then(|bytes| BatchHead::decode(bytes, self.site));
        let Some(head) = head else {
            let reason = "the batch's head is wrong";
            return self.fault(&Fault { reason, head: None });
        };
        self.expect(&head);
        if head.is_seal() {
            return self.seal(&head);
        }
        let body_at = at.saturating_add(BATCH_HEAD_BYTES as u64);
        let fault = |reason| Fault {
            reason,
            head: Some(head),
        };
        let Some(body) = body(&mut self.window, body_at, &head).map_err(io_at(self.segment))?
        else {
            return self.fault(&fault("the segment ends within the batch's records"));
        };
        if let Err(wrong) = crate::segment::format::batch::check(&head, body) {
            return self.fault(&fault(wrong.reason));
        }
        let body = body.to_vec();
        let records = u64::from(head.records);
        self.tell_parts(divide(&body, records), &body, body_at, records)?;
        self.verifying.findings.batches += 1;
        self.verifying.next = head.next();
        self.site.byte = body_at.saturating_add(body.len() as u64);
        Ok(Step::Batch)
    }

    /// Goes on at a batch's position, and says so when it is not the one to follow; and when the
    /// batch claims what none can.
    fn expect(&mut self, head: &BatchHead) {
        let (first, next) = (head.first, self.verifying.next);
        if head.vouches_for_itself() {
            let at = self.site.byte;
            let end = at.saturating_add(BATCH_HEAD_BYTES as u64);
            let reason = VOUCHES_FOR_ITSELF.to_owned();
            self.verifying
                .damage(self.segment, at..end, reason, Some(0));
        }
        if first != next {
            let reason = format!(
                "the batch begins at position {first}, where position {next} was to follow"
            );
            let at = self.site.byte;
            let lost = first.saturating_sub(next);
            self.verifying
                .damage(self.segment, at..at, reason, Some(lost));
            self.verifying.next = first;
        }
    }

    fn seal(&mut self, head: &BatchHead) -> Result<Step, OpenError> {
        let end = self.site.byte.saturating_add(BATCH_HEAD_BYTES as u64);
        let length = self.window.length();
        let used = if self.segment.name.sealed {
            length
        } else {
            let behind = survey(&mut self.window, self.site, end).map_err(self.io())?;
            behind.used.max(end)
        };
        if used != end || head.body_bytes != 0 {
            let reason = "something follows the seal that ends the segment".to_owned();
            self.verifying.damage(self.segment, end..used, reason, None);
        }
        Ok(Step::End)
    }

    /// Judges a batch that is not sound: the clean end, a torn end, or damage; and goes on behind
    /// damage, with what can still be read of the batch.
    fn fault(&mut self, fault: &Fault) -> Result<Step, OpenError> {
        if !self.segment.name.sealed {
            let behind = self.behind()?;
            if behind.used <= self.site.byte {
                if self.following.is_some() {
                    let reason = "a segment follows, and this one was never sealed".to_owned();
                    self.verifying.damage(self.segment, 0..0, reason, Some(0));
                }
                return Ok(Step::End);
            }
            let next = self.verifying.next;
            let is_vouched = behind.claim.is_some_and(|(_, head)| head.durable >= next);
            if !is_vouched && self.following.is_none() {
                let known = behind.next.max(fault.head.map(|head| head.next()));
                self.verifying.findings.torn = Some(Torn {
                    file: self.segment.path.clone(),
                    byte: self.site.byte,
                    bytes: behind.used.saturating_sub(self.site.byte),
                    records: known.map(|known| known.saturating_sub(next)),
                    reason: fault.reason,
                });
                return Ok(Step::End);
            }
        }
        match fault.head {
            Some(head) => self.pass_damaged_body(&head),
            None => self.pass_damaged_head(fault.reason),
        }
    }

    /// What stands behind this place in an active segment.
    fn behind(&mut self) -> Result<Survey, OpenError> {
        let at = self.site.byte;
        let known = self
            .behind
            .filter(|behind| behind.used <= at || behind.claim.is_none_or(|(byte, _)| byte >= at));
        let behind = match known {
            Some(behind) => behind,
            None => survey(&mut self.window, self.site, at).map_err(self.io())?,
        };
        self.behind = Some(behind);
        Ok(behind)
    }

    /// The head is sound, and says how long the batch is and how many records it holds.
    fn pass_damaged_body(&mut self, head: &BatchHead) -> Result<Step, OpenError> {
        let body_at = self.site.byte.saturating_add(BATCH_HEAD_BYTES as u64);
        let end = body_at.saturating_add(u64::from(head.body_bytes));
        let body = self.bytes(body_at, end)?;
        let records = u64::from(head.records);
        let parts = divide(&body, records);
        if parts.iter().all(Part::is_sound) {
            // Each of them was written, but not all of them here.
            let reason = "these are not the batch's records".to_owned();
            let lost = Some(records);
            self.verifying
                .damage(self.segment, body_at..end, reason, lost);
        } else {
            self.tell_parts(parts, &body, body_at, records)?;
        }
        self.verifying.next = head.next();
        self.site.byte = end.min(self.window.length());
        Ok(Step::Batch)
    }

    /// The head is not: the next sound one tells how long the batch was and what it held, unless
    /// more than this batch is damaged.
    fn pass_damaged_head(&mut self, reason: &str) -> Result<Step, OpenError> {
        let at = self.site.byte;
        let found = next_head(&mut self.window, self.site, at.saturating_add(1));
        let found = found.map_err(self.io())?;
        let end = match found {
            Some((byte, _)) => byte,
            None if self.segment.name.sealed => self.window.length(),
            None => self.behind()?.used,
        };
        let next = found.map(|(_, head)| head.first).or(self.following);
        let lost = next.map(|next| next.saturating_sub(self.verifying.next));
        let body_at = at.saturating_add(BATCH_HEAD_BYTES as u64);
        let body = self.bytes(body_at, end)?;
        let whole = lost
            .map(|records| (records, divide(&body, records)))
            .filter(|(_, parts)| !parts.is_empty() && parts.iter().all(Part::is_sound));
        match whole {
            Some((records, parts)) => {
                let reason = reason.to_owned();
                self.verifying
                    .damage(self.segment, at..body_at, reason, Some(0));
                self.tell_parts(parts, &body, body_at, records)?;
            }
            None => {
                let reason = reason.to_owned();
                self.verifying.damage(self.segment, at..end, reason, lost);
            }
        }
        self.verifying.next = next.unwrap_or(self.verifying.next);
        self.site.byte = end;
        Ok(match found {
            Some(_) => Step::Batch,
            None => Step::End,
        })
    }

    /// Tells the sound records of a batch's body, and names the others.
    fn tell_parts(
        &mut self,
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
                    self.tell(frame.session, frame.sequence, frame.record, byte..end)?;
                }
                Part::Damaged {
                    at,
                    end,
                    frames,
                    reason,
                } => {
                    let claimed = claimed_record(body.get(at..end).unwrap_or_default());
                    let record = claimed.filter(|(session, sequence)| {
                        let last = self.verifying.streams.last(*session);
                        *sequence > last && sequence.0.saturating_sub(last.0) <= records
                    });
                    let bytes =
                        body_at.saturating_add(at as u64)..body_at.saturating_add(end as u64);
                    self.verifying.findings.damaged.push(DamagedPlace {
                        file: self.segment.path.clone(),
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

    fn tell(
        &mut self,
        session: SessionId,
        sequence: Sequence,
        record: &[u8],
        bytes: Range<u64>,
    ) -> Result<(), OpenError> {
        let record = match schema::decode(session, sequence, record) {
            Ok(record) => record,
            Err(source) if source.may_be_newer() => {
                return Err(OpenError::UnknownRecord {
                    file: self.segment.path.clone(),
                    byte: bytes.start,
                    session,
                    sequence,
                    source,
                });
            }
            Err(error) => {
                self.misplaced(bytes, (session, sequence), error.to_string(), 1);
                return Ok(());
            }
        };
        let verifying = &mut *self.verifying;
        let missing = verifying.findings.missing.len();
        let taken = verifying.streams.take(&record, &mut verifying.findings);
        if let Err(out) = taken {
            let reason = format!("the session's last sequence before is {}", out.last);
            self.misplaced(bytes, (session, sequence), reason, 0);
            return Ok(());
        }
        // A gap that no damage explains was written so.
        let unexplained = verifying
            .findings
            .missing
            .get(missing)
            .filter(|gap| gap.places.is_empty())
            .map(Missing::count);
        if let Some(count) = unexplained {
            let reason = format!("{count} sequences of the session are missing before this record");
            let place = verifying.findings.damaged.len();
            if let Some(gap) = verifying.findings.missing.get_mut(missing) {
                gap.places = place..place.saturating_add(1);
            }
            let at = bytes.start..bytes.start;
            self.misplaced(at, (session, sequence), reason, count);
        }
        self.verifying.findings.records += 1;
        (self.verifying.visit)(record);
        Ok(())
    }

    fn misplaced(
        &mut self,
        bytes: Range<u64>,
        record: (SessionId, Sequence),
        reason: String,
        lost: u64,
    ) {
        self.verifying.findings.damaged.push(DamagedPlace {
            file: self.segment.path.clone(),
            bytes,
            reason,
            record: Some(record),
            lost: Some(lost),
        });
    }

    /// The bytes from one place to another, as far as there are any.
    fn bytes(&mut self, from: u64, to: u64) -> Result<Vec<u8>, OpenError> {
        let to = to.min(self.window.length());
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let bytes = self.window.get(from, count).map_err(io_at(self.segment))?;
        Ok(bytes.unwrap_or_default().to_vec())
    }

    fn io(&self) -> impl Fn(io::Error) -> OpenError + 'w {
        io_at(self.segment)
    }
}

fn io_at(segment: &Segment) -> impl Fn(io::Error) -> OpenError + '_ {
    |error| io_error(&segment.path, error)
}

fn body<'b>(window: &'b mut Window<'_>, at: u64, head: &BatchHead) -> io::Result<Option<&'b [u8]>> {
    window.get(at, usize::try_from(head.body_bytes).unwrap_or(usize::MAX))
}
