//! A disk in memory that simulates failures and power cuts.

use crate::disk::{Disk, DiskFile, DiskLock};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The size of atomic writes of a disk.
const SECTOR_BYTES: usize = 512;

/// The error numbers of a failing and of a full device, the same on every Unix.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// The process has as many open files as it may.
const EMFILE: i32 = 24;

/// A directory in memory. Clones share it, each as another process would.
///
/// Writes and changes of names go to a cache first, and to the disk when they are synced.
/// [`power_cut`](Self::power_cut) drops unsynced changes. As on Linux, a failed sync leaves its
/// data in the cache, marked as clean: no later sync writes it.
///
/// So it is with names: after a failed sync, processes see names that are not on the disk, and miss
/// others that are still there, until the same names change again. File systems with a journal (ext4,
/// XFS, Btrfs) are milder: they stop until they are mounted again. A file system without one (ext2)
/// takes a block of a directory for written, and writes it again when one of its names changes. This
/// one is as hard as if each name had a block to itself, but a rename is one change, also here.
///
/// Every change and every read is counted as an operation, and [`fail`](Self::fail) makes the
/// operation with a given number fail. This lets a test fail each operation of a workload in turn.
///
/// ```
/// use rejoin_log::disk::Disk;
/// use rejoin_log::testing::{SimulatedDisk, Survival};
///
/// let disk = SimulatedDisk::new();
/// let file = disk.create("file")?;
/// disk.sync()?;
/// file.write_at(b"kept", 0)?;
/// file.sync()?;
/// file.write_at(b"lost", 4)?;
/// disk.power_cut(Survival::nothing());
/// assert_eq!(disk.bytes("file"), Some(b"kept".to_vec()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    lock: Arc<AtomicBool>,
    /// Whether a sync of the names has failed that was made through this clone.
    has_failed: AtomicBool,
}

impl Clone for SimulatedDisk {
    fn clone(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            lock: Arc::clone(&self.lock),
            has_failed: AtomicBool::new(false),
        }
    }
}

/// The way in which an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fails with this error number and does nothing. The data of a failed sync can't be synced
    /// later.
    Errno(i32),
    /// A write writes this number of bytes, and the next operation fails with this error number.
    /// Any operation other than a write fails at once.
    Short(usize, i32),
    /// A sync fails with `EIO` and makes a part of its changes durable: of writes those, and of
    /// names as many, as [`Survival::seeded`] of this number lets survive. Any other operation fails
    /// and does nothing.
    Partly(u64),
}

impl Fault {
    /// No space left on the device: `ENOSPC`.
    pub const NO_SPACE: Self = Self::Errno(ENOSPC);
    /// The process has no file descriptor left: `EMFILE`.
    pub const NO_DESCRIPTOR: Self = Self::Errno(EMFILE);
    /// The device failed: `EIO`.
    pub const IO: Self = Self::Errno(EIO);
}

/// Decides which unsynced changes survive a power cut: each sector of each write and each change of
/// a length on its own; creations, renames and removals up to the first that does not survive,
/// because file systems keep their order.
#[derive(Clone, Debug)]
pub struct Survival(Chance);

#[derive(Clone, Debug)]
enum Chance {
    Nothing,
    Everything,
    Seeded(u64),
}

impl Survival {
    /// No unsynced change survives.
    #[must_use]
    pub fn nothing() -> Self {
        Self(Chance::Nothing)
    }

    /// Everything survives, as if only the process had died.
    #[must_use]
    pub fn everything() -> Self {
        Self(Chance::Everything)
    }

    /// About half survives, chosen by the seed alone.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Chance::Seeded(seed))
    }

    fn draw(&mut self) -> bool {
        match &mut self.0 {
            Chance::Nothing => false,
            Chance::Everything => true,
            Chance::Seeded(state) => {
                // SplitMix64.
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (mixed ^ (mixed >> 31)) & 1 == 1
            }
        }
    }
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Contents>,
    /// Names as processes see them.
    names: BTreeMap<String, usize>,
    /// Names as they are on the disk.
    durable_names: BTreeMap<String, usize>,
    /// Changes of names that have not been synced.
    unsynced_names: Vec<NameChange>,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    /// All operations from this number on fail.
    dead: Option<u64>,
    /// How many bytes all files together may have.
    capacity: Option<u64>,
    /// Whether no file can be created or opened.
    is_out_of_descriptors: bool,
}

#[derive(Clone, Debug)]
enum NameChange {
    Put(String, usize),
    /// The file gets the second name, whether the first one is on the disk or not.
    Rename(String, String, usize),
    Remove(String),
}

fn change(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Put(name, file) => {
            names.insert(name.clone(), *file);
        }
        NameChange::Rename(from, to, file) => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

/// The content of a file.
#[derive(Debug, Default)]
struct Contents {
    /// The bytes as processes see them.
    cached: Vec<u8>,
    /// The bytes on the disk.
    durable: Vec<u8>,
    unsynced: Vec<Write>,
}

impl Contents {
    /// Makes those unsynced writes durable that survive, and forgets the others.
    fn settle(&mut self, survival: &mut Survival) {
        for write in std::mem::take(&mut self.unsynced) {
            match write {
                Write::Bytes(at, bytes) => {
                    for (at, sector) in sectors(at, &bytes) {
                        if survival.draw() {
                            Write::Bytes(at, sector.to_vec()).apply(&mut self.durable);
                        }
                    }
                }
                length @ Write::Length(_) => {
                    if survival.draw() {
                        length.apply(&mut self.durable);
                    }
                }
            }
        }
    }
}

#[derive(Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

impl Write {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bytes(at, written) => {
                let end = at + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(written);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

enum Verdict {
    Go,
    Short(usize),
    /// Only for syncs.
    Partly(Survival),
}

impl State {
    /// Counts an operation and decides how it ends.
    fn begin(&mut self) -> io::Result<Verdict> {
        let number = self.operations;
        self.operations += 1;
        if self.is_dead() {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        match self.faults.remove(&number) {
            None => Ok(Verdict::Go),
            Some(Fault::Errno(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Fault::Short(bytes, errno)) => {
                self.faults.insert(number + 1, Fault::Errno(errno));
                Ok(Verdict::Short(bytes))
            }
            Some(Fault::Partly(seed)) => Ok(Verdict::Partly(Survival::seeded(seed))),
        }
    }

    /// As `begin`, for an operation that is no sync.
    fn begin_whole(&mut self) -> io::Result<Verdict> {
        match self.begin()? {
            Verdict::Partly(_) => Err(io::Error::from_raw_os_error(EIO)),
            verdict => Ok(verdict),
        }
    }

    /// Whether the operation that was just counted failed because the power is off.
    fn is_dead(&self) -> bool {
        self.dead.is_some_and(|from| self.operations > from)
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Fails if the process has no file descriptor left.
    fn take_descriptor(&self) -> io::Result<()> {
        match self.is_out_of_descriptors {
            true => Err(io::Error::from_raw_os_error(EMFILE)),
            false => Ok(()),
        }
    }

    /// How many bytes files can still grow by.
    fn free(&self) -> Option<u64> {
        let files = self.names.values().filter_map(|file| self.files.get(*file));
        let used: u64 = files.map(|contents| contents.cached.len() as u64).sum();
        Some(self.capacity?.saturating_sub(used))
    }

    fn change_names(&mut self, made: NameChange) {
        change(&mut self.names, &made);
        self.unsynced_names.push(made);
    }

    /// Makes those unsynced changes of names durable that survive, and forgets the others.
    fn settle_names(&mut self, survival: &mut Survival) {
        for made in std::mem::take(&mut self.unsynced_names) {
            if !survival.draw() {
                break;
            }
            change(&mut self.durable_names, &made);
        }
    }
}

impl SimulatedDisk {
    /// An empty directory on a disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of operations so far, which is also the number of the next one.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Makes the operation with this number fail.
    pub fn fail(&self, operation: u64, fault: Fault) {
        self.state().faults.insert(operation, fault);
    }

    /// Makes all operations from this number on fail with `EIO` until the next
    /// [`power_cut`](Self::power_cut), as if the power failed at this operation.
    pub fn die(&self, operation: u64) {
        self.state().dead = Some(operation);
    }

    /// Lets all files together have this many bytes; beyond that, writes are cut short and then fail
    /// with `ENOSPC`. Removing files or cutting them makes room. `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// While set, no file can be created or opened: it fails with `EMFILE`.
    pub fn set_out_of_descriptors(&self, is_out: bool) {
        self.state().is_out_of_descriptors = is_out;
    }

    /// Cancels all faults that have not occurred yet.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.dead = None;
    }

    /// Restarts the machine: drops the unsynced changes that don't survive, cancels all faults and
    /// releases the lock. Files that were opened before must not be used any more.
    pub fn power_cut(&self, mut survival: Survival) {
        let mut state = self.state();
        let state = &mut *state;
        for contents in &mut state.files {
            contents.settle(&mut survival);
            contents.cached.clone_from(&contents.durable);
        }
        state.settle_names(&mut survival);
        state.names.clone_from(&state.durable_names);
        state.faults.clear();
        state.dead = None;
        self.lock.store(false, Ordering::SeqCst);
    }

    /// The bytes of a file as processes see them.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let file = *state.names.get(name)?;
        state
            .files
            .get(file)
            .map(|contents| contents.cached.clone())
    }

    /// Creates or replaces a file, durably.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.files.len();
        state.files.push(Contents {
            cached: bytes.to_vec(),
            durable: bytes.to_vec(),
            unsynced: Vec::new(),
        });
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
    }

    /// The names of all files, sorted.
    #[must_use]
    pub fn file_names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// Fails once a sync of the names has.
    fn check_sound(&self) -> io::Result<()> {
        match self.has_failed() {
            true => Err(io::Error::from_raw_os_error(EIO)),
            false => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, file: usize) -> Arc<dyn DiskFile> {
        Arc::new(SimulatedFile {
            disk: self.clone(),
            file,
        })
    }
}

/// Splits a write at sector boundaries.
fn sectors(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (SECTOR_BYTES - at % SECTOR_BYTES).min(bytes.len());
    let (head, tail) = bytes.split_at(first);
    let tail = tail.chunks(SECTOR_BYTES).enumerate();
    let tail = tail.map(move |(place, sector)| (at + first + place * SECTOR_BYTES, sector));
    std::iter::once((at, head)).chain(tail)
}

/// What a sync makes durable, and how it ends.
fn outcome(verdict: io::Result<Verdict>) -> (Survival, io::Result<()>) {
    match verdict {
        Ok(Verdict::Go | Verdict::Short(_)) => (Survival::everything(), Ok(())),
        Ok(Verdict::Partly(survival)) => (survival, Err(io::Error::from_raw_os_error(EIO))),
        Err(error) => (Survival::nothing(), Err(error)),
    }
}

impl Disk for SimulatedDisk {
    fn path(&self) -> &Path {
        Path::new("simulated")
    }

    fn lock(&self) -> io::Result<Option<Box<dyn DiskLock>>> {
        let taken = self.lock.swap(true, Ordering::SeqCst);
        Ok((!taken).then(|| Box::new(Lock(Arc::clone(&self.lock))) as Box<dyn DiskLock>))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.begin_whole()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.begin_whole()?;
        self.check_sound()?;
        state.take_descriptor()?;
        let file = state.files.len();
        state.files.push(Contents::default());
        state.change_names(NameChange::Put(name.to_owned(), file));
        Ok(self.opened(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.begin_whole()?;
        state.take_descriptor()?;
        Ok(self.opened(state.find(name)?))
    }

    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin_whole()?;
        self.check_sound()?;
        let file = state.find(from)?;
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin_whole()?;
        self.check_sound()?;
        state.find(name)?;
        state.change_names(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn free(&self) -> Option<u64> {
        self.state().free()
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        let verdict = state.begin();
        if state.is_dead() {
            // The next power cut decides what survives.
            return verdict.map(drop);
        }
        self.check_sound()?;
        let (mut survival, synced) = outcome(verdict);
        if synced.is_err() {
            self.has_failed.store(true, Ordering::SeqCst);
        }
        state.settle_names(&mut survival);
        synced
    }

    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Lock(Arc<AtomicBool>);

impl DiskLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

impl SimulatedFile {
    fn with<T>(&self, run: impl FnOnce(&mut Contents, Verdict) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        let verdict = state.begin_whole()?;
        run(&mut state.files[self.file], verdict)
    }
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        self.with(|contents, _| Ok(contents.cached.len() as u64))
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.with(|contents, verdict| {
            let at = usize::try_from(at).map_err(io::Error::other)?;
            let there = contents.cached.get(at..).unwrap_or_default();
            let mut count = there.len().min(bytes.len());
            if let Verdict::Short(most) = verdict {
                count = count.min(most);
            }
            bytes[..count].copy_from_slice(&there[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let free = self.disk.state().free();
        self.with(|contents, verdict| {
            let at = usize::try_from(at).map_err(io::Error::other)?;
            let mut count = match verdict {
                Verdict::Go | Verdict::Partly(_) => bytes.len(),
                Verdict::Short(most) => bytes.len().min(most),
            };
            if let Some(free) = free {
                let free = usize::try_from(free).unwrap_or(usize::MAX);
                count = count.min(
                    contents
                        .cached
                        .len()
                        .saturating_add(free)
                        .saturating_sub(at),
                );
                if count == 0 && !bytes.is_empty() {
                    return Err(io::Error::from_raw_os_error(ENOSPC));
                }
            }
            let write = Write::Bytes(at, bytes[..count].to_vec());
            write.apply(&mut contents.cached);
            contents.unsynced.push(write);
            Ok(count)
        })
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.with(|contents, _| {
            let length = usize::try_from(length).map_err(io::Error::other)?;
            let write = Write::Length(length);
            write.apply(&mut contents.cached);
            contents.unsynced.push(write);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let verdict = state.begin();
        if state.is_dead() {
            // The next power cut decides what survives.
            return verdict.map(drop);
        }
        let (mut survival, synced) = outcome(verdict);
        // The cache counts as clean even after a failure.
        state.files[self.file].settle(&mut survival);
        synced
    }
}
