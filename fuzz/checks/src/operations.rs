//! The core, whatever clients, runners and timers do; and its records in a log that forgets removed
//! sessions.

use arbitrary::{Arbitrary, Unstructured};
use rejoin_core::Record;
use rejoin_core::testing::{LIMITS, Operation, operations, play, play_with_holes};
use rejoin_log::Log;
use rejoin_log::segment::{Durability, LogId, OpenOptions, Options};
use rejoin_log::testing::SimulatedDisk;
use std::fmt;
use std::sync::Arc;

/// Operations, each with by how many milliseconds the clock moves before it.
#[derive(Clone)]
pub struct Story(Vec<(i64, Operation)>);

impl Story {
    /// Plays the story.
    ///
    /// # Panics
    ///
    /// When it breaks a promise, also when some of its records are lost; or when a log that has removed
    /// and forgotten sessions of the story leads to another state or other views.
    pub fn check(&self) {
        let batches = play(&self.0);
        keep(&batches);
        // The operations say as well which of their records are lost.
        let is_lost = |place: usize| {
            let (by, _) = self.0[place % self.0.len()];
            by.rem_euclid(3) == 1
        };
        play_with_holes(&self.0, is_lost, &self.0);
    }
}

/// Keeps the records in small segments, and compacts them again and again.
///
/// Returns how many removed sessions the log has forgotten.
fn keep(batches: &[Vec<Record>]) -> usize {
    const ID: LogId = LogId::from_bytes([0xa5; 16]);
    let options = Options {
        durability: Durability::Sync,
        segment_bytes: 700,
        zero_ahead: false,
        remembered_removals: 1,
    };
    let disk = SimulatedDisk::new();
    let opening = || {
        let disk = Arc::new(disk.clone());
        OpenOptions::disk(disk, ID).options(options).limits(LIMITS)
    };
    let opened = opening().open();
    let (mut log, mut folded, _) = opened.expect("a new log").into_parts();
    let compactor = log.compactor();
    let mut forgotten = 0;
    for (index, batch) in batches.iter().enumerate() {
        for record in batch {
            assert_eq!(folded.add(record), Ok(()), "promise 1");
        }
        let batch: Vec<_> = batch.iter().cloned().map(Arc::new).collect();
        if !batch.is_empty() {
            log.append(&batch).expect("a sound disk");
        }
        if index % BETWEEN_ROUNDS == BETWEEN_ROUNDS - 1 {
            forgotten += compactor.run_once().expect("a sound log").forgotten;
        }
    }
    log.close().expect("a sound disk");
    drop((log, compactor));
    let (_, resumed, report) = opening().open().expect("a closed log").into_parts();
    assert_eq!(report.torn, None);
    assert_eq!(resumed, folded, "promise 1: what is left leads elsewhere");
    forgotten
}

/// Batches between two rounds of compaction.
const BETWEEN_ROUNDS: usize = 8;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_story_is_forgotten_in_part() {
        let mut random = 3_u64;
        let mut byte = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        };
        let bytes: Vec<u8> = (0..30_000).map(|_| byte()).collect();
        let forgotten = keep(&play(&operations(&bytes)));
        assert!(forgotten > 0, "{forgotten} sessions are forgotten");
    }
}
