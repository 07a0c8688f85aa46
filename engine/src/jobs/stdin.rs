//! Passes input from durable records to the runners of jobs.
//!
//! Invariant: a job that does not read its input never blocks the sequencer, and at most
//! [`UNREAD_INPUT`](crate::limits::UNREAD_INPUT) bytes plus the writes under way wait for it.

use crate::limits::{INPUT_OVERHEAD, UNREAD_INPUT};
use async_channel::{Receiver, Sender};
use rejoin_core::JobId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The standard input of a job, for its runner. Dropping it closes the input: all unread and later
/// writes are discarded.
#[derive(Debug)]
pub struct Input {
    writes: Receiver<Arc<[u8]>>,
    unread: Arc<AtomicUsize>,
    /// The cost of the bytes that were returned last, which still count as unread.
    held: usize,
}

impl Input {
    /// Waits for the next bytes. None: the input was closed. The bytes count as unread until the next
    /// call, so call it again after they are passed on.
    pub async fn next(&mut self) -> Option<Arc<[u8]>> {
        self.unread.fetch_sub(self.held, Ordering::Relaxed);
        self.held = 0;
        let bytes = self.writes.recv().await.ok()?;
        self.held = cost(&bytes);
        Some(bytes)
    }
}

/// The inputs of all running jobs that have one.
#[derive(Debug, Default)]
pub(crate) struct Inputs(Mutex<BTreeMap<JobId, Writes>>);

#[derive(Debug)]
struct Writes {
    sender: Sender<Arc<[u8]>>,
    unread: Arc<AtomicUsize>,
}

impl Inputs {
    /// Whether as many bytes as allowed wait for a job to read them.
    pub(crate) fn is_full(&self, job: JobId) -> bool {
        let full = |writes: &Writes| {
            !writes.sender.is_closed() && writes.unread.load(Ordering::Relaxed) >= UNREAD_INPUT
        };
        self.with(|inputs| inputs.get(&job).is_some_and(full))
    }

    pub(crate) fn open(&self, job: JobId) -> Input {
        // Bounded by `is_full` and by the core's limit of input for one job.
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

    /// Passes bytes on without waiting. They are dropped if the job no longer reads.
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
