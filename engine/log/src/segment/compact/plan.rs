//! Plans a compaction round: which files are rewritten together, and which records are dropped.

use crate::segment::compact::sort::Removal;
use crate::segment::compact::sort::Source;
use crate::segment::format::compacted::Entry;
use crate::segment::limits::{COMPACTED_SEGMENTS, REMOVABLE_PART};
use crate::segment::scan::compacted::CompactedSegment;
use rejoin_core::limits::REMEMBERED_REMOVALS;
use rejoin_core::{Sequence, SessionId};
use std::collections::BTreeMap;

/// Groups of files that are each rewritten as one: sealed segments, together with the last
/// compacted segment while that is small; compacted segments that have become small; and compacted
/// segments with enough to remove.
pub(crate) fn groups(
    sources: Vec<Source>,
    removal: &Removal,
    segment_bytes: u64,
) -> Vec<Vec<Source>> {
    let most = segment_bytes.saturating_mul(COMPACTED_SEGMENTS);
    let mut groups: Vec<Vec<Source>> = Vec::new();
    let mut bytes = 0;
    for source in sources {
        let length = source.bytes();
        let most = match source {
            Source::Segment { .. } => most,
            // Join compacted segments only once they have shrunk.
            Source::Compacted(_) => most / 2,
        };
        let joins = length.saturating_add(bytes) <= most;
        match groups.last_mut() {
            Some(group) if joins => {
                group.push(source);
                bytes += length;
            }
            _ => {
                groups.push(vec![source]);
                bytes = length;
            }
        }
    }
    groups.retain(|group| match &group[..] {
        [Source::Compacted(compacted)] => is_worth_it(compacted, removal),
        _ => true,
    });
    groups
}

/// What may be removed according to the tombstones in compacted segments.
pub(crate) fn removal(sources: &[Source], up_to: u64) -> Removal {
    let mut notices: Vec<(SessionId, Sequence)> = Vec::new();
    let mut stands: BTreeMap<SessionId, u64> = BTreeMap::new();
    for source in sources {
        let Source::Compacted(compacted) = source else {
            continue;
        };
        for entry in &compacted.entries {
            match *entry {
                Entry::Tombstone { session, at } => notices.push((session, at)),
                Entry::Records {
                    session, records, ..
                } => *stands.entry(session).or_default() += u64::from(records),
                Entry::Removed { .. } => {}
            }
        }
    }
    let excess = notices.len().saturating_sub(REMEMBERED_REMOVALS);
    // Only the tombstone record is left of such a session.
    let is_empty = |session: &SessionId| stands.get(session) == Some(&1);
    let oldest = notices.iter().map(|(session, _)| *session);
    Removal {
        forgotten: oldest.filter(is_empty).take(excess).collect(),
        before: notices.into_iter().collect(),
        up_to,
    }
}

/// Whether enough of a compacted segment can be removed to rewrite it.
fn is_worth_it(compacted: &CompactedSegment, removal: &Removal) -> bool {
    if compacted.name.last > removal.up_to {
        return false;
    }
    let removable = compacted.entries.iter().filter_map(|entry| match *entry {
        Entry::Records {
            session,
            first,
            bytes,
            ..
        } if removal.before.get(&session).is_some_and(|at| first < *at)
            || removal.forgotten.contains(&session) =>
        {
            Some(u64::from(bytes))
        }
        _ => None,
    });
    let removable: u64 = removable.sum();
    removable > 0 && removable.saturating_mul(REMOVABLE_PART) >= compacted.bytes
}
