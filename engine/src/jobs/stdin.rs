//! Passes what is written to a job's standard input from durable records to its runner.
//!
//! Invariant: a job that does not read never blocks the sequencer, and holds at most
//! [`UNREAD_INPUT`](crate::limits::UNREAD_INPUT) bytes and the writes that were under way.

use crate::limits::{INPUT_OVERHEAD, UNREAD_INPUT};
use async_channel::{Receiver, Sender};
use rejoin_core::JobId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is written to a job's standard input, as its runner gets it. Dropped, the job reads no
/// more: what was or will be written is forgotten.
#[derive(Debug)]
pub struct Input {
    writes: Receiver<Arc<[u8]>>,
    unread: Arc<AtomicUsize>,
    /// What the last write that was given out still counts for.
    held: usize,
}

impl Input {
    /// The next bytes; none when the input was ended. The bytes before count as unread until this
    /// is called again, so call it when they are written.
    pub async fn next(&mut self) -> Option<Arc<[u8]>> {
        self.unread.fetch_sub(self.held, Ordering::Relaxed);
        self.held = 0;
        let bytes = self.writes.recv().await.ok()?;
        self.held = cost(&bytes);
        Some(bytes)
    }
}

/// The inputs of the jobs that have one and run.
#[derive(Debug, Default)]
pub(crate) struct Inputs(Mutex<BTreeMap<JobId, Writes>>);

#[derive(Debug)]
struct Writes {
    sender: Sender<Arc<[u8]>>,
    unread: Arc<AtomicUsize>,
}

impl Inputs {
    /// Whether a job has not read as much as may wait.
    pub(crate) fn is_full(&self, job: JobId) -> bool {
        let full = |writes: &Writes| {
            !writes.sender.is_closed() && writes.unread.load(Ordering::Relaxed) >= UNREAD_INPUT
        };
        self.with(|inputs| inputs.get(&job).is_some_and(full))
    }

    pub(crate) fn open(&self, job: JobId) -> Input {
        // Bounded by `is_full`, and by what the core lets be written to one job.
        let (sender, receiver) = async_channel::unbounded();
        let unread = Arc::new(AtomicUsize::new(0));
        let writes = Writes {
            sender,
            unread: unread.clone(),
        };
        self.with(|inputs| inputs.insert(job, writes));
        Input {
            writes: receiver,
            unread,
            held: 0,
        }
    }

    /// Passes on what was written. Never waits; dropped if the job no longer reads.
    pub(crate) fn write(&self, job: JobId, bytes: Arc<[u8]>, end: bool) {
        self.with(|inputs| {
            if let Some(writes) = inputs.get(&job).filter(|_| !bytes.is_empty()) {
                writes.unread.fetch_add(cost(&bytes), Ordering::Relaxed);
                let _ = writes.sender.try_send(bytes);
            }
            if end {
                inputs.remove(&job);
            }
        });
    }

    pub(crate) fn forget(&self, job: JobId) {
        self.with(|inputs| inputs.remove(&job));
    }

    fn with<T>(&self, ask: impl FnOnce(&mut BTreeMap<JobId, Writes>) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn cost(bytes: &[u8]) -> usize {
    bytes.len() + INPUT_OVERHEAD
}
