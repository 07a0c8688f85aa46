//! Groups the records of adjacent files by session, in memory. Only the locations of the records
//! are kept, not their contents.

use crate::disk::DiskFile;
use crate::schema;
use crate::segment::error::OpenError;
use crate::segment::format::compacted::{Entry, Order, REMOVED_RUN};
use crate::segment::format::frame::Frame;
use crate::segment::format::header::LogId;
use crate::segment::format::name::{PartName, SegmentName};
use crate::segment::read::session_map::SessionMap;
use crate::segment::scan::compacted::CompactedSegment;
use crate::segment::scan::segment::{Segment, scan};
use crate::segment::scan::visitor::{FrameError, FrameVisitor, LogPlace};
use rejoin_core::{Sequence, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file to rewrite: a compacted segment, or a sealed one.
#[derive(Debug)]
pub(crate) enum Source {
    Compacted(CompactedSegment),
    Segment {
        name: SegmentName,
        file: Arc<dyn DiskFile>,
        path: PathBuf,
        bytes: u64,
        /// The position of its last record.
        last: u64,
    },
}

/// The records to drop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Removal {
    /// Per session: drop records before this sequence.
    pub(crate) before: BTreeMap<SessionId, Sequence>,
    /// Per session: the last of its records that are gone. Drop those before it, too, whatever `up_to` is:
    /// a file can't say that records are gone that come after others which it has. The older snapshot
    /// of that time was made after all of them, so no snapshot that is left needs them.
    pub(crate) gone: BTreeMap<SessionId, Sequence>,
    /// Drop all traces of these sessions.
    pub(crate) forgotten: BTreeSet<SessionId>,
    /// Drop `before` records only from files that end at or before this position, that of the older
    /// snapshot: opening from that snapshot needs all records after it.
    pub(crate) up_to: u64,
}

impl Source {
    pub(crate) fn name(&self) -> PartName {
        match self {
            Self::Compacted(compacted) => PartName::Compacted(compacted.name),
            Self::Segment { name, .. } => PartName::Segment(*name),
        }
    }

    pub(crate) fn first(&self) -> u64 {
        self.name().first()
    }

    pub(crate) fn last(&self) -> u64 {
        match self {
            Self::Compacted(compacted) => compacted.name.last,
            Self::Segment { last, .. } => *last,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Compacted(compacted) => compacted.bytes,
            Self::Segment { bytes, .. } => *bytes,
        }
    }

    pub(crate) fn file(&self) -> &Arc<dyn DiskFile> {
        match self {
            Self::Compacted(compacted) => &compacted.file,
            Self::Segment { file, .. } => file,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Compacted(compacted) => &compacted.path,
            Self::Segment { path, .. } => path,
        }
    }
}

/// Where a kept record is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptFrame {
    /// The number of its session, from 1, in order of first appearance.
    pub(crate) session: u32,
    /// The index of its source.
    pub(crate) source: u32,
    pub(crate) byte: u32,
    pub(crate) bytes: u32,
}

/// A session that appears in the sources.
#[derive(Debug)]
pub(crate) struct SessionFrames {
    pub(crate) id: SessionId,
    /// How many records of it are kept.
    pub(crate) records: u64,
    /// The first and the last removed sequence.
    pub(crate) removed: Option<(Sequence, Sequence)>,
    pub(crate) notice: Option<Sequence>,
}

/// The records of all sources, in log order.
#[derive(Debug)]
pub(crate) struct Sorted {
    pub(crate) pieces: Vec<KeptFrame>,
    pub(crate) order: Order,
    pub(crate) sessions: Vec<SessionFrames>,
    /// How many records have been removed, now or before.
    pub(crate) removed: u64,
}

impl Sorted {
    /// The order with the session numbers of the new file, where sessions without records are not
    /// counted.
    pub(crate) fn order_of_standing(&self) -> Order {
        let mut standing = 0;
        let numbers: Vec<u32> = self
            .sessions
            .iter()
            .map(|met| {
                standing += u32::from(met.records > 0);
                standing
            })
            .collect();
        let mut order = Order::default();
        for (whose, records) in self.order.runs() {
            let place = whose.checked_sub(1).map(|place| place as usize);
            let standing = place.and_then(|place| numbers.get(place));
            order.push(standing.copied().unwrap_or(REMOVED_RUN), records);
        }
        order
    }
}

/// Reads all sources, and checks every record.
pub(crate) fn sort(sources: &[Source], log: LogId, removal: &Removal) -> Result<Sorted, OpenError> {
    let mut sorting = Sorting {
        removal,
        is_short: false,
        source: 0,
        numbers: SessionMap::default(),
        sorted: Sorted {
            pieces: Vec::new(),
            order: Order::default(),
            sessions: Vec::new(),
            removed: 0,
        },
    };
    for (number, source) in (0..).zip(sources) {
        sorting.source = number;
        sorting.is_short = source.last() <= removal.up_to;
        match source {
            Source::Compacted(compacted) => sorting.read_compacted(compacted)?,
            Source::Segment {
                name, file, path, ..
            } => {
                let segment = Segment {
                    file: &**file,
                    path: path.clone(),
                    name: SegmentName::sealed(name.first),
                    log: Some(log),
                };
                scan(&segment, &mut sorting)?;
            }
        }
    }
    Ok(sorting.sorted)
}

struct Sorting<'a> {
    removal: &'a Removal,
    /// Whether records may be dropped from the source.
    is_short: bool,
    source: u32,
    /// For each session, its index in `sorted.sessions` plus one.
    numbers: SessionMap<u32>,
    sorted: Sorted,
}

impl Sorting<'_> {
    fn read_compacted(&mut self, compacted: &CompactedSegment) -> Result<(), OpenError> {
        let frames = compacted.frames_or_damage()?;
        for entry in &compacted.entries {
            let session = entry.session();
            if self.removal.forgotten.contains(&session) {
                continue;
            }
            match *entry {
                Entry::Removed { first, .. } => {
                    let last = entry.removed_up_to().map_or(first, Sequence);
                    self.met(session).1.remove(first, last);
                }
                Entry::Tombstone { at, .. } => self.met(session).1.notice = Some(at),
                Entry::Records { .. } => {}
            }
        }
        compacted.each_in_log_order(|_, logged| {
            let Some(logged) = logged else {
                self.pass();
                return Ok(());
            };
            if let Some(Some(place)) = frames.get(logged.frame) {
                self.add(logged.session, place.sequence, place.byte, place.bytes);
            }
            Ok(())
        })
    }

    fn add(&mut self, session: SessionId, sequence: Sequence, byte: u32, bytes: u32) {
        if self.removal.forgotten.contains(&session) {
            return self.pass();
        }
        let before = self.removal.before.get(&session);
        let gone = self.removal.gone.get(&session);
        let source = self.source;
        let goes = self.is_short && before.is_some_and(|before| sequence < *before)
            || gone.is_some_and(|gone| sequence < *gone);
        let (number, met) = self.met(session);
        if goes {
            met.remove(sequence, sequence);
            return self.pass();
        }
        met.records += 1;
        self.sorted.order.push(number, 1);
        self.sorted.pieces.push(KeptFrame {
            session: number,
            source,
            byte,
            bytes,
        });
    }

    /// Counts a removed record.
    fn pass(&mut self) {
        self.sorted.order.push(REMOVED_RUN, 1);
        self.sorted.removed += 1;
    }

    fn met(&mut self, session: SessionId) -> (u32, &mut SessionFrames) {
        let number = self.numbers.get_or_default(session);
        if *number == 0 {
            self.sorted.sessions.push(SessionFrames {
                id: session,
                records: 0,
                removed: None,
                notice: None,
            });
            *number = u32::try_from(self.sorted.sessions.len()).unwrap_or(u32::MAX);
        }
        let number = *number;
        match self.sorted.sessions.get_mut(number as usize - 1) {
            Some(met) => (number, met),
            None => unreachable!("every number belongs to a known session"),
        }
    }
}

impl SessionFrames {
    fn remove(&mut self, first: Sequence, last: Sequence) {
        let removed = self.removed.get_or_insert((first, last));
        *removed = (removed.0.min(first), removed.1.max(last));
    }
}

impl FrameVisitor for Sorting<'_> {
    fn visit(&mut self, place: LogPlace, frame: &Frame<'_>) -> Result<(), FrameError> {
        let too_long = |_| FrameError::Damaged("the segment is too long".to_owned());
        let byte = u32::try_from(place.byte).map_err(too_long)?;
        let bytes = u32::try_from(frame.length()).map_err(too_long)?;
        self.add(frame.session, frame.sequence, byte, bytes);
        if let Some(before) = schema::removes_before(frame.record) {
            self.met(frame.session).1.notice = Some(before);
        }
        Ok(())
    }

    fn last(&self, _: SessionId) -> Option<Sequence> {
        None
    }
}
