//! The files of an open log, by number, so that a file can be renamed or replaced while readers
//! still refer to it.

use crate::disk::{Disk, DiskFile};
use crate::segment::format::name::{PartName, SegmentName};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// How many files are cached open at a time, in addition to the pinned ones.
const OPEN_FILES: usize = 64;

#[derive(Debug)]
pub(crate) struct FileTable {
    /// A file's number is its index here.
    slots: Vec<Slot>,
    /// Files that were opened by name, with the value of `uses` at their last use.
    open: BTreeMap<u32, (u64, Arc<dyn DiskFile>)>,
    uses: u64,
}

#[derive(Debug)]
enum Slot {
    Named(PartName),
    /// Read through this handle, because the name is about to change or to be given to another
    /// file.
    Pinned(PartName, Arc<dyn DiskFile>),
    /// Replaced by other files.
    Removed,
}

impl FileTable {
    pub(crate) fn new(parts: &[PartName]) -> Self {
        Self {
            slots: parts.iter().copied().map(Slot::Named).collect(),
            open: BTreeMap::new(),
            uses: 0,
        }
    }

    /// Adds a file that is read through this handle, and returns its number; `None` if there are
    /// too many files.
    pub(crate) fn add(&mut self, name: PartName, file: Arc<dyn DiskFile>) -> Option<u32> {
        let number = u32::try_from(self.slots.len()).ok()?;
        self.slots.push(Slot::Pinned(name, file));
        Some(number)
    }

    /// Notes that the active segment that begins at `first` now has its final name.
    pub(crate) fn seal(&mut self, first: u64) {
        let active = PartName::Segment(SegmentName::active(first));
        if let Some(number) = self.find(active) {
            self.release(number, PartName::Segment(SegmentName::sealed(first)));
        }
    }

    /// Unpins a file: from now on it is opened by this name.
    pub(crate) fn release(&mut self, number: u32, name: PartName) {
        if let Some(slot) = self.slots.get_mut(number as usize)
            && let Slot::Pinned(_, file) = std::mem::replace(slot, Slot::Named(name))
        {
            self.keep(number, file);
        }
    }

    /// Pins a file, so that readers use this handle whatever its name is on the disk. Returns its
    /// number.
    pub(crate) fn pin(&mut self, part: PartName, file: &Arc<dyn DiskFile>) -> Option<u32> {
        let number = self.find(part).or_else(|| match part {
            // It may have been sealed just now.
            PartName::Segment(name) => {
                self.find(PartName::Segment(SegmentName::active(name.first)))
            }
            PartName::Compacted(_) => None,
        })?;
        let slot = self.slots.get_mut(number as usize)?;
        if let Slot::Named(name) = *slot {
            *slot = Slot::Pinned(name, Arc::clone(file));
            self.open.remove(&number);
        }
        Some(number)
    }

    /// Removes these files from the table.
    pub(crate) fn remove(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.open.remove(number);
            if let Some(slot) = self.slots.get_mut(*number as usize) {
                *slot = Slot::Removed;
            }
        }
    }

    /// The file with this number, and its name; `None` if other files have replaced it.
    pub(crate) fn open(
        &mut self,
        disk: &dyn Disk,
        number: u32,
    ) -> io::Result<Option<(PartName, Arc<dyn DiskFile>)>> {
        let name = match self.slots.get(number as usize) {
            None => return Err(io::Error::other("the index refers to an unknown file")),
            Some(Slot::Removed) => return Ok(None),
            Some(Slot::Pinned(name, file)) => return Ok(Some((*name, Arc::clone(file)))),
            Some(Slot::Named(name)) => *name,
        };
        let file = match self.open.get(&number) {
            Some((_, file)) => Arc::clone(file),
            None => disk.open(&name.to_string())?,
        };
        self.keep(number, Arc::clone(&file));
        Ok(Some((name, file)))
    }

    /// Whether this file belongs to the log.
    pub(crate) fn knows(&self, part: PartName) -> bool {
        self.find(part).is_some()
    }

    fn find(&self, part: PartName) -> Option<u32> {
        let matches = |slot: &Slot| match slot {
            Slot::Named(name) | Slot::Pinned(name, _) => *name == part,
            Slot::Removed => false,
        };
        // Newest first: if a name was used twice, it now belongs to the newest file.
        let place = self.slots.iter().rposition(matches)?;
        u32::try_from(place).ok()
    }

    fn keep(&mut self, number: u32, file: Arc<dyn DiskFile>) {
        self.uses += 1;
        self.open.insert(number, (self.uses, file));
        if self.open.len() > OPEN_FILES {
            let oldest = self.open.iter().min_by_key(|(_, (used, _))| *used);
            if let Some(oldest) = oldest.map(|(number, _)| *number) {
                self.open.remove(&oldest);
            }
        }
    }
}
