//! Reads the records of a session, on any thread, while the writer appends.

use crate::disk::{Disk, DiskFile, read_exactly};
use crate::log::{LogReader, ReadError, ReadLimit};
use crate::schema;
use crate::segment::compact::seal_signal::SealSignal;
use crate::segment::format::frame::Frame;
use crate::segment::format::name::{PartName, SegmentName};
use crate::segment::read::file_table::FileTable;
use crate::segment::read::index::{Extent, Index};
use crate::segment::redactions::{Redactions, redacted};
use rejoin_core::{Record, Sequence, SessionId};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// How many extents are looked up while holding the lock once.
const EXTENTS_AT_ONCE: usize = 64;

/// State shared by the writer, the readers and the compactor of a log.
#[derive(Debug)]
pub(crate) struct Shared {
    disk: Arc<dyn Disk>,
    pub(crate) index: RwLock<Index>,
    files: Mutex<FileTable>,
    pub(crate) seal_signal: SealSignal,
    pub(crate) redactions: Redactions,
    /// The compactor found the disk full, and would use the room of the spare segment.
    pub(crate) needs_room: AtomicBool,
}

impl Shared {
    pub(crate) fn new(disk: Arc<dyn Disk>, index: Index, parts: &[PartName]) -> Self {
        Self {
            disk,
            index: RwLock::new(index),
            files: Mutex::new(FileTable::new(parts)),
            seal_signal: SealSignal::default(),
            redactions: Redactions::default(),
            needs_room: AtomicBool::new(false),
        }
    }

    /// Makes a new segment available to readers, and returns its file number; `None` if there are
    /// too many files.
    pub(crate) fn begin_segment(&self, first: u64, file: Arc<dyn DiskFile>) -> Option<u32> {
        let name = PartName::Segment(SegmentName::active(first));
        self.files().add(name, file)
    }

    /// Notes that the active segment now has its final name, and wakes the compactor.
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
        loop {
            let done = self.redactions.done();
            let mut reading = ReadCursor {
                session,
                last: after,
                limit,
                records: Vec::new(),
                bytes: 0,
            };
            let outcome = reading.run(self);
            // Looked up after the records were read, so that none is missing that was recorded before.
            let redactions = self.redactions.of(session, || {
                let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
                index.last(session).unwrap_or(Sequence::START)
            });
            if self.redactions.done() != done {
                // One may have been recorded and carried out while old bytes were being read.
                continue;
            }
            if !redactions.is_empty() {
                for record in &mut reading.records {
                    if let Some(redacted) = redacted(record, &redactions) {
                        *record = Arc::new(redacted);
                    }
                }
            }
            return match outcome {
                Err(error) if reading.records.is_empty() => Err(error),
                // The records before the failure are valid. The next call reports the failure.
                _ => Ok(reading.records),
            };
        }
    }

    fn sessions(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionId> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.sessions(after, limit)
    }

    fn pending_redactions(&self) -> u64 {
        self.redactions.count()
    }
}

/// The state of one read.
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
                // Records up to the last removed sequence may still share an extent with later
                // ones.
                self.last = self.last.max(index.removed(self.session));
                index.extents(self.session, self.last, EXTENTS_AT_ONCE)
            };
            if extents.is_empty() {
                return Ok(());
            }
            for extent in &extents {
                let Some((name, file)) = shared.files().open(&*shared.disk, extent.segment)? else {
                    // The compactor has moved the session's records in the meantime: look them up
                    // again.
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

    /// Decodes the wanted records of an extent. Returns the byte offset and the reason if one of
    /// them is damaged.
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
                return Err(fault("a different record is stored here"));
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
