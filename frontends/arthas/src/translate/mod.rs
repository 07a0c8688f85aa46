//! Translates records into the JSON array `results`. Pure, so that it is tested without a server.
//!
//! Invariant: the bytes of a result that a runner encoded are copied from the record unchanged.

mod consumer;
mod job_results;
mod result;

pub(crate) use consumer::{ConsumerView, frees_foreground, is_visible, removed_message};
pub(crate) use job_results::{End, JobResults};

use rejoin_http::Exhausted;

/// Writes a JSON array of results.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<u8>);

impl Results {
    /// An empty array with space for `bytes` bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Closes the array and returns its JSON.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'[');
        }
        self.0.push(b']');
        self.0
    }

    /// The results so far as a part of a longer array: the first one opens it.
    pub(crate) fn into_part(mut self, is_first: bool) -> Vec<u8> {
        if let Some(first) = self.0.first_mut().filter(|_| !is_first) {
            *first = b',';
        }
        self.0
    }

    /// Makes room for `bytes` bytes more, in steps. `may_have` is asked how many it may have in all; it
    /// fails if that is refused, or if there is no memory.
    fn try_reserve(
        &mut self,
        bytes: usize,
        mut may_have: impl FnMut(usize) -> Result<(), Exhausted>,
    ) -> Result<(), Exhausted> {
        let (length, capacity) = (self.0.len(), self.0.capacity());
        if length + bytes > capacity {
            // A quarter more: half of what doubling takes would often be room for nothing.
            let wanted = (length + bytes).max(capacity + capacity / 4);
            may_have(wanted)?;
            let reserved = self.0.try_reserve_exact(wanted - length);
            reserved.map_err(|_| Exhausted)?;
        }
        Ok(())
    }

    /// Writes the separator; the caller appends the next result.
    fn begin(&mut self) -> &mut Vec<u8> {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        &mut self.0
    }

    /// Appends a result that a runner encoded, unchanged.
    fn splice(&mut self, result: &str) {
        self.begin().extend_from_slice(result.as_bytes());
    }
}
