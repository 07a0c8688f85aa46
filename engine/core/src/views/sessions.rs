//! The view of a session for lists and readers.

use super::cursors::Cursors;
use super::gaps::Gaps;
use super::jobs::Jobs;
use super::{ConsumerView, JobState, JobView};
use crate::{
    CloseCause, ConsumerId, Description, Event, JobId, JobSlot, Moment, Record, Sequence,
    SessionId, SessionNumber, Timestamp,
};
use alloc::sync::Arc;

/// A session, open or remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// Its identity.
    pub id: SessionId,
    /// Its number in lists.
    pub number: SessionNumber,
    /// The service that runs its jobs.
    pub service: Arc<str>,
    /// The user, if known.
    pub user: Option<Arc<str>>,
    /// Its title and labels, if it has any.
    pub description: Option<Arc<Description>>,
    /// The network address and port of the client that created it, if there is one.
    pub remote: Option<Arc<str>>,
    /// When it was created.
    pub created: Moment,
    /// The sequence of its last durable record.
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
    /// Which of its records are lost.
    pub gaps: Gaps,
    pub(crate) cursors: Cursors,
    pub(crate) jobs: Jobs,
}

impl SessionView {
    pub(super) fn created(record: &Record) -> Option<Self> {
        let Event::SessionCreated {
            number,
            service,
            user,
            remote,
            ..
        } = &record.event
        else {
            return None;
        };
        Some(Self {
            id: record.session,
            number: *number,
            service: service.clone(),
            user: user.clone(),
            description: None,
            remote: remote.clone(),
            created: record.moment(),
            last_sequence: record.sequence,
            closed: None,
            foreground: None,
            since: record.moment(),
            revision: record.sequence,
            changed: record.at,
            gaps: Gaps::default(),
            cursors: Cursors::default(),
            jobs: Jobs::default(),
        })
    }

    /// # Panics
    ///
    /// When the record is not the next one of the session.
    pub(super) fn apply(&mut self, record: &Record) {
        assert!(
            record.follows(self.last_sequence),
            "record {} of session {} does not follow record {}",
            record.sequence,
            self.id,
            self.last_sequence
        );
        self.last_sequence = record.sequence;
        if is_shown(&record.event) {
            self.revision = record.sequence;
            self.changed = record.at;
        }
        let was_busy = self.is_busy();
        match &record.event {
            Event::UserSet { user } => self.user = Some(user.clone()),
            Event::SessionDescribed { description } => {
                self.description = Some(description.clone()).filter(|it| !it.is_empty());
            }
            Event::JobSubmitted { job, mode, .. } if mode.slot == JobSlot::Foreground => {
                if let Some(over) = self.foreground.replace(*job) {
                    // Its end is in a lost record.
                    self.jobs.forget(over);
                }
            }
            Event::JobFinished { job, .. } if self.foreground == Some(*job) => {
                self.foreground = None;
            }
            Event::SessionClosed { cause } => {
                self.closed = Some((record.at, *cause));
                // The remaining ones have left in lost records.
                self.foreground = None;
                self.jobs.forget_unfinished();
                self.cursors = Cursors::default();
            }
            _ => {}
        }
        self.gaps.apply(record);
        self.cursors.apply(record);
        self.jobs.apply(record);
        if self.is_busy() != was_busy {
            self.since = record.moment();
        }
    }

    /// Whether it has running jobs, in the foreground or the background.
    pub fn is_busy(&self) -> bool {
        self.jobs.unfinished() > 0
    }

    /// The consumer of this identity.
    pub fn consumer(&self, consumer: ConsumerId) -> Option<ConsumerView> {
        self.cursors.get(consumer)
    }

    /// Its consumers in the order in which they joined.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerId, ConsumerView)> {
        self.cursors.iter()
    }

    /// The job of this number, unfinished or remembered, also if it is private.
    pub fn job(&self, job: JobId) -> Option<&JobView> {
        self.jobs.all.get(&job)
    }

    /// The job to show for the session: the foreground job, otherwise the oldest unfinished one that is
    /// not private. None although the session is busy: only private jobs run.
    pub fn current_job(&self) -> Option<&JobView> {
        self.foreground
            .and_then(|job| self.job(job))
            .or_else(|| self.unfinished_jobs().next())
    }

    /// Its unfinished jobs, by number, without private ones.
    pub fn unfinished_jobs(&self) -> impl Iterator<Item = &JobView> {
        let is_unfinished = |job: &&JobView| !matches!(job.state, JobState::Finished { .. });
        // Most sessions are idle and need no scan of their jobs.
        let count = self.jobs.unfinished();
        let unfinished = self.all_jobs().filter(is_unfinished).take(count);
        unfinished.filter(|job| !job.mode.is_private())
    }

    /// Its unfinished jobs, and the last finished ones, by number, without private ones: for lists.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = &JobView> {
        self.all_jobs().filter(|job| !job.mode.is_private())
    }

    /// Its unfinished jobs, and the last [`REMEMBERED_JOBS`](crate::limits::REMEMBERED_JOBS)
    /// finished ones, by number. Only its submitter may be shown anything of a private one.
    pub fn all_jobs(&self) -> impl DoubleEndedIterator<Item = &JobView> {
        self.jobs.all.values()
    }
}

/// Whether the event changes what lists show.
pub(super) fn is_shown(event: &Event) -> bool {
    matches!(
        event,
        Event::SessionCreated { .. }
            | Event::UserSet { .. }
            | Event::SessionDescribed { .. }
            | Event::JobSubmitted { .. }
            | Event::JobStarted { .. }
            | Event::JobFinished { .. }
            | Event::SessionClosed { .. }
    )
}
