//! The core, whatever clients, runners and timers do.

use arbitrary::{Arbitrary, Unstructured};
use rejoin_core::testing::{Operation, operations, play};
use std::fmt;

/// Operations, each with by how many milliseconds the clock moves before it.
#[derive(Clone)]
pub struct Story(Vec<(i64, Operation)>);

impl Story {
    /// Plays the story.
    ///
    /// # Panics
    ///
    /// When it breaks a promise.
    pub fn check(&self) {
        play(&self.0);
    }
}

impl<'a> Arbitrary<'a> for Story {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let count = bytes.len();
        Ok(Self(operations(bytes.bytes(count)?)))
    }
}

/// A line for each operation.
impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = &mut self.0.iter();
        lines.try_for_each(|(by, operation)| writeln!(f, "{by:+6} ms: {operation:?}"))
    }
}
