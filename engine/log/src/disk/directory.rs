//! A disk in a directory of the local file system.

use super::{Disk, DiskFile, DiskLock};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A directory of the local file system.
///
/// Only the owner may read its files, because logs contain the output of jobs.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    handle: File,
    /// Refuse all changes, including creating the lock file.
    is_read_only: bool,
    /// Held during a sync, because the operating system reports a failure only once: of two syncs at
    /// the same time, one could succeed although the names of both were lost.
    syncing: Mutex<()>,
    has_failed: AtomicBool,
}

impl Directory {
    /// The name of the lock file. It is not removed on unlock: otherwise two processes could lock
    /// two different files of this name.
    pub const LOCK: &'static str = "lock";

    /// Opens the directory at `path`. Creates it and its parents if needed.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    pub fn open(path: &Path) -> io::Result<Self> {
        if !path.try_exists()? {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            // The new name is durable once the parent directory is synced.
            if let Some(parent) = path.canonicalize()?.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Self::open_as(path, false)
    }

    /// Opens the existing directory at `path` read-only: operations that would change it fail. Its
    /// lock excludes writers, but not other readers.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    pub fn open_to_read(path: &Path) -> io::Result<Self> {
        Self::open_as(path, true)
    }

    fn open_as(path: &Path, is_read_only: bool) -> io::Result<Self> {
        let handle = File::open(path)?;
        if !handle.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            path: path.to_owned(),
            handle,
            is_read_only,
            syncing: Mutex::new(()),
            has_failed: AtomicBool::new(false),
        })
    }

    /// Takes a lock shared with other readers. Writers create the lock file first, so if there is
    /// none, there is no writer.
    fn lock_to_read(&self) -> io::Result<Option<Box<dyn DiskLock>>> {
        let file = match File::open(self.path.join(Self::LOCK)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(Box::new(Locked(self.handle.try_clone()?))));
            }
            Err(error) => return Err(error),
        };
        locked(file, File::try_lock_shared)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if self.has_failed() {
            return Err(rustix::io::Errno::IO.into());
        }
        Ok(())
    }

    fn open_with(&self, name: &str, options: &mut OpenOptions) -> io::Result<Arc<dyn DiskFile>> {
        let file = options.read(true).mode(0o600).open(self.path.join(name))?;
        Ok(Arc::new(Opened(file)))
    }
}

impl Disk for Directory {
    fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> io::Result<Option<Box<dyn DiskLock>>> {
        if self.is_read_only {
            return self.lock_to_read();
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.join(Self::LOCK))?;
        locked(file, File::try_lock)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for found in self.path.read_dir()? {
            // The log's own file names are all UTF-8.
            if let Ok(name) = found?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.check_writable()?;
        self.open_with(
            name,
            OpenOptions::new().write(true).create(true).truncate(true),
        )
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open_with(name, &mut OpenOptions::new())
    }

    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.check_writable()?;
        self.open_with(name, OpenOptions::new().write(true))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check_writable()?;
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check_writable()?;
        std::fs::remove_file(self.path.join(name))
    }

    fn free(&self) -> Option<u64> {
        let found = rustix::fs::fstatvfs(&self.handle).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn sync(&self) -> io::Result<()> {
        let _one_at_a_time = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_failed() {
            return Err(rustix::io::Errno::IO.into());
        }
        let synced = self.handle.sync_all();
        if synced.is_err() {
            self.has_failed.store(true, Ordering::SeqCst);
        }
        synced
    }

    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::SeqCst)
    }
}

/// Takes the lock with `take`, retrying for half a second: if a process is killed while it starts
/// another one, the child holds the lock too until it has called `exec`.
fn locked(
    file: File,
    take: fn(&File) -> Result<(), TryLockError>,
) -> io::Result<Option<Box<dyn DiskLock>>> {
    let mut tries = LOCK_TRIES;
    loop {
        match take(&file) {
            Ok(()) => return Ok(Some(Box::new(Locked(file)))),
            Err(TryLockError::WouldBlock) if tries == 0 => return Ok(None),
            Err(TryLockError::WouldBlock) => {
                tries -= 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// How often and after what pause a lock that is held is tried again.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The operating system releases the lock when the file is closed or the process dies.
#[derive(Debug)]
struct Locked(#[expect(dead_code, reason = "held, not used")] File);

impl DiskLock for Locked {}

#[derive(Debug)]
struct Opened(File);

impl DiskFile for Opened {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(bytes, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.0.write_at(bytes, at)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
