//! Translates records into the JSON array `results`. Pure, so that it is tested without a server.
//!
//! Invariant: the bytes of a result that a runner encoded are copied from the record unchanged.

mod consumer;
mod job_results;
mod result;

pub(crate) use consumer::{ConsumerView, frees_foreground, is_visible, removed_message};
pub(crate) use job_results::{End, JobResults};

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
