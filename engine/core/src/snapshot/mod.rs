//! A projection as plain values, so that it can be written to disk and a start need not replay the
//! whole log.
//!
//! Invariant: a restored snapshot and the records after it lead to the same projection as all records.
//!
//! It contains only what cannot be derived: deadlines and list orders are rebuilt. Limits are
//! configuration and are not part of it.

mod fold;
mod state;
mod views;

pub use fold::Projection;

use crate::{
    CloseCause, ConsumerId, ConsumerView, Controller, Description, Instant, InterruptCause, JobId,
    JobMode, JobOutput, JobView, Moment, OutputOffsets, Sequence, SessionId, SessionNumber,
    Timestamp,
};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// A state and views, as plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The highest session number assigned.
    pub last_number: u64,
    /// The highest job number assigned.
    pub last_job: u64,
    /// The moment of the last record.
    pub last: Moment,
    /// The open sessions for decisions, by identity.
    pub sessions: Vec<SessionSnapshot>,
    /// The closed sessions that are still retained, by identity.
    pub closed: Vec<ClosedSnapshot>,
    /// The sessions for lists and readers, open or remembered, by number.
    pub views: Vec<ViewSnapshot>,
    /// The remembered sessions in the order in which they ended.
    pub ended: Vec<SessionId>,
    /// The sessions removed most recently, oldest first, each with its last removed sequence.
    pub removals: Vec<(SessionId, Sequence)>,
    /// How many records changed what lists show.
    pub revision: u64,
    /// When the last of these was logged.
    pub changed: Timestamp,
    /// The titles and labels of the sessions that have any, by number.
    pub descriptions: Vec<(SessionNumber, Arc<Description>)>,
}

/// An open session for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSnapshot {
    /// Its identity.
    pub id: SessionId,
    /// Its number in lists.
    pub number: SessionNumber,
    /// The service that runs its jobs.
    pub service: Arc<str>,
    /// The user, if known.
    pub user: Option<Arc<str>>,
    /// The sequence of its last record.
    pub last_sequence: Sequence,
    /// The highest consumer ordinal assigned.
    pub last_ordinal: u32,
    /// Its consumers in the order in which they joined.
    pub consumers: Vec<ConsumerSnapshot>,
    /// Its unfinished jobs, by number.
    pub jobs: Vec<JobSnapshot>,
    /// The job in its foreground.
    pub foreground: Option<JobId>,
    /// When it was last used.
    pub seen: Instant,
    /// How long it may be unused.
    pub timeout: Duration,
    /// The size of its records in bytes.
    pub bytes: u64,
    /// Whether some of its records are lost.
    pub is_incomplete: bool,
    /// The remembered named requests, oldest first.
    pub requests: Vec<RequestSnapshot>,
}

/// A named request that led to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSnapshot {
    /// Its name.
    pub request: Arc<str>,
    /// The job.
    pub job: JobId,
    /// The sequence of the job's submission.
    pub sequence: Sequence,
    /// A fingerprint of the request's content.
    pub fingerprint: u128,
}

/// A closed session for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedSnapshot {
    /// Its identity.
    pub id: SessionId,
    /// The sequence of its last record.
    pub last_sequence: Sequence,
    /// When it was closed.
    pub at: Instant,
    /// The size of its records in bytes.
    pub bytes: u64,
}

/// A consumer for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSnapshot {
    /// Its identity.
    pub id: ConsumerId,
    /// The last sequence that it was given.
    pub cursor: Sequence,
    /// When it last pulled.
    pub seen: Instant,
    /// How long it may go without a pull.
    pub timeout: Duration,
    /// Whether it may have left in a lost record.
    pub is_uncertain: bool,
}

/// An unfinished job for decisions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSnapshot {
    /// Its number.
    pub id: JobId,
    /// How it was submitted.
    pub mode: JobMode,
    /// Whether a runner has started it.
    pub started: bool,
    /// How many bytes of results it has emitted.
    pub emitted: u64,
    /// How many it may emit.
    pub output_limit: u64,
    /// How far its output is logged.
    pub offsets: OutputOffsets,
    /// Why it was first interrupted, if it was.
    pub interrupt: Option<InterruptCause>,
    /// How often it was interrupted.
    pub interrupts: u32,
    /// Until when its end follows from an interrupt of the program in its terminal, whatever its status.
    pub key: Option<Instant>,
    /// Whether its results are no longer logged.
    pub is_truncated: bool,
    /// When it times out.
    pub due: Instant,
    /// Whether it may have finished in a lost record.
    pub is_uncertain: bool,
    /// The state of its standard input.
    pub input: InputSnapshot,
    /// How its output goes.
    pub output: JobOutput,
    /// Who controls its terminal.
    pub controller: Option<Arc<Controller>>,
    /// The last record that its last logged screen contains.
    pub screen: Option<Sequence>,
}

/// The state of a job's standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSnapshot {
    /// It has none.
    None,
    /// Open, with this many bytes written.
    Open(u64),
    /// It has ended.
    Ended,
}

/// A session for lists and readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewSnapshot {
    /// Its identity.
    pub id: SessionId,
    /// Its number in lists.
    pub number: SessionNumber,
    /// The service that runs its jobs.
    pub service: Arc<str>,
    /// The user, if known.
    pub user: Option<Arc<str>>,
    /// The network address of the client that created it, if there is one.
    pub remote: Option<Arc<str>>,
    /// When it was created.
    pub created: Moment,
    /// The sequence of its last record.
    pub last_sequence: Sequence,
    /// When and why it was closed.
    pub closed: Option<(Timestamp, CloseCause)>,
    /// The job in its foreground.
    pub foreground: Option<JobId>,
    /// Since when it has been busy, or idle.
    pub since: Moment,
    /// The sequence of the last record that changed its list entry.
    pub revision: Sequence,
    /// When that was logged.
    pub changed: Timestamp,
    /// How many of its records are lost, and the most recent gaps.
    pub gaps: (u64, Vec<(Sequence, Sequence)>),
    /// Its consumers in the order in which they joined.
    pub consumers: Vec<(ConsumerId, ConsumerView)>,
    /// Its jobs, unfinished or remembered, by number.
    pub jobs: Vec<JobView>,
}
