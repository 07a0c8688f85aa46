//! The visitor for records read from a file: opening indexes them, compaction folds or sorts them.

use crate::schema::{self, DecodeError};
use crate::segment::error::{Damage, OpenError};
use crate::segment::format::frame::Frame;
use crate::segment::read::index::{FrameLocation, Index};
use rejoin_core::{Record, Sequence, SessionId};
use std::path::Path;

/// Receives records in log order. Their checksums have been verified.
pub(crate) trait FrameVisitor {
    /// Receives the next record.
    fn visit(&mut self, place: LogPlace, frame: &Frame<'_>) -> Result<(), FrameError>;

    /// The last sequence of a session so far, if known.
    fn last(&self, session: SessionId) -> Option<Sequence>;
}

/// Where a record is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogPlace {
    /// Its position in the log.
    pub(crate) position: u64,
    /// Its byte offset in the file.
    pub(crate) byte: u64,
}

/// Why a record with a correct checksum is refused.
#[derive(Debug)]
pub(crate) enum FrameError {
    Damaged(String),
    Unknown(DecodeError),
}

impl FrameError {
    pub(crate) fn at(self, path: &Path, byte: u64, frame: &Frame<'_>) -> OpenError {
        let file = path.to_owned();
        let (session, sequence) = (frame.session, frame.sequence);
        match self {
            Self::Damaged(reason) => OpenError::Damaged(Damage {
                file,
                byte,
                record: Some((session, sequence)),
                reason,
            }),
            Self::Unknown(source) => OpenError::UnknownRecord {
                file,
                byte,
                session,
                sequence,
                source,
            },
        }
    }
}

/// Decodes the record in a frame.
pub(crate) fn decode(frame: &Frame<'_>) -> Result<Record, FrameError> {
    schema::decode(frame.session, frame.sequence, frame.record).map_err(FrameError::Unknown)
}

/// Adds the records of a segment to the index, and passes on those after the snapshot.
pub(crate) struct IndexBuilder<'a> {
    pub(crate) index: &'a mut Index,
    /// The number of the file in the log.
    pub(crate) ordinal: u32,
    /// The position of the snapshot; 0 if there is none.
    pub(crate) after: u64,
    pub(crate) visit: &'a mut dyn FnMut(Record),
}

impl IndexBuilder<'_> {
    /// Adds a record to the index.
    fn note(
        &mut self,
        frame: &Frame<'_>,
        stand: FrameLocation,
        follows: impl FnOnce(Sequence) -> bool,
    ) -> Result<(), FrameError> {
        let added = self
            .index
            .add(frame.session, frame.sequence, stand, follows);
        added.map_err(|last| {
            FrameError::Damaged(format!("it does not follow the session's sequence {last}"))
        })
    }
}

impl FrameVisitor for IndexBuilder<'_> {
    fn visit(&mut self, place: LogPlace, frame: &Frame<'_>) -> Result<(), FrameError> {
        let too_long = |_| FrameError::Damaged("the segment is too long".to_owned());
        let stand = FrameLocation {
            segment: self.ordinal,
            byte: u32::try_from(place.byte).map_err(too_long)?,
            bytes: u32::try_from(frame.length()).map_err(too_long)?,
        };
        let (session, sequence) = (frame.session, frame.sequence);
        if place.position > self.after {
            let record = decode(frame)?;
            self.note(frame, stand, |last| record.follows(last))?;
            let removes = record.event.removes_before();
            if let Some(before) = removes {
                self.index.notice(session, before);
            }
            // Without a snapshot, a session whose first records were removed cannot be folded.
            if self.after > 0 || removes.is_some() || !self.index.is_removed(session) {
                (self.visit)(record);
            }
            return Ok(());
        }
        // A record covered by the snapshot is only decoded if it may declare a gap before it.
        let last = self.index.last(session).unwrap_or(Sequence::START);
        if last.next() == sequence {
            self.note(frame, stand, |_| true)?;
        } else {
            let record = decode(frame)?;
            self.note(frame, stand, |last| record.follows(last))?;
        }
        if let Some(before) = schema::removes_before(frame.record) {
            self.index.notice(session, before);
        }
        Ok(())
    }

    fn last(&self, session: SessionId) -> Option<Sequence> {
        self.index.last(session)
    }
}
