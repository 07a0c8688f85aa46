//! Fills the next segment with zeros ahead of time: syncing blocks that are already allocated is
//! much faster than syncing a file that grows.
//!
//! A helper thread, one per spare, writes the zeros, so that the writer does not have to wait for a
//! whole segment. Without a spare the log works too, only slower, so failures here are ignored and
//! tried again later.
//!
//! Invariant: a spare never takes the room that something else needs. None is made where that would
//! leave little, and a writer that finds the disk full gets the spare's room.

use crate::disk::{Disk, DiskFile, write_all};
use crate::segment::format::batch::BATCH_HEAD_BYTES;
use crate::segment::format::header::HEADER_BYTES;
use crate::segment::format::name::{SPARE, ZEROING};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

const CHUNK_BYTES: u64 = 1024 * 1024;
/// Sync in steps, so that the writer's own syncs never wait for a whole segment of zeros.
const CHUNKS_PER_SYNC: u64 = 4;

/// Makes spare segments, one at a time.
#[derive(Debug)]
pub(crate) struct Spares {
    disk: Arc<dyn Disk>,
    bytes: u64,
    enabled: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    None,
    Making {
        thread: JoinHandle<io::Result<Arc<dyn DiskFile>>>,
        stop: Arc<AtomicBool>,
    },
    Ready(Arc<dyn DiskFile>),
}

impl Spares {
    /// Takes over a spare that an earlier process left, or begins to make one. Removes the old
    /// spare if it has another size or spares are disabled.
    pub(crate) fn new(disk: Arc<dyn Disk>, bytes: u64, enabled: bool) -> io::Result<Self> {
        let mut spares = Self {
            disk,
            bytes,
            enabled,
            state: State::None,
        };
        if spares.disk.names()?.iter().any(|name| name == SPARE) {
            let file = spares.disk.open_writable(SPARE)?;
            if enabled && file.length()? == bytes && is_unused(&*file)? {
                spares.state = State::Ready(file);
            } else {
                spares.disk.remove(SPARE)?;
            }
        }
        spares.begin();
        Ok(spares)
    }

    /// Begins to make a spare, unless one exists or is being made.
    pub(crate) fn begin(&mut self) {
        if !self.enabled || !matches!(self.state, State::None) {
            return;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (disk, bytes) = (Arc::clone(&self.disk), self.bytes);
        let stopped = Arc::clone(&stop);
        let spawned = Builder::new()
            .name("rejoin-log-spare".to_owned())
            .spawn(move || make(&*disk, bytes, &stopped));
        if let Ok(thread) = spawned {
            self.state = State::Making { thread, stop };
        }
    }

    /// Whether [`take`](Self::take) would return a spare now. Does not wait.
    pub(crate) fn is_ready(&mut self) -> bool {
        if matches!(&self.state, State::Making { thread, .. } if thread.is_finished()) {
            self.state = self.stop().map_or(State::None, State::Ready);
        }
        matches!(self.state, State::Ready(_))
    }

    /// The spare, if it is ready: a file of `bytes` zeros named [`SPARE`]. Does not wait.
    pub(crate) fn take(&mut self) -> Option<Arc<dyn DiskFile>> {
        if !self.is_ready() {
            return None;
        }
        self.stop()
    }

    /// Frees the disk space of the spare, finished or not, and makes no other until
    /// [`begin`](Self::begin) is called. Returns whether any may have been freed, also since the last
    /// call: an unfinished spare that found the disk full has already made room again.
    pub(crate) fn release(&mut self) -> bool {
        if matches!(self.state, State::None) {
            return false;
        }
        // Without a finished file, the thread has removed what there was.
        self.stop().is_none() || self.disk.remove(SPARE).is_ok()
    }

    /// Waits until the thread has stopped, which takes at most as long as writing and syncing a few
    /// chunks. Returns the spare if it is finished.
    pub(crate) fn stop(&mut self) -> Option<Arc<dyn DiskFile>> {
        match std::mem::replace(&mut self.state, State::None) {
            State::None => None,
            State::Making { thread, stop } => {
                stop.store(true, Ordering::Relaxed);
                thread.join().ok()?.ok()
            }
            State::Ready(file) => Some(file),
        }
    }
}

impl Drop for Spares {
    /// The thread uses the directory, so it must end before the log does.
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether it has no batch. After a failed sync of the directory and a power cut, a segment can have the
/// name that it had as a spare, besides its own.
fn is_unused(file: &dyn DiskFile) -> io::Result<bool> {
    let mut head = [0; BATCH_HEAD_BYTES];
    let read = file.read_at(&mut head, HEADER_BYTES as u64)?;
    Ok(head.iter().take(read).all(|byte| *byte == 0))
}

fn make(disk: &dyn Disk, bytes: u64, stop: &AtomicBool) -> io::Result<Arc<dyn DiskFile>> {
    let made = zero(disk, bytes, stop);
    if made.is_err() {
        // Free the disk space. If this fails too, the next opening removes the file.
        let _ = disk.remove(ZEROING);
    }
    made
}

fn zero(disk: &dyn Disk, bytes: u64, stop: &AtomicBool) -> io::Result<Arc<dyn DiskFile>> {
    // As much again must be left. Filling the disk, even for a moment, would also hurt whatever else
    // writes to it.
    let needed = bytes.saturating_mul(2);
    if disk.free().is_some_and(|free| free < needed) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let file = disk.create(ZEROING)?;
    let zeros = vec![0; usize::try_from(CHUNK_BYTES.min(bytes)).unwrap_or(0)];
    let mut at = 0;
    let mut chunks = 0;
    while at < bytes {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = usize::try_from(bytes.saturating_sub(at)).unwrap_or(usize::MAX);
        let chunk = zeros.get(..count).unwrap_or(&zeros);
        write_all(&*file, chunk, at)?;
        at += chunk.len() as u64;
        chunks += 1;
        if chunks % CHUNKS_PER_SYNC == 0 {
            file.sync()?;
        }
    }
    file.sync()?;
    // The new name means that the zeros are durable.
    disk.rename(ZEROING, SPARE)?;
    Ok(file)
}
