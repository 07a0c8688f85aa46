//! Appends batches with one write and one sync each, and handles failures.
//!
//! Invariant: readers see a batch only once it is as durable as configured, and never any part of
//! a failed one.

use crate::disk::{Disk, DiskFile, write_all};
use crate::segment::compact::rewrite::write_removed;
use crate::segment::format::batch::{BATCH_HEAD_BYTES, BatchHead, BatchLocation, append_checksum};
use crate::segment::format::compacted::Entry;
use crate::segment::format::frame;
use crate::segment::format::header::{HEADER_BYTES, Header, LogId};
use crate::segment::format::name::{BEGINNING, PartName, REWRITING, SPARE, SegmentName};
use crate::segment::limits::UNSEALED_REMOVED_PART;
use crate::segment::open::recovery::seal;
use crate::segment::options::{Durability, MAX_BATCH_BYTES, MAX_SEGMENT_BYTES, Options};
use crate::segment::read::index::FrameLocation;
use crate::segment::read::reader::Shared;
use crate::segment::write::metrics::LogMetrics;
use crate::segment::write::preallocate::Spares;
use crate::sequence::find_gap;
use rejoin_core::{Record, Sequence, SessionId};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// `EIO`, `ENFILE` and `EMFILE` on every Unix. The standard library has no names for them.
const EIO: i32 = 5;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Appends to the end of the log.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) spares: Spares,
    /// An empty file for the next segment, used if there is no spare. It is open ahead of time,
    /// because a process may have no file descriptor left when the segment is needed.
    pub(crate) beginning: Option<Arc<dyn DiskFile>>,
    pub(crate) options: Options,
    pub(crate) log: LogId,
    /// The segment that is written to. `None` before the first append, after sealing, and if the
    /// next segment could not be created.
    pub(crate) active: Option<Active>,
    /// The position of the next record.
    pub(crate) next: u64,
    /// The log is durable up to and including this position.
    pub(crate) durable: u64,
    /// How many bytes the removals recorded in the active segment can free.
    pub(crate) removed: u64,
    pub(crate) batch: Batch,
    pub(crate) numbers: Arc<LogMetrics>,
}

#[derive(Debug)]
pub(crate) struct Active {
    file: Arc<dyn DiskFile>,
    ordinal: u32,
    first: u64,
    /// The byte offset after the last batch.
    end: u64,
    /// Whether the file is filled with zeros after `end`.
    is_zeroed: bool,
}

/// The encoded batch, and where its records are. Reused between appends to save allocations.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    frames: Vec<EncodedFrame>,
    checksum: u32,
}

#[derive(Debug)]
struct EncodedFrame {
    session: SessionId,
    sequence: Sequence,
    byte: u32,
    bytes: u32,
}

/// A failed operation, by the state in which it left the log.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The log is unchanged.
    Refused(io::Error),
    /// It is unknown what is on the disk.
    Fatal(io::Error),
}

impl Failure {
    /// A failure before anything was changed. `EIO` is fatal even then: the disk itself is failing.
    fn before_change(error: io::Error) -> Self {
        if error.raw_os_error() == Some(EIO) {
            Self::Fatal(error)
        } else {
            Self::Refused(error)
        }
    }
}

impl Writer {
    /// Appends `records`. If the disk is full, deletes the spare and tries once more. Returns whether
    /// they redact others.
    pub(crate) fn append(&mut self, records: &[Arc<Record>]) -> Result<bool, Failure> {
        self.check_sequences(records).map_err(Failure::Refused)?;
        if self.shared.needs_room.swap(false, Ordering::Relaxed) && self.spares.release() {
            self.shared.seal_signal.announce();
        }
        self.batch.fill(records).map_err(Failure::Refused)?;
        let redactions = self.shared.redactions.begin(&*self.disk, records);
        // If syncing the directory failed, its names are as uncertain as after any other such failure.
        let redactions = redactions.map_err(Failure::before_change)?;
        let appended = match self.append_batch() {
            Err(Failure::Refused(error))
                if error.kind() == io::ErrorKind::StorageFull && self.spares.release() =>
            {
                self.append_batch()
            }
            done => done,
        };
        if redactions > 0 {
            match &appended {
                Ok(()) => self.shared.redactions.appended(self.next.saturating_sub(1)),
                Err(_) => self.shared.redactions.refused(),
            }
        }
        appended?;
        self.count_removed(records);
        Ok(redactions > 0)
    }

    /// Begins an empty log behind records that were removed elsewhere: with a compacted segment that says so.
    pub(crate) fn skip_removed(
        &mut self,
        records: u64,
        cut: &[(SessionId, Sequence)],
    ) -> Result<(), Failure> {
        if self.next > 1 || self.active.is_some() {
            let why = "the log has records already";
            return Err(Failure::Refused(io::Error::other(why)));
        }
        if records == 0 {
            return Ok(());
        }
        let written = write_removed(&*self.disk, self.log, records, cut);
        let written = written.map_err(|error| Failure::Refused(io::Error::other(error)))?;
        let part = PartName::Compacted(written.name);
        let named = self.disk.rename(REWRITING, &part.to_string());
        named.map_err(Failure::before_change)?;
        self.disk.sync().map_err(Failure::Fatal)?;
        let number = self.shared.files().add(part, written.file);
        let number = number
            .ok_or_else(|| Failure::Fatal(io::Error::other("there are too many segments")))?;
        self.shared.files().release(number, part);
        let index = &self.shared.index;
        let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
        for entry in &written.entries {
            if let Entry::Removed { session, first, .. } = *entry {
                let last = entry.removed_up_to().unwrap_or(first.0);
                let removed = index.remove(session, first.0, last);
                removed.map_err(|_| Failure::Fatal(io::Error::other("a session twice")))?;
            }
        }
        self.next = records.saturating_add(1);
        self.durable = records;
        Ok(())
    }

    /// Seals the active segment, because the compactor redacts only in sealed ones.
    pub(crate) fn seal_for_redacted(&mut self) -> Result<(), Failure> {
        if self.can_begin()? {
            self.seal()?;
        }
        Ok(())
    }

    /// Fails if a record does not follow the last one of its session.
    pub(crate) fn check_sequences(&self, records: &[Arc<Record>]) -> io::Result<()> {
        let index = self
            .shared
            .index
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        match find_gap(records, |session| index.last(session)) {
            Some(gap) => Err(io::Error::new(io::ErrorKind::InvalidInput, gap)),
            None => Ok(()),
        }
    }

    /// Adds up how many bytes can be dropped once these records are sealed. What is left of a session of
    /// which some are gone already is not read any more.
    fn count_removed(&mut self, records: &[Arc<Record>]) {
        for record in records {
            let Some(at) = record.event.removes_before() else {
                continue;
            };
            let index = &self.shared.index;
            let mut index = index.write().unwrap_or_else(PoisonError::into_inner);
            let bytes = index.bytes_before(record.session, at);
            self.removed = self.removed.saturating_add(bytes);
            index.notice(record.session, at);
        }
    }

    /// Seals the active segment early if its removals free enough, so that the space is reclaimed
    /// even when few records are appended.
    pub(crate) fn seal_for_removed(&mut self) -> Result<(), Failure> {
        let much = self.options.segment_bytes / UNSEALED_REMOVED_PART;
        if self.removed > 0 && self.removed >= much && self.can_begin()? {
            self.seal()?;
        }
        Ok(())
    }

    fn append_batch(&mut self) -> Result<(), Failure> {
        let length = self.batch.bytes.len() as u64;
        if self.needs_new_segment(length) && (self.can_begin()? || !self.has_room(length)) {
            self.seal()?;
        }
        let is_new = self.active.is_none();
        if is_new {
            self.begin_segment()?;
        }
        let Some(active) = &mut self.active else {
            return Err(Failure::Fatal(io::Error::other(
                "there is no active segment",
            )));
        };
        let site = BatchLocation {
            log: self.log,
            segment: active.first,
            byte: active.end,
        };
        self.batch.finish(site, self.next, self.durable)?;
        active.write(&self.batch.bytes)?;
        if self.options.durability == Durability::Sync {
            let synced = self.numbers.time(|| active.file.sync());
            synced.map_err(Failure::Fatal)?;
        }
        self.numbers.bytes.add(length);
        let (ordinal, start) = (active.ordinal, active.end);
        active.end += length;
        self.next += self.batch.frames.len() as u64;
        if self.options.durability == Durability::Sync {
            self.durable = self.next.saturating_sub(1);
        }
        self.show(ordinal, start)?;
        if is_new {
            // Only now, so that the new spare does not take the room of this batch.
            self.spares.begin();
            // If this fails, it is tried again when the file is needed.
            let _ = self.can_begin();
        }
        Ok(())
    }

    /// Makes the batch visible to readers.
    fn show(&self, segment: u32, start: u64) -> Result<(), Failure> {
        let too_long = || Failure::Fatal(io::Error::other("the segment is too long"));
        let start = u32::try_from(start).map_err(|_| too_long())?;
        let mut index = self
            .shared
            .index
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // `append` has already checked for gaps. A declared gap may skip sequences.
        for frame in &self.batch.frames {
            let stand = FrameLocation {
                segment,
                byte: start.checked_add(frame.byte).ok_or_else(too_long)?,
                bytes: frame.bytes,
            };
            index
                .add(frame.session, frame.sequence, stand, |last| {
                    last < frame.sequence
                })
                .map_err(|_| Failure::Fatal(io::Error::other("a gap passed the check")))?;
        }
        Ok(())
    }

    fn needs_new_segment(&mut self, length: u64) -> bool {
        let is_ready = self.spares.is_ready();
        let Some(active) = &self.active else {
            return false;
        };
        let end = active.end + length + BATCH_HEAD_BYTES as u64;
        let is_full = end > self.options.segment_bytes;
        // An empty segment takes a batch of any size, so that every batch fits somewhere.
        // If a preallocated spare is ready, switching to it is faster than growing.
        !active.is_empty() && (is_full || (!active.is_zeroed && is_ready))
    }

    /// Whether the active segment can hold a batch of this length, although it is full.
    fn has_room(&self, length: u64) -> bool {
        let end = self.active.as_ref().map_or(0, |active| active.end);
        end.saturating_add(length) <= MAX_SEGMENT_BYTES
    }

    /// Whether a file for the next segment is open; opens one if needed. False: the process has no
    /// file descriptor left, so the active segment has to grow until it has.
    pub(crate) fn can_begin(&mut self) -> Result<bool, Failure> {
        if self.beginning.is_none() && !self.spares.is_ready() {
            match self.disk.create(BEGINNING) {
                Ok(file) => self.beginning = Some(file),
                Err(error) if matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => {
                    return Ok(false);
                }
                Err(error) => return Err(Failure::before_change(error)),
            }
        }
        Ok(true)
    }

    /// Removes the file that was open for the next segment. If this fails, the next opening does it.
    pub(crate) fn drop_beginning(&mut self) {
        if self.beginning.take().is_some() {
            let _ = self.disk.remove(BEGINNING);
        }
    }

    /// Begins the next segment. Its header and then its name are made durable before the first
    /// batch is written to it.
    fn begin_segment(&mut self) -> Result<(), Failure> {
        self.can_begin()?;
        let spare = self.spares.take();
        let is_zeroed = spare.is_some();
        let (name, file) = match spare {
            Some(file) => (SPARE, file),
            None => {
                let file = match self.beginning.take() {
                    Some(file) => Ok(file),
                    None => self.disk.create(BEGINNING),
                };
                (BEGINNING, file.map_err(Failure::before_change)?)
            }
        };
        let header = Header {
            log: self.log,
            first: self.next,
        };
        let active = SegmentName::active(self.next).to_string();
        let prepared = write_all(&*file, &header.encode(), 0)
            .map_err(Failure::before_change)
            .and_then(|()| file.sync().map_err(Failure::Fatal))
            .and_then(|()| {
                let renamed = self.disk.rename(name, &active);
                renamed.map_err(Failure::before_change)
            });
        if let Err(failure) = prepared {
            // Free the disk space, which may be what is missing. If this fails, the next opening
            // removes the file.
            let _ = self.disk.remove(name);
            return Err(failure);
        }
        self.disk.sync().map_err(Failure::Fatal)?;
        let ordinal = self
            .shared
            .begin_segment(self.next, Arc::clone(&file))
            .ok_or_else(|| Failure::Fatal(io::Error::other("there are too many segments")))?;
        self.active = Some(Active {
            file,
            ordinal,
            first: self.next,
            end: HEADER_BYTES as u64,
            is_zeroed,
        });
        Ok(())
    }

    /// Seals the active segment, if there is one: all of it is durable afterwards, as its new name
    /// shows.
    pub(crate) fn seal(&mut self) -> Result<(), Failure> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let name = SegmentName::active(active.first).to_string();
        if active.is_empty() {
            // Nothing in it was ever acknowledged, and the next segment will get the same name.
            self.disk.remove(&name).map_err(Failure::before_change)?;
        } else {
            let site = BatchLocation {
                log: self.log,
                segment: active.first,
                byte: active.end,
            };
            active
                .file
                .set_length(active.end)
                .map_err(Failure::before_change)?;
            active.is_zeroed = false;
            active.write(&seal(site, self.next, self.durable))?;
            active.file.sync().map_err(Failure::Fatal)?;
            let sealed = SegmentName::sealed(active.first).to_string();
            self.disk.rename(&name, &sealed).map_err(Failure::Fatal)?;
        }
        self.disk.sync().map_err(Failure::Fatal)?;
        self.durable = self.next.saturating_sub(1);
        self.shared.end_segment(active.first);
        self.active = None;
        self.removed = 0;
        Ok(())
    }
}

impl Active {
    fn is_empty(&self) -> bool {
        self.end == HEADER_BYTES as u64
    }

    /// Writes at `end` without advancing it. After a failed write, cuts the file back to `end`.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let Err(error) = write_all(&*self.file, bytes, self.end) else {
            return Ok(());
        };
        if error.raw_os_error() == Some(EIO) {
            return Err(Failure::Fatal(error));
        }
        self.is_zeroed = false;
        self.file
            .set_length(self.end)
            .and_then(|()| self.file.sync())
            .map_err(Failure::Fatal)?;
        Err(Failure::Refused(error))
    }
}

impl Batch {
    /// Encodes `records`, leaving room for the head.
    fn fill(&mut self, records: &[Arc<Record>]) -> io::Result<()> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the batch is too long");
        self.bytes.clear();
        self.bytes.resize(BATCH_HEAD_BYTES, 0);
        self.frames.clear();
        self.checksum = 0;
        for record in records {
            let start = self.bytes.len();
            let checksum = frame::encode(record, &mut self.bytes).ok_or_else(too_long)?;
            let end = self.bytes.len();
            if end > MAX_BATCH_BYTES {
                return Err(too_long());
            }
            self.checksum = append_checksum(self.checksum, checksum);
            self.frames.push(EncodedFrame {
                session: record.session,
                sequence: record.sequence,
                byte: u32::try_from(start).map_err(|_| too_long())?,
                bytes: u32::try_from(end.saturating_sub(start)).map_err(|_| too_long())?,
            });
        }
        Ok(())
    }

    /// Fills in the head, which depends on where the batch is stored.
    fn finish(&mut self, site: BatchLocation, first: u64, durable: u64) -> Result<(), Failure> {
        let too_long = |_| Failure::Fatal(io::Error::other("the batch is too long"));
        let body_bytes = self.bytes.len().saturating_sub(BATCH_HEAD_BYTES);
        let head = BatchHead {
            body_bytes: u32::try_from(body_bytes).map_err(too_long)?,
            records: u32::try_from(self.frames.len()).map_err(too_long)?,
            body_checksum: self.checksum,
            first,
            durable,
        };
        if let Some(place) = self.bytes.first_chunk_mut() {
            *place = head.encode(site);
        }
        Ok(())
    }
}
