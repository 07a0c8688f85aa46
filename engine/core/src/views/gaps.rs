//! Which records of a session are lost.

use crate::limits::REMEMBERED_GAPS;
use crate::{Event, Record, Sequence};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// The declared gaps of a session: how many records are lost, and the most recent gaps.
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

    /// The gaps of a snapshot.
    pub(crate) fn restored((lost, last): (u64, Vec<(Sequence, Sequence)>)) -> Self {
        Self {
            lost,
            last: last.into(),
        }
    }

    /// As plain values.
    pub(crate) fn snapshot(&self) -> (u64, Vec<(Sequence, Sequence)>) {
        (self.lost, self.last.iter().copied().collect())
    }

    /// How many records are lost.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The last [`REMEMBERED_GAPS`] gaps in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = RangeInclusive<Sequence>> {
        self.last.iter().map(|(first, last)| *first..=*last)
    }
}
