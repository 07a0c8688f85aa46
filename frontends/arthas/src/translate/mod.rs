//! Records become results: pure, so that what this product shows is tested without a server.
//!
//! What enters: records, and who reads them. What leaves: the JSON array that `results` is. What
//! is never true: that a result which a runner encoded is parsed or changed; its bytes are copied
//! from the record into the answer.

mod consumer;
mod result;
mod submitter;

pub(crate) use consumer::{Reader, may_tell, removed};
pub(crate) use submitter::Told;

/// A JSON array of results that is being written.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<u8>);

impl Results {
    /// With room for so many bytes, so that a long array is not moved again and again.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The array, complete.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'[');
        }
        self.0.push(b']');
        self.0
    }

    /// Where to write the next result.
    fn begin(&mut self) -> &mut Vec<u8> {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        &mut self.0
    }

    /// A result that a runner encoded, as it is.
    fn splice(&mut self, result: &str) {
        self.begin().extend_from_slice(result.as_bytes());
    }
}
