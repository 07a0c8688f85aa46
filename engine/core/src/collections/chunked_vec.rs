//! A sorted list of entries, one per consumer, in chunks of at most [`CHUNK_LEN`].
//!
//! Keeps little slack memory from one consumer to ten thousand: an insertion, change or removal
//! touches one chunk and compares with the last entry of some others.
//!
//! Invariant: entries are sorted by consumer identity, and no chunk but an only one is empty.

use crate::ConsumerId;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::{iter, mem};

/// One consumer in a [`ChunkedVec`].
pub(crate) trait Entry: Copy + Debug {
    /// What a chunk stores once for all of its entries.
    type Summary: Copy + Debug + Default;

    fn id(&self) -> ConsumerId;

    /// Updates the summary after an entry was added, changed or removed.
    fn summarize(summary: &mut Self::Summary, entries: &[Self]);
}

/// Chunks in the order in which consumers joined. The last one, most often the only one, is stored
/// inline.
#[derive(Clone, Debug)]
pub(crate) struct ChunkedVec<K: Entry> {
    before: Vec<Chunk<K>>,
    last: Chunk<K>,
}

#[derive(Clone, Debug)]
pub(crate) struct Chunk<K: Entry> {
    pub(crate) summary: K::Summary,
    entries: Vec<K>,
}

impl<K: Entry> Default for ChunkedVec<K> {
    fn default() -> Self {
        Self {
            before: Vec::new(),
            last: Chunk::default(),
        }
    }
}

impl<K: Entry> ChunkedVec<K> {
    /// All entries, each with the summary of its chunk.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K::Summary, &K)> {
        self.chunks()
            .flat_map(|chunk| chunk.iter().map(move |entry| (&chunk.summary, entry)))
    }

    /// The chunks that are not empty.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = &Chunk<K>> {
        let last = (!self.is_empty()).then_some(&self.last);
        self.before.iter().chain(last)
    }

    pub(crate) fn len(&self) -> usize {
        self.chunks().map(|chunk| chunk.entries.len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last.entries.is_empty()
    }

    /// The entry of this consumer.
    pub(crate) fn get(&self, id: ConsumerId) -> Option<(&K::Summary, &K)> {
        let (chunk, index) = self.find(id)?;
        let chunk = self.before.get(chunk).unwrap_or(&self.last);
        Some((&chunk.summary, chunk.entries.get(index)?))
    }

    /// Appends an entry whose identity is above all others. It goes into the last chunk if that has
    /// room and `is_alike` accepts the two summaries, otherwise into a new chunk.
    pub(crate) fn push(
        &mut self,
        entry: K,
        summary: K::Summary,
        is_alike: impl FnOnce(&K::Summary, &K::Summary) -> bool,
    ) {
        if self.is_empty() {
            self.last.summary = summary;
        } else if self.last.entries.len() == CHUNK_LEN || !is_alike(&self.last.summary, &summary) {
            let chunk = Chunk {
                summary,
                entries: Vec::new(),
            };
            let full = mem::replace(&mut self.last, chunk);
            push(&mut self.before, full, usize::MAX);
        }
        push(&mut self.last.entries, entry, CHUNK_LEN);
        self.last.summarize();
    }

    /// Changes the entry of this consumer, if there is one.
    pub(crate) fn change(&mut self, id: ConsumerId, change: impl FnOnce(&K::Summary, &mut K)) {
        if let Some((chunk, index)) = self.find(id) {
            let chunk = self.before.get_mut(chunk).unwrap_or(&mut self.last);
            if let Some(entry) = chunk.entries.get_mut(index) {
                change(&chunk.summary, entry);
            }
            chunk.summarize();
        }
    }

    /// Changes all chunks.
    pub(crate) fn change_all(&mut self, mut change: impl FnMut(&mut K::Summary, &mut [K])) {
        for chunk in self.before.iter_mut().chain(iter::once(&mut self.last)) {
            change(&mut chunk.summary, &mut chunk.entries);
            chunk.summarize();
        }
    }

    /// Removes the entry of this consumer and returns it with the summary of its chunk.
    pub(crate) fn remove(&mut self, id: ConsumerId) -> Option<(K::Summary, K)> {
        let (number, index) = self.find(id)?;
        let chunk = self.before.get_mut(number).unwrap_or(&mut self.last);
        let removed = (chunk.summary, chunk.entries.remove(index));
        shrink(&mut chunk.entries);
        chunk.summarize();
        if chunk.entries.is_empty() {
            if number < self.before.len() {
                self.before.remove(number);
            } else {
                self.last = self.before.pop().unwrap_or_default();
            }
            shrink(&mut self.before);
        }
        Some(removed)
    }

    /// The indexes of the chunk and of the entry in it. The last chunk comes after all in `before`.
    fn find(&self, id: ConsumerId) -> Option<(usize, usize)> {
        let ends_before =
            |chunk: &Chunk<K>| chunk.entries.last().is_some_and(|last| last.id() < id);
        let number = self.before.partition_point(ends_before);
        let chunk = self.before.get(number).unwrap_or(&self.last);
        let index = chunk
            .entries
            .binary_search_by(|entries| entries.id().cmp(&id));
        Some((number, index.ok()?))
    }
}

impl<K: Entry> Default for Chunk<K> {
    fn default() -> Self {
        Self {
            summary: K::Summary::default(),
            entries: Vec::new(),
        }
    }
}

impl<K: Entry> Chunk<K> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        self.entries.iter()
    }

    fn summarize(&mut self) {
        K::summarize(&mut self.summary, &self.entries);
    }
}

/// Pushes, growing the capacity by a quarter at most and never above `most`.
fn push<T>(entry: &mut Vec<T>, one: T, most: usize) {
    if entry.len() == entry.capacity() {
        let quarter = (entry.len() / 4).max(1);
        entry.reserve_exact(quarter.min(most - entry.len()));
    }
    entry.push(one);
}

/// Shrinks the capacity when at most half of it is used.
fn shrink<T>(entry: &mut Vec<T>) {
    if entry.len() <= entry.capacity() / 2 {
        entry.shrink_to_fit();
    }
}

/// Entries in a chunk: enough that summaries cost little memory, few enough that shifting entries is
/// cheaper than finding the right one.
const CHUNK_LEN: usize = 64;
