//! Finds the files of a log in its directory, and which of them are superseded. Changes nothing.
//!
//! A compacted segment gets its name before the files that it replaces are removed. After a crash
//! in between, both exist; and a file that was removed may come back in a power cut, if syncing the
//! directory failed. The compacted segment is used then, because the others may be older: what was
//! redacted or removed since may still be in them. Its content was durable before it had its name, and
//! opening makes the name durable before it removes the others.

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
        listing.supersede();
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

    fn supersede(&mut self) {
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
            let within = |part: &PartName| *part != itself && is_within(compacted, *part);
            self.superseded
                .extend(self.parts.extract_if(.., |part| within(part)));
        }
        // Its name before it was sealed, which has come back.
        let parts = self.parts.clone();
        let is_sealed_too = |part: &mut PartName| match *part {
            PartName::Segment(name) if !name.sealed => {
                parts.contains(&PartName::Segment(SegmentName::sealed(name.first)))
            }
            _ => false,
        };
        self.superseded
            .extend(self.parts.extract_if(.., is_sealed_too));
    }
}

fn is_within(compacted: CompactedName, part: PartName) -> bool {
    let last = match part {
        PartName::Compacted(name) => name.last,
        PartName::Segment(name) => name.first,
    };
    compacted.covers(part.first()) && compacted.covers(last)
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
