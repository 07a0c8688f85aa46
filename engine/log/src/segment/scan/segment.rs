//! Reads one segment from front to back: checks every byte, gives every record, and judges how
//! the segment ends.
//!
//! Never: a record of a batch that is not sound as a whole is told, or damage taken for a torn
//! end. Nothing is written.

use crate::disk::DiskFile;
use crate::segment::error::{Damage, OpenError};
use crate::segment::format::batch::{self, BATCH_HEAD_BYTES, BatchHead, BodyFault, Site};
use crate::segment::format::frame::Frame;
use crate::segment::format::header::{HEADER_BYTES, Header, HeaderFault, LogId};
use crate::segment::format::name::SegmentName;
use crate::segment::scan::tail_scan::survey;
use crate::segment::scan::visitor::{Place, Take};
use crate::segment::scan::window::Window;
use rejoin_core::{Sequence, SessionId};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// A segment that is about to be read.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) file: &'a dyn DiskFile,
    pub(crate) path: PathBuf,
    pub(crate) name: SegmentName,
    /// The log that it must belong to, where that is known.
    pub(crate) log: Option<LogId>,
}

/// What a segment turned out to be.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) log: LogId,
    /// The byte after the last sound batch, not counting the seal.
    pub(crate) end: u64,
    /// The position after the last record.
    pub(crate) next: u64,
    /// Up to this byte and this position, a later batch says that the log was durable.
    pub(crate) vouched: (u64, u64),
    pub(crate) torn: Option<Torn>,
    /// Whether its seal is there.
    pub(crate) is_sealed: bool,
}

/// The end of a batch that a crash interrupted. It was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// The segment.
    pub file: PathBuf,
    /// The byte that the torn batch begins at.
    pub byte: u64,
    /// How many bytes of it, and of what follows, there are, not counting zeros at the end.
    pub bytes: u64,
    /// How many records those were to be; `None` when not even that can be read.
    pub records: Option<u64>,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Reads `segment`, and gives `take` every record in log order.
pub(crate) fn scan(segment: &Segment<'_>, take: &mut dyn Take) -> Result<Scan, OpenError> {
    let io = |source| segment.io(source);
    let mut window = Window::new(segment.file).map_err(io)?;
    let header = segment.header(&mut window)?;
    let mut walk = Walk {
        segment,
        site: Site {
            log: header.log,
            segment: header.first,
            byte: HEADER_BYTES as u64,
        },
        next: header.first,
        unvouched: VecDeque::new(),
        vouched: (HEADER_BYTES as u64, header.first.saturating_sub(1)),
        take,
    };
    let (torn, is_sealed) = loop {
        match walk.step(&mut window)? {
            Step::Batch => {}
            Step::Seal => break (None, true),
            Step::End => break (None, false),
            Step::Torn(torn) => break (Some(torn), false),
        }
    };
    Ok(Scan {
        log: header.log,
        end: walk.site.byte,
        next: walk.next,
        vouched: walk.vouched,
        torn,
        is_sealed,
    })
}

impl Segment<'_> {
    fn header(&self, window: &mut Window<'_>) -> Result<Header, OpenError> {
        let bytes = window
            .get(0, HEADER_BYTES)
            .map_err(|error| self.io(error))?;
        let header = match bytes.and_then(|bytes| bytes.first_chunk()) {
            Some(bytes) => Header::decode(bytes),
            None => Err(HeaderFault::Unsound("the segment ends within its header")),
        };
        // A segment gets its name when its header is durable, so that a bad header is damage even
        // in the last one.
        let header = header.map_err(|fault| match fault {
            HeaderFault::Unsound(reason) => self.damaged(0, None, reason.to_owned()),
            HeaderFault::Version(found) => OpenError::UnknownFormat {
                file: self.path.clone(),
                found,
            },
        })?;
        if header.first != self.name.first {
            let reason = format!(
                "the segment's name says that it begins at position {}, its header says {}",
                self.name.first, header.first
            );
            return Err(self.damaged(0, None, reason));
        }
        if let Some(log) = self.log.filter(|log| *log != header.log) {
            let reason = format!(
                "the segment belongs to log {}, not to log {log}",
                header.log
            );
            return Err(self.damaged(0, None, reason));
        }
        Ok(header)
    }

    fn damaged(
        &self,
        byte: u64,
        record: Option<(SessionId, Sequence)>,
        reason: String,
    ) -> OpenError {
        OpenError::Damaged(Damage {
            file: self.path.clone(),
            byte,
            record,
            reason,
        })
    }

    fn io(&self, source: io::Error) -> OpenError {
        io_error(&self.path, source)
    }
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        source,
    }
}

enum Step {
    Batch,
    Seal,
    End,
    Torn(Torn),
}

/// What is wrong with the batch that the walk has come to.
struct Fault {
    byte: u64,
    record: Option<(SessionId, Sequence)>,
    reason: &'static str,
    head: Option<BatchHead>,
}

struct Walk<'a, 'b> {
    segment: &'a Segment<'a>,
    /// Where the next batch must stand.
    site: Site,
    /// The position that it must begin with.
    next: u64,
    /// Batches that no later one has vouched for: the position after each, and the byte.
    unvouched: VecDeque<(u64, u64)>,
    vouched: (u64, u64),
    take: &'b mut dyn Take,
}

impl Walk<'_, '_> {
    fn step(&mut self, window: &mut Window<'_>) -> Result<Step, OpenError> {
        let segment = self.segment;
        let io = |source| segment.io(source);
        let at = self.site.byte;
        let fault = |reason, head| Fault {
            byte: at,
            record: None,
            reason,
            head,
        };
        let Some(bytes) = window.get(at, BATCH_HEAD_BYTES).map_err(io)? else {
            return self.fault(
                window,
                fault("the segment ends within a batch's head", None),
            );
        };
        let head = bytes
            .first_chunk()
            .and_then(|bytes| BatchHead::decode(bytes, self.site));
        let Some(head) = head else {
            return self.fault(window, fault("the batch's head is wrong", None));
        };
        if head.first != self.next {
            let reason = format!(
                "the batch begins at position {}, where position {} was to follow",
                head.first, self.next
            );
            return Err(segment.damaged(at, None, reason));
        }
        if head.vouches_for_itself() {
            let reason = batch::VOUCHES_FOR_ITSELF.to_owned();
            return Err(segment.damaged(at, None, reason));
        }
        if head.is_seal() {
            return self.seal(window, &head);
        }
        let body_at = at + BATCH_HEAD_BYTES as u64;
        let length = usize::try_from(head.body_bytes).unwrap_or(usize::MAX);
        let Some(body) = window.get(body_at, length).map_err(io)? else {
            let reason = "the segment ends within the batch's records";
            return self.fault(window, fault(reason, Some(head)));
        };
        match batch::check(&head, body) {
            Ok(()) => {
                self.tell(body_at, body)?;
                self.pass(&head, body_at.saturating_add(body.len() as u64));
                Ok(Step::Batch)
            }
            Err(BodyFault {
                byte,
                record,
                reason,
            }) => {
                let fault = Fault {
                    byte: body_at.saturating_add(byte as u64),
                    record: record.filter(|record| self.is_likely(&head, *record)),
                    reason,
                    head: Some(head),
                };
                self.fault(window, fault)
            }
        }
    }

    /// Gives the records of a batch that has been checked.
    fn tell(&mut self, body_at: u64, body: &[u8]) -> Result<(), OpenError> {
        let mut rest = body;
        let mut position = self.next;
        while let Some((frame, following)) = Frame::split(rest) {
            let passed = body.len().saturating_sub(rest.len());
            let byte = body_at.saturating_add(passed as u64);
            let taken = self.take.take(Place { position, byte }, &frame);
            taken.map_err(|objection| objection.at(&self.segment.path, byte, &frame))?;
            position += 1;
            rest = following;
        }
        Ok(())
    }

    /// Goes on behind a sound batch.
    fn pass(&mut self, head: &BatchHead, end: u64) {
        while let Some(&(next, byte)) = self.unvouched.front()
            && next <= head.durable.saturating_add(1)
        {
            self.vouched.0 = byte;
            self.unvouched.pop_front();
        }
        self.vouched.1 = self.vouched.1.max(head.durable);
        self.unvouched.push_back((head.next(), end));
        self.next = head.next();
        self.site.byte = end;
    }

    fn seal(&self, window: &mut Window<'_>, head: &BatchHead) -> Result<Step, OpenError> {
        let at = self.site.byte;
        let end = at + BATCH_HEAD_BYTES as u64;
        let survey = survey(window, self.site, end).map_err(|error| self.segment.io(error))?;
        let is_last = if self.segment.name.sealed {
            end == window.length()
        } else {
            survey.used == 0
        };
        if head.body_bytes != 0 || !is_last {
            let reason = "something follows the seal that ends the segment";
            return Err(self.segment.damaged(end, None, reason.to_owned()));
        }
        Ok(Step::Seal)
    }

    /// Judges a batch that is not sound: the clean end, a torn end, or damage.
    fn fault(&self, window: &mut Window<'_>, fault: Fault) -> Result<Step, OpenError> {
        let damaged = |because: &str| {
            let reason = format!("{}; {because}", fault.reason);
            Err(self.segment.damaged(fault.byte, fault.record, reason))
        };
        if self.segment.name.sealed {
            return damaged("the segment was sealed, so all of it was durable");
        }
        let survey =
            survey(window, self.site, self.site.byte).map_err(|error| self.segment.io(error))?;
        if survey.used == 0 {
            return Ok(Step::End);
        }
        // The batch that is wrong begins at position `next`: was that one durable?
        if let Some((byte, head)) = survey.claim
            && head.durable >= self.next
        {
            return damaged(&format!(
                "the batch at byte {byte} says that the log was durable up to position {}, \
                 which is this or after it",
                head.durable
            ));
        }
        let known = survey.next.max(fault.head.map(|head| head.next()));
        Ok(Step::Torn(Torn {
            file: self.segment.path.clone(),
            byte: self.site.byte,
            bytes: survey.used.saturating_sub(self.site.byte),
            records: known.map(|next| next.saturating_sub(self.next)),
            reason: fault.reason,
        }))
    }

    /// Whether a damaged record can be what it says: one that this batch may hold.
    fn is_likely(&self, head: &BatchHead, (session, sequence): (SessionId, Sequence)) -> bool {
        let last = self.take.last(session).unwrap_or(Sequence::START);
        sequence > last && sequence.0.saturating_sub(last.0) <= u64::from(head.records)
    }
}
