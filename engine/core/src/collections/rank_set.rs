//! A set of session numbers with rank and select: the length, the nth element and the number of
//! elements below a number cost about the same in a set of a thousand as in one of a million.
//!
//! Numbers are bits of 64-bit words. Above the words are levels of counts, each for 64 entries of the
//! level below, until the topmost level is short. A search visits at most 64 counts per level.
//!
//! A word does not hold 64 numbers in a row, but every 16th of 1,024 in a row: where 16 logs share the
//! numbers, the sessions of one log are as close together in it as the sessions of a log alone. Otherwise
//! each session of a log would take 16 times the space.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

#[derive(Clone, Debug, Default)]
pub(crate) struct RankSet {
    /// The bits of 64 numbers each, by the word of the numbers.
    words: BTreeMap<u64, u64>,
    /// The number of elements below each entry, lowest level first.
    levels: Vec<BTreeMap<u64, usize>>,
    len: usize,
}

/// Equality ignores the levels, whose number depends on the largest size that the set once had.
impl PartialEq for RankSet {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for RankSet {}

impl RankSet {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let word = self.words.get(&word_of(number));
        word.is_some_and(|word| word & bit(number) != 0)
    }

    pub(crate) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let word = word_of(number);
        *self.words.entry(word).or_default() |= bit(number);
        for (level, above) in self.levels.iter_mut().zip(1..) {
            *level.entry(ancestor(word, above)).or_default() += 1;
        }
        self.len += 1;
        self.grow();
    }

    pub(crate) fn remove(&mut self, number: u64) {
        if !self.contains(number) {
            return;
        }
        let key = word_of(number);
        if let Some(word) = self.words.get_mut(&key) {
            *word &= !bit(number);
            if *word == 0 {
                self.words.remove(&key);
            }
        }
        for (level, above) in self.levels.iter_mut().zip(1..) {
            let key = ancestor(key, above);
            if let Some(count) = level.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    level.remove(&key);
                }
            }
        }
        self.len -= 1;
    }

    /// The element with `skip` others below it.
    pub(crate) fn nth(&self, skip: usize) -> Option<u64> {
        self.find(skip, &mut 0)
    }

    /// How many elements are below `number`.
    pub(crate) fn below(&self, number: u64) -> usize {
        let mut count = 0;
        let mut within = ALL;
        let group = group_of(number);
        for (level, above) in self
            .levels
            .iter()
            .zip(1..self.levels.len() as u32 + 1)
            .rev()
        {
            // A group never spans two entries of a level.
            let key = ancestor(words_of(group).start, above);
            count += level
                .range(*within.start()..key)
                .map(|(_, count)| count)
                .sum::<usize>();
            within = children(key);
        }
        count += self
            .words
            .range(*within.start()..words_of(group).start)
            .map(|(_, word)| popcount(*word))
            .sum::<usize>();
        count + self.group(group).below(number)
    }

    /// The elements from `number` on, ascending.
    pub(crate) fn from(&self, number: u64) -> impl Iterator<Item = u64> + '_ {
        let first = group_of(number);
        let mut words = self.words.range(words_of(first).start..).peekable();
        let groups = core::iter::from_fn(move || {
            let group = words.peek()?.0 / STRIDE;
            let mut found = Group::empty(group);
            while let Some((key, word)) = words.next_if(|(key, _)| **key / STRIDE == group) {
                found.set(*key, *word);
            }
            Some(found)
        });
        groups.flat_map(move |mut group| {
            group.remove_below(number);
            group.elements()
        })
    }

    /// Like [`Self::nth`]; also counts the visited entries.
    fn find(&self, skip: usize, looked: &mut usize) -> Option<u64> {
        let mut left = skip;
        let mut within = ALL;
        for level in self.levels.iter().rev() {
            let counts = level.range(within).map(|(key, count)| (*key, *count));
            within = children(step_into(counts, &mut left, looked)?);
        }
        let (mut group, mut count) = (0, 0);
        for (key, word) in self.words.range(within) {
            *looked += 1;
            if *key / STRIDE != group {
                if left < count {
                    break;
                }
                left -= count;
                (group, count) = (*key / STRIDE, 0);
            }
            count += popcount(*word);
        }
        if left < count {
            self.group(group).nth(left)
        } else {
            None
        }
    }

    /// The elements whose words are in one group.
    fn group(&self, group: u64) -> Group {
        let mut found = Group::empty(group);
        for (key, word) in self.words.range(words_of(group)) {
            found.set(*key, *word);
        }
        found
    }

    /// Adds levels while the topmost one is longer than [`FANOUT`].
    fn grow(&mut self) {
        loop {
            let mut level = BTreeMap::<u64, usize>::new();
            match self.levels.last() {
                Some(top) if top.len() > FANOUT => {
                    for (key, count) in top {
                        *level.entry(ancestor(*key, 1)).or_default() += count;
                    }
                }
                None if self.words.len() > FANOUT => {
                    for (key, word) in &self.words {
                        *level.entry(ancestor(*key, 1)).or_default() += popcount(*word);
                    }
                }
                _ => return,
            }
            self.levels.push(level);
        }
    }
}

/// The first entry of `counts` that contains the index `left`. Subtracts the entries before it.
fn step_into(
    counts: impl Iterator<Item = (u64, usize)>,
    left: &mut usize,
    looked: &mut usize,
) -> Option<u64> {
    for (key, count) in counts {
        *looked += 1;
        if *left < count {
            return Some(key);
        }
        *left -= count;
    }
    None
}

/// The words of 1,024 numbers in a row.
struct Group {
    first: u64,
    words: [u64; STRIDE as usize],
}

impl Group {
    fn empty(group: u64) -> Self {
        Self {
            first: group * GROUP,
            words: [0; STRIDE as usize],
        }
    }

    fn set(&mut self, key: u64, word: u64) {
        if let Some(words) = self.words.get_mut((key % STRIDE) as usize) {
            *words = word;
        }
    }

    fn below(&self, number: u64) -> usize {
        let masks = below_masks(number);
        let words = self.words.iter().zip(masks);
        words.map(|(word, mask)| popcount(word & mask)).sum()
    }

    fn remove_below(&mut self, number: u64) {
        if number > self.first {
            for (word, mask) in self.words.iter_mut().zip(below_masks(number)) {
                *word &= !mask;
            }
        }
    }

    /// The element with `skip` others below it. There must be more than `skip`.
    fn nth(&self, skip: usize) -> Option<u64> {
        // The last number with at most `skip` elements below it: what is there is the element.
        let (mut low, mut high) = (0, GROUP - 1);
        while low < high {
            let middle = (low + high).div_ceil(2);
            if self.below(self.first + middle) <= skip {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        Some(self.first + low)
    }

    fn elements(self) -> impl Iterator<Item = u64> {
        let Self { first, words } = self;
        let mut rows = words.iter().fold(0, |all, word| all | word);
        // The elements of the lowest row, as bits.
        let mut row = 0_u16;
        core::iter::from_fn(move || {
            if row == 0 {
                let bit = rows & rows.wrapping_neg();
                for word in words.iter().rev() {
                    row = row << 1 | u16::from(word & bit != 0);
                }
            }
            if row == 0 {
                return None;
            }
            let number =
                first + u64::from(rows.trailing_zeros()) * STRIDE + u64::from(row.trailing_zeros());
            row &= row - 1;
            if row == 0 {
                rows &= rows - 1;
            }
            Some(number)
        })
    }
}

/// For each word of the group of `number`, the bits of the numbers below it.
fn below_masks(number: u64) -> impl Iterator<Item = u64> {
    let row = bit(number);
    (0..STRIDE).map(move |column| {
        if column < number % STRIDE {
            row | (row - 1)
        } else {
            row - 1
        }
    })
}

/// The key of the word with the bit of a number.
fn word_of(number: u64) -> u64 {
    group_of(number) * STRIDE + number % STRIDE
}

fn group_of(number: u64) -> u64 {
    number / GROUP
}

/// The keys of the words of a group.
fn words_of(group: u64) -> Range<u64> {
    group * STRIDE..(group + 1) * STRIDE
}

/// The key of an entry that many levels above a word.
fn ancestor(word: u64, levels: u32) -> u64 {
    word.checked_shr(levels * FANOUT_BITS).unwrap_or_default()
}

/// The range of the 64 children of a key.
fn children(key: u64) -> RangeInclusive<u64> {
    let first = key << FANOUT_BITS;
    first..=first | (FANOUT as u64 - 1)
}

fn bit(number: u64) -> u64 {
    1 << (number / STRIDE % u64::from(u64::BITS))
}

fn popcount(word: u64) -> usize {
    word.count_ones() as usize
}

const FANOUT_BITS: u32 = 6;
const FANOUT: usize = 1 << FANOUT_BITS;
const ALL: RangeInclusive<u64> = 0..=u64::MAX;

/// How far apart the numbers in a word are: as many logs share the numbers of a cluster.
const STRIDE: u64 = 16;
/// The numbers in a group of words.
const GROUP: u64 = STRIDE * u64::BITS as u64;

const _: () = assert!(FANOUT == u64::BITS as usize);
const _: () = assert!((FANOUT as u64).is_multiple_of(STRIDE) && STRIDE == u16::BITS as u64);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn it_is_a_set_with_rank_and_select() {
        let mut numbers = RankSet::default();
        let mut model = BTreeSet::new();
        let mut random = 1u64;
        for round in 0..20_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Most are close together, some far apart.
            let number = match round % 10 {
                0 => random >> 3,
                _ => random >> 50,
            };
            if random.is_multiple_of(3) {
                numbers.remove(number);
                model.remove(&number);
            } else {
                numbers.insert(number);
                model.insert(number);
            }
            assert_eq!(numbers.contains(number), model.contains(&number));
        }
        assert_eq!(numbers.len(), model.len());
        assert!(numbers.from(0).eq(model.iter().copied()));
        for (place, number) in model.iter().enumerate().step_by(97) {
            assert_eq!(numbers.nth(place), Some(*number));
            assert_eq!(numbers.below(*number), place);
            assert_eq!(numbers.below(number + 1), place + 1);
            assert!(
                numbers
                    .from(*number)
                    .take(3)
                    .eq(model.range(number..).take(3).copied())
            );
        }
        assert_eq!(numbers.nth(model.len()), None);
        assert_eq!(numbers.below(u64::MAX), model.len());
        for number in &model {
            numbers.remove(*number);
        }
        assert!(numbers.is_empty() && numbers.words.is_empty());
        assert!(numbers.levels.iter().all(BTreeMap::is_empty));
    }

    #[test]
    fn a_search_in_a_million_visits_at_most_64_counts_per_level() {
        let mut numbers = RankSet::default();
        let mut worst = Vec::new();
        for size in [1_000u64, 1_000_000] {
            (0..size).for_each(|number| numbers.insert(number));
            let looks = (0..size as usize).step_by(997).map(|place| {
                let mut looked = 0;
                assert_eq!(numbers.find(place, &mut looked), Some(place as u64));
                looked
            });
            worst.push(looks.max());
        }
        // A thousand numbers are 16 words; a million have two levels above their words.
        assert!(
            worst[0] <= Some(FANOUT) && worst[1] <= Some(3 * FANOUT),
            "{worst:?}"
        );
    }

    #[test]
    fn a_set_of_one_log_of_sixteen_takes_the_space_of_a_log_alone() {
        let (mut alone, mut third) = (RankSet::default(), RankSet::default());
        for number in 0..10_240 {
            alone.insert(number);
            third.insert(3 + 16 * number);
        }
        assert_eq!(alone.words.len(), 160);
        assert_eq!(third.words.len(), 160);
        assert_eq!(third.nth(5_000), Some(3 + 16 * 5_000));
        assert_eq!(third.below(3 + 16 * 5_000), 5_000);
    }
}
