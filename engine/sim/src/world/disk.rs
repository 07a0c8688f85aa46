//! A disk with delays and failures. The seed decides which operation fails and how; the simulated
//! disk of the log crate applies the fault to the bytes.

use super::{Random, World};
use crate::mutants::Mutant;
use rejoin_log::disk::{Disk, DiskFile, DiskLock};
use rejoin_log::testing::{Fault, SimulatedDisk};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The machine's disk as one process sees it.
#[derive(Clone, Debug)]
pub(crate) struct FaultyDisk {
    pub(crate) world: Arc<World>,
    pub(crate) disk: SimulatedDisk,
    /// A deliberate defect, if any, to prove that the checks find it.
    pub(crate) mutant: Option<Mutant>,
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: Arc<dyn DiskFile>,
}

impl FaultyDisk {
    /// Makes the next operation fail with one of these faults, once in `times` calls.
    /// Returns whether it will.
    fn provoke<const N: usize>(&self, times: u64, faults: [(&'static str, Fault); N]) -> bool {
        if self.world.is_over() || self.world.is_draining() {
            return false;
        }
        let fault = self
            .world
            .draw(|random| random.once_in(times).then(|| random.index(N)));
        if let Some((name, fault)) = fault.map(|index| faults[index]) {
            self.world.count(name);
            self.world.note(format_args!("{name}"));
            self.disk.fail(self.disk.operations(), fault);
        }
        fault.is_some()
    }

    /// Lets other tasks run before the operation returns. If the process dies meanwhile, the result
    /// is lost.
    fn complete<T>(&self, done: io::Result<T>) -> io::Result<T> {
        self.world.meanwhile();
        self.alive()?;
        done
    }

    /// Fails once the process is dead.
    fn alive(&self) -> io::Result<()> {
        if self.world.is_crashed() {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    fn opened(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let disk = self.clone();
        Arc::new(FaultyFile { disk, file })
    }
}

impl Disk for FaultyDisk {
    fn path(&self) -> &Path {
        self.disk.path()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.disk.lock()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.alive()?;
        let mut names = self.disk.names()?;
        if self.mutant == Some(Mutant::ForgetsRedactions) {
            names.retain(|name| !name.ends_with(".redaction"));
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.alive()?;
        self.provoke(
            150,
            [
                ("fault: file could not be begun or renamed", Fault::IO),
                ("fault: disk full", Fault::NO_SPACE),
                ("fault: no file descriptor", Fault::NO_DESCRIPTOR),
            ],
        );
        let created = self.disk.create(name).map(|file| self.opened(file));
        self.complete(created)
    }

    // Readers open files under a lock, so no other task may run here.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.alive()?;
        self.disk.open(name).map(|file| self.opened(file))
    }

    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.alive()?;
        self.disk.open_writable(name).map(|file| self.opened(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.alive()?;
        self.provoke(
            150,
            [("fault: file could not be begun or renamed", Fault::IO)],
        );
        if !from.ends_with(".renaming") && !to.ends_with(".renaming") {
            self.world.note(format_args!("renames {from} to {to}"));
        }
        let renamed = self.disk.rename(from, to);
        self.complete(renamed)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.alive()?;
        let has_records = name.ends_with(".sealed") || name.ends_with(".history");
        if has_records && self.mutant == Some(Mutant::LeavesRedacted) {
            return Ok(());
        }
        self.world.note(format_args!("removes {name}"));
        self.disk.remove(name)
    }

    fn free(&self) -> Option<u64> {
        self.disk.free()
    }

    fn sync(&self) -> io::Result<()> {
        self.alive()?;
        let seed = self.world.draw(Random::bits);
        self.provoke(
            150,
            [
                ("fault: directory sync failed", Fault::IO),
                ("fault: directory sync failed in part", Fault::Partly(seed)),
            ],
        );
        let synced = self.disk.sync();
        self.complete(synced)
    }

    fn has_failed(&self) -> bool {
        self.disk.has_failed()
    }
}

impl DiskFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        self.disk.alive()?;
        self.file.length()
    }

    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        self.disk.alive()?;
        let is_working = self.disk.world.executor.live() > 0;
        if is_working && self.disk.provoke(150, [("fault: read failed", Fault::IO)]) {
            self.disk.world.checker().kept.fail_to_read();
        }
        let read = self.file.read_at(bytes, at);
        self.disk.complete(read)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.disk.alive()?;
        let part = self.disk.world.draw(|random| random.index(bytes.len()));
        self.disk.provoke(
            300,
            [
                ("fault: append failed", Fault::IO),
                ("fault: disk full", Fault::NO_SPACE),
                ("fault: disk full in mid-write", Fault::Short(part, ENOSPC)),
            ],
        );
        let written = self.file.write_at(bytes, at);
        self.disk.complete(written)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.alive()?;
        self.file.set_length(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.alive()?;
        if self.disk.mutant == Some(Mutant::LyingDisk) {
            return Ok(());
        }
        let seed = self.disk.world.draw(Random::bits);
        self.disk.provoke(
            400,
            [
                ("fault: sync failed", Fault::IO),
                ("fault: sync failed in part", Fault::Partly(seed)),
            ],
        );
        let synced = self.file.sync();
        self.disk.complete(synced)
    }
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
