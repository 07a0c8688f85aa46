//! The core, whatever clients, runners and timers do.

use arbitrary::{Arbitrary, Unstructured};
use rejoin_core::testing::{Operation, operations, play, play_with_holes};
use std::fmt;

/// Operations, each with by how many milliseconds the clock moves before it.
#[derive(Clone)]
pub struct Story(Vec<(i64, Operation)>);

impl Story {
    /// Plays the story.
    ///
    /// # Panics
    ///
    /// When it breaks a promise, also when some of its records are lost.
    pub fn check(&self) {
        play(&self.0);
        // The operations say as well which of their records are lost.
        let is_lost = |place: usize| {
            let (by, _) = self.0[place % self.0.len()];
            by.rem_euclid(3) == 1
        };
        play_with_holes(&self.0, is_lost, &self.0);
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
