//! A map of few entries: keys and values in one sorted vector.
//!
//! A session usually has one consumer and no job, and there may be a hundred thousand sessions. A tree
//! would allocate space for eleven entries each.

use alloc::vec::Vec;

/// A map whose memory is proportional to its size, even if that is small. Lookup is a binary search;
/// inserting the highest key is cheap, any other one moves the entries above it.
///
/// ```
/// use rejoin_core::VecMap;
///
/// let mut map = VecMap::default();
/// assert_eq!(map.insert(2, "b"), None);
/// assert_eq!(map.insert(1, "a"), None);
/// assert_eq!(map.insert(2, "c"), Some("b"));
/// assert!(map.iter().eq([(&1, &"a"), (&2, &"c")]));
/// assert_eq!(map.remove(&1), Some("a"));
/// assert_eq!(map.get(&1), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VecMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for VecMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> VecMap<K, V> {
    /// The value of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let place = self.find(key).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// The value of `key`, mutable.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let place = self.find(key).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    /// Whether there is a value for `key`.
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// Inserts a value and returns the previous one.
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

    /// The value of `key`, made by `make` if there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V
    where
        K: Copy,
    {
        if !self.contains_key(&key) {
            self.insert(key, make());
        }
        self.get_mut(&key).expect("it was entered")
    }

    /// Removes the value of `key` and returns it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.find(key).ok()?;
        let (_, value) = self.0.remove(place);
        self.give_back();
        Some(value)
    }

    fn find(&self, key: &K) -> Result<usize, usize> {
        // Most lookups are for the newest key.
        match self.0.last() {
            None => Err(0),
            Some((last, _)) if last < key => Err(self.0.len()),
            Some((last, _)) if last == key => Ok(self.0.len() - 1),
            _ => self.0.binary_search_by(|(known, _)| known.cmp(key)),
        }
    }
}

/// If a key occurs twice, the last value is kept.
impl<K: Ord, V> FromIterator<(K, V)> for VecMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut map = Self::default();
        for (key, value) in pairs {
            map.insert(key, value);
        }
        map
    }
}

impl<K, V> VecMap<K, V> {
    fn give_back(&mut self) {
        if self.0.len() < self.0.capacity() / 4 {
            self.0.shrink_to(self.0.len() * 2);
        }
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values in key order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Keys and mutable values in key order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Removes the entries for which `keep` returns false.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
        self.give_back();
    }

    /// The values in key order, mutable.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// The values in key order.
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
        let (mut map, mut model) = (VecMap::default(), BTreeMap::new());
        let mut random = 1u32;
        for round in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = random >> 25;
            // It grows, then it shrinks.
            if random % 8 < 3 + 2 * (round / 10_000) {
                assert_eq!(map.remove(&key), model.remove(&key));
                assert!(map.0.capacity() <= map.len() * 4 + 4);
            } else {
                assert_eq!(map.insert(key, round), model.insert(key, round));
                assert!(map.0.capacity() <= map.len() * 4 + 4);
            }
            assert_eq!(map.get(&key), model.get(&key));
            assert_eq!(map.contains_key(&key), model.contains_key(&key));
            assert_eq!(map.len(), model.len());
        }
        assert!(map.iter().eq(model.iter()));
        assert!(map.values().rev().eq(model.values().rev()));
        map.values_mut().for_each(|value| *value /= 2);
        model.values_mut().for_each(|value| *value /= 2);
        map.retain(|key, value| (*key + *value).is_multiple_of(5));
        model.retain(|key, value| (*key + *value).is_multiple_of(5));
        assert!(map.iter().eq(model.iter()));
        assert!(map.0.capacity() <= map.len() * 4 + 4);
        map.retain(|_, _| false);
        assert!(map.is_empty() && map.0.capacity() == 0);
        map.insert(7, 1);
        assert_eq!(map.0.capacity(), 1);
    }
}
