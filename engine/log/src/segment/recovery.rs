//! Opening: reads the segments in order, and brings the last one to a clean end.

use super::batch::{BATCH_HEAD_BYTES, BatchHead, Site};
use super::error::{Damage, OpenError};
use super::header::LogId;
use super::index::Index;
use super::name::{BEGINNING, SegmentName, ZEROING};
use super::scan::{Scan, Segment, Torn, io_error, scan};
use super::window::WINDOW_BYTES;
use crate::disk::{Disk, DiskFile, read_exactly, write_all};
use rejoin_core::Record;
use std::io;

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many records the log holds.
    pub records: u64,
    /// How many segments they are in.
    pub segments: usize,
    /// What a crash left half written, if anything. It has been cut off.
    pub torn: Option<Torn>,
}

/// A log that has been read to its end.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Whose it is; `None` when it has no segment.
    pub(super) log: Option<LogId>,
    /// The position of the next record.
    pub(super) next: u64,
    pub(super) index: Index,
    /// The first position of each segment.
    pub(super) segments: Vec<u64>,
    /// Segments that were sealed, and whose new names the disk has forgotten: a sync of the
    /// directory failed, and whoever went on saw names that were in memory only.
    misnamed: Vec<SegmentName>,
    pub(super) report: Recovery,
}

/// Reads everything and tells `visit` every record. Afterwards all segments are sealed.
pub(super) fn recover(
    disk: &dyn Disk,
    visit: &mut dyn FnMut(Record),
) -> Result<Recovered, OpenError> {
    let mut recovered = Recovered {
        log: None,
        next: 1,
        index: Index::default(),
        segments: Vec::new(),
        misnamed: Vec::new(),
        report: Recovery::default(),
    };
    let io = |source| io_error(disk.path(), source);
    let names = segment_names(disk)?;
    for (place, &name) in names.iter().enumerate() {
        let is_last = place + 1 == names.len();
        recovered.take(disk, name, is_last, visit)?;
    }
    recovered.rename(disk).map_err(io)?;
    recovered.report.records = recovered.next.saturating_sub(1);
    recovered.report.segments = recovered.segments.len();
    Ok(recovered)
}

/// The segments in the order of their positions. Files that are no segments yet are removed.
fn segment_names(disk: &dyn Disk) -> Result<Vec<SegmentName>, OpenError> {
    let io = |source| io_error(disk.path(), source);
    let found = disk.names().map_err(io)?;
    let mut names: Vec<_> = found
        .iter()
        .filter_map(|name| SegmentName::parse(name))
        .collect();
    names.sort_unstable();
    for unfinished in [BEGINNING, ZEROING] {
        if found.iter().any(|name| name == unfinished) {
            disk.remove(unfinished).map_err(io)?;
        }
    }
    Ok(names)
}

impl Recovered {
    /// Gives the names again that were forgotten, now that nothing has been found damaged.
    fn rename(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if self.misnamed.is_empty() {
            return Ok(());
        }
        for name in self.misnamed.drain(..) {
            let sealed = SegmentName::sealed(name.first).to_string();
            disk.rename(&name.to_string(), &sealed)?;
        }
        disk.sync()
    }

    fn take(
        &mut self,
        disk: &dyn Disk,
        name: SegmentName,
        is_last: bool,
        visit: &mut dyn FnMut(Record),
    ) -> Result<(), OpenError> {
        let path = disk.path().join(name.to_string());
        let damaged = |reason: String| {
            OpenError::Damaged(Damage {
                file: path.clone(),
                byte: 0,
                record: None,
                reason,
            })
        };
        if name.first != self.next {
            return Err(damaged(format!(
                "position {} was to follow; a segment is missing, or there twice",
                self.next
            )));
        }
        let ordinal = u32::try_from(self.segments.len())
            .map_err(|_| damaged("no log has so many segments".to_owned()))?;
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
            ordinal,
            log: self.log,
        };
        let scan = scan(&segment, &mut self.index, visit)?;
        self.log = Some(scan.log);
        self.next = scan.next;
        if name.sealed {
            if scan.next == name.first {
                return Err(damaged("a segment without records was sealed".to_owned()));
            }
            self.segments.push(name.first);
        } else if !is_last {
            if !scan.is_sealed || scan.next == name.first {
                return Err(damaged(
                    "a segment follows that was never sealed".to_owned(),
                ));
            }
            self.misnamed.push(name);
            self.segments.push(name.first);
        } else if scan.next == name.first {
            // Nothing was ever acknowledged in it, and its name is the next segment's.
            disk.remove(&title).map_err(io)?;
            disk.sync().map_err(io)?;
        } else {
            seal_recovered(disk, &*file, name, &scan).map_err(io)?;
            self.segments.push(name.first);
        }
        self.report.torn = scan.torn;
        Ok(())
    }
}

/// Cuts a torn end off, and seals the segment. Interrupted anywhere, it can be done again.
fn seal_recovered(
    disk: &dyn Disk,
    file: &dyn DiskFile,
    name: SegmentName,
    scan: &Scan,
) -> io::Result<()> {
    let (byte, durable) = scan.vouched;
    write_again(file, byte, scan.end)?;
    file.set_length(scan.end)?;
    if scan.torn.is_some() {
        // A seal with something behind it is damage: the power may go when the one is on the disk
        // and the other still is.
        file.sync()?;
    }
    let site = Site {
        log: scan.log,
        segment: name.first,
        byte: scan.end,
    };
    write_all(file, &seal(site, scan.next, durable), scan.end)?;
    file.sync()?;
    disk.rename(
        &name.to_string(),
        &SegmentName::sealed(name.first).to_string(),
    )?;
    disk.sync()
}

/// The batch without records that ends a segment.
pub(super) fn seal(site: Site, next: u64, durable: u64) -> [u8; BATCH_HEAD_BYTES] {
    let head = BatchHead {
        body_bytes: 0,
        records: 0,
        body_checksum: 0,
        first: next,
        durable,
    };
    head.encode(site)
}

/// Writes what is there once more. Nobody vouches that it is durable: it may be in the operating
/// system's memory only, and after a sync that failed even believed to be on the disk, so that
/// the next sync would pass over it. What has been told to `visit` must not be lost any more.
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
