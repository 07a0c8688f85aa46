//! The jobs of a session: all unfinished ones, and the last finished ones.

use crate::VecMap;
use crate::limits::{REMEMBERED_JOBS, SHOWN_STATEMENT};
use crate::{Actor, Event, JobId, JobMode, Moment, Outcome, Record, Sequence};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A job for lists and readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// The job's number.
    pub job: JobId,
    /// The statement, cut after [`SHOWN_STATEMENT`] characters.
    pub statement: Arc<str>,
    /// How it was submitted.
    pub mode: JobMode,
    /// The sequence of its submission.
    pub submitted: Sequence,
    /// When it was submitted.
    pub since: Moment,
    /// Who submitted it, if that is known.
    pub by: Option<Arc<Actor>>,
    /// Its status.
    pub state: JobState,
}

/// The status of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Accepted, and not started yet.
    Submitted,
    /// Running.
    Running,
    /// Finished.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// Its exit status.
        status: i32,
        /// When it ended.
        at: Moment,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jobs {
    pub(crate) all: VecMap<JobId, JobView>,
    finished: usize,
}

impl Jobs {
    /// The jobs of a snapshot.
    pub(crate) fn restored(views: Vec<JobView>) -> Self {
        let is_finished = |view: &&JobView| matches!(view.state, JobState::Finished { .. });
        Self {
            finished: views.iter().filter(is_finished).count(),
            all: views.into_iter().map(|view| (view.job, view)).collect(),
        }
    }

    pub(super) fn apply(&mut self, record: &Record) {
        match &record.event {
            Event::JobSubmitted {
                job,
                mode,
                statement,
                ..
            } => {
                let view = JobView {
                    job: *job,
                    statement: shown(statement),
                    mode: *mode,
                    submitted: record.sequence,
                    since: record.moment(),
                    by: record.actor.clone(),
                    state: JobState::Submitted,
                };
                self.all.insert(*job, view);
            }
            Event::JobStarted { job, .. } => self.set(*job, JobState::Running),
            Event::JobFinished {
                job,
                outcome,
                status,
                ..
            } => {
                let finished = JobState::Finished {
                    outcome: *outcome,
                    status: *status,
                    at: record.moment(),
                };
                // Its submission may be lost.
                if self.all.contains_key(job) {
                    self.set(*job, finished);
                    self.finished += 1;
                    self.forget_oldest();
                }
            }
            _ => {}
        }
    }

    pub(super) fn unfinished(&self) -> usize {
        self.all.len() - self.finished
    }

    /// Removes an unfinished job whose end is lost.
    pub(super) fn forget(&mut self, job: JobId) {
        self.all.remove(&job);
    }

    /// Like [`Self::forget`] for all unfinished jobs.
    pub(super) fn forget_unfinished(&mut self) {
        if self.unfinished() > 0 {
            self.all
                .retain(|_, view| matches!(view.state, JobState::Finished { .. }));
        }
    }

    fn set(&mut self, job: JobId, state: JobState) {
        if let Some(view) = self.all.get_mut(&job) {
            view.state = state;
        }
    }

    /// Drops the finished job with the lowest number if there are too many.
    fn forget_oldest(&mut self) {
        if self.finished <= REMEMBERED_JOBS {
            return;
        }
        let is_finished = |view: &&JobView| matches!(view.state, JobState::Finished { .. });
        let oldest = self.all.values().find(is_finished).map(|view| view.job);
        if let Some(oldest) = oldest {
            self.all.remove(&oldest);
            self.finished -= 1;
        }
    }
}

fn shown(statement: &Arc<str>) -> Arc<str> {
    match statement.char_indices().nth(SHOWN_STATEMENT) {
        Some((end, _)) => statement.get(..end).unwrap_or(statement).into(),
        None => statement.clone(),
    }
}
