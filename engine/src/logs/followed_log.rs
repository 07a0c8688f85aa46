//! A log that another node writes: its copy on this machine, and how far this engine has followed it.

use crate::Runtime;
use crate::committed::{Committed, lock};
use crate::error::FollowError;
use crate::limits::TOUCHED_SESSIONS;
use event_listener::{Event as Wake, EventListener};
use rejoin_core::{Instant, Record, SessionId, State};
use rejoin_log::LogReader;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The engine's side of a log that another node writes.
///
/// Invariant: what is said of its sessions is true, but may be old. That something is not there is said
/// only when the log was followed up to where its writer is.
#[derive(Debug)]
pub(crate) struct FollowedLog {
    pub(crate) reader: Arc<dyn LogReader>,
    /// The state after the records that were followed. None: nothing is followed until the log's copy was
    /// read again, because the state in memory was ahead of the log.
    state: Mutex<Option<State>>,
    /// What its clock showed at the last record, and what the stopwatch showed when that came.
    clock: Mutex<(Instant, Duration)>,
    /// How many records were followed.
    position: AtomicU64,
    /// Woken by records, and when this is no longer a followed log.
    on_change: Wake,
    /// Sessions that were used and of which the writer does not know it yet.
    touched: Mutex<BTreeSet<SessionId>>,
}

impl FollowedLog {
    pub(crate) fn new(
        runtime: &dyn Runtime,
        reader: Arc<dyn LogReader>,
        state: Option<State>,
        position: u64,
    ) -> Self {
        let last = state.as_ref().map(|state| state.last().clock);
        let last = last.unwrap_or_else(|| runtime.now().into());
        Self {
            reader,
            clock: Mutex::new((last, runtime.elapsed())),
            state: Mutex::new(state),
            position: AtomicU64::new(position),
            on_change: Wake::new(),
            touched: Mutex::default(),
        }
    }

    /// Takes the records after the first `position` ones of the log, and makes them visible.
    pub(crate) fn follow(
        &self,
        runtime: &dyn Runtime,
        committed: &Committed,
        position: u64,
        records: &[Arc<Record>],
    ) -> Result<(), FollowError> {
        let mut state = lock(&self.state);
        let following = state.as_mut().ok_or(FollowError::NotFollowed)?;
        let expected = self.position();
        if position != expected {
            return Err(FollowError::Position { position, expected });
        }
        for (index, record) in records.iter().enumerate() {
            if let Err(violation) = following.try_apply(record) {
                // The state has those before it, and the views don't.
                *state = None;
                let position = position.saturating_add(index as u64);
                return Err(FollowError::Invalid {
                    position,
                    violation,
                });
            }
        }
        *lock(&self.clock) = (following.last().clock, runtime.elapsed());
        committed.commit(records);
        let position = position.saturating_add(records.len() as u64);
        self.position.store(position, Ordering::SeqCst);
        drop(state);
        self.on_change.notify(usize::MAX);
        Ok(())
    }

    /// What the log's clock shows now, as well as it is known here.
    pub(crate) fn instant(&self, runtime: &dyn Runtime) -> Instant {
        let (last, then) = *lock(&self.clock);
        last + runtime.elapsed().saturating_sub(then)
    }

    /// How many records were followed.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::SeqCst)
    }

    /// Takes the state, to go on as the log's writer where the log has so many records.
    pub(crate) fn take_state(&self, position: u64) -> Result<State, FollowError> {
        let mut state = lock(&self.state);
        let expected = self.position();
        if position != expected {
            return Err(FollowError::Position { position, expected });
        }
        state.take().ok_or(FollowError::NotFollowed)
    }

    /// Whether it is followed: otherwise it has to be opened again.
    pub(crate) fn is_followed(&self) -> bool {
        lock(&self.state).is_some()
    }

    /// A listener that is woken by the next records.
    pub(crate) fn listen(&self) -> EventListener {
        self.on_change.listen()
    }

    /// Notes that a session was used. True: it is the first one since [`Self::take_touched`].
    pub(crate) fn touch(&self, session: SessionId) -> bool {
        let mut touched = lock(&self.touched);
        let is_first = touched.is_empty();
        if touched.len() < TOUCHED_SESSIONS {
            touched.insert(session);
        }
        is_first
    }

    /// The sessions that were used since the last call.
    pub(crate) fn take_touched(&self) -> Vec<SessionId> {
        std::mem::take(&mut *lock(&self.touched))
            .into_iter()
            .collect()
    }
}
