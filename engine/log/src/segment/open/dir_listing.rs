//! Finds the files of a log in its directory, and which of them are superseded. Changes nothing.
//!
//! A compacted segment gets its name before the files that it replaces are removed. After a crash
//! in between, both exist. If all replaced files exist, they are used, because the name of the
//! compacted segment may not be durable. If some are missing, the compacted segment is used: files
//! are removed only after its name is durable.

use crate::disk::{Disk, read_exactly};
use crate::segment::error::OpenError;
use crate::segment::format::batch::{BATCH_HEAD_BYTES, BatchHead, BatchLocation};
use crate::segment::format::header::{HEADER_BYTES, Header, LogId};
use crate::segment::format::name::{CompactedName, PartName, SegmentName, SnapshotName};
use crate::segment::scan::segment::io_error;
use std::io;

#[derive(Debug, Default)]
pub(crate) struct DirListing {
    /// The files that make up the log, in log order.
    pub(crate) parts: Vec<PartName>,
    /// Files that other files replace.
    pub(crate) superseded: Vec<PartName>,
    /// Newest first.
    pub(crate) snapshots: Vec<SnapshotName>,
    /// All names in the directory.
    names: Vec<String>,
}

impl DirListing {
    pub(crate) fn read(disk: &dyn Disk) -> Result<Self, OpenError> {
        let mut listing = Self::list(disk)?;
        listing.supersede(disk)?;
        Ok(listing)
    }

    fn list(disk: &dyn Disk) -> Result<Self, OpenError> {
        let names = disk.names().map_err(|error| io_error(disk.path(), error))?;
        let mut parts: Vec<_> = names.iter().filter_map(|it| PartName::parse(it)).collect();
        parts.sort_unstable_by_key(|part| (part.first(), *part));
        let mut snapshots: Vec<_> = names
            .iter()
            .filter_map(|name| SnapshotName::parse(name))
            .collect();
        snapshots.sort_unstable_by(|one, other| other.cmp(one));
        Ok(Self {
            parts,
            superseded: Vec::new(),
            snapshots,
            names,
        })
    }

    /// Lists the files of a log that is open; `is_known` says whether a file belongs to it. Files
    /// left over from an earlier compaction round count as superseded.
    pub(crate) fn read_open(
        disk: &dyn Disk,
        is_known: impl Fn(PartName) -> bool,
    ) -> Result<Self, OpenError> {
        let mut listing = Self::list(disk)?;
        let (known, unknown): (Vec<_>, Vec<_>) =
            listing.parts.iter().partition(|part| is_known(**part));
        let is_left = |part: &PartName| match part {
            PartName::Compacted(_) => true,
            // The writer may just have sealed or begun this one.
            PartName::Segment(_) => known.iter().any(|known| match known {
                PartName::Compacted(name) => name.covers(part.first()),
                PartName::Segment(_) => false,
            }),
        };
        listing.superseded = unknown.into_iter().filter(is_left).collect();
        listing.parts = known;
        Ok(listing)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().any(|it| it == name)
    }

    fn supersede(&mut self, disk: &dyn Disk) -> Result<(), OpenError> {
        let mut compacted_names: Vec<_> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                PartName::Compacted(name) => Some(*name),
                PartName::Segment(_) => None,
            })
            .collect();
        // Longest first: a compacted segment may replace other compacted segments.
        compacted_names.sort_unstable_by_key(|name| std::cmp::Reverse(name.last - name.first));
        for compacted in compacted_names {
            let itself = PartName::Compacted(compacted);
            if self.superseded.contains(&itself) {
                continue;
            }
            let within: Vec<_> = self
                .parts
                .iter()
                .copied()
                .filter(|part| *part != itself && is_within(compacted, *part))
                .filter(|part| !self.superseded.contains(part))
                .collect();
            if within.is_empty() {
                continue;
            }
            if is_whole(disk, compacted, &within)? {
                self.superseded.push(itself);
            } else {
                self.superseded.extend(within);
            }
        }
        let superseded = &self.superseded;
        self.parts.retain(|part| !superseded.contains(part));
        Ok(())
    }
}

fn is_within(compacted: CompactedName, part: PartName) -> bool {
    let last = match part {
        PartName::Compacted(name) => name.last,
        PartName::Segment(name) => name.first,
    };
    compacted.covers(part.first()) && compacted.covers(last)
}

/// Whether these files cover every position of the compacted segment, without gaps.
fn is_whole(
    disk: &dyn Disk,
    compacted: CompactedName,
    parts: &[PartName],
) -> Result<bool, OpenError> {
    let mut next = compacted.first;
    for part in parts {
        if part.first() != next {
            continue;
        }
        let last = match part {
            PartName::Compacted(name) => Some(name.last),
            PartName::Segment(name) => {
                let path = disk.path().join(name.to_string());
                last_of(disk, *name).map_err(|error| io_error(&path, error))?
            }
        };
        let Some(last) = last else {
            return Ok(false);
        };
        next = last.saturating_add(1);
    }
    Ok(next.checked_sub(1) == Some(compacted.last))
}

/// The position of the last record of a sealed segment, according to its seal; `None` if there is
/// no valid seal at its end.
pub(crate) fn last_of(disk: &dyn Disk, name: SegmentName) -> io::Result<Option<u64>> {
    let file = disk.open(&name.to_string())?;
    let length = file.length()?;
    let Some(byte) = length.checked_sub(BATCH_HEAD_BYTES as u64) else {
        return Ok(None);
    };
    let Some(log) = identity(disk, name)? else {
        return Ok(None);
    };
    let mut bytes = [0; BATCH_HEAD_BYTES];
    read_exactly(&*file, &mut bytes, byte)?;
    let segment = name.first;
    let head = BatchHead::decode(&bytes, BatchLocation { log, segment, byte });
    Ok(head
        .filter(BatchHead::is_seal)
        .and_then(|head| head.first.checked_sub(1)))
}

/// The log that a segment belongs to, if its header is valid.
fn identity(disk: &dyn Disk, name: SegmentName) -> io::Result<Option<LogId>> {
    let file = disk.open(&name.to_string())?;
    if file.length()? < HEADER_BYTES as u64 {
        return Ok(None);
    }
    let mut bytes = [0; HEADER_BYTES];
    read_exactly(&*file, &mut bytes, 0)?;
    Ok(Header::decode(&bytes).ok().map(|header| header.log))
}
