//! A map for few: keys and values side by side in one run of memory, sorted.
//!
//! A session has one consumer and no job most of the time, and there are a hundred thousand
//! sessions. A tree would begin with room for eleven of each. What is never true here: room for
//! much more than is kept.

use alloc::vec::Vec;

/// A map whose memory is in proportion to what it holds, however little. Finding is as in any
/// sorted run; entering a key above all others is cheap, elsewhere it moves what is above.
///
/// ```
/// use rejoin_core::VecMap;
///
/// let mut few = VecMap::default();
/// assert_eq!(few.insert(2, "b"), None);
/// assert_eq!(few.insert(1, "a"), None);
/// assert_eq!(few.insert(2, "c"), Some("b"));
/// assert!(few.iter().eq([(&1, &"a"), (&2, &"c")]));
/// assert_eq!(few.remove(&1), Some("a"));
/// assert_eq!(few.get(&1), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VecMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for VecMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> VecMap<K, V> {
    /// What is kept under `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let place = self.find(key).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// As [`Self::get`], to change it.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.find(key).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    /// Whether something is kept under `key`.
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// Keeps `value` under `key`; what was kept there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(place) => {
                let (_, kept) = self.0.get_mut(place)?;
                Some(core::mem::replace(kept, value))
            }
            Err(place) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact((self.0.len() / 2).max(1));
                }
                self.0.insert(place, (key, value));
                None
            }
        }
    }

    /// What is kept under `key`, or what `make` makes for it.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V
    where
        K: Copy,
    {
        if !self.contains_key(&key) {
            self.insert(key, make());
        }
        self.get_mut(&key).expect("it was entered")
    }

    /// Keeps nothing under `key` any more; what was kept there.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.find(key).ok()?;
        let (_, value) = self.0.remove(place);
        self.give_back();
        Some(value)
    }

    fn find(&self, key: &K) -> Result<usize, usize> {
        // Most often the newest is meant.
        match self.0.last() {
            None => Err(0),
            Some((last, _)) if last < key => Err(self.0.len()),
            Some((last, _)) if last == key => Ok(self.0.len() - 1),
            _ => self.0.binary_search_by(|(known, _)| known.cmp(key)),
        }
    }
}

/// Of a key that comes twice, the last value is kept.
impl<K: Ord, V> FromIterator<(K, V)> for VecMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut few = Self::default();
        for (key, value) in pairs {
            few.insert(key, value);
        }
        few
    }
}

impl<K, V> VecMap<K, V> {
    fn give_back(&mut self) {
        if self.0.len() < self.0.capacity() / 4 {
            self.0.shrink_to(self.0.len() * 2);
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values, by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// As [`Self::iter`], to change the values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Goes on with those of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
        self.give_back();
    }

    /// As [`Self::values`], to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// The values, by key.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    #[test]
    fn it_is_a_map_with_little_room_to_spare() {
        let (mut few, mut model) = (VecMap::default(), BTreeMap::new());
        let mut random = 1u32;
        for round in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = random >> 25;
            // It grows, then it shrinks.
            if random % 8 < 3 + 2 * (round / 10_000) {
                assert_eq!(few.remove(&key), model.remove(&key));
                assert!(few.0.capacity() <= few.len() * 4 + 4);
            } else {
                assert_eq!(few.insert(key, round), model.insert(key, round));
                assert!(few.0.capacity() <= few.len() * 4 + 4);
            }
            assert_eq!(few.get(&key), model.get(&key));
            assert_eq!(few.contains_key(&key), model.contains_key(&key));
            assert_eq!(few.len(), model.len());
        }
        assert!(few.iter().eq(model.iter()));
        assert!(few.values().rev().eq(model.values().rev()));
        few.values_mut().for_each(|value| *value /= 2);
        model.values_mut().for_each(|value| *value /= 2);
        few.retain(|key, value| (*key + *value).is_multiple_of(5));
        model.retain(|key, value| (*key + *value).is_multiple_of(5));
        assert!(few.iter().eq(model.iter()));
        assert!(few.0.capacity() <= few.len() * 4 + 4);
        few.retain(|_, _| false);
        assert!(few.is_empty() && few.0.capacity() == 0);
        few.insert(7, 1);
        assert_eq!(few.0.capacity(), 1);
    }
}
