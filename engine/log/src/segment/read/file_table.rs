//! The files of an open log, for its readers: by number, so that a file can get another name, or
//! others can take its place, while somebody is about to read it.

use crate::disk::{Disk, DiskFile};
use crate::segment::format::name::{PartName, SegmentName};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// How many files are held open at a time, beside those that must be.
const OPEN_FILES: usize = 64;

#[derive(Debug)]
pub(crate) struct FileTable {
    /// Each file's number is its place here.
    slots: Vec<Slot>,
    /// FileTable that are opened by their names, each with when it was last used.
    open: BTreeMap<u32, (u64, Arc<dyn DiskFile>)>,
    uses: u64,
}

#[derive(Debug)]
enum Slot {
    Named(PartName),
    /// Read through this handle: the name is about to change, or to become another file's.
    Pinned(PartName, Arc<dyn DiskFile>),
    /// Others have taken its place.
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

    /// Adds a file that is read through this handle; `None` when there are as many as can be
    /// counted.
    pub(crate) fn add(&mut self, name: PartName, file: Arc<dyn DiskFile>) -> Option<u32> {
        let number = u32::try_from(self.slots.len()).ok()?;
        self.slots.push(Slot::Pinned(name, file));
        Some(number)
    }

    /// The active segment that begins at `first` has got its final name.
    pub(crate) fn seal(&mut self, first: u64) {
        let active = PartName::Segment(SegmentName::active(first));
        if let Some(number) = self.find(active) {
            self.release(number, PartName::Segment(SegmentName::sealed(first)));
        }
    }

    /// A file that was held may be opened by its name from now on.
    pub(crate) fn release(&mut self, number: u32, name: PartName) {
        if let Some(slot) = self.slots.get_mut(number as usize)
            && let Slot::Pinned(_, file) = std::mem::replace(slot, Slot::Named(name))
        {
            self.keep(number, file);
        }
    }

    /// Holds a file open, by whichever name the disk has it.
    pub(crate) fn pin(&mut self, part: PartName, file: &Arc<dyn DiskFile>) -> Option<u32> {
        let number = self.find(part).or_else(|| match part {
            // Sealed a moment ago.
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

    /// Nothing is read from these files any more.
    pub(crate) fn remove(&mut self, numbers: &[u32]) {
        for number in numbers {
            self.open.remove(number);
            if let Some(slot) = self.slots.get_mut(*number as usize) {
                *slot = Slot::Removed;
            }
        }
    }

    /// The file of this number, and its name; `None` when others have taken its place.
    pub(crate) fn open(
        &mut self,
        disk: &dyn Disk,
        number: u32,
    ) -> io::Result<Option<(PartName, Arc<dyn DiskFile>)>> {
        let name = match self.slots.get(number as usize) {
            None => return Err(io::Error::other("the index names a file that there is not")),
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

    /// Whether it is a file of the log.
    pub(crate) fn knows(&self, part: PartName) -> bool {
        self.find(part).is_some()
    }

    fn find(&self, part: PartName) -> Option<u32> {
        let matches = |slot: &Slot| match slot {
            Slot::Named(name) | Slot::Pinned(name, _) => *name == part,
            Slot::Removed => false,
        };
        // The youngest first: a name that was given again is that of the newest file.
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
