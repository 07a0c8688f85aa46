//! Which records of a session are lost.

use crate::limits::REMEMBERED_GAPS;
use crate::{Event, Record, Sequence};
use alloc::collections::VecDeque;
use core::ops::RangeInclusive;

/// The declared gaps of a session: how many records are gone, and where the last of them were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    lost: u64,
    last: VecDeque<(Sequence, Sequence)>,
}

impl Gaps {
    pub(super) fn apply(&mut self, record: &Record) {
        if let Event::RecordsLost { first, last, .. } = record.event {
            let count = last.0.saturating_sub(first.0).saturating_add(1);
            self.lost = self.lost.saturating_add(count);
            self.last.push_back((first, last));
            if self.last.len() > REMEMBERED_GAPS {
                self.last.pop_front();
            }
        }
    }

    /// How many records are gone.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Their sequences, of the last [`REMEMBERED_GAPS`] gaps, growing.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<Sequence>> {
        self.last.iter().map(|(first, last)| *first..=*last)
    }
}
