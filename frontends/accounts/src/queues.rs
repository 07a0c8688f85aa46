//! The queues in which passwords wait to be hashed, each with its share of the hashing.
//!
//! A place in a queue is taken on arrival, or not at all: the queues are bounded. A turn is one of
//! the hashes that may run at the same time.

use crate::limits::{HASHING, HASHING_KNOWN, WAITING, WAITING_KNOWN};
use smol::lock::{Semaphore, SemaphoreGuardArc};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) struct Queues {
    all: Arc<Queue>,
    known: Arc<Queue>,
    last_hash_micros: AtomicU64,
}

struct Queue {
    turns: Arc<Semaphore>,
    taken: AtomicUsize,
    places: usize,
}

/// A place in a queue, until it is dropped.
pub(crate) struct Place(Arc<Queue>);

/// A turn to hash, until it is dropped; keeps its place.
pub(crate) struct Turn {
    _place: Place,
    _turn: SemaphoreGuardArc,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            all: Queue::new(HASHING - HASHING_KNOWN, WAITING),
            known: Queue::new(HASHING_KNOWN, WAITING_KNOWN),
            last_hash_micros: AtomicU64::new(0),
        }
    }
}

impl Queues {
    /// A place in the queue of all names. None if there is none left.
    pub(crate) fn enter(&self) -> Option<Place> {
        Place::take(&self.all)
    }

    /// A place in the queue of names that have an account.
    pub(crate) fn enter_known(&self) -> Option<Place> {
        Place::take(&self.known)
    }

    pub(crate) fn note_hash(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.last_hash_micros.store(micros, Ordering::Relaxed);
    }

    /// How long the last hash took.
    pub(crate) fn last_hash(&self) -> Duration {
        Duration::from_micros(self.last_hash_micros.load(Ordering::Relaxed))
    }
}

impl Queue {
    fn new(turns: usize, places: usize) -> Arc<Self> {
        Arc::new(Self {
            turns: Arc::new(Semaphore::new(turns)),
            taken: AtomicUsize::new(0),
            places,
        })
    }
}

impl Place {
    fn take(queue: &Arc<Queue>) -> Option<Self> {
        let before = queue.taken.fetch_add(1, Ordering::SeqCst);
        let place = Self(queue.clone());
        (before < queue.places).then_some(place)
    }

    /// Waits for a turn. Dropping the future gives up both.
    pub(crate) async fn turn(self) -> Turn {
        let turn = self.0.turns.acquire_arc().await;
        Turn {
            _place: self,
            _turn: turn,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::SeqCst);
    }
}
