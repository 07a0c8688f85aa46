//! A disk over another one: reads see the disk below, and changes stay in memory.
//!
//! Invariants: the disk below is never changed, and the changes never exceed their memory limit.

use super::{Disk, DiskFile, DiskLock};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Size of the pages in which changes are kept.
const PAGE_BYTES: usize = 4096;

/// A writable disk whose changes stay in memory and are lost when it is dropped.
///
/// A file that was opened for reading before it was first opened for writing keeps showing the disk
/// below. Nothing is ever durable; `sync` does nothing and succeeds.
///
/// ```
/// use rejoin_log::disk::{Directory, Disk, Overlay};
/// use std::sync::Arc;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// std::fs::write(directory.join("file"), "before")?;
/// let below = Arc::new(Directory::open_to_read(directory)?);
/// let disk = Overlay::over(below, 1024 * 1024);
/// disk.open_writable("file")?.write_at(b"B", 0)?;
///
/// let mut bytes = [0; 6];
/// disk.open("file")?.read_at(&mut bytes, 0)?;
/// assert_eq!(&bytes, b"Before");
/// assert_eq!(std::fs::read(directory.join("file"))?, b"before");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Overlay {
    below: Arc<dyn Disk>,
    /// All files by name; `None` until the first access.
    files: Mutex<Option<BTreeMap<String, Kept>>>,
    room: Arc<Room>,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
enum Kept {
    /// Unchanged, on the disk below, with this name.
    Below(String),
    Changed(Arc<Layered>),
}

impl Overlay {
    /// Creates a disk over `below`. All changes together may take `bytes` of memory; writes beyond
    /// that fail as on a full disk.
    #[must_use]
    pub fn over(below: Arc<dyn Disk>, bytes: u64) -> Self {
        Self {
            below,
            files: Mutex::new(None),
            room: Arc::new(Room {
                left: AtomicU64::new(bytes),
            }),
        }
    }

    fn with_files<T>(
        &self,
        act: impl FnOnce(&mut BTreeMap<String, Kept>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut files = lock(&self.files);
        let known = match files.take() {
            Some(known) => known,
            None => {
                let names = self.below.names()?.into_iter();
                names
                    .map(|name| (name.clone(), Kept::Below(name)))
                    .collect()
            }
        };
        act(files.insert(known))
    }

    fn layered(&self, base: Option<Arc<dyn DiskFile>>) -> io::Result<Arc<Layered>> {
        let length = base.as_ref().map_or(Ok(0), |base| base.length())?;
        Ok(Arc::new(Layered {
            base,
            room: Arc::clone(&self.room),
            layers: Mutex::new(Layers {
                length,
                visible: length,
                pages: BTreeMap::new(),
            }),
        }))
    }
}

impl Disk for Overlay {
    fn path(&self) -> &Path {
        self.below.path()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.below.lock()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.with_files(|files| Ok(files.keys().cloned().collect()))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.layered(None)?;
        self.with_files(|files| {
            files.insert(name.to_owned(), Kept::Changed(Arc::clone(&file)));
            Ok(file as Arc<dyn DiskFile>)
        })
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.with_files(|files| match files.get(name) {
            Some(Kept::Below(name)) => self.below.open(name),
            Some(Kept::Changed(file)) => Ok(Arc::clone(file) as Arc<dyn DiskFile>),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.with_files(|files| {
            let kept = files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
            let file = match kept {
                Kept::Below(name) => self.layered(Some(self.below.open(name)?))?,
                Kept::Changed(file) => Arc::clone(file),
            };
            *kept = Kept::Changed(Arc::clone(&file));
            Ok(file as Arc<dyn DiskFile>)
        })
    }

    fn has_failed(&self) -> bool {
        false
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with_files(|files| {
            let kept = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            files.insert(to.to_owned(), kept);
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with_files(|files| {
            let removed = files.remove(name);
            removed
                .map(drop)
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The memory left for changes of all files, in bytes.
#[derive(Debug)]
struct Room {
    left: AtomicU64,
}

impl Room {
    fn take_page(&self) -> io::Result<()> {
        let take = |left: u64| left.checked_sub(PAGE_BYTES as u64);
        let taken = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        taken.map(drop).map_err(|_| {
            let reason = "the changes in memory have reached their limit";
            io::Error::new(io::ErrorKind::StorageFull, reason)
        })
    }

    fn give_back(&self, pages: usize) {
        let bytes = (pages as u64).saturating_mul(PAGE_BYTES as u64);
        self.left.fetch_add(bytes, Ordering::SeqCst);
    }
}

/// A file with changed pages.
#[derive(Debug)]
struct Layered {
    base: Option<Arc<dyn DiskFile>>,
    room: Arc<Room>,
    layers: Mutex<Layers>,
}

#[derive(Debug)]
struct Layers {
    length: u64,
    /// Unchanged pages show the file below up to here, and zeros after it.
    visible: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Layered {
    /// Reads from the file below, within one page.
    fn read_below(&self, visible: u64, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let shown = usize::try_from(visible.saturating_sub(at)).unwrap_or(usize::MAX);
        match (&self.base, bytes.get_mut(..shown.min(bytes.len()))) {
            (Some(base), Some(shown)) if !shown.is_empty() => base.read_at(shown, at),
            _ => {
                bytes.fill(0);
                Ok(bytes.len())
            }
        }
    }

    /// The content of a page before its first change.
    fn load(&self, visible: u64, number: u64) -> io::Result<Box<[u8; PAGE_BYTES]>> {
        let mut page = Box::new([0; PAGE_BYTES]);
        let begin = number.saturating_mul(PAGE_BYTES as u64);
        let mut done = 0;
        while let Some(rest) = page.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let count = self.read_below(visible, rest, begin.saturating_add(done as u64))?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            done = done.saturating_add(count);
        }
        Ok(page)
    }
}

/// The page of a byte, and its offset in the page.
fn place(at: u64) -> (u64, usize) {
    let page = PAGE_BYTES as u64;
    (at / page, usize::try_from(at % page).unwrap_or(0))
}

impl DiskFile for Layered {
    fn length(&self) -> io::Result<u64> {
        Ok(lock(&self.layers).length)
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let layers = lock(&self.layers);
        let (number, within) = place(at);
        let left = usize::try_from(layers.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = bytes.len().min(left).min(PAGE_BYTES - within);
        let bytes = bytes.get_mut(..count).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(0);
        }
        match layers.pages.get(&number) {
            Some(page) => {
                let page = page.get(within..within.saturating_add(count));
                bytes.copy_from_slice(page.unwrap_or_default());
                Ok(count)
            }
            None => self.read_below(layers.visible, bytes, at),
        }
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut layers = lock(&self.layers);
        let (number, within) = place(at);
        let count = bytes.len().min(PAGE_BYTES - within);
        if count == 0 {
            return Ok(0);
        }
        if !layers.pages.contains_key(&number) {
            let page = self.load(layers.visible, number)?;
            self.room.take_page()?;
            layers.pages.insert(number, page);
        }
        let page = layers.pages.get_mut(&number);
        let page = page.and_then(|page| page.get_mut(within..within.saturating_add(count)));
        if let (Some(page), Some(bytes)) = (page, bytes.get(..count)) {
            page.copy_from_slice(bytes);
        }
        layers.length = layers.length.max(at.saturating_add(count as u64));
        Ok(count)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut layers = lock(&self.layers);
        let (number, within) = place(length);
        if length < layers.length {
            let first_gone = number.saturating_add(u64::from(within > 0));
            let gone = layers.pages.split_off(&first_gone);
            self.room.give_back(gone.len());
            let last = layers.pages.get_mut(&number);
            if let Some(cut) = last.and_then(|page| page.get_mut(within..)) {
                cut.fill(0);
            }
            layers.visible = layers.visible.min(length);
        }
        layers.length = length;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Layered {
    fn drop(&mut self) {
        self.room.give_back(lock(&self.layers).pages.len());
    }
}

/// Ignores poisoning: each change is one step, so a panic leaves no partial change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SimulatedDisk;

    const PAGE: u64 = PAGE_BYTES as u64;

    fn over(bytes: &[u8], room: u64) -> (SimulatedDisk, Overlay) {
        let below = SimulatedDisk::new();
        let file = below.create("file").unwrap();
        crate::disk::write_all(&*file, bytes, 0).unwrap();
        (below.clone(), Overlay::over(Arc::new(below), room))
    }

    fn all(disk: &dyn Disk, name: &str) -> Vec<u8> {
        let file = disk.open(name).unwrap();
        let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
        crate::disk::read_exactly(&*file, &mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_cut_and_grown_reads_as_a_file_does_and_nothing_is_changed_below() {
        let written: Vec<u8> = (0..20_000_u32).map(|it| it as u8).collect();
        let (below, disk) = over(&written, 100 * PAGE);
        let mut expected = written.clone();
        let file = disk.open_writable("file").unwrap();
        for (at, count) in [(0, 1), (4_090, 20), (8_192, 4_096), (19_990, 500)] {
            crate::disk::write_all(&*file, &vec![0xee; count], at as u64).unwrap();
            expected.resize(expected.len().max(at + count), 0);
            expected[at..at + count].fill(0xee);
            assert_eq!(all(&disk, "file"), expected, "{at}");
        }
        for length in [20_100, 9_000, 8_192, 30_000, 12_288, 0, 5_000] {
            file.set_length(length).unwrap();
            expected.resize(usize::try_from(length).unwrap(), 0);
            assert_eq!(all(&disk, "file"), expected, "{length}");
        }
        assert_eq!(all(&below, "file"), written);
    }

    #[test]
    fn names_are_created_changed_and_removed_above_only() {
        let (below, disk) = over(b"below", 10 * PAGE);
        disk.rename("file", "renamed").unwrap();
        disk.create("new").unwrap().write_at(b"new", 0).unwrap();
        assert_eq!(disk.names().unwrap(), ["new", "renamed"]);
        assert_eq!(all(&disk, "renamed"), b"below");
        disk.remove("renamed").unwrap();
        let gone = disk.open("renamed").unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert_eq!(below.names().unwrap(), ["file"]);
    }

    #[test]
    fn changes_beyond_the_room_are_refused_and_room_comes_back() {
        let (_, disk) = over(b"below", 2 * PAGE);
        let file = disk.create("new").unwrap();
        file.write_at(b"1", 0).unwrap();
        file.write_at(b"2", PAGE).unwrap();
        let full = file.write_at(b"3", 2 * PAGE).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        file.set_length(PAGE).unwrap();
        file.write_at(b"3", 2 * PAGE).unwrap();
        drop(file);
        disk.remove("new").unwrap();
        let file = disk.create("other").unwrap();
        file.write_at(b"1", 0).unwrap();
        file.write_at(b"2", PAGE).unwrap();
    }
}
