//! Deliberate defects. Each breaks a promise in a way that real code might, and the simulator must
//! find it.

use rejoin_core::{Event, Record, Sequence, SessionId};
use rejoin_log::{AppendError, ClockAnchor, Log, LogReader, ReadError, ReadLimit};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A deliberate defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The log acknowledges a batch and writes it together with the next one.
    AcknowledgesEarly,
    /// The log reports failed appends as durable.
    SwallowsFailures,
    /// The disk reports every sync as successful and does nothing.
    LyingDisk,
    /// A reader of the log sometimes skips a record.
    SkipsRecords,
    /// A reader of the log sometimes returns other bytes than were appended.
    AltersRecords,
    /// A reader of the log returns what was redacted.
    TellsRedacted,
    /// Files that have what was redacted stay when others replace them.
    LeavesRedacted,
    /// After a restart, redactions that are not carried out yet are forgotten.
    ForgetsRedactions,
    /// A reader of the log returns the records of a removed session.
    TellsRemoved,
    /// A wake-up is sometimes lost.
    ForgetsWakeUps,
    /// Timeouts are measured with the wall clock.
    TrustsTheWallClock,
    /// After a restart, the output of a job goes on one byte behind its place.
    ResumesBehind,
    /// After a restart, the output of a job goes on one byte before its place.
    ResumesBefore,
    /// After a restart, a keeper is not told what the log has already.
    SettlesNothingAtTheStart,
    /// A keeper drops output when it is sent, and not when it is durable.
    DropsWhatWasSent,
    /// A job goes on even if output is missing between what the log and its keeper have.
    TakesOverWhatDoesNotFit,
    /// A job goes on under another one of its number.
    KnowsJobsByTheirNumbers,
    /// After a restart, a job is given all its input again, and does not notice.
    RepeatsInput,
    /// After a restart, a job is given hidden input again.
    RepeatsHiddenInput,
    /// A keeper counts input that it never got as given.
    CountsLostInput,
    /// After a restart, a job is interrupted again.
    RepeatsInterrupts,
    /// A keeper tells the end of a job before it has told all its output.
    TellsTheEndEarly,
    /// A keeper forgets the end of a job when it is told, and not when it is durable.
    ForgetsTheEnd,
    /// A server lets a keeper forget a job when it is told the end, and not when that is durable.
    ForgetsEarly,
    /// A keeper never forgets a job.
    NeverForgets,
    /// A job whose keeper died is said to have ended by itself.
    CallsLostCompleted,
    /// A server on a copy of the data directory takes the jobs of the original over.
    TakesOverCopies,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Self; 27] = [
        Self::AcknowledgesEarly,
        Self::SwallowsFailures,
        Self::LyingDisk,
        Self::SkipsRecords,
        Self::AltersRecords,
        Self::TellsRedacted,
        Self::LeavesRedacted,
        Self::ForgetsRedactions,
        Self::TellsRemoved,
        Self::ForgetsWakeUps,
        Self::TrustsTheWallClock,
        Self::ResumesBehind,
        Self::ResumesBefore,
        Self::SettlesNothingAtTheStart,
        Self::DropsWhatWasSent,
        Self::TakesOverWhatDoesNotFit,
        Self::KnowsJobsByTheirNumbers,
        Self::RepeatsInput,
        Self::RepeatsHiddenInput,
        Self::CountsLostInput,
        Self::RepeatsInterrupts,
        Self::TellsTheEndEarly,
        Self::ForgetsTheEnd,
        Self::ForgetsEarly,
        Self::NeverForgets,
        Self::CallsLostCompleted,
        Self::TakesOverCopies,
    ];

    pub(crate) fn wrap(self, log: Box<dyn Log>) -> Box<dyn Log> {
        match self {
            Self::AcknowledgesEarly
            | Self::SwallowsFailures
            | Self::SkipsRecords
            | Self::AltersRecords
            | Self::TellsRedacted
            | Self::TellsRemoved => Box::new(MutantLog {
                mutant: self,
                log,
                held: vec![],
                appended: Arc::default(),
            }),
            _ => log,
        }
    }
}

#[derive(Debug)]
struct MutantLog {
    mutant: Mutant,
    log: Box<dyn Log>,
    held: Vec<Arc<Record>>,
    appended: Appended,
}

impl MutantLog {
    fn remember(&self, records: &[Arc<Record>]) {
        let named = |record: &Arc<Record>| ((record.session, record.sequence), record.clone());
        let appended = self.appended.lock();
        let mut appended = appended.expect("no thread panics with it");
        appended.extend(records.iter().map(named));
    }
}

/// All records as they were appended.
type Appended = Arc<Mutex<BTreeMap<(SessionId, Sequence), Arc<Record>>>>;

impl Log for MutantLog {
    fn append(&mut self, records: &[Arc<Record>]) -> Result<(), AppendError> {
        match self.mutant {
            Mutant::AcknowledgesEarly => {
                let held = std::mem::replace(&mut self.held, records.to_vec());
                self.log.append(&held)
            }
            Mutant::SwallowsFailures => {
                let _ = self.log.append(records);
                Ok(())
            }
            Mutant::TellsRedacted => {
                self.remember(records);
                self.log.append(records)
            }
            _ => self.log.append(records),
        }
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(MutantReader {
            mutant: self.mutant,
            reader: self.log.reader(),
            reads: AtomicU64::new(0),
            appended: self.appended.clone(),
        })
    }

    fn close(&mut self) -> Result<(), AppendError> {
        self.log.append(&std::mem::take(&mut self.held))?;
        self.log.close()
    }

    fn clock_anchor(&self) -> Option<ClockAnchor> {
        self.log.clock_anchor()
    }

    fn keep_clock_anchor(&mut self, anchor: &ClockAnchor) -> io::Result<()> {
        self.log.keep_clock_anchor(anchor)
    }
}

#[derive(Debug)]
struct MutantReader {
    mutant: Mutant,
    reader: Arc<dyn LogReader>,
    reads: AtomicU64,
    appended: Appended,
}

impl LogReader for MutantReader {
    fn sessions(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionId> {
        self.reader.sessions(after, limit)
    }

    fn read(
        &self,
        session: SessionId,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<Arc<Record>>, ReadError> {
        let mut records = self.reader.read(session, after, limit)?;
        let is_time = self.reads.fetch_add(1, Ordering::Relaxed) % 7 == 6;
        if is_time && self.mutant == Mutant::SkipsRecords && records.len() > 2 {
            records.remove(1);
        }
        if is_time
            && self.mutant == Mutant::AltersRecords
            && let Some(first) = records.first_mut()
        {
            let event = Event::SessionResumed;
            *first = Arc::new(Record {
                event,
                ..(**first).clone()
            });
        }
        if self.mutant == Mutant::TellsRedacted {
            let appended = self.appended.lock().expect("no thread panics with it");
            for record in records.iter_mut().filter(|it| it.redacted.is_some()) {
                if let Some(before) = appended.get(&(session, record.sequence)) {
                    *record = before.clone();
                }
            }
        }
        let is_removed = records
            .first()
            .is_some_and(|it| it.event.removes_before().is_some());
        if is_removed && self.mutant == Mutant::TellsRemoved {
            return self.reader.read(session, Sequence::START, limit);
        }
        Ok(records)
    }

    fn pending_redactions(&self) -> u64 {
        self.reader.pending_redactions()
    }
}
