//! Plans a compaction round: which files are rewritten together, and which records are dropped.

use crate::segment::compact::sort::Removal;
use crate::segment::compact::sort::Source;
use crate::segment::format::compacted::{ENTRY_BYTES, Entry};
use crate::segment::limits::{COMPACTED_SEGMENTS, REMOVABLE_PART};
use crate::segment::scan::compacted::CompactedSegment;
use rejoin_core::{Sequence, SessionId};
use std::collections::{BTreeMap, BTreeSet};

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

/// What may be removed according to the tombstones in compacted segments. Of the sessions that are
/// removed already, the last `remembered` ones are remembered, at least one: its record says which
/// numbers were used.
pub(crate) fn removal(sources: &[Source], up_to: u64, remembered: usize) -> Removal {
    let mut notices: Vec<(SessionId, Sequence)> = Vec::new();
    let mut stands: BTreeMap<SessionId, u64> = BTreeMap::new();
    let mut gone: BTreeMap<SessionId, Sequence> = BTreeMap::new();
    // How many notices are in files that no snapshot needs, and behind no file that does not list what it
    // has: such a file may have records of a session that only the notice removes.
    let mut settled = 0;
    let mut is_all_compacted = true;
    for source in sources {
        let Source::Compacted(compacted) = source else {
            is_all_compacted = false;
            continue;
        };
        for entry in &compacted.entries {
            match *entry {
                Entry::Tombstone { session, at } => notices.push((session, at)),
                Entry::Records {
                    session, records, ..
                } => *stands.entry(session).or_default() += u64::from(records),
                Entry::Removed { session, first, .. } => {
                    let last = entry.removed_up_to().map_or(first, Sequence);
                    let gone = gone.entry(session).or_default();
                    *gone = last.max(*gone);
                }
            }
        }
        if compacted.name.last <= up_to && is_all_compacted {
            settled = notices.len();
        }
    }
    let excess = notices.len().saturating_sub(remembered.max(1));
    // Only the tombstone record is left of such a session.
    let is_empty = |session: &SessionId| stands.get(session) == Some(&1);
    let oldest = notices.iter().map(|(session, _)| *session);
    let mut forgotten: BTreeSet<_> = oldest.take(excess.min(settled)).filter(is_empty).collect();
    let before: BTreeMap<_, _> = notices.into_iter().collect();
    if is_all_compacted {
        // Another file still says that its records were here, but the tombstone is forgotten.
        let is_left =
            |session: &SessionId| !before.contains_key(session) && !stands.contains_key(session);
        forgotten.extend(gone.keys().copied().filter(is_left));
    }
    Removal {
        forgotten,
        before,
        gone,
        up_to,
    }
}

/// Whether enough of a compacted segment can be removed to rewrite it.
fn is_worth_it(compacted: &CompactedSegment, removal: &Removal) -> bool {
    if compacted.name.last > removal.up_to {
        return false;
    }
    let removable = compacted.entries.iter().filter_map(|entry| match *entry {
        Entry::Removed { session, .. } | Entry::Tombstone { session, .. } => {
            let is_forgotten = removal.forgotten.contains(&session);
            is_forgotten.then_some(ENTRY_BYTES as u64)
        }
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
