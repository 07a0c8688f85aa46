//! Reads the records of a session, on any thread, while the writer writes.

use super::frame::Frame;
use super::index::{Extent, Index};
use super::name::SegmentName;
use crate::disk::{Disk, DiskFile, read_exactly};
use crate::log::{LogReader, ReadError, ReadLimit};
use crate::schema;
use rejoin_core::{Record, Sequence, SessionId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// How many sealed segments are held open at a time.
const OPEN_SEGMENTS: usize = 64;

/// How many extents are looked up under one lock.
const EXTENTS_AT_ONCE: usize = 64;

/// What the writer and the readers of a log share.
#[derive(Debug)]
pub(super) struct Shared {
    disk: Arc<dyn Disk>,
    pub(super) index: RwLock<Index>,
    files: Mutex<Files>,
}

#[derive(Debug)]
struct Files {
    /// The first position of each segment.
    segments: Vec<u64>,
    /// The segment that is written to. It is read through the writer's handle, so that nobody
    /// opens it by a name that is about to change.
    active: Option<(u32, Arc<dyn DiskFile>)>,
    /// Sealed segments, each with when it was last used.
    open: BTreeMap<u32, (u64, Arc<dyn DiskFile>)>,
    uses: u64,
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, index: Index, segments: Vec<u64>) -> Self {
        Self {
            disk,
            index: RwLock::new(index),
            files: Mutex::new(Files {
                segments,
                active: None,
                open: BTreeMap::new(),
                uses: 0,
            }),
        }
    }

    /// Lets readers read the segment that has begun, and says which one that is. `None` when
    /// there are as many segments as can be counted.
    pub(super) fn begin_segment(&self, first: u64, file: Arc<dyn DiskFile>) -> Option<u32> {
        let mut files = self.files();
        let ordinal = u32::try_from(files.segments.len()).ok()?;
        files.segments.push(first);
        files.active = Some((ordinal, file));
        Some(ordinal)
    }

    /// The active segment has got its final name.
    pub(super) fn end_segment(&self) {
        let mut files = self.files();
        if let Some((ordinal, file)) = files.active.take() {
            files.keep(ordinal, file);
        }
    }

    fn file(&self, ordinal: u32) -> Result<(SegmentName, Arc<dyn DiskFile>), ReadError> {
        let mut files = self.files();
        let first = usize::try_from(ordinal)
            .ok()
            .and_then(|ordinal| files.segments.get(ordinal).copied())
            .ok_or_else(|| std::io::Error::other("the index names a segment that there is not"))?;
        if let Some((active, file)) = &files.active
            && *active == ordinal
        {
            return Ok((SegmentName::active(first), Arc::clone(file)));
        }
        let name = SegmentName::sealed(first);
        let file = match files.open.get(&ordinal) {
            Some((_, file)) => Arc::clone(file),
            None => self.disk.open(&name.to_string())?,
        };
        files.keep(ordinal, Arc::clone(&file));
        Ok((name, file))
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    fn keep(&mut self, ordinal: u32, file: Arc<dyn DiskFile>) {
        self.uses += 1;
        self.open.insert(ordinal, (self.uses, file));
        if self.open.len() > OPEN_SEGMENTS {
            let oldest = self.open.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(ordinal, _)| *ordinal) {
                self.open.remove(&oldest);
            }
        }
    }
}

impl LogReader for Shared {
    fn read(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        let mut reading = Reading {
            session,
            last: after,
            limit,
            records: Vec::new(),
            bytes: 0,
        };
        match reading.run(self) {
            Err(error) if reading.records.is_empty() => Err(error),
            // What was read before is sound. The call that begins at the failure reports it.
            _ => Ok(reading.records),
        }
    }
}

/// One read as it goes on.
struct Reading {
    session: SessionId,
    last: Sequence,
    limit: ReadLimit,
    records: Vec<Arc<Record>>,
    bytes: usize,
}

impl Reading {
    fn run(&mut self, shared: &Shared) -> Result<(), ReadError> {
        let mut buffer = Vec::new();
        loop {
            let extents = {
                let index = shared.index.read().unwrap_or_else(PoisonError::into_inner);
                index.extents(self.session, self.last, EXTENTS_AT_ONCE)
            };
            if extents.is_empty() {
                return Ok(());
            }
            for extent in &extents {
                let (name, file) = shared.file(extent.segment)?;
                buffer.resize(usize::try_from(extent.bytes).unwrap_or(usize::MAX), 0);
                read_exactly(&*file, &mut buffer, u64::from(extent.byte))?;
                self.take(extent, &buffer).map_err(|(byte, reason)| {
                    let path = shared.disk.path().join(name.to_string());
                    ReadError::Damaged {
                        place: format!("{}, byte {byte}", path.display()),
                        reason,
                    }
                })?;
                if self.is_full() {
                    return Ok(());
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        !self.records.is_empty() && self.limit.is_reached(self.records.len(), self.bytes)
    }

    /// Takes what is wanted of an extent's bytes; tells the byte and the reason when one of them
    /// is not what was written.
    fn take(&mut self, extent: &Extent, bytes: &[u8]) -> Result<(), (u64, String)> {
        let mut rest = bytes;
        for place in 0..u64::from(extent.records) {
            let passed = bytes.len().saturating_sub(rest.len()) as u64;
            let fault = |reason: &str| {
                let byte = u64::from(extent.byte).saturating_add(passed);
                (byte, reason.to_owned())
            };
            let Some((frame, following)) = Frame::split(rest) else {
                return Err(fault("the record's length is wrong"));
            };
            rest = following;
            let sequence = Sequence(extent.first.saturating_add(place));
            if (frame.session, frame.sequence) != (self.session, sequence) {
                return Err(fault("another record stands here"));
            }
            if sequence <= self.last {
                continue;
            }
            if !frame.is_sound() {
                return Err(fault("the record's checksum is wrong"));
            }
            let record = schema::decode(self.session, sequence, frame.record)
                .map_err(|error| fault(&error.to_string()))?;
            self.records.push(Arc::new(record));
            self.bytes = self.bytes.saturating_add(frame.record.len());
            self.last = sequence;
            if self.is_full() {
                return Ok(());
            }
        }
        Ok(())
    }
}
