//! The redactions that are recorded and not yet carried out in all files.
//!
//! Each has an empty file, whose name says which record redacts.
//!
//! Invariants:
//! - From the moment at which the record of a redaction can be read, no reader gets what it redacts.
//! - The file is durable before the record is, so a start finishes what a crash has interrupted. It may be
//!   for a record that was never appended: a start removes it.
//! - The file is removed once no other file of the log has the bytes any more, durably.
//! - No lock is held while the disk works, so that readers wait for none.

use crate::disk::Disk;
use crate::log::{LogReader, ReadLimit};
use crate::segment::error::OpenError;
use crate::segment::format::name::RedactionName;
use crate::segment::read::reader::Shared;
use crate::segment::scan::segment::io_error;
use rejoin_core::{Event, Record, Sequence, SessionId};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The redactions of some sessions, in the order of the log.
pub(crate) type BySession = BTreeMap<SessionId, Vec<Arc<Record>>>;

#[derive(Debug, Default)]
pub(crate) struct Redactions {
    pending: Mutex<Vec<Pending>>,
    /// How many are pending, so that reads need no lock when there are none.
    count: AtomicU64,
    /// How many were carried out.
    done: AtomicU64,
}

#[derive(Clone, Debug)]
struct Pending {
    record: Arc<Record>,
    /// The position of its record, or a later one. None: it is being appended.
    position: Option<u64>,
}

impl Redactions {
    /// Notes the redactions in a batch that is about to be appended. Returns how many there are.
    ///
    /// # Errors
    ///
    /// If that could not be made durable. Nothing is noted then.
    pub(crate) fn begin(&self, disk: &dyn Disk, records: &[Arc<Record>]) -> io::Result<usize> {
        let is_redaction =
            |record: &&Arc<Record>| matches!(record.event, Event::RecordsRedacted { .. });
        let new: Vec<_> = records.iter().filter(is_redaction).cloned().collect();
        if new.is_empty() {
            return Ok(0);
        }
        for record in &new {
            disk.create(&RedactionName::of(record).to_string())?;
        }
        disk.sync()?;
        let count = new.len();
        let position = None;
        let new = new.into_iter().map(|record| Pending { record, position });
        self.change(|pending| pending.extend(new));
        Ok(count)
    }

    /// Notes that the redactions that were begun are in the log, up to this position.
    pub(crate) fn appended(&self, position: u64) {
        for it in &mut *self.lock() {
            it.position.get_or_insert(position);
        }
    }

    /// Notes that the redactions that were begun are not in the log. Their files may stay.
    pub(crate) fn refused(&self) {
        self.change(|pending| pending.retain(|it| it.position.is_some()));
    }

    /// Finds the redactions of a log that is being opened. `last` is the position of its last record.
    pub(crate) fn load(disk: &dyn Disk, shared: &Shared, last: u64) -> Result<Self, OpenError> {
        let redactions = Self::default();
        let one = ReadLimit {
            records: 1,
            bytes: 1,
        };
        let io = |error| io_error(disk.path(), error);
        let names = disk.names().map_err(io)?;
        let mut found = vec![];
        for name in names.iter().filter_map(|name| RedactionName::parse(name)) {
            let before = Sequence(name.sequence.0.saturating_sub(1));
            let read = shared.read(name.session, before, one);
            let read = read.map_err(|error| io(io::Error::other(error)))?;
            // Otherwise its append was interrupted, or all of its session was removed since.
            let is_it = |record: &Arc<Record>| {
                let is_redaction = matches!(record.event, Event::RecordsRedacted { .. });
                record.sequence == name.sequence && is_redaction
            };
            let position = Some(last);
            match read.into_iter().find(is_it) {
                Some(record) => found.push(Pending { record, position }),
                None => disk.remove(&name.to_string()).map_err(io)?,
            }
        }
        // The first one counts where two redact the same, as for readers before.
        found.sort_by_key(|it| (it.record.session, it.record.sequence));
        redactions.change(|pending| *pending = found);
        Ok(redactions)
    }

    /// The redactions of a session that readers have to apply. `last` is the last sequence of the session
    /// that can be read: a redaction that is being appended may be lost yet.
    pub(crate) fn of(&self, session: SessionId, last: impl Fn() -> Sequence) -> Vec<Arc<Record>> {
        if self.count() == 0 {
            return vec![];
        }
        let pending = self.lock();
        let is_appended = |it: &&Pending| it.position.is_some() || it.record.sequence <= last();
        let own = pending.iter().filter(|it| it.record.session == session);
        let own = own.filter(is_appended);
        own.map(|it| it.record.clone()).collect()
    }

    /// The redactions whose records, and all before them, are up to this position.
    pub(crate) fn due(&self, last: u64) -> BySession {
        let mut due = BySession::new();
        for it in &*self.lock() {
            if it.position.is_some_and(|position| position <= last) {
                let own = due.entry(it.record.session).or_default();
                own.push(it.record.clone());
            }
        }
        due
    }

    /// Forgets redactions: they are carried out, durably.
    pub(crate) fn finish(&self, disk: &dyn Disk, carried_out: &BySession) -> io::Result<()> {
        for record in carried_out.values().flatten() {
            disk.remove(&RedactionName::of(record).to_string())?;
        }
        // In this order: a reader that finds none sees that there was one.
        self.done.fetch_add(1, Ordering::SeqCst);
        self.change(|pending| {
            pending.retain(|it| {
                let done = carried_out.get(&it.record.session);
                !done.is_some_and(|done| done.contains(&it.record))
            });
        });
        Ok(())
    }

    /// How many are pending.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// How often redactions were carried out.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Pending>)) {
        let mut pending = self.lock();
        change(&mut pending);
        self.count.store(pending.len() as u64, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record as these redactions leave it; none if it stays as it is.
pub(crate) fn redacted(record: &Record, redactions: &[Arc<Record>]) -> Option<Record> {
    redactions.iter().find_map(|it| record.redacted_by(it))
}
