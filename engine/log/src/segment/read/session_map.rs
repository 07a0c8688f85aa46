//! A hash map from sessions to values.
//!
//! Opening looks up the session of every record; with a tree, that would take longer than
//! everything else together. Nothing depends on its order: the sessions that it lists are sorted. The server
//! draws session IDs at random, so a client can't choose colliding ones.

use rejoin_core::SessionId;

/// A map from sessions to values. It becomes smaller when most of them have been removed.
#[derive(Debug)]
pub(crate) struct SessionMap<V> {
    values: Vec<(SessionId, V)>,
    /// For each slot, the index of its value plus one; 0 if the slot is free. Open addressing with
    /// linear probing, starting at the slot of the session's hash. At most half of the slots are in
    /// use.
    slots: Vec<u32>,
}

/// The map is made smaller when this many slots are there for each value.
const SPARSE: usize = 16;

/// The initial number of slots. The number of slots is always a power of two.
const FIRST_SLOTS: usize = 16;

impl<V> Default for SessionMap<V> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            slots: Vec::new(),
        }
    }
}

impl<V: Default> SessionMap<V> {
    /// The session's value, if it has one.
    pub(crate) fn get(&self, session: SessionId) -> Option<&V> {
        let place = self.find(session).ok()?;
        self.values.get(place).map(|(_, value)| value)
    }

    /// All sessions with their values, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SessionId, &V)> {
        self.values.iter().map(|(session, value)| (session, value))
    }

    /// The session's value, created if it has none.
    pub(crate) fn get_or_default(&mut self, session: SessionId) -> &mut V {
        let place = self.find(session).unwrap_or_else(|_| self.insert(session));
        match self.values.get_mut(place) {
            Some((_, value)) => value,
            None => unreachable!("every used slot refers to a value"),
        }
    }

    /// Removes the session and its value.
    pub(crate) fn remove(&mut self, session: SessionId) {
        let Some(slot) = self.slot_of(session) else {
            return;
        };
        let Some(place) = self.place_in(slot) else {
            return;
        };
        self.free(slot);
        // The last value takes the place of the removed one.
        let last = self.values.len() - 1;
        let moved = self.values.get(last).map(|(moved, _)| *moved);
        if last != place
            && let Some(slot) = moved.and_then(|moved| self.slot_of(moved))
            && let Some(taken) = self.slots.get_mut(slot)
        {
            *taken = u32::try_from(place + 1).unwrap_or(u32::MAX);
        }
        self.values.swap_remove(place);
        if self.slots.len() > FIRST_SLOTS && self.values.len() * SPARSE < self.slots.len() {
            self.values.shrink_to(self.values.len() * 2);
            self.resize(self.slots.len() / 4);
        }
    }

    /// Frees a slot, and moves those after it that were only there because it was taken.
    fn free(&mut self, slot: usize) {
        let mask = self.slots.len() - 1;
        let mut hole = slot;
        let mut next = slot;
        loop {
            next = (next + 1) & mask;
            let Some(place) = self.place_in(next) else {
                break;
            };
            let home = self
                .values
                .get(place)
                .map_or(next, |(it, _)| hash(*it) & mask);
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.slots.swap(hole, next);
                hole = next;
            }
        }
        if let Some(freed) = self.slots.get_mut(hole) {
            *freed = 0;
        }
    }

    /// The slot of a session, if it is in the map.
    fn slot_of(&self, session: SessionId) -> Option<usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut slot = hash(session) & mask;
        loop {
            let (found, _) = self.values.get(self.place_in(slot)?)?;
            if *found == session {
                return Some(slot);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The index of the value that a slot refers to, if it is taken.
    fn place_in(&self, slot: usize) -> Option<usize> {
        (*self.slots.get(slot)? as usize).checked_sub(1)
    }

    /// The index of the session's value, or else the free slot that it would get.
    fn find(&self, session: SessionId) -> Result<usize, usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut slot = hash(session) & mask;
        loop {
            let place = match self.slots.get(slot) {
                None | Some(0) => return Err(slot),
                Some(&taken) => taken as usize - 1,
            };
            match self.values.get(place) {
                Some((found, _)) if *found == session => return Ok(place),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// Adds a session that is not in the map.
    fn insert(&mut self, session: SessionId) -> usize {
        if self.slots.len() <= self.values.len() * 2 {
            self.grow();
        }
        let place = self.values.len();
        self.values.push((session, V::default()));
        self.take_slot(session, place);
        place
    }

    fn grow(&mut self) {
        self.resize(self.slots.len() * 2);
    }

    /// Gives the map so many slots, a power of two, or [`FIRST_SLOTS`] if that is more.
    fn resize(&mut self, slots: usize) {
        self.slots = vec![0; slots.max(FIRST_SLOTS)];
        for place in 0..self.values.len() {
            if let Some(&(session, _)) = self.values.get(place) {
                self.take_slot(session, place);
            }
        }
    }

    fn take_slot(&mut self, session: SessionId, place: usize) {
        let mask = self.slots.len().wrapping_sub(1);
        let mut slot = hash(session) & mask;
        while let Some(taken) = self.slots.get_mut(slot) {
            if *taken == 0 {
                // Four billion sessions do not fit into memory, so this never saturates.
                *taken = u32::try_from(place + 1).unwrap_or(u32::MAX);
                return;
            }
            slot = (slot + 1) & mask;
        }
    }
}

fn hash(session: SessionId) -> usize {
    let number = u128::from_le_bytes(session.to_bytes());
    let folded = (number >> 64) as u64 ^ (number as u64).rotate_left(32);
    let mixed = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u32) -> SessionId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        SessionId::from_bytes(bytes)
    }

    #[test]
    fn removed_sessions_leave_nothing_and_the_others_keep_their_values() {
        let mut map = SessionMap::default();
        let mut model = std::collections::BTreeMap::new();
        let mut random = 1_u32;
        // Mostly additions, then mostly removals.
        for step in 0..40_000_u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (random >> 8) % 5_000;
            let is_removed = (random >> 28) < if step < 20_000 { 4 } else { 14 };
            if is_removed {
                map.remove(session(number));
                model.remove(&number);
            } else {
                *map.get_or_default(session(number)) = step;
                model.insert(number, step);
            }
            if step % 1_000 == 0 {
                for number in 0..5_000 {
                    assert_eq!(map.get(session(number)), model.get(&number), "step {step}");
                }
            }
        }
        let most = map.slots.len();
        for number in 0..5_000 {
            map.remove(session(number));
        }
        assert!(map.values.is_empty() && map.slots.len() < most / 16);
        assert!(map.values.capacity() <= FIRST_SLOTS);
        *map.get_or_default(session(7)) = 7;
        assert_eq!(map.get(session(7)), Some(&7));
    }

    #[test]
    fn a_session_keeps_its_value_however_many_there_are() {
        let mut map = SessionMap::default();
        assert_eq!(map.get(session(0)), None);
        for number in 0..5_000 {
            assert_eq!(map.get(session(number)), None);
            *map.get_or_default(session(number)) = number;
            assert_eq!(map.get(session(number / 2)), Some(&(number / 2)));
        }
        for number in 0..5_000 {
            assert_eq!(*map.get_or_default(session(number)), number);
        }
        assert_eq!(map.get(session(5_000)), None);
    }
}
