//! What the records up to one of them add up to, as plain values: so that it can be written down,
//! and a start need not begin with the first record.
//!
//! What enters: [`Projection`], or what was once written. What leaves: the other of the two. What is
//! never true: that records folded onto a restored snapshot lead elsewhere than all of them folded.
//!
//! Only what does not follow from the rest is in it: deadlines, and the orders that lists are read
//! in, are made again. Limits are configuration and are not in it.

mod fold;
mod state;
mod views;

pub use fold::Projection;

use crate::{
    CloseCause, ConsumerId, ConsumerView, InterruptCause, JobId, JobMode, JobView, Sequence,
    SessionId, SessionNumber, Timestamp,
};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// A state and views, as plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The highest number that a session was given.
    pub last_number: u64,
    /// The highest number that a job was given.
    pub last_job: u64,
    /// The instant of the last record.
    pub last_at: Timestamp,
    /// The open sessions, as the next decision sees them, by identity.
    pub sessions: Vec<SessionSnapshot>,
    /// The sessions that were closed and are kept, by identity.
    pub closed: Vec<ClosedSnapshot>,
    /// The sessions that lists and readers see, open or remembered, by number.
    pub views: Vec<ViewSnapshot>,
    /// The sessions that are remembered, as they ended.
    pub ended: Vec<SessionId>,
    /// The sessions that were removed last, the oldest first, each with the last sequence that is
    /// gone.
    pub removals: Vec<(SessionId, Sequence)>,
    /// How many records have changed what lists show.
    pub revision: u64,
    /// When the last of these was.
    pub changed: Timestamp,
}

/// An open session, as decisions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSnapshot {
    /// Its identity.
    pub id: SessionId,
    /// Its number in list views.
    pub number: SessionNumber,
    /// The service that runs its jobs.
    pub service: Arc<str>,
    /// Who uses it, where that is known.
    pub user: Option<Arc<str>>,
    /// The sequence of its last record.
    pub last_sequence: Sequence,
    /// The highest ordinal that a consumer of it was given.
    pub last_ordinal: u32,
    /// Its consumers, as they joined.
    pub consumers: Vec<ConsumerSnapshot>,
    /// Its unfinished jobs, by number.
    pub jobs: Vec<JobSnapshot>,
    /// The job in its foreground.
    pub foreground: Option<JobId>,
    /// When it was last used.
    pub seen: Timestamp,
    /// How long it may stay unused.
    pub timeout: Duration,
    /// What its records take.
    pub bytes: u64,
    /// Whether some of its records are lost.
    pub is_incomplete: bool,
    /// The requests that led to its jobs, as far as they are remembered, the oldest first.
    pub requests: Vec<RequestSnapshot>,
}

/// A request that led to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSnapshot {
    /// Its name.
    pub request: Arc<str>,
    /// The job.
    pub job: JobId,
    /// The sequence of the record that says that it was submitted.
    pub sequence: Sequence,
    /// What was asked for.
    pub fingerprint: u128,
}

/// A session that was closed, as decisions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedSnapshot {
    /// Its identity.
    pub id: SessionId,
    /// The sequence of its last record.
    pub last_sequence: Sequence,
    /// When it was closed.
    pub at: Timestamp,
    /// What its records take.
    pub bytes: u64,
}

/// A consumer, as decisions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSnapshot {
    /// Its identity.
    pub id: ConsumerId,
    /// The last sequence that it was given.
    pub cursor: Sequence,
    /// When it last pulled.
    pub seen: Timestamp,
    /// How long it may stay away.
    pub timeout: Duration,
    /// Whether it may have left in a record that is lost.
    pub is_uncertain: bool,
}

/// An unfinished job, as decisions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSnapshot {
    /// Its number.
    pub id: JobId,
    /// How it was submitted.
    pub mode: JobMode,
    /// Whether a runner has begun.
    pub started: bool,
    /// How many bytes of results it has emitted.
    pub output: u64,
    /// How many it may emit.
    pub output_limit: u64,
    /// Why it was first told to end, where it was.
    pub interrupt: Option<InterruptCause>,
    /// Whether results of it are no longer logged.
    pub is_truncated: bool,
    /// When it is interrupted for its timeout.
    pub due: Timestamp,
    /// Whether it may have finished in a record that is lost.
    pub is_uncertain: bool,
    /// What is known of its standard input.
    pub input: InputSnapshot,
}

/// What is known of a job's standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputSnapshot {
    /// It has none.
    None,
    /// So many bytes have been written to it.
    Open(u64),
    /// It has ended.
    Ended,
}

/// A session, as lists and readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewSnapshot {
    /// Its identity.
    pub id: SessionId,
    /// Its number in list views.
    pub number: SessionNumber,
    /// The service that runs its jobs.
    pub service: Arc<str>,
    /// Who uses it, where that is known.
    pub user: Option<Arc<str>>,
    /// The network address that it was created from, where there is one.
    pub remote: Option<Arc<str>>,
    /// When it was created.
    pub created: Timestamp,
    /// The sequence of its last record.
    pub last_sequence: Sequence,
    /// When and why it was closed.
    pub closed: Option<(Timestamp, CloseCause)>,
    /// The job in its foreground.
    pub foreground: Option<JobId>,
    /// Since when it has been busy, or idle.
    pub since: Timestamp,
    /// The sequence of the last record that changed what lists show of it.
    pub revision: Sequence,
    /// When that was.
    pub changed: Timestamp,
    /// How many of its records are lost, and where the last of them were.
    pub gaps: (u64, Vec<(Sequence, Sequence)>),
    /// Its consumers, as they joined.
    pub consumers: Vec<(ConsumerId, ConsumerView)>,
    /// Its jobs, unfinished or remembered, by number.
    pub jobs: Vec<JobView>,
}
