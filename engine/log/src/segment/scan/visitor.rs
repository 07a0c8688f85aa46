//! Takes the records of a file that is read from front to back: opening indexes them, compaction
//! folds or sorts them.

use crate::schema::{self, DecodeError};
use crate::segment::error::{Damage, OpenError};
use crate::segment::format::frame::Frame;
use crate::segment::read::index::{FrameLocation, Index};
use rejoin_core::{Record, Sequence, SessionId};
use std::path::Path;

/// Takes records in log order. Their checksums are right.
pub(crate) trait FrameVisitor {
    /// Takes the next one.
    fn visit(&mut self, place: LogPlace, frame: &Frame<'_>) -> Result<(), FrameError>;

    /// The last sequence of a session so far.
    fn last(&self, session: SessionId) -> Option<Sequence>;
}

/// Where a record is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogPlace {
    /// In the log.
    pub(crate) position: u64,
    /// In its file.
    pub(crate) byte: u64,
}

/// Why a record cannot be what it is.
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

/// The record in a frame.
pub(crate) fn decode(frame: &Frame<'_>) -> Result<Record, FrameError> {
    schema::decode(frame.session, frame.sequence, frame.record).map_err(FrameError::Unknown)
}

/// Notes where the records of a segment stand, and tells those behind a snapshot.
pub(crate) struct IndexBuilder<'a> {
    pub(crate) index: &'a mut Index,
    /// Which file of the log it is.
    pub(crate) ordinal: u32,
    /// The position that the snapshot is of.
    pub(crate) after: u64,
    pub(crate) visit: &'a mut dyn FnMut(Record),
}

impl IndexBuilder<'_> {
    /// Notes where a record stands.
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
            FrameError::Damaged(format!("the session's last sequence before is {last}"))
        })
    }
}

impl FrameVisitor for IndexBuilder<'_> {
    fn visit(&mut self, place: LogPlace, frame: &Frame<'_>) -> Result<(), FrameError> {
        let too_long = |_| FrameError::Damaged("no segment is as long as this".to_owned());
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
            // Without a snapshot, nothing is folded of a session whose beginning is gone.
            if self.after > 0 || removes.is_some() || !self.index.is_removed(session) {
                (self.visit)(record);
            }
            return Ok(());
        }
        // What a snapshot knows of need not be decoded, but for what stands behind a declared gap.
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
