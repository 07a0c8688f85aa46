//! An index of where each session's records are stored. In memory only, rebuilt at every opening.

use crate::segment::read::session_map::SessionMap;
use rejoin_core::{Sequence, SessionId};
use std::collections::BTreeSet;

/// An extent stops growing at this size, which bounds how many bytes a read has to skip.
pub(crate) const EXTENT_BYTES: u32 = 64 * 1024;

/// How many of a session's last extents are stored inline.
const RECENT: usize = 4;

/// A run of records of one session that are adjacent both in the session and in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The sequence of the first record.
    pub(crate) first: u64,
    pub(crate) records: u32,
    /// The number of the file in the log, from 0.
    pub(crate) segment: u32,
    /// The byte offset of the first frame in the file.
    pub(crate) byte: u32,
    /// How many bytes the frames take.
    pub(crate) bytes: u32,
}

/// The extents of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Index {
    sessions: SessionMap<Stream>,
    /// Whether records of any session have been removed. Usually not, so this makes the check that
    /// replay does for every record cheap.
    has_removed: bool,
}

/// The extents of one session. The last ones are stored inline, next to the session: replay reads
/// the last extent for every record, and a heap access for each would be a cache miss. So it
/// accesses the heap only once per [`RECENT`] extents.
#[derive(Debug, Default)]
struct Stream {
    recent: [Extent; RECENT],
    /// How many entries of `recent` are in use. 0 only if `earlier` is empty.
    count: u8,
    earlier: Vec<Extent>,
    /// Everything up to and including this sequence has been removed.
    removed: u64,
}

/// Where one frame is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLocation {
    pub(crate) segment: u32,
    pub(crate) byte: u32,
    pub(crate) bytes: u32,
}

impl Index {
    /// The last sequence of a session.
    pub(crate) fn last(&self, session: SessionId) -> Option<Sequence> {
        let last = self.sessions.get(session)?.end();
        (last > 0).then_some(Sequence(last))
    }

    /// The first `limit` sessions after `after` that have records, in the order of their identities. Looks
    /// at every session.
    pub(crate) fn sessions(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionId> {
        let mut first = BTreeSet::new();
        let all = self.sessions.iter();
        let present = all.filter(|(_, stream)| stream.extents().next().is_some());
        for (session, _) in present.filter(|(it, _)| after.is_none_or(|after| **it > after)) {
            let is_early = first.last().is_none_or(|last| session < last);
            if first.len() < limit || is_early {
                first.insert(*session);
            }
            if first.len() > limit {
                first.pop_last();
            }
        }
        first.into_iter().collect()
    }

    /// The size in bytes of a session's records before this sequence, rounded up to whole extents.
    pub(crate) fn bytes_before(&self, session: SessionId, at: Sequence) -> u64 {
        let Some(stream) = self.sessions.get(session) else {
            return 0;
        };
        let before = stream.extents().filter(|extent| extent.first < at.0);
        before.map(|extent| u64::from(extent.bytes)).sum()
    }

    /// Adds adjacent records of a compacted segment.
    ///
    /// # Errors
    ///
    /// As for [`Self::add`].
    pub(crate) fn add_extent(
        &mut self,
        session: SessionId,
        extent: Extent,
    ) -> Result<(), Sequence> {
        let stream = self.sessions.get_or_default(session);
        let before = stream.end();
        // Sequences missing in between are declared as lost by the first record here.
        if before >= extent.first {
            return Err(Sequence(before));
        }
        stream.push(extent);
        Ok(())
    }

    /// Notes that sequences `first` to `last` of a session have been removed. From now on, nothing
    /// up to `last` is returned: removal always starts at the beginning of a session.
    ///
    /// # Errors
    ///
    /// The session's last sequence, if `first` is not after it.
    pub(crate) fn remove(
        &mut self,
        session: SessionId,
        first: u64,
        last: u64,
    ) -> Result<(), Sequence> {
        let stream = self.sessions.get_or_default(session);
        let before = stream.end();
        if before >= first {
            return Err(Sequence(before));
        }
        stream.remove(last);
        self.has_removed = true;
        Ok(())
    }

    /// Notes that the record with sequence `at` marks all records before it for removal. Until the
    /// first of them is removed, all are returned; after that, none are.
    pub(crate) fn notice(&mut self, session: SessionId, at: Sequence) {
        if !self.has_removed {
            return;
        }
        let stream = self.sessions.get_or_default(session);
        if stream.removed > 0 {
            stream.remove(at.0.saturating_sub(1));
        }
    }

    /// Whether records of a session have been removed.
    pub(crate) fn is_removed(&self, session: SessionId) -> bool {
        self.removed(session) > Sequence::START
    }

    /// The last removed sequence of a session. Nothing up to it is returned.
    pub(crate) fn removed(&self, session: SessionId) -> Sequence {
        if !self.has_removed {
            return Sequence::START;
        }
        let stream = self.sessions.get(session);
        stream.map_or(Sequence::START, |stream| Sequence(stream.removed))
    }

    /// Replaces the extents in the `retired` files by `extents`, and drops those that end at or
    /// before sequence `removed`.
    pub(crate) fn replace(
        &mut self,
        session: SessionId,
        retired: &[u32],
        extents: &[Extent],
        removed: u64,
    ) {
        let stream = self.sessions.get_or_default(session);
        let kept = stream.extents();
        let kept = kept.filter(|extent| !retired.contains(&extent.segment));
        let mut all: Vec<_> = kept.chain(extents).copied().collect();
        all.sort_by_key(|extent| extent.first);
        stream.put(all);
        stream.remove(removed);
        self.has_removed |= removed > 0;
    }

    /// Removes a session of which nothing is left.
    pub(crate) fn forget(&mut self, session: SessionId) {
        let stream = self.sessions.get(session);
        if stream.is_some_and(|stream| stream.extents().next().is_none()) {
            self.sessions.remove(session);
        }
    }

    /// Adds a record. `follows` says whether it can follow a given last sequence.
    ///
    /// # Errors
    ///
    /// The session's last sequence, if the record cannot follow it; nothing is added.
    pub(crate) fn add(
        &mut self,
        session: SessionId,
        sequence: Sequence,
        stand: FrameLocation,
        follows: impl FnOnce(Sequence) -> bool,
    ) -> Result<(), Sequence> {
        let stream = self.sessions.get_or_default(session);
        let before = stream.end();
        if !follows(Sequence(before)) {
            return Err(Sequence(before));
        }
        match stream.last_mut() {
            Some(last) if last.is_followed_by(sequence, stand) => {
                last.records = last.records.saturating_add(1);
                last.bytes = last.bytes.saturating_add(stand.bytes);
            }
            _ => stream.push(Extent {
                first: sequence.0,
                records: 1,
                segment: stand.segment,
                byte: stand.byte,
                bytes: stand.bytes,
            }),
        }
        Ok(())
    }

    /// Up to `limit` extents of a session, starting with the one that holds the first record after
    /// `after`.
    pub(crate) fn extents(&self, session: SessionId, after: Sequence, limit: usize) -> Vec<Extent> {
        let Some(stream) = self.sessions.get(session) else {
            return Vec::new();
        };
        let passed = stream
            .earlier
            .partition_point(|extent| extent.end() <= after.0);
        let earlier = stream.earlier.iter().skip(passed);
        let recent = stream.recent().iter().filter(|it| it.end() > after.0);
        earlier.chain(recent).take(limit).copied().collect()
    }
}

impl Stream {
    /// The last sequence, whether present or removed.
    fn end(&self) -> u64 {
        let last = self.recent().last();
        last.map_or(self.removed, |last| last.end())
    }

    fn remove(&mut self, up_to: u64) {
        self.removed = self.removed.max(up_to);
        let left = self.extents().filter(|extent| extent.end() > up_to);
        self.put(left.copied().collect());
    }

    fn extents(&self) -> impl Iterator<Item = &Extent> {
        self.earlier.iter().chain(self.recent())
    }

    fn recent(&self) -> &[Extent] {
        self.recent
            .get(..usize::from(self.count))
            .unwrap_or_default()
    }

    fn last_mut(&mut self) -> Option<&mut Extent> {
        let last = usize::from(self.count).checked_sub(1)?;
        self.recent.get_mut(last)
    }

    /// Appends an extent.
    fn push(&mut self, extent: Extent) {
        if self.recent().len() == RECENT {
            self.earlier.extend_from_slice(&self.recent);
            self.count = 0;
        }
        if let Some(place) = self.recent.get_mut(usize::from(self.count)) {
            *place = extent;
            self.count += 1;
        }
    }

    /// Replaces all extents.
    fn put(&mut self, mut extents: Vec<Extent>) {
        let recent = extents.split_off(extents.len().saturating_sub(RECENT));
        self.count = 0;
        self.earlier = extents;
        recent.into_iter().for_each(|extent| self.push(extent));
    }
}

impl Extent {
    /// The sequence of the last record.
    pub(crate) fn end(&self) -> u64 {
        let after = self.first.saturating_add(u64::from(self.records));
        after.saturating_sub(1)
    }

    /// Whether the record with this sequence and location extends this extent.
    fn is_followed_by(&self, sequence: Sequence, stand: FrameLocation) -> bool {
        self.end().checked_add(1) == Some(sequence.0)
            && self.segment == stand.segment
            && self.byte.checked_add(self.bytes) == Some(stand.byte)
            && self.bytes < EXTENT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::from_bytes([1; 16]);

    fn add(index: &mut Index, sequence: u64, byte: u32) -> Result<(), Sequence> {
        let stand = FrameLocation {
            segment: 0,
            byte,
            bytes: 40,
        };
        index.add(SESSION, Sequence(sequence), stand, |last| {
            last.next().0 == sequence
        })
    }

    #[test]
    fn neighbours_share_an_extent_and_others_do_not() {
        let mut index = Index::default();
        for (sequence, byte) in [(1, 100), (2, 140), (3, 300)] {
            assert_eq!(add(&mut index, sequence, byte), Ok(()));
        }
        let extents = index.extents(SESSION, Sequence::START, 10);
        let shape: Vec<_> = extents
            .iter()
            .map(|e| (e.first, e.records, e.byte))
            .collect();
        assert_eq!(shape, [(1, 2, 100), (3, 1, 300)]);
        assert_eq!(index.extents(SESSION, Sequence(1), 10), extents);
        assert_eq!(index.extents(SESSION, Sequence(2), 10), extents[1..]);
        assert_eq!(index.extents(SESSION, Sequence(3), 10), []);
        assert_eq!(index.last(SESSION), Some(Sequence(3)));
    }

    #[test]
    fn behind_a_declared_gap_an_extent_of_its_own_begins() {
        let mut index = Index::default();
        assert_eq!(add(&mut index, 1, 100), Ok(()));
        let stand = FrameLocation {
            segment: 0,
            byte: 140,
            bytes: 40,
        };
        let gap = index.add(SESSION, Sequence(9), stand, |last| last == Sequence(1));
        assert_eq!(gap, Ok(()));
        assert_eq!(add(&mut index, 10, 180), Ok(()));
        let shape = |after| {
            let extents = index.extents(SESSION, Sequence(after), 10);
            let shape = extents.iter().map(|e| (e.first, e.records, e.byte));
            shape.collect::<Vec<_>>()
        };
        assert_eq!(shape(0), [(1, 1, 100), (9, 2, 140)]);
        assert_eq!(shape(1), [(9, 2, 140)]);
        assert_eq!(shape(5), [(9, 2, 140)]);
        assert_eq!(index.last(SESSION), Some(Sequence(10)));
    }

    #[test]
    fn a_gap_is_an_error_and_not_added() {
        let mut index = Index::default();
        assert_eq!(add(&mut index, 2, 100), Err(Sequence::START));
        assert_eq!(add(&mut index, 1, 100), Ok(()));
        assert_eq!(add(&mut index, 1, 140), Err(Sequence(1)));
        assert_eq!(add(&mut index, 3, 140), Err(Sequence(1)));
        assert_eq!(index.last(SESSION), Some(Sequence(1)));
    }
}
