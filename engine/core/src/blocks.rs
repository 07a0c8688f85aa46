//! What is known of a session's consumers, in the order in which they joined.
//!
//! Of one consumer and of ten thousand: one after the other in blocks of bounded length, so that
//! there is next to no room to spare, and who comes, moves or goes costs a look at one block and at
//! what sums up each of the others. What is never true: an empty block among others; an order other
//! than that of the identities.

use crate::ConsumerId;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::{iter, mem};

/// What is known of one consumer.
pub(crate) trait Kept: Copy + Debug {
    /// What is said once of all that are in a block.
    type Shared: Copy + Debug + Default;

    fn id(&self) -> ConsumerId;

    /// Brings up to date what is said of all that are in a block, after one of them has changed,
    /// come or gone.
    fn sum_up(shared: &mut Self::Shared, kept: &[Self]);
}

/// Blocks of those that joined one after the other. The last one, most often the only one, is not
/// behind another pointer.
#[derive(Clone, Debug)]
pub(crate) struct Blocks<K: Kept> {
    before: Vec<Block<K>>,
    last: Block<K>,
}

#[derive(Clone, Debug)]
pub(crate) struct Block<K: Kept> {
    pub(crate) shared: K::Shared,
    kept: Vec<K>,
}

impl<K: Kept> Default for Blocks<K> {
    fn default() -> Self {
        Self {
            before: Vec::new(),
            last: Block::default(),
        }
    }
}

impl<K: Kept> Blocks<K> {
    /// All of them, with what is said of their block.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K::Shared, &K)> {
        self.blocks()
            .flat_map(|block| block.iter().map(move |kept| (&block.shared, kept)))
    }

    /// The blocks, none of them empty.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block<K>> {
        let last = (!self.is_empty()).then_some(&self.last);
        self.before.iter().chain(last)
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks().map(|block| block.kept.len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last.kept.is_empty()
    }

    /// The consumer of this identity.
    pub(crate) fn get(&self, id: ConsumerId) -> Option<(&K::Shared, &K)> {
        let (block, place) = self.find(id)?;
        let block = self.before.get(block).unwrap_or(&self.last);
        Some((&block.shared, block.kept.get(place)?))
    }

    /// Adds somebody who joined after all others: to the last block, where there is room and
    /// `is_alike` says that what is said there is true of this one too.
    pub(crate) fn push(
        &mut self,
        kept: K,
        shared: K::Shared,
        is_alike: impl FnOnce(&K::Shared, &K::Shared) -> bool,
    ) {
        if self.is_empty() {
            self.last.shared = shared;
        } else if self.last.kept.len() == LONGEST || !is_alike(&self.last.shared, &shared) {
            let block = Block {
                shared,
                kept: Vec::new(),
            };
            let full = mem::replace(&mut self.last, block);
            push(&mut self.before, full, usize::MAX);
        }
        push(&mut self.last.kept, kept, LONGEST);
        self.last.sum_up();
    }

    /// Changes the consumer of this identity, where there is one.
    pub(crate) fn change(&mut self, id: ConsumerId, change: impl FnOnce(&K::Shared, &mut K)) {
        if let Some((block, place)) = self.find(id) {
            let block = self.before.get_mut(block).unwrap_or(&mut self.last);
            if let Some(kept) = block.kept.get_mut(place) {
                change(&block.shared, kept);
            }
            block.sum_up();
        }
    }

    /// Changes every block as a whole.
    pub(crate) fn change_all(&mut self, mut change: impl FnMut(&mut K::Shared, &mut [K])) {
        for block in self.before.iter_mut().chain(iter::once(&mut self.last)) {
            change(&mut block.shared, &mut block.kept);
            block.sum_up();
        }
    }

    /// Takes out the consumer of this identity, with what was said of its block.
    pub(crate) fn remove(&mut self, id: ConsumerId) -> Option<(K::Shared, K)> {
        let (number, place) = self.find(id)?;
        let block = self.before.get_mut(number).unwrap_or(&mut self.last);
        let removed = (block.shared, block.kept.remove(place));
        give_back(&mut block.kept);
        block.sum_up();
        if block.kept.is_empty() {
            if number < self.before.len() {
                self.before.remove(number);
            } else {
                self.last = self.before.pop().unwrap_or_default();
            }
            give_back(&mut self.before);
        }
        Some(removed)
    }

    /// Which block, and where in it. The last block comes after all others.
    fn find(&self, id: ConsumerId) -> Option<(usize, usize)> {
        let ends_before = |block: &Block<K>| block.kept.last().is_some_and(|last| last.id() < id);
        let number = self.before.partition_point(ends_before);
        let block = self.before.get(number).unwrap_or(&self.last);
        let place = block.kept.binary_search_by(|kept| kept.id().cmp(&id));
        Some((number, place.ok()?))
    }
}

impl<K: Kept> Default for Block<K> {
    fn default() -> Self {
        Self {
            shared: K::Shared::default(),
            kept: Vec::new(),
        }
    }
}

impl<K: Kept> Block<K> {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        self.kept.iter()
    }

    fn sum_up(&mut self) {
        K::sum_up(&mut self.shared, &self.kept);
    }
}

/// Makes room for a quarter more at most, and for no more than `most` in all.
fn push<T>(kept: &mut Vec<T>, one: T, most: usize) {
    if kept.len() == kept.capacity() {
        let quarter = (kept.len() / 4).max(1);
        kept.reserve_exact(quarter.min(most - kept.len()));
    }
    kept.push(one);
}

/// Keeps no room for twice as many as there are.
fn give_back<T>(kept: &mut Vec<T>) {
    if kept.len() <= kept.capacity() / 2 {
        kept.shrink_to_fit();
    }
}

/// Consumers in one block: what sums up a block costs little beside them, and moving them is
/// nothing beside finding them.
const LONGEST: usize = 64;
