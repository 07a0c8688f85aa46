//! The compactor: rewrites sealed segments grouped by session, without removed records, and writes
//! snapshots.
//!
//! Invariants:
//! - Neither the writer nor readers wait for the compactor's disk operations.
//! - A crash at any point neither loses nor duplicates records.
//! - No record newer than the older snapshot is removed. Two snapshots are kept, so one may be
//!   damaged.
//! - What is redacted is as long as before and folds to the same state, so redaction needs no regard
//!   for snapshots.
//!
//! Everything is derived from the files, never from the engine's memory, so a snapshot always
//! matches the log.

pub(crate) mod output;
mod plan;
pub(crate) mod rewrite;
pub(crate) mod seal_signal;
mod snapshot_builder;
pub(crate) mod sort;

use crate::disk::{Disk, DiskLock};
use crate::segment::compact::rewrite::Rewritten;
use crate::segment::compact::rewrite::{has_redacted, rewrite};
use crate::segment::compact::sort::Removal;
use crate::segment::compact::sort::Source;
use crate::segment::error::{Damage, OpenError};
use crate::segment::format::compacted::Entry;
use crate::segment::format::header::LogId;
use crate::segment::format::name::{PartName, REWRITING, SegmentName};
use crate::segment::open::dir_listing::{DirListing, last_of};
use crate::segment::options::Options;
use crate::segment::read::reader::Shared;
use crate::segment::redactions::BySession;
use crate::segment::scan::compacted::CompactedSegment;
use crate::segment::scan::segment::io_error;
use plan::{groups, removal};
use std::collections::BTreeSet;
use std::io;
use std::slice;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

/// How many sessions are moved in the index per lock, while the writer and readers wait.
const SESSIONS_AT_ONCE: usize = 64;

/// Compacts an open log. Meant to run on its own thread.
///
/// ```
/// use rejoin_core::testing::{SESSION, created, instant};
/// use rejoin_core::{Record, Sequence};
/// use rejoin_log::segment::{LogId, OpenOptions, Options, SegmentLog};
/// use rejoin_log::{Log, LogReader, ReadLimit};
/// use std::sync::Arc;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// # let options = Options { zero_ahead: false, ..Options::default() };
/// # let id = LogId::from_bytes([9; 16]);
/// let record = Record {
///     session: SESSION, sequence: Sequence(1), at: instant(1),
///     clock: instant(1).into(), actor: None, redacted: None, event: created(),
/// };
/// let (mut log, _) = OpenOptions::directory(directory, id).options(options).open_unfolded()?;
/// log.append(&[Arc::new(record.clone())])?;
/// log.close()?;
///
/// // Compacts the segment that the earlier run sealed.
/// let (log, _) = OpenOptions::directory(directory, id).options(options).open_unfolded()?;
/// let round = log.compactor().run_once()?;
/// assert_eq!(round.snapshot, Some(1));
/// assert_eq!(round.rewritten, 1);
/// let read = log.reader().read(SESSION, Sequence::START, ReadLimit::NONE)?;
/// assert_eq!(*read[0], record);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Compactor {
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    lock: Option<Weak<dyn DiskLock>>,
    log: LogId,
    options: Options,
    /// How many sealed segments earlier rounds have taken into account.
    seen: u64,
}

/// The results of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// The position of the new snapshot, if one was written.
    pub snapshot: Option<u64>,
    /// How many files were rewritten.
    pub rewritten: usize,
    /// How many records were removed.
    pub removed: u64,
    /// How many redactions were carried out.
    pub redacted: usize,
    /// How many removed sessions were forgotten.
    pub forgotten: usize,
    /// The size in bytes of the rewritten files: before, and after.
    pub bytes: (u64, u64),
}

impl Compactor {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        shared: Arc<Shared>,
        lock: Option<Weak<dyn DiskLock>>,
        log: LogId,
        options: Options,
    ) -> Self {
        Self {
            disk,
            shared,
            lock,
            log,
            options,
            seen: 0,
        }
    }

    /// Runs a round now and after each sealed segment, until the log is closed or dropped, or the
    /// directory can't be synced. Calls `tell` with the outcome of each round. Does nothing while the sealed files have fewer than
    /// `worth` bytes in total: replaying those costs less than compacting them. Blocks its thread.
    pub fn run(mut self, worth: u64, mut tell: impl FnMut(Result<CompactionStats, OpenError>)) {
        loop {
            tell(self.round(worth));
            if self.disk.has_failed() {
                return;
            }
            let Some(count) = self.shared.seal_signal.wait(self.seen) else {
                return;
            };
            self.seen = count;
        }
    }

    /// Runs one round: writes a snapshot and rewrites files where it is worth it. Blocks until that
    /// is done: it reads what was sealed since the last round two or three times, and writes it
    /// once.
    ///
    /// If the log is closed in the meantime, the round ends early, without an error.
    ///
    /// # Errors
    ///
    /// As for opening a log. The log is unchanged or partly rewritten then, and the next round
    /// continues. Damage to records that were not read since they were written is found here first.
    /// `Unsynced`: the log takes no more records, and has to be opened again.
    pub fn run_once(&self) -> Result<CompactionStats, OpenError> {
        self.round(0)
    }

    fn round(&self, worth: u64) -> Result<CompactionStats, OpenError> {
        let Some(_lock) = self.lock.as_ref().and_then(Weak::upgrade) else {
            return Ok(CompactionStats::default());
        };
        let mut round = CompactionStats::default();
        let worked = self.work(worth, &mut round);
        match worked {
            Err(_) if self.is_over() => Ok(round),
            Err(OpenError::Io { source, .. }) if self.disk.has_failed() => {
                let directory = self.disk.path().to_owned();
                Err(OpenError::Unsynced { directory, source })
            }
            Err(error) => {
                // Free the disk space, which may be what is missing. If this fails, the next
                // opening removes the file.
                let _ = self.disk.remove(REWRITING);
                if matches!(&error, OpenError::Io { source, .. }
                    if source.kind() == io::ErrorKind::StorageFull)
                {
                    self.shared.needs_room.store(true, Ordering::Relaxed);
                }
                Err(error)
            }
            Ok(()) => Ok(round),
        }
    }

    /// Whether the log has been closed or dropped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.seal_signal.is_over()
    }

    fn work(&self, worth: u64, round: &mut CompactionStats) -> Result<(), OpenError> {
        let mut listing = self.tidy_up()?;
        let mut sources = self.sources(&listing)?;
        if self.redact(&sources, round)? {
            listing = self.tidy_up()?;
            sources = self.sources(&listing)?;
        }
        if sources.iter().map(Source::bytes).sum::<u64>() < worth {
            return Ok(());
        }
        let Some(last) = sources.last().map(Source::last) else {
            return Ok(());
        };
        round.snapshot = self.make_snapshot(&listing, &sources, last)?;
        let up_to = self.forget_snapshots()?;
        self.put_in_order(sources, up_to, round)?;
        if round.rewritten > 0 && !self.is_over() {
            // Only compacted segments list removals, and the files written above may list new ones.
            let sources = self.sources(&self.tidy_up()?)?;
            self.put_in_order(sources, up_to, round)?;
        }
        Ok(())
    }

    /// Rewrites the files that have bytes that were redacted. Returns whether there may be such.
    fn redact(&self, sources: &[Source], round: &mut CompactionStats) -> Result<bool, OpenError> {
        let due = self
            .shared
            .redactions
            .due(sources.last().map_or(0, Source::last));
        if due.is_empty() {
            return Ok(false);
        }
        for source in sources {
            if self.is_over() {
                return Ok(false);
            }
            if has_redacted(source, self.log, &due)? {
                self.rewrite(slice::from_ref(source), &Removal::default(), &due, round)?;
            }
        }
        // The last one may have been left as it was.
        if self.is_over() {
            return Ok(false);
        }
        // The old files are gone before the list says so.
        let io = |error| io_error(self.disk.path(), error);
        self.disk.sync().map_err(io)?;
        self.shared
            .redactions
            .finish(&*self.disk, &due)
            .map_err(io)?;
        round.redacted += due.values().map(Vec::len).sum::<usize>();
        Ok(true)
    }

    /// Rewrites the files that need it. No record after position `up_to` is removed.
    fn put_in_order(
        &self,
        sources: Vec<Source>,
        up_to: u64,
        round: &mut CompactionStats,
    ) -> Result<(), OpenError> {
        let removal = removal(&sources, up_to, self.options.remembered_removals);
        // Newest first, so that if this is interrupted, a partly removed session tends to keep its
        // beginning. It need not: a newer file may have too little to remove. Readers and folds go by the
        // removal once any record is gone, and salvage keeps nothing of a session without its beginning.
        let groups = groups(sources, &removal, self.options.segment_bytes);
        for group in groups.into_iter().rev() {
            if self.is_over() {
                return Ok(());
            }
            self.rewrite(&group, &removal, &BySession::new(), round)?;
        }
        Ok(())
    }

    /// Lists the files, and removes those left over from a failed round.
    fn tidy_up(&self) -> Result<DirListing, OpenError> {
        let io = |error| io_error(self.disk.path(), error);
        let listing = DirListing::read_open(&*self.disk, |part| self.shared.files().knows(part))?;
        for part in &listing.superseded {
            self.disk.remove(&part.to_string()).map_err(io)?;
        }
        if !listing.superseded.is_empty() {
            self.disk.sync().map_err(io)?;
        }
        Ok(listing)
    }

    /// The compacted and sealed files, from the start of the log on.
    fn sources(&self, listing: &DirListing) -> Result<Vec<Source>, OpenError> {
        let mut sources = Vec::new();
        let mut next = 1;
        for part in &listing.parts {
            // A segment is just getting its final name. The next round continues from there.
            if part.first() != next {
                break;
            }
            let source = match *part {
                PartName::Compacted(name) => {
                    Source::Compacted(CompactedSegment::open(&*self.disk, name)?)
                }
                PartName::Segment(name) if !name.sealed => break,
                PartName::Segment(name) => self.segment(name)?,
            };
            next = source.last().saturating_add(1);
            sources.push(source);
        }
        Ok(sources)
    }

    fn segment(&self, name: SegmentName) -> Result<Source, OpenError> {
        let path = self.disk.path().join(name.to_string());
        let io = |error| io_error(&path, error);
        let file = self.disk.open(&name.to_string()).map_err(io)?;
        let bytes = file.length().map_err(io)?;
        let Some(last) = last_of(&*self.disk, name).map_err(io)? else {
            return Err(OpenError::Damaged(Damage {
                file: path,
                byte: 0,
                record: None,
                reason: "the segment is sealed, but its header or its seal is invalid".to_owned(),
            }));
        };
        Ok(Source::Segment {
            name,
            file,
            path,
            bytes,
            last,
        })
    }

    fn rewrite(
        &self,
        sources: &[Source],
        removal: &Removal,
        redactions: &BySession,
        round: &mut CompactionStats,
    ) -> Result<(), OpenError> {
        let before: u64 = sources
            .iter()
            .map(|source| match source {
                Source::Compacted(compacted) => compacted.removed(),
                Source::Segment { .. } => 0,
            })
            .sum();
        let written = rewrite(&*self.disk, self.log, sources, removal, redactions, &|| {
            self.is_over()
        })?;
        let Some(written) = written else {
            return Ok(());
        };
        round.forgotten += self.put(sources, &written, removal)?;
        round.rewritten += sources.len();
        round.removed += written.removed.saturating_sub(before);
        let bytes: u64 = sources.iter().map(Source::bytes).sum();
        round.bytes = (round.bytes.0 + bytes, round.bytes.1 + written.bytes);
        Ok(())
    }

    /// Replaces the sources by the rewritten file: first on the disk, then for readers. Then
    /// removes the sources. Returns how many sessions are forgotten with them.
    fn put(
        &self,
        sources: &[Source],
        written: &Rewritten,
        removal: &Removal,
    ) -> Result<usize, OpenError> {
        let io = |error| io_error(self.disk.path(), error);
        let part = PartName::Compacted(written.name);
        // Pin the sources, so that readers can go on using them while names change.
        let retired: Vec<u32> = {
            let mut files = self.shared.files();
            let held = sources
                .iter()
                .map(|source| files.pin(source.name(), source.file()));
            held.collect::<Option<_>>()
                .ok_or_else(|| io(io::Error::other("a file is not part of the log")))?
        };
        let title = part.to_string();
        self.disk.rename(REWRITING, &title).map_err(io)?;
        self.disk.sync().map_err(io)?;
        let number = self.shared.files().add(part, Arc::clone(&written.file));
        let number = number.ok_or_else(|| io(io::Error::other("there are too many segments")))?;
        let forgotten = self.move_sessions(sources, written, removal, &retired, number);
        {
            let mut files = self.shared.files();
            files.remove(&retired);
            files.release(number, part);
        }
        for source in sources {
            if source.name() != part {
                self.disk.remove(&source.name().to_string()).map_err(io)?;
            }
        }
        Ok(forgotten)
    }

    /// Makes the index point to the records in the rewritten file. Returns how many sessions it forgets.
    fn move_sessions(
        &self,
        sources: &[Source],
        written: &Rewritten,
        removal: &Removal,
        retired: &[u32],
        number: u32,
    ) -> usize {
        let same = |one: &Entry, other: &Entry| one.session() == other.session();
        let sessions: Vec<&[Entry]> = written.entries.chunk_by(same).collect();
        let lock = || {
            let index = &self.shared.index;
            index.write().unwrap_or_else(PoisonError::into_inner)
        };
        for some in sessions.chunks(SESSIONS_AT_ONCE) {
            let mut index = lock();
            for entries in some {
                let Some(session) = entries.first().map(Entry::session) else {
                    continue;
                };
                let extents: Vec<_> = entries.iter().filter_map(|it| it.extent(number)).collect();
                let removed = entries.iter().filter_map(Entry::removed_up_to).max();
                index.replace(session, retired, &extents, removed.unwrap_or(0));
                if let Some(at) = removal.before.get(&session) {
                    index.notice(session, *at);
                }
            }
        }
        let mut gone = BTreeSet::new();
        for source in sources {
            let Source::Compacted(compacted) = source else {
                continue;
            };
            let entries = compacted.entries.iter().map(Entry::session);
            gone.extend(entries.filter(|session| removal.forgotten.contains(session)));
        }
        let forgotten = gone.len();
        for session in gone {
            let mut index = lock();
            index.replace(session, retired, &[], 0);
            index.forget(session);
        }
        forgotten
    }
}
