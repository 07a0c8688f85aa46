//! Checks a custom property over random operations of clients, runners and timers. This example
//! bills the bytes of results, and checks that the records only contain results of running jobs.
//!
//! Each story is generated from its number as the seed. Prints the number of checked records.
//!
//!     cargo run -p rejoin-core --example own_property

use rejoin_core::testing::{Promises, operations};
use rejoin_core::{Event, JobId, Limits, Record, State, Timestamp};
use std::collections::BTreeMap;

/// The result bytes of each running job, and the total of finished jobs.
#[derive(Debug, Default)]
struct Bill {
    running: BTreeMap<JobId, usize>,
    total: usize,
}

impl Bill {
    /// Adds a record.
    ///
    /// # Panics
    ///
    /// If the record cannot be billed: the property does not hold.
    fn add(&mut self, record: &Record) {
        match &record.event {
            Event::JobSubmitted { job, .. } => {
                assert_eq!(self.running.insert(*job, 0), None, "{job} started twice");
            }
            Event::ResultEmitted { job, result, .. } => {
                let bytes = self.running.get_mut(job);
                *bytes.unwrap_or_else(|| panic!("{job} emitted a result but is not running")) +=
                    result.len();
            }
            Event::JobFinished { job, .. } => {
                let bytes = self.running.remove(job);
                self.total += bytes.unwrap_or_else(|| panic!("{job} finished but is not running"));
            }
            _ => {}
        }
    }
}

/// Runs `stories` stories of a hundred operations each. Returns the number of records and of billed
/// bytes.
pub(crate) fn check(stories: u64) -> (usize, usize) {
    let (mut records, mut billed) = (0, 0);
    for story in 0..stories {
        let mut state = State::new(Limits::DEFAULT);
        let (mut bill, mut promises) = (Bill::default(), Promises::default());
        let mut clock: i64 = 1_000_000;
        for (moved, operation) in operations(&bytes(story)) {
            clock = (clock + moved).max(0);
            let now = Timestamp::from_millis(clock.unsigned_abs());
            // A rejected operation produces no records.
            for step in state
                .step(now, operation.command(&state, now))
                .unwrap_or_default()
            {
                promises.take(&step.record);
                bill.add(&step.record);
                records += 1;
            }
        }
        billed += bill.total;
    }
    (records, billed)
}

/// Bytes for a hundred operations, different for each seed. A property test would generate them and
/// shrink them after a failure.
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33
    };
    (0..600).map(|_| next().to_le_bytes()[0]).collect()
}

#[expect(clippy::print_stdout, reason = "a program that prints")]
fn main() {
    let (records, billed) = check(1_000);
    println!("The property holds for {records} records, {billed} bytes billed.");
}
