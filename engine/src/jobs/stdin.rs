//! Passes input from durable records to the runners of jobs.
//!
//! Invariant: a job that does not read its input never blocks the sequencer, and at most
//! [`UNREAD_INPUT`](crate::limits::UNREAD_INPUT) bytes plus the writes under way wait for it.

use crate::jobs::runner::TerminalMode;
use crate::limits::{INPUT_OVERHEAD, TERMINAL_LINE, UNREAD_INPUT};
use async_channel::{Receiver, Sender};
use rejoin_core::JobId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The standard input of a job, for its runner. Dropping it closes the input: all unread and later
/// writes are discarded.
#[derive(Debug)]
pub struct Input {
    writes: Receiver<InputBytes>,
    unread: Arc<AtomicUsize>,
    /// The cost of the bytes that were returned last, which still count as unread.
    held: usize,
}

impl Input {
    /// Waits for the next bytes. None: the input was closed. The bytes count as unread until the next
    /// call, so call it again after they are passed on.
    pub async fn next(&mut self) -> Option<Arc<[u8]>> {
        Some(self.next_bytes().await?.bytes)
    }

    /// As [`next`](Self::next), and whether the bytes are in the log.
    pub async fn next_bytes(&mut self) -> Option<InputBytes> {
        self.unread.fetch_sub(self.held, Ordering::Relaxed);
        self.held = 0;
        let next = self.writes.recv().await.ok()?;
        self.held = cost(&next.bytes);
        Some(next)
    }
}

/// Bytes for the standard input of a job.
#[derive(Clone, Debug)]
pub struct InputBytes {
    /// The bytes.
    pub bytes: Arc<[u8]>,
    /// Whether they are not in the log, because the terminal did not show them. They do not count for
    /// [`KeptJob::input`](crate::KeptJob::input).
    pub is_hidden: bool,
}

/// The inputs of all running jobs that have one.
#[derive(Debug, Default)]
pub(crate) struct Inputs(Mutex<BTreeMap<JobId, Writes>>);

#[derive(Debug)]
struct Writes {
    sender: Sender<InputBytes>,
    unread: Arc<AtomicUsize>,
    /// How long the line is that a terminal collects.
    line: usize,
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
            line: 0,
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
        let is_hidden = false;
        self.with(|inputs| {
            if let Some(writes) = inputs.get(&job).filter(|_| !bytes.is_empty()) {
                writes.send(InputBytes { bytes, is_hidden });
            }
            if end {
                inputs.remove(&job);
            }
        });
    }

    /// As [`write`](Self::write), for bytes that are not logged.
    pub(crate) fn write_hidden(&self, job: JobId, bytes: Arc<[u8]>) {
        let is_hidden = true;
        self.with(|inputs| {
            if let Some(writes) = inputs.get(&job) {
                writes.send(InputBytes { bytes, is_hidden });
            }
        });
    }

    /// Whether a terminal that takes input in this way cuts no line of these bytes. They count as
    /// written if so.
    pub(crate) fn fits_line(&self, job: JobId, mode: TerminalMode, bytes: &[u8]) -> bool {
        self.with(|inputs| {
            let Some(writes) = inputs.get_mut(&job) else {
                return true;
            };
            if !mode.collects_lines {
                writes.line = 0;
                return true;
            }
            let mut line = writes.line;
            for byte in bytes {
                line = if ENDS_LINE.contains(byte) {
                    0
                } else {
                    line + 1
                };
                if line > TERMINAL_LINE {
                    return false;
                }
            }
            writes.line = line;
            true
        })
    }

    pub(crate) fn forget(&self, job: JobId) {
        self.with(|inputs| inputs.remove(&job));
    }

    fn with<T>(&self, ask: impl FnOnce(&mut BTreeMap<JobId, Writes>) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Writes {
    fn send(&self, bytes: InputBytes) {
        self.unread.fetch_add(cost(&bytes.bytes), Ordering::Relaxed);
        let _ = self.sender.try_send(bytes);
    }
}

/// What ends the line that a terminal collects: the ends of a line and of the input, and the keys that
/// drop the line (Ctrl-C, Ctrl-U, Ctrl-\ and Ctrl-Z).
const ENDS_LINE: &[u8] = b"\n\r\x04\x03\x15\x1a\x1c";

fn cost(bytes: &[u8]) -> usize {
    bytes.len() + INPUT_OVERHEAD
}
