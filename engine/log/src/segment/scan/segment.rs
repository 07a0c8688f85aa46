//! Reads one segment from front to back, and fails if it is damaged. Writes nothing.
//!
//! Invariant: only records of batches that are valid as a whole are visited.

use crate::disk::DiskFile;
use crate::segment::error::{Damage, OpenError};
use crate::segment::format::batch::BatchLocation;
use crate::segment::format::frame::Frame;
use crate::segment::format::header::{HEADER_BYTES, Header, HeaderFault, LogId};
use crate::segment::format::name::SegmentName;
use crate::segment::scan::cursor::{Batch, BatchFault, Damaged, SegmentCursor, Step};
use crate::segment::scan::visitor::{FrameVisitor, LogPlace};
use crate::segment::scan::window::Window;
use rejoin_core::{Sequence, SessionId};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// A segment to read.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) file: &'a dyn DiskFile,
    pub(crate) path: PathBuf,
    pub(crate) name: SegmentName,
    /// The log that it must belong to, if known.
    pub(crate) log: Option<LogId>,
}

/// The result of reading a segment.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) log: LogId,
    /// The byte offset after the last valid batch, not counting the seal.
    pub(crate) end: u64,
    /// The position after the last record.
    pub(crate) next: u64,
    /// The byte offset and the position up to which a later batch says that the log was durable.
    pub(crate) durable: (u64, u64),
    pub(crate) torn: Option<TornTail>,
    /// Whether the segment has its seal.
    pub(crate) is_sealed: bool,
}

/// The end of a batch that a crash interrupted. It was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// The byte offset of the torn batch.
    pub byte: u64,
    /// How many bytes there are from the torn batch on, without zeros at the end.
    pub bytes: u64,
    /// How many records the append should have had; `None` if that cannot be read.
    pub records: Option<u64>,
    /// What is wrong with the batch.
    pub reason: &'static str,
}

/// Reads `segment`, and passes every record to `visitor` in log order.
pub(crate) fn scan(
    segment: &Segment<'_>,
    visitor: &mut dyn FrameVisitor,
) -> Result<Scan, OpenError> {
    let io = |source| segment.io(source);
    let mut window = Window::new(segment.file).map_err(io)?;
    let header = segment.header(&mut window)?;
    let site = BatchLocation {
        log: header.log,
        segment: header.first,
        byte: HEADER_BYTES as u64,
    };
    let mut cursor = SegmentCursor::new(window, site, header.first, segment.name.sealed);
    let mut watermark = Watermark {
        byte: site.byte,
        position: header.first.saturating_sub(1),
        unconfirmed: VecDeque::new(),
    };
    let (torn, is_sealed) = loop {
        match cursor.step().map_err(io)? {
            Step::Batch(batch) => {
                visit_frames(segment, &batch, visitor)?;
                watermark.pass(&batch);
            }
            Step::Seal => break (None, true),
            Step::CleanEnd => break (None, false),
            Step::TornTail {
                fault,
                bytes,
                records,
            } => {
                let torn = TornTail {
                    file: segment.path.clone(),
                    byte: cursor.byte(),
                    bytes,
                    records,
                    reason: fault.reason,
                };
                break (Some(torn), false);
            }
            Step::Damaged(damaged) => {
                let (byte, record) = match &damaged {
                    Damaged::BehindSeal(bytes) => (bytes.start, None),
                    Damaged::Batch { fault, .. } => (fault.byte, likely_record(fault, visitor)),
                    Damaged::Position { .. } | Damaged::DurableTooEarly => (cursor.byte(), None),
                };
                return Err(segment.damaged(byte, record, damaged.to_string()));
            }
        }
    };
    Ok(Scan {
        log: header.log,
        end: cursor.byte(),
        next: cursor.next(),
        durable: (watermark.byte, watermark.position),
        torn,
        is_sealed,
    })
}

/// How far the batches of a segment prove that the segment was durable.
struct Watermark {
    /// The byte offset after the last batch that a later batch says was durable.
    byte: u64,
    /// The highest durable position that a batch claims.
    position: u64,
    /// The later batches: the position and the byte offset after each.
    unconfirmed: VecDeque<(u64, u64)>,
}

impl Watermark {
    fn pass(&mut self, batch: &Batch<'_>) {
        let head = &batch.head;
        while let Some(&(next, byte)) = self.unconfirmed.front()
            && next <= head.durable.saturating_add(1)
        {
            self.byte = byte;
            self.unconfirmed.pop_front();
        }
        self.position = self.position.max(head.durable);
        let end = batch.body_at.saturating_add(batch.body.len() as u64);
        self.unconfirmed.push_back((head.next(), end));
    }
}

/// Passes the records of a valid batch to `visitor`.
fn visit_frames(
    segment: &Segment<'_>,
    batch: &Batch<'_>,
    visitor: &mut dyn FrameVisitor,
) -> Result<(), OpenError> {
    let mut rest = batch.body;
    let mut position = batch.head.first;
    while let Some((frame, following)) = Frame::split(rest) {
        let passed = batch.body.len().saturating_sub(rest.len());
        let byte = batch.body_at.saturating_add(passed as u64);
        let taken = visitor.visit(LogPlace { position, byte }, &frame);
        taken.map_err(|error| error.at(&segment.path, byte, &frame))?;
        position += 1;
        rest = following;
    }
    Ok(())
}

/// The record that a damaged frame claims to be, if that record is plausible in its batch.
fn likely_record(fault: &BatchFault, visitor: &dyn FrameVisitor) -> Option<(SessionId, Sequence)> {
    let (session, sequence) = fault.record?;
    let records = u64::from(fault.head?.records);
    let last = visitor.last(session).unwrap_or(Sequence::START);
    let is_likely = sequence > last && sequence.0.saturating_sub(last.0) <= records;
    is_likely.then_some((session, sequence))
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
        // A segment gets its name only after its header is durable, so a bad header is damage even
        // in the last segment.
        let header = header.map_err(|fault| match fault {
            HeaderFault::Unsound(reason) => self.damaged(0, None, reason.to_owned()),
            HeaderFault::Version(found) => OpenError::UnknownFormat {
                file: self.path.clone(),
                found,
            },
        })?;
        if header.first != self.name.first {
            let reason = format!(
                "the segment's name says that it begins at position {}, but its header says {}",
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
