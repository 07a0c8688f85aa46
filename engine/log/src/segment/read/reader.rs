//! Reads the records of a session, on any thread, while the writer writes.

use crate::disk::{Disk, DiskFile, read_exactly};
use crate::log::{LogReader, ReadError, ReadLimit};
use crate::schema;
use crate::segment::compact::seal_signal::SealSignal;
use crate::segment::format::frame::Frame;
use crate::segment::format::name::{PartName, SegmentName};
use crate::segment::read::file_table::FileTable;
use crate::segment::read::index::{Extent, Index};
use rejoin_core::{Record, Sequence, SessionId};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// How many extents are looked up under one lock.
const EXTENTS_AT_ONCE: usize = 64;

/// What the writer, the readers and the archive of a log share.
#[derive(Debug)]
pub(crate) struct Shared {
    disk: Arc<dyn Disk>,
    pub(crate) index: RwLock<Index>,
    files: Mutex<FileTable>,
    pub(crate) seal_signal: SealSignal,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, index: Index, parts: &[PartName]) -> Self {
        Self {
            disk,
            index: RwLock::new(index),
            files: Mutex::new(FileTable::new(parts)),
            seal_signal: SealSignal::default(),
        }
    }

    /// Lets readers read the segment that has begun, and says which file that is. `None` when
    /// there are as many as can be counted.
    pub(crate) fn begin_segment(&self, first: u64, file: Arc<dyn DiskFile>) -> Option<u32> {
        let name = PartName::Segment(SegmentName::active(first));
        self.files().add(name, file)
    }

    /// The active segment has got its final name.
    pub(crate) fn end_segment(&self, first: u64) {
        self.files().seal(first);
        self.seal_signal.announce();
    }

    pub(crate) fn files(&self) -> MutexGuard<'_, FileTable> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogReader for Shared {
    fn read(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        let mut reading = ReadCursor {
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
struct ReadCursor {
    session: SessionId,
    last: Sequence,
    limit: ReadLimit,
    records: Vec<Arc<Record>>,
    bytes: usize,
}

impl ReadCursor {
    fn run(&mut self, shared: &Shared) -> Result<(), ReadError> {
        let mut buffer = Vec::new();
        loop {
            let extents = {
                let index = shared.index.read().unwrap_or_else(PoisonError::into_inner);
                // What is left before the end of what was removed may share an extent with what says
                // so.
                self.last = self.last.max(index.removed(self.session));
                index.extents(self.session, self.last, EXTENTS_AT_ONCE)
            };
            if extents.is_empty() {
                return Ok(());
            }
            for extent in &extents {
                let Some((name, file)) = shared.files().open(&*shared.disk, extent.segment)? else {
                    // The archive has put the session's records elsewhere meanwhile.
                    break;
                };
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
