//! Recovers a log when it is opened: loads the newest snapshot, reads the tables of compacted
//! segments and all records of other segments, and seals the last one. A helper thread reads the
//! segments ahead of the thread that folds the records.

use crate::disk::{Disk, DiskFile, read_exactly, write_all};
use crate::schema;
use crate::segment::error::{Damage, OpenError};
use crate::segment::format::batch::{BATCH_HEAD_BYTES, BatchHead, BatchLocation};
use crate::segment::format::compacted::Entry;
use crate::segment::format::header::LogId;
use crate::segment::format::name::{
    BEGINNING, CompactedName, PartName, REWRITING, SPARE, SegmentName, SnapshotName, ZEROING,
};
use crate::segment::format::snapshot::{self, SnapshotError};
use crate::segment::open::Replay;
use crate::segment::open::dir_listing::DirListing;
use crate::segment::open::read_ahead::read_ahead;
use crate::segment::open::renaming;
use crate::segment::read::index::Index;
use crate::segment::scan::compacted::CompactedSegment;
use crate::segment::scan::segment::{Scan, Segment, TornTail, io_error, scan};
use crate::segment::scan::visitor::{FrameError, FrameVisitor, IndexBuilder, LogPlace, decode};
use crate::segment::scan::window::WINDOW_BYTES;
use rejoin_core::{Record, Sequence, SessionId, Snapshot};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The number of records in the log.
    pub records: u64,
    /// The number of records that have been removed from it.
    pub removed: u64,
    /// The number of records that were folded: all, or those after the snapshot.
    pub replayed: u64,
    /// The number of files that hold records.
    pub segments: usize,
    /// The position of the snapshot that was loaded. The records after it were folded.
    pub snapshot: Option<u64>,
    /// Snapshots that could not be used.
    pub skipped_snapshots: Vec<SkippedSnapshot>,
    /// An append that a crash interrupted, if any. It has been cut off.
    pub torn: Option<TornTail>,
}

/// A snapshot that cannot be used. Nothing is lost: it only repeats what the records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedSnapshot {
    /// The snapshot.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// A log that has been read to its end.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The identity of the log; `None` if it has no files.
    pub(crate) log: Option<LogId>,
    /// The position of the next record.
    pub(crate) next: u64,
    pub(crate) index: Index,
    /// The files, in log order.
    pub(crate) parts: Vec<PartName>,
    /// Sealed segments that still have their old names on the disk: syncing the directory failed,
    /// and a later process continued with new names that existed only in memory.
    misnamed: Vec<Misnamed>,
    /// Records after this position are folded.
    after: u64,
    /// The last segment, if it was not sealed.
    unsealed: Option<Unsealed>,
    pub(crate) report: OpenReport,
}

/// A sealed segment whose name does not say so.
#[derive(Debug)]
struct Misnamed {
    name: SegmentName,
    /// The byte offset after its seal.
    end: u64,
}

/// The segment that was written last. It is changed only after the whole log has been read and
/// folded.
#[derive(Debug)]
struct Unsealed {
    file: Arc<dyn DiskFile>,
    name: SegmentName,
    scan: Scan,
}

/// Reads the log, and passes the newest snapshot and the records after it to `replay`. Afterwards
/// all segments are sealed.
pub(crate) fn recover(disk: &dyn Disk, replay: &mut dyn Replay) -> Result<Recovered, OpenError> {
    let mut recovered = Recovered {
        log: None,
        next: 1,
        index: Index::default(),
        parts: Vec::new(),
        misnamed: Vec::new(),
        after: 0,
        unsealed: None,
        report: OpenReport::default(),
    };
    let io = |source| io_error(disk.path(), source);
    renaming::restore(disk).map_err(io)?;
    let listing = DirListing::read(disk)?;
    let newest = recovered.restore(disk, &listing, replay)?;
    let read = |visit: &mut dyn FnMut(Record)| recovered.read(disk, &listing.parts, visit);
    let (done, replayed) = read_ahead(replay, read).map_err(io)?;
    done?;
    recovered.report.replayed = replayed;
    recovered.check(disk, newest)?;
    if let Some(violation) = replay.violation() {
        return Err(OpenError::InvalidRecord(violation));
    }
    for unfinished in [BEGINNING, ZEROING, REWRITING] {
        if listing.has(unfinished) {
            disk.remove(unfinished).map_err(io)?;
        }
    }
    recovered.finish_last(disk, listing.has(SPARE))?;
    recovered.rename(disk).map_err(io)?;
    // The snapshots, too: records are removed on the strength of them.
    let parts = recovered.parts.iter().map(PartName::to_string);
    let snapshots = listing.snapshots.iter().map(SnapshotName::to_string);
    renaming::name_again(disk, parts.chain(snapshots)).map_err(io)?;
    disk.sync().map_err(io)?;
    // Only now that the files that replace them are certain to stay.
    for part in &listing.superseded {
        disk.remove(&part.to_string()).map_err(io)?;
    }
    if !listing.superseded.is_empty() {
        disk.sync().map_err(io)?;
    }
    let positions = recovered.next.saturating_sub(1);
    recovered.report.records = positions.saturating_sub(recovered.report.removed);
    recovered.report.segments = recovered.parts.len();
    Ok(recovered)
}

/// Passes on the records of a compacted segment that are after the snapshot.
struct Telling<'a> {
    index: &'a Index,
    after: u64,
    visit: &'a mut dyn FnMut(Record),
}

impl FrameVisitor for Telling<'_> {
    fn visit(
        &mut self,
        place: LogPlace,
        frame: &crate::segment::format::frame::Frame<'_>,
    ) -> Result<(), FrameError> {
        // Without a snapshot, a session whose first records were removed cannot be folded.
        let is_left_over = self.after == 0
            && self.index.is_removed(frame.session)
            && schema::removes_before(frame.record).is_none();
        if place.position > self.after && !is_left_over {
            (self.visit)(decode(frame)?);
        }
        Ok(())
    }

    fn last(&self, _: SessionId) -> Option<Sequence> {
        None
    }
}

impl Recovered {
    /// Finds the newest valid snapshot, passes it to `replay` if wanted, and returns its name.
    fn restore(
        &mut self,
        disk: &dyn Disk,
        listing: &DirListing,
        replay: &mut dyn Replay,
    ) -> Result<Option<SnapshotName>, OpenError> {
        let newest = newest_snapshot(disk, listing, &mut self.report.skipped_snapshots)?;
        let Some((name, log, snapshot)) = newest else {
            return Ok(None);
        };
        self.log = Some(log);
        if replay.wants_snapshot() {
            replay.restore(snapshot);
            self.after = name.0;
            self.report.snapshot = Some(name.0);
        }
        Ok(Some(name))
    }

    /// Reads all files, and passes the records after the snapshot to `visit`.
    fn read(
        &mut self,
        disk: &dyn Disk,
        parts: &[PartName],
        visit: &mut dyn FnMut(Record),
    ) -> Result<(), OpenError> {
        for (place, part) in parts.iter().enumerate() {
            let is_last = place + 1 == parts.len();
            match *part {
                PartName::Compacted(name) => self.read_compacted(disk, name, visit)?,
                PartName::Segment(name) => self.take(disk, name, is_last, visit)?,
            }
        }
        Ok(())
    }

    /// Fails if the log ends before the position of its newest snapshot.
    fn check(&self, disk: &dyn Disk, newest: Option<SnapshotName>) -> Result<(), OpenError> {
        let last = self.next.saturating_sub(1);
        if let Some(name) = newest.filter(|name| name.0 > last) {
            let reason = format!(
                "the snapshot covers position {}, but the log ends at position {last}: segments \
                 are missing",
                name.0
            );
            return Err(damaged(disk.path().join(name.to_string()), reason));
        }
        Ok(())
    }

    /// Seals the last segment, or removes it if it has no records. The caller syncs the directory. If the disk is full, a spare
    /// segment gives its room.
    fn finish_last(&mut self, disk: &dyn Disk, has_spare: bool) -> Result<(), OpenError> {
        let Some(Unsealed { file, name, scan }) = self.unsealed.take() else {
            return Ok(());
        };
        let finish = || {
            if scan.next == name.first {
                // Nothing in it was ever acknowledged, and the next segment will get the same name.
                disk.remove(&name.to_string())
            } else {
                seal_recovered(disk, &*file, name, &scan)
            }
        };
        let finished = match finish() {
            Err(error) if error.kind() == io::ErrorKind::StorageFull && has_spare => {
                disk.remove(SPARE).and_then(|()| finish())
            }
            finished => finished,
        };
        finished.map_err(|source| io_error(&disk.path().join(name.to_string()), source))
    }

    /// Renames the sealed segments that still have their old names. Called only after the whole log
    /// has been found intact. The caller syncs the directory.
    fn rename(&mut self, disk: &dyn Disk) -> io::Result<()> {
        for Misnamed { name, end } in self.misnamed.drain(..) {
            // Zeros may follow the seal of a segment that is not named a sealed one. Under its new
            // name they would be damage.
            let file = disk.open_writable(&name.to_string())?;
            if file.length()? != end {
                file.set_length(end)?;
                file.sync()?;
            }
            let sealed = SegmentName::sealed(name.first).to_string();
            disk.rename(&name.to_string(), &sealed)?;
        }
        Ok(())
    }

    /// Checks that this file continues the log, and returns its number.
    fn follow(&self, disk: &dyn Disk, part: PartName) -> Result<u32, OpenError> {
        let damaged = |reason| damaged(disk.path().join(part.to_string()), reason);
        if part.first() != self.next {
            return Err(damaged(format!(
                "expected position {}: a segment is missing or duplicated",
                self.next
            )));
        }
        u32::try_from(self.parts.len())
            .map_err(|_| damaged("the log has too many segments".to_owned()))
    }

    fn read_compacted(
        &mut self,
        disk: &dyn Disk,
        name: CompactedName,
        visit: &mut dyn FnMut(Record),
    ) -> Result<(), OpenError> {
        let part = PartName::Compacted(name);
        let number = self.follow(disk, part)?;
        let compacted = CompactedSegment::open(disk, name)?;
        if let Some(log) = self.log.filter(|log| *log != compacted.log) {
            let reason = format!("it belongs to log {}, not to log {log}", compacted.log);
            return Err(compacted.damaged(0, None, &reason));
        }
        self.log = Some(compacted.log);
        for entry in &compacted.entries {
            let added = match *entry {
                Entry::Removed { session, first, .. } => {
                    let last = entry.removed_up_to().unwrap_or(first.0);
                    self.index.remove(session, first.0, last)
                }
                Entry::Tombstone { session, at } => {
                    self.index.notice(session, at);
                    Ok(())
                }
                Entry::Records { session, .. } => match entry.extent(number) {
                    Some(extent) => self.index.add_extent(session, extent),
                    None => Ok(()),
                },
            };
            added.map_err(|last| {
                let reason = format!(
                    "its entry for session {} does not continue after sequence {last}",
                    entry.session()
                );
                compacted.damaged(0, None, &reason)
            })?;
        }
        if name.last > self.after {
            compacted.read(&mut Telling {
                index: &self.index,
                after: self.after,
                visit,
            })?;
        }
        self.report.removed = self.report.removed.saturating_add(compacted.removed());
        self.next = name.last.saturating_add(1);
        self.parts.push(part);
        Ok(())
    }

    fn take(
        &mut self,
        disk: &dyn Disk,
        name: SegmentName,
        is_last: bool,
        visit: &mut dyn FnMut(Record),
    ) -> Result<(), OpenError> {
        let part = PartName::Segment(name);
        let number = self.follow(disk, part)?;
        let path = disk.path().join(name.to_string());
        let damaged = |reason: &str| damaged(path.clone(), reason.to_owned());
        let io = |source| io_error(&path, source);
        let title = name.to_string();
        let file = if name.sealed {
            disk.open(&title).map_err(io)?
        } else {
            disk.open_writable(&title).map_err(io)?
        };
        let segment = Segment {
            file: &*file,
            path: path.clone(),
            name,
            log: self.log,
        };
        let mut opening = IndexBuilder {
            index: &mut self.index,
            ordinal: number,
            after: self.after,
            visit,
        };
        let scan = scan(&segment, &mut opening)?;
        self.log = Some(scan.log);
        self.next = scan.next;
        let sealed = PartName::Segment(SegmentName::sealed(name.first));
        if name.sealed {
            if scan.next == name.first {
                return Err(damaged("the segment is sealed but has no records"));
            }
            self.parts.push(sealed);
        } else if !is_last {
            if !scan.is_sealed || scan.next == name.first {
                return Err(damaged(
                    "another segment follows, but this one was never sealed",
                ));
            }
            let end = scan.end.saturating_add(BATCH_HEAD_BYTES as u64);
            self.misnamed.push(Misnamed { name, end });
            self.parts.push(sealed);
        } else {
            if scan.next > name.first {
                self.parts.push(sealed);
            }
            self.report.torn = scan.torn.clone();
            self.unsealed = Some(Unsealed { file, name, scan });
        }
        Ok(())
    }
}

fn damaged(file: PathBuf, reason: String) -> OpenError {
    OpenError::Damaged(Damage {
        file,
        byte: 0,
        record: None,
        reason,
    })
}

/// The newest valid snapshot, and the log that it belongs to. Invalid ones are skipped.
pub(crate) fn newest_snapshot(
    disk: &dyn Disk,
    listing: &DirListing,
    skipped_snapshots: &mut Vec<SkippedSnapshot>,
) -> Result<Option<(SnapshotName, LogId, Snapshot)>, OpenError> {
    for name in &listing.snapshots {
        let file = disk.path().join(name.to_string());
        match snapshot::read(disk, *name) {
            Ok((log, snapshot)) => return Ok(Some((*name, log, snapshot))),
            Err(SnapshotError::Unsound(reason) | SnapshotError::OtherVersion(reason)) => {
                skipped_snapshots.push(SkippedSnapshot { file, reason });
            }
            Err(SnapshotError::Io(error)) => return Err(io_error(&file, error)),
        }
    }
    Ok(None)
}

/// Cuts off an interrupted append, and seals the segment. The caller syncs the directory. A crash at
/// any point is harmless: the next opening does it again.
fn seal_recovered(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    name: SegmentName,
    scan: &Scan,
) -> io::Result<()> {
    let (byte, durable) = scan.durable;
    write_again(file, byte, scan.end)?;
    file.set_length(scan.end)?;
    if scan.torn.is_some() {
        // Bytes after a seal count as damage. Without this sync, a power failure could leave both
        // the seal and the old bytes on the disk.
        file.sync()?;
    }
    let site = BatchLocation {
        log: scan.log,
        segment: name.first,
        byte: scan.end,
    };
    write_all(file, &seal(site, scan.next, durable), scan.end)?;
    file.sync()?;
    disk.rename(
        &name.to_string(),
        &SegmentName::sealed(name.first).to_string(),
    )
}

/// The batch without records that ends a segment.
pub(crate) fn seal(site: BatchLocation, next: u64, durable: u64) -> [u8; BATCH_HEAD_BYTES] {
    let head = BatchHead {
        body_bytes: 0,
        records: 0,
        body_checksum: 0,
        first: next,
        durable,
    };
    head.encode(site)
}

/// Writes these bytes of the file again, because they may not be durable: they may exist only in
/// the operating system's memory. After a failed sync it may even take them for written, so that
/// the next sync would skip them. Records that were passed to `visit` must not be lost any more.
fn write_again(file: &dyn DiskFile, mut from: u64, to: u64) -> io::Result<()> {
    let mut buffer = Vec::new();
    while from < to {
        let left = to.saturating_sub(from);
        let count = usize::try_from(left).map_or(WINDOW_BYTES, |left| left.min(WINDOW_BYTES));
        buffer.resize(count, 0);
        read_exactly(file, &mut buffer, from)?;
        write_all(file, &buffer, from)?;
        from += count as u64;
    }
    Ok(())
}
