//! Where each session's records stand. In memory only, rebuilt at every opening.

use super::session_map::SessionMap;
use rejoin_core::{Sequence, SessionId};

/// An extent does not grow beyond this, so that a read skips at most so many bytes.
const EXTENT_BYTES: u32 = 64 * 1024;

/// Records of one session that follow each other in the session as well as in a segment, without
/// anything between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The sequence of the first record.
    pub(super) first: u64,
    pub(super) records: u32,
    /// Which segment, counted from 0.
    pub(super) segment: u32,
    /// The byte of the segment that the first frame begins at.
    pub(super) byte: u32,
    /// How many bytes the frames take.
    pub(super) bytes: u32,
}

/// The extents of all sessions.
#[derive(Debug, Default)]
pub(super) struct Index {
    sessions: SessionMap<Vec<Extent>>,
}

/// Where one frame stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stand {
    pub(super) segment: u32,
    pub(super) byte: u32,
    pub(super) bytes: u32,
}

impl Index {
    /// The last sequence of a session.
    pub(super) fn last(&self, session: SessionId) -> Option<Sequence> {
        self.sessions.get(session).and_then(|extents| last(extents))
    }

    /// Adds a record.
    ///
    /// # Errors
    ///
    /// The session's last sequence, when the record does not follow it; nothing is added.
    pub(super) fn add(
        &mut self,
        session: SessionId,
        sequence: Sequence,
        stand: Stand,
    ) -> Result<(), Sequence> {
        let extents = self.sessions.get_or_default(session);
        let before = last(extents).unwrap_or(Sequence::START);
        if before.0.checked_add(1) != Some(sequence.0) {
            return Err(before);
        }
        if let Some(extent) = extents.last_mut()
            && extent.segment == stand.segment
            && extent.byte.checked_add(extent.bytes) == Some(stand.byte)
            && extent.bytes < EXTENT_BYTES
        {
            extent.records = extent.records.saturating_add(1);
            extent.bytes = extent.bytes.saturating_add(stand.bytes);
        } else {
            extents.push(Extent {
                first: sequence.0,
                records: 1,
                segment: stand.segment,
                byte: stand.byte,
                bytes: stand.bytes,
            });
        }
        Ok(())
    }

    /// Up to `limit` extents of a session, from the one on that holds the record after `after`.
    pub(super) fn extents(&self, session: SessionId, after: Sequence, limit: usize) -> Vec<Extent> {
        let Some(extents) = self.sessions.get(session) else {
            return Vec::new();
        };
        let passed = extents.partition_point(|extent| end(extent) <= after.0);
        extents.iter().skip(passed).take(limit).copied().collect()
    }
}

fn last(extents: &[Extent]) -> Option<Sequence> {
    extents.last().map(|extent| Sequence(end(extent)))
}

/// The sequence of the extent's last record.
fn end(extent: &Extent) -> u64 {
    extent
        .first
        .saturating_add(u64::from(extent.records))
        .saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::from_bytes([1; 16]);

    fn add(index: &mut Index, sequence: u64, byte: u32) -> Result<(), Sequence> {
        let stand = Stand {
            segment: 0,
            byte,
            bytes: 40,
        };
        index.add(SESSION, Sequence(sequence), stand)
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
    fn a_gap_is_told_and_not_added() {
        let mut index = Index::default();
        assert_eq!(add(&mut index, 2, 100), Err(Sequence::START));
        assert_eq!(add(&mut index, 1, 100), Ok(()));
        assert_eq!(add(&mut index, 1, 140), Err(Sequence(1)));
        assert_eq!(add(&mut index, 3, 140), Err(Sequence(1)));
        assert_eq!(index.last(SESSION), Some(Sequence(1)));
    }
}
