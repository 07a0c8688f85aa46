//! The next segment, filled with zeros ahead of time: a sync of blocks that the file already has
//! is much faster than one that makes the file grow.
//!
//! Zeros are written by a thread of its own, one for each spare, because in line they would
//! hold up the writer for as long as a segment takes. A log does as well without a spare, only
//! slower: so whatever fails here is left for the next time.

use crate::disk::{Disk, DiskFile, write_all};
use crate::segment::format::name::{SPARE, ZEROING};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

const CHUNK_BYTES: u64 = 1024 * 1024;
/// Synced in steps, so that the writer's own syncs never wait for a whole segment of zeros.
const CHUNKS_PER_SYNC: u64 = 4;

/// Makes spares, one after the other.
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
    /// Takes over the spare that an earlier process has left, or begins to make one. Removes a
    /// spare that is not wanted.
    pub(crate) fn new(disk: Arc<dyn Disk>, bytes: u64, enabled: bool) -> io::Result<Self> {
        let mut spares = Self {
            disk,
            bytes,
            enabled,
            state: State::None,
        };
        if spares.disk.names()?.iter().any(|name| name == SPARE) {
            let file = spares.disk.open_writable(SPARE)?;
            if enabled && file.length()? == bytes {
                spares.state = State::Ready(file);
            } else {
                spares.disk.remove(SPARE)?;
            }
        }
        spares.begin();
        Ok(spares)
    }

    /// Begins to make a spare, where there is none.
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

    /// Whether [`take`](Self::take) would give one now.
    pub(crate) fn is_ready(&self) -> bool {
        match &self.state {
            State::None => false,
            State::Making { thread, .. } => thread.is_finished(),
            State::Ready(_) => true,
        }
    }

    /// The spare, if it is ready: a file of that many zeros called [`SPARE`]. Does not wait.
    pub(crate) fn take(&mut self) -> Option<Arc<dyn DiskFile>> {
        if !self.is_ready() {
            return None;
        }
        match std::mem::replace(&mut self.state, State::None) {
            State::None => None,
            State::Making { thread, .. } => thread.join().ok()?.ok(),
            State::Ready(file) => Some(file),
        }
    }

    /// Gives the spare's room back to the file system, and makes no other before it is asked to.
    /// Whether there was any.
    pub(crate) fn release(&mut self) -> bool {
        let file = self.stop();
        file.is_some() && self.disk.remove(SPARE).is_ok()
    }

    /// Waits until the thread has stopped: at most for one chunk to be written.
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
    /// The thread holds the directory: it must be gone when the log is.
    fn drop(&mut self) {
        self.stop();
    }
}

fn make(disk: &dyn Disk, bytes: u64, stop: &AtomicBool) -> io::Result<Arc<dyn DiskFile>> {
    let made = zero(disk, bytes, stop);
    if made.is_err() {
        // Best left away: it takes room. If that fails as well, the next opening does it.
        let _ = disk.remove(ZEROING);
    }
    made
}

fn zero(disk: &dyn Disk, bytes: u64, stop: &AtomicBool) -> io::Result<Arc<dyn DiskFile>> {
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
    // The name says that the zeros are durable.
    disk.rename(ZEROING, SPARE)?;
    Ok(file)
}
