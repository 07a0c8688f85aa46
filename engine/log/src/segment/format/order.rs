//! In which order the records of a compacted segment were logged: so that all of them can be told
//! in the order of the log once more.
//!
//! Runs, each as two numbers: whose records, and how many of them. Sessions count from 1, in the
//! order in which their records stand in the file; 0 is records that have been removed.

use crate::schema::{Parts, put_number};

/// Whose records a run is.
pub(crate) const REMOVED: u32 = 0;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    runs: Vec<(u32, u64)>,
}

impl Order {
    pub(crate) fn push(&mut self, whose: u32, records: u64) {
        match self.runs.last_mut() {
            Some((last, count)) if *last == whose => *count += records,
            _ => self.runs.push((whose, records)),
        }
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.runs.iter().copied()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (whose, records) in &self.runs {
            put_number(out, u64::from(*whose));
            put_number(out, *records);
        }
    }

    /// The order that these bytes are; `None` when they are none.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = Parts::new(bytes);
        let mut order = Self::default();
        while !parts.is_empty() {
            let whose = parts.number_u32("whose").ok()?;
            let records = parts.number("records").ok()?;
            order.runs.push((whose, records));
        }
        Some(order)
    }
}
