//! Verifies compacted segments, continuing after damage, and snapshots.

use super::{DamagedPlace, Verifier};
use crate::disk::Disk;
use crate::schema;
use crate::segment::error::OpenError;
use crate::segment::format::frame::Frame;
use crate::segment::format::name::CompactedName;
use crate::segment::format::snapshot::{self, SnapshotError};
use crate::segment::open::dir_listing::DirListing;
use crate::segment::scan::compacted::CompactedSegment;
use crate::segment::scan::compacted::Fault;
use crate::segment::scan::segment::io_error;
use crate::segment::scan::visitor::{FrameError, FrameVisitor, LogPlace};
use rejoin_core::{Sequence, SessionId};
use std::path::Path;

impl Verifier<'_> {
    pub(crate) fn read_compacted(
        &mut self,
        disk: &dyn Disk,
        name: CompactedName,
        length: u64,
    ) -> Result<(), OpenError> {
        let path = disk.path().join(name.to_string());
        let before = self.done;
        let (first, next) = (name.first, self.next);
        if first < next {
            let reason = format!(
                "the segment begins at position {first}, which another segment already contains"
            );
            self.damage(&path, 0..length, reason, Some(0));
        } else {
            self.miss_up_to(&path, first);
            self.read_compacted_file(disk, name, length)?;
            self.next = name.last.saturating_add(1);
        }
        self.done = before.saturating_add(length);
        (self.progress)(self.done, self.total);
        Ok(())
    }

    /// Reports the positions before `first` as missing, if the log has not reached `first`.
    pub(crate) fn miss_up_to(&mut self, path: &Path, first: u64) {
        let next = self.next;
        if first <= next {
            return;
        }
        let reason = format!(
            "positions {next} to {} are missing: a segment before this one is gone",
            first.saturating_sub(1)
        );
        self.damage(path, 0..0, reason, Some(first.saturating_sub(next)));
        self.next = first;
    }

    fn read_compacted_file(
        &mut self,
        disk: &dyn Disk,
        name: CompactedName,
        length: u64,
    ) -> Result<(), OpenError> {
        let path = disk.path().join(name.to_string());
        let positions = name.last.saturating_sub(name.first).saturating_add(1);
        let compacted = match CompactedSegment::open(disk, name) {
            Ok(compacted) => compacted,
            Err(OpenError::Damaged(damage)) => {
                self.damage(&path, damage.byte..length, damage.reason, Some(positions));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(log) = self.findings.log.filter(|log| *log != compacted.log) {
            let reason = format!(
                "the segment belongs to another log, {}, not to {log}",
                compacted.log
            );
            self.damage(&path, 0..length, reason, Some(positions));
            return Ok(());
        }
        self.findings.log = Some(compacted.log);
        self.findings.removed = self.findings.removed.saturating_add(compacted.removed());
        for entry in &compacted.entries {
            if let Some(last) = entry.removed_up_to() {
                self.streams.pass(entry.session(), Sequence(last));
            }
        }
        let mut faults = Vec::new();
        let frames = compacted.frames(&mut |fault| {
            faults.push(fault);
            Ok(())
        })?;
        for fault in faults {
            let Fault {
                bytes,
                record,
                reason,
                records,
            } = fault;
            let last = record.1.0.saturating_add(records.saturating_sub(1));
            let place = self.findings.damaged.len();
            self.streams.end(place, Sequence(last));
            self.findings.damaged.push(DamagedPlace {
                file: path.clone(),
                bytes,
                reason: reason.to_owned(),
                record: Some(record),
                lost: Some(records),
            });
        }
        let mut telling = Telling {
            verifier: self,
            path: &path,
        };
        match compacted.tell_in_log_order(&frames, &mut telling) {
            Err(OpenError::Damaged(damage)) => {
                let end = damage.byte..length;
                self.damage(&path, end, damage.reason, Some(0));
                let mut telling = Telling {
                    verifier: self,
                    path: &path,
                };
                // The log order is damaged, so visit the records by their timestamps instead. Those
                // that were visited already are out of order now, and are not visited twice.
                compacted.tell_by_instant(&frames, &mut telling)
            }
            done => done,
        }
    }

    /// Reports the snapshots that are damaged.
    pub(crate) fn take_snapshots(
        &mut self,
        disk: &dyn Disk,
        listing: &DirListing,
    ) -> Result<(), OpenError> {
        for name in &listing.snapshots {
            let path = disk.path().join(name.to_string());
            let reason = match snapshot::read(disk, *name) {
                Ok((log, _)) if self.findings.log.is_none_or(|own| own == log) => {
                    if name.0 < self.next {
                        continue;
                    }
                    let end = self.next.saturating_sub(1);
                    format!("it covers position {}, but the log ends at {end}", name.0)
                }
                Ok((log, _)) => format!("it belongs to another log, {log}"),
                // It cannot be used, but it is not damaged.
                Err(SnapshotError::OtherVersion(_)) if name.0 < self.next => continue,
                Err(SnapshotError::Unsound(reason) | SnapshotError::OtherVersion(reason)) => reason,
                Err(SnapshotError::Io(error)) => return Err(io_error(&path, error)),
            };
            let lost = name.0.saturating_add(1).saturating_sub(self.next);
            let reason = format!("the snapshot cannot be used: {reason}");
            self.damage(&path, 0..0, reason, Some(lost));
        }
        Ok(())
    }
}

/// Receives the valid records.
struct Telling<'a, 'v> {
    verifier: &'a mut Verifier<'v>,
    path: &'a Path,
}

impl FrameVisitor for Telling<'_, '_> {
    fn visit(&mut self, place: LogPlace, frame: &Frame<'_>) -> Result<(), FrameError> {
        let (session, sequence) = (frame.session, frame.sequence);
        let end = place.byte.saturating_add(frame.length() as u64);
        let verifier = &mut *self.verifier;
        let misplaced = |reason: String, lost| DamagedPlace {
            file: self.path.to_owned(),
            bytes: place.byte..end,
            reason,
            record: Some((session, sequence)),
            lost: Some(lost),
        };
        let record = match schema::decode(session, sequence, frame.record) {
            Ok(record) => record,
            Err(source) if source.may_be_newer() => return Err(FrameError::Unknown(source)),
            Err(error) => {
                let place = misplaced(error.to_string(), 1);
                verifier.findings.damaged.push(place);
                return Ok(());
            }
        };
        let taken = verifier.streams.take(&record, &mut verifier.findings);
        match taken {
            Err(out) => {
                let reason = format!("it does not follow the session's sequence {}", out.last);
                verifier.findings.damaged.push(misplaced(reason, 0));
            }
            Ok(()) => {
                verifier.findings.records += 1;
                (verifier.visit)(record);
            }
        }
        Ok(())
    }

    fn last(&self, session: SessionId) -> Option<Sequence> {
        Some(self.verifier.streams.last(session))
    }
}
