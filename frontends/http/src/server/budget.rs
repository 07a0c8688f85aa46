//! Bounds in bytes for what all clients of all servers hold together.

use rejoin_metrics::Counter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that may be in use at the same time. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Bytes>);

#[derive(Debug)]
struct Bytes {
    limit: usize,
    used: AtomicUsize,
    refused: Counter,
}

impl Budget {
    /// A budget of which nothing is used.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Bytes {
            limit,
            used: AtomicUsize::new(0),
            refused: Counter::default(),
        }))
    }

    /// How many bytes may be in use.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many are.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// How often there were too few left.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.get()
    }

    /// A share of nothing, to be grown.
    #[must_use]
    pub fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

/// Bytes in use until this is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Uses this many bytes in all; fewer than before change nothing.
    ///
    /// # Errors
    ///
    /// When there are not enough left. Nothing changes then.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let more = bytes.saturating_sub(self.bytes);
        let Bytes {
            limit,
            used,
            refused,
        } = &*self.budget.0;
        let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|used| used <= limit)
        });
        if more > 0 && taken.is_err() {
            refused.inc();
            return Err(Exhausted);
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Not enough bytes of a budget are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// Whether both are the same budget.
impl PartialEq for Budget {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Budget {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_use_more_than_the_limit_and_give_back_what_they_used() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.share(), budget.share());
        assert_eq!(one.grow_to(6), Ok(()));
        assert_eq!(one.grow_to(4), Ok(()), "it never shrinks");
        assert_eq!(other.grow_to(5), Err(Exhausted));
        assert_eq!(other.grow_to(4), Ok(()));
        assert_eq!((budget.used(), budget.refused()), (10, 1));
        drop(one);
        assert_eq!(budget.used(), 4);
        assert_eq!(other.grow_to(10), Ok(()));
        assert_eq!(other.grow_to(usize::MAX), Err(Exhausted));
        drop(other);
        assert_eq!(budget.used(), 0);
    }
}
