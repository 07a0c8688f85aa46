//! Tells the compactor that a segment was sealed, or that the log was closed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(crate) struct SealSignal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How often a round was called for since the log was opened.
    count: u64,
    is_over: bool,
}

impl SealSignal {
    /// Starts a round: a segment was sealed, or there is room for a round that the disk was too full
    /// for.
    pub(crate) fn announce(&self) {
        self.state().count += 1;
        self.changed.notify_all();
    }

    pub(crate) fn end(&self) {
        self.state().is_over = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state().is_over
    }

    /// Waits until a round was called for more than `seen` times, and returns how often; `None` if
    /// the log was closed.
    pub(crate) fn wait(&self, seen: u64) -> Option<u64> {
        let idle = |state: &mut State| !state.is_over && state.count <= seen;
        let state = self.changed.wait_while(self.state(), idle);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        (!state.is_over).then_some(state.count)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
