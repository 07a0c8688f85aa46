//! A set of session numbers with rank and select: the length, the nth element and the number of
//! elements below a number cost about the same in a set of a thousand as in one of a million.
//!
//! Numbers are bits of 64-bit words. Above the words are levels of counts, each for 64 entries of the
//! level below, until the topmost level is short. A search visits at most 64 counts per level.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

#[derive(Clone, Debug, Default)]
pub(crate) struct RankSet {
    /// The bits of 64 numbers each, by number / 64.
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
        let word = self.words.get(&ancestor(number, 1));
        word.is_some_and(|word| word & bit(number) != 0)
    }

    pub(crate) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        *self.words.entry(ancestor(number, 1)).or_default() |= bit(number);
        for (level, above) in self.levels.iter_mut().zip(2..) {
            *level.entry(ancestor(number, above)).or_default() += 1;
        }
        self.len += 1;
        self.grow();
    }

    pub(crate) fn remove(&mut self, number: u64) {
        if !self.contains(number) {
            return;
        }
        let key = ancestor(number, 1);
        if let Some(word) = self.words.get_mut(&key) {
            *word &= !bit(number);
            if *word == 0 {
                self.words.remove(&key);
            }
        }
        for (level, above) in self.levels.iter_mut().zip(2..) {
            let key = ancestor(number, above);
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
        for (level, above) in self
            .levels
            .iter()
            .zip(2..self.levels.len() as u32 + 2)
            .rev()
        {
            let key = ancestor(number, above);
            count += below(level, &within, key)
                .map(|(_, count)| count)
                .sum::<usize>();
            within = children(key);
        }
        let key = ancestor(number, 1);
        count += below(&self.words, &within, key)
            .map(|(_, word)| popcount(word))
            .sum::<usize>();
        let word = self.words.get(&key).copied().unwrap_or_default();
        count + popcount(word & (bit(number) - 1))
    }

    /// The elements from `number` on, ascending.
    pub(crate) fn from(&self, number: u64) -> impl Iterator<Item = u64> + '_ {
        self.words
            .range(ancestor(number, 1)..)
            .flat_map(|(key, word)| set_bits(*key, *word))
            .skip_while(move |element| *element < number)
    }

    /// Like [`Self::nth`]; also counts the visited entries.
    fn find(&self, skip: usize, looked: &mut usize) -> Option<u64> {
        let mut left = skip;
        let mut within = ALL;
        for level in self.levels.iter().rev() {
            let counts = level.range(within).map(|(key, count)| (*key, *count));
            within = children(step_into(counts, &mut left, looked)?);
        }
        let words = self.words.range(within);
        let key = step_into(
            words.map(|(key, word)| (*key, popcount(*word))),
            &mut left,
            looked,
        )?;
        set_bits(key, *self.words.get(&key)?).nth(left)
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

fn below<'level, T: Copy>(
    level: &'level BTreeMap<u64, T>,
    within: &RangeInclusive<u64>,
    key: u64,
) -> impl Iterator<Item = (u64, T)> + 'level {
    level
        .range(*within.start()..key)
        .map(|(key, value)| (*key, *value))
}

/// The key of a number that many levels up.
fn ancestor(number: u64, levels: u32) -> u64 {
    number.checked_shr(levels * FANOUT_BITS).unwrap_or_default()
}

/// The range of the 64 children of a key.
fn children(key: u64) -> RangeInclusive<u64> {
    let first = key << FANOUT_BITS;
    first..=first | (FANOUT as u64 - 1)
}

fn bit(number: u64) -> u64 {
    1 << (number % u64::from(u64::BITS))
}

fn popcount(word: u64) -> usize {
    word.count_ones() as usize
}

fn set_bits(key: u64, mut word: u64) -> impl Iterator<Item = u64> {
    core::iter::from_fn(move || {
        let index = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(key << FANOUT_BITS | u64::from(index))
    })
}

const FANOUT_BITS: u32 = 6;
const FANOUT: usize = 1 << FANOUT_BITS;
const ALL: RangeInclusive<u64> = 0..=u64::MAX;

const _: () = assert!(FANOUT == u64::BITS as usize);

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
}
