//! The consumers of a session for decisions.
//!
//! A session stores only the earliest deadline of all its consumers. Which consumers are due is searched
//! for when that deadline has come.

use crate::collections::packed::{PackedId, PackedInstant, PackedSequence};
use crate::collections::{Chunk, ChunkedVec, Entry};
use crate::{ConsumerId, Instant, Sequence};
use core::time::Duration;

/// A consumer for decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumer {
    pub(crate) cursor: Sequence,
    pub(crate) seen: Instant,
    pub(crate) timeout: Duration,
    /// It may have left in a lost record.
    pub(crate) is_uncertain: bool,
}

impl Consumer {
    /// The last sequence that it was given according to the log.
    pub fn cursor(&self) -> Sequence {
        self.cursor
    }

    /// When it expires.
    pub fn deadline(&self) -> Instant {
        self.seen + self.timeout
    }
}

/// The consumers of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumers {
    chunks: ChunkedVec<Reader>,
    next: Option<Instant>,
}

/// Equality ignores how entries are chunked.
impl PartialEq for Consumers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Consumers {}

impl Consumers {
    /// The consumer of this identity.
    pub(crate) fn get(&self, id: ConsumerId) -> Option<Consumer> {
        let (common, reader) = self.chunks.get(id)?;
        Some(reader.consumer(common))
    }

    /// All consumers in the order in which they joined.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConsumerId, Consumer)> {
        self.chunks
            .iter()
            .map(|(common, reader)| (reader.id(), reader.consumer(common)))
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The consumers that are due at `now` with their deadlines, in the order in which they joined.
    pub(crate) fn due(&self, now: Instant) -> impl Iterator<Item = (Instant, ConsumerId)> {
        self.chunks
            .chunks()
            .filter(move |chunk| chunk.next_deadline() <= now)
            .flat_map(|chunk| chunk.iter().map(|reader| (&chunk.summary, reader)))
            .map(|(common, reader)| (reader.consumer(common).deadline(), reader.id()))
            .filter(move |(at, _)| *at <= now)
    }

    /// Adds a consumer that joined after all others.
    pub(crate) fn join(&mut self, id: ConsumerId, consumer: Consumer) {
        let reader = Reader {
            id: id.into(),
            cursor: consumer.cursor.into(),
            seen: consumer.seen.into(),
        };
        let common = Common {
            timeout: consumer.timeout,
            is_uncertain: consumer.is_uncertain,
            seen_first: consumer.seen,
        };
        self.chunks.push(reader, common, |chunk, new| {
            (chunk.timeout, chunk.is_uncertain) == (new.timeout, new.is_uncertain)
        });
        let deadline = consumer.deadline();
        self.next = Some(self.next.map_or(deadline, |next| next.min(deadline)));
    }

    /// Moves the cursor to `to`; the last pull was at `seen`.
    pub(crate) fn advance(&mut self, id: ConsumerId, to: Sequence, seen: Instant) {
        let mut before = None;
        self.chunks.change(id, |common, reader| {
            before = Some(reader.consumer(common).deadline());
            reader.cursor = to.into();
            reader.see(seen);
        });
        self.moved(before);
    }

    pub(crate) fn leave(&mut self, id: ConsumerId) {
        let left = self.chunks.remove(id);
        self.moved(left.map(|(common, reader)| reader.consumer(&common).deadline()));
    }

    /// Restarts the timeouts of all consumers.
    pub(crate) fn see_all(&mut self, at: Instant) {
        self.chunks
            .change_all(|_, readers| readers.iter_mut().for_each(|reader| reader.see(at)));
        self.look_for_next();
    }

    /// Any of them may have left in a lost record.
    pub(crate) fn mark_all_uncertain(&mut self) {
        self.chunks
            .change_all(|common, _| common.is_uncertain = true);
    }

    pub(crate) fn has_certain(&self) -> bool {
        self.iter().any(|(_, consumer)| !consumer.is_uncertain)
    }

    /// The deadline of a consumer was moved or removed.
    fn moved(&mut self, deadline: Option<Instant>) {
        if deadline == self.next {
            self.look_for_next();
        }
    }

    fn look_for_next(&mut self) {
        self.next = self.chunks.chunks().map(Chunk::next_deadline).min();
    }
}

#[derive(Clone, Copy, Debug)]
struct Reader {
    id: PackedId,
    cursor: PackedSequence,
    seen: PackedInstant,
}

/// What the consumers of a chunk have in common, and the earliest of their last pulls.
#[derive(Clone, Copy, Debug, Default)]
struct Common {
    timeout: Duration,
    is_uncertain: bool,
    seen_first: Instant,
}

impl Entry for Reader {
    type Summary = Common;

    fn id(&self) -> ConsumerId {
        self.id.into()
    }

    fn summarize(common: &mut Common, readers: &[Self]) {
        let seen = readers.iter().map(|reader| reader.seen.into());
        common.seen_first = seen.min().unwrap_or_default();
    }
}

impl Reader {
    fn consumer(&self, common: &Common) -> Consumer {
        Consumer {
            cursor: self.cursor.into(),
            seen: self.seen.into(),
            timeout: common.timeout,
            is_uncertain: common.is_uncertain,
        }
    }

    fn see(&mut self, at: Instant) {
        self.seen = at.max(self.seen.into()).into();
    }
}

impl Chunk<Reader> {
    fn next_deadline(&self) -> Instant {
        self.summary.seen_first + self.summary.timeout
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    const fn id(ordinal: u32) -> ConsumerId {
        ConsumerId {
            token: [ordinal as u8; 16],
            ordinal,
        }
    }

    /// Compares with a plain map.
    fn compare(consumers: &Consumers, model: &BTreeMap<ConsumerId, Consumer>, now: Instant) {
        assert!(
            consumers
                .iter()
                .eq(model.iter().map(|(id, consumer)| (*id, *consumer)))
        );
        assert_eq!(consumers.len(), model.len());
        let next = model.values().map(Consumer::deadline).min();
        assert_eq!(consumers.next_deadline(), next);
        let due = model
            .iter()
            .map(|(id, consumer)| (consumer.deadline(), *id));
        assert!(consumers.due(now).eq(due.filter(|(at, _)| *at <= now)));
    }

    #[test]
    fn consumers_behave_like_a_map_with_the_earliest_deadline() {
        let (mut consumers, mut model) = (Consumers::default(), BTreeMap::new());
        let mut random = 1u32;
        for round in 1..=6_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let any = id(1 + (random >> 8) % round);
            let at = Instant::from_millis(u64::from(round));
            // Most join in the first half and leave in the second.
            match random >> 28 {
                kind if kind < 10 && round <= 3_000 || kind == 0 => {
                    let consumer = Consumer {
                        cursor: Sequence::START,
                        seen: at,
                        // Most have the same timeout.
                        timeout: Duration::from_millis(if kind < 9 { 900 } else { 10 }),
                        is_uncertain: false,
                    };
                    consumers.join(id(round), consumer);
                    model.insert(id(round), consumer);
                }
                1..=9 => {
                    consumers.leave(any);
                    model.remove(&any);
                }
                10..=14 => {
                    consumers.advance(any, Sequence(round.into()), at);
                    if let Some(consumer) = model.get_mut(&any) {
                        consumer.cursor = Sequence(round.into());
                        consumer.seen = at;
                    }
                }
                _ if round % 7 == 0 => {
                    consumers.mark_all_uncertain();
                    model
                        .values_mut()
                        .for_each(|consumer| consumer.is_uncertain = true);
                }
                _ if round % 11 == 0 => {
                    consumers.see_all(at);
                    model.values_mut().for_each(|consumer| consumer.seen = at);
                }
                _ => {}
            }
            assert_eq!(consumers.get(any), model.get(&any).copied());
            if round % 50 == 0 {
                compare(&consumers, &model, at);
            }
        }
        let everybody: Vec<_> = model.keys().copied().collect();
        everybody.into_iter().for_each(|id| consumers.leave(id));
        compare(&consumers, &BTreeMap::new(), Instant::FIRST);
        assert_eq!(consumers, Consumers::default());
    }

    #[test]
    fn a_consumer_takes_31_bytes_and_a_chunk_at_most_64() {
        assert_eq!(size_of::<Reader>(), 31);
        assert!(size_of::<Chunk<Reader>>() <= 64);
    }
}
