//! Reads a compacted segment whose record order is damaged: merges its sessions into an order in
//! which their records may have been logged.
//!
//! Invariant: each session's records stay in their own order.
//!
//! The log's clock never goes back. Records of the same instant are ordered by the session or
//! job number that they assign, because these numbers only grow.

use crate::schema;
use crate::segment::error::OpenError;
use crate::segment::scan::compacted::{CompactedFrame, CompactedSegment};
use crate::segment::scan::visitor::FrameVisitor;
use rejoin_core::{Event, Instant, LossCause, Record};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The sort key of a session's next record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    clock: Instant,
    /// Records without a number come first, then those that assign one, then those that state the
    /// last numbers assigned.
    kind: u8,
    number: u64,
}

impl Turn {
    fn of(record: &Record) -> Self {
        let (kind, number) = match &record.event {
            Event::SessionCreated { number, .. } => (1, number.0),
            Event::JobSubmitted { job, .. } => (2, job.0),
            Event::RecordsLost {
                cause: LossCause::Retention { last_job, .. },
                ..
            } => (3, last_job.0),
            _ => (0, 0),
        };
        Self {
            clock: record.clock,
            kind,
            number,
        }
    }
}

impl CompactedSegment {
    /// Passes the records of `frames` to `visitor` in an order in which they may have been logged.
    /// Reads each record twice; takes memory for each session.
    pub(crate) fn tell_by_instant(
        &self,
        frames: &[Option<CompactedFrame>],
        visitor: &mut dyn FrameVisitor,
    ) -> Result<(), OpenError> {
        let mut buffer = Vec::new();
        let mut streams = self.streams();
        let mut heads = BinaryHeap::new();
        for (whose, stream) in streams.iter_mut().enumerate() {
            let places = &mut stream.frames;
            let head = self.head(frames, places, Turn::default(), &mut buffer)?;
            heads.extend(head.map(|(turn, place)| Reverse((turn, whose, place))));
        }
        while let Some(Reverse((turn, whose, place))) = heads.pop() {
            self.give(place, self.name.first, &mut buffer, visitor)?;
            if let Some(stream) = streams.get_mut(whose) {
                let head = self.head(frames, &mut stream.frames, turn, &mut buffer)?;
                heads.extend(head.map(|(turn, place)| Reverse((turn, whose, place))));
            }
        }
        Ok(())
    }

    /// A session's next valid record, and its sort key. A record that can't be decoded gets the key
    /// of the one before it.
    fn head(
        &self,
        frames: &[Option<CompactedFrame>],
        left: &mut std::ops::Range<usize>,
        before: Turn,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<(Turn, CompactedFrame)>, OpenError> {
        let next = left.find_map(|frame| frames.get(frame).copied().flatten());
        let Some(place) = next else {
            return Ok(None);
        };
        let frame = self.frame(place, buffer)?;
        let record = schema::decode(frame.session, frame.sequence, frame.record);
        let turn = record.map_or(before, |record| Turn::of(&record));
        Ok(Some((turn, place)))
    }
}
