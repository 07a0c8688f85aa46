//! The core, whatever clients, runners and timers do.

use arbitrary::{Arbitrary, Unstructured};
use rejoin_core::testing::{Operation, operations, play};

/// Operations, each with by how many milliseconds the clock moves before it.
#[derive(Clone, Debug)]
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
