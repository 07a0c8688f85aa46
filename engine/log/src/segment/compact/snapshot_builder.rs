//! Makes snapshots by folding the records after the previous snapshot into it.

use super::Compactor;
use crate::segment::compact::sort::Source;
use crate::segment::error::OpenError;
use crate::segment::format::compacted::Entry;
use crate::segment::format::frame::Frame;
use crate::segment::format::snapshot::{self, SnapshotError};
use crate::segment::open::dir_listing::DirListing;
use crate::segment::open::recovery::newest_snapshot;
use crate::segment::scan::segment::{Segment, io_error, scan};
use crate::segment::scan::visitor::{FrameError, FrameVisitor, LogPlace, decode};
use rejoin_core::{Limits, Projection, Sequence, SessionId};
use std::collections::BTreeSet;

impl Compactor {
    /// Folds the records after the newest snapshot into it, and writes the result as a new snapshot
    /// of position `last`.
    pub(crate) fn make_snapshot(
        &self,
        listing: &DirListing,
        sources: &[Source],
        last: u64,
    ) -> Result<Option<u64>, OpenError> {
        let newest = newest_snapshot(&*self.disk, listing, &mut Vec::new())?;
        let (after, folded) = match newest {
            Some((name, log, _)) if log != self.log || name.0 > last => return Ok(None),
            Some((name, _, _)) if name.0 == last => return Ok(None),
            // The limits don't matter here: they only decide which commands are accepted.
            Some((name, _, snapshot)) => (name.0, Projection::restored(Limits::DEFAULT, snapshot)),
            None => (0, Projection::new(Limits::DEFAULT)),
        };
        let mut folding = Folding {
            after,
            folded,
            left_over: BTreeSet::new(),
        };
        if after == 0 {
            // Without a snapshot, a session whose first records were removed cannot be folded.
            folding.left_over = sources.iter().flat_map(removed_sessions).collect();
        }
        for source in sources.iter().filter(|source| source.last() > after) {
            if self.is_over() {
                return Ok(None);
            }
            self.fold(source, &mut folding)?;
        }
        if !folding.left_over.is_empty() {
            // The record of a removal is still to come. With this snapshot, an opening would fold what comes
            // of its session before that.
            return Ok(None);
        }
        let snapshot = folding.folded.snapshot();
        let written = snapshot::write(&*self.disk, self.log, last, &snapshot);
        written.map_err(|error| io_error(self.disk.path(), error))?;
        Ok(Some(last))
    }

    fn fold(&self, source: &Source, folding: &mut Folding) -> Result<(), OpenError> {
        match source {
            Source::Compacted(compacted) => compacted.read(folding),
            Source::Segment {
                name, file, path, ..
            } => {
                let segment = Segment {
                    file: &**file,
                    path: path.clone(),
                    name: *name,
                    log: Some(self.log),
                };
                scan(&segment, folding).map(drop)
            }
        }
    }

    /// Removes invalid snapshots and all but the newest [`snapshot::KEPT`] others. Returns the
    /// position of the oldest one that is kept; 0 if there are fewer than that.
    pub(crate) fn forget_snapshots(&self) -> Result<u64, OpenError> {
        let io = |error| io_error(self.disk.path(), error);
        let listing = DirListing::read_open(&*self.disk, |_| true)?;
        let mut sound = Vec::new();
        for name in listing.snapshots {
            let is_kept = sound.len() < snapshot::KEPT;
            match snapshot::read(&*self.disk, name) {
                Ok(_) if is_kept => sound.push(name.0),
                Ok(_) | Err(SnapshotError::Unsound(_) | SnapshotError::OtherVersion(_)) => {
                    self.disk.remove(&name.to_string()).map_err(io)?;
                }
                Err(SnapshotError::Io(error)) => return Err(io(error)),
            }
        }
        Ok(match sound.get(snapshot::KEPT - 1) {
            Some(oldest) => *oldest,
            None => 0,
        })
    }
}

/// The sessions of which a file says that records of them were removed.
fn removed_sessions(source: &Source) -> Vec<SessionId> {
    let Source::Compacted(compacted) = source else {
        return Vec::new();
    };
    let removed = |entry: &Entry| entry.removed_up_to().map(|_| entry.session());
    compacted.entries.iter().filter_map(removed).collect()
}

/// Folds the records after a position.
struct Folding {
    after: u64,
    folded: Projection,
    /// The sessions whose first records are gone, until the record of their removal.
    left_over: BTreeSet<SessionId>,
}

impl FrameVisitor for Folding {
    fn visit(&mut self, place: LogPlace, frame: &Frame<'_>) -> Result<(), FrameError> {
        if place.position <= self.after {
            return Ok(());
        }
        let record = decode(frame)?;
        if self.left_over.contains(&frame.session) {
            if record.event.removes_before().is_none() {
                return Ok(());
            }
            self.left_over.remove(&frame.session);
        }
        let added = self.folded.add(&record);
        added.map_err(|violation| FrameError::Damaged(violation.to_string()))
    }

    fn last(&self, session: SessionId) -> Option<Sequence> {
        let open = self.folded.state().session(session)?;
        Some(open.last_sequence())
    }
}
