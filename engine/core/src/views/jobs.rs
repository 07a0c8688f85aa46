//! The jobs of a session: all unfinished ones, and the last finished ones.

use crate::VecMap;
use crate::limits::{REMEMBERED_JOBS, SHOWN_STATEMENT};
use crate::{
    Actor, Controller, Event, JobId, JobMode, JobOutput, Moment, Outcome, Record, Sequence,
    Submission,
};
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
    /// How its output goes. If it has a terminal, with its size of now, or of its end.
    pub output: JobOutput,
    /// Who controls its terminal. None once it has ended.
    pub controller: Option<Arc<Controller>>,
    /// The place of its last logged screen ([`Event::ScreenCaptured`]).
    pub screen: Option<Sequence>,
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

impl JobView {
    /// Which submission it is.
    pub fn submission(&self) -> Submission {
        Submission {
            sequence: self.submitted,
            at: self.since,
        }
    }
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
                output,
                controller,
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
                    output: *output,
                    controller: controller.clone(),
                    screen: None,
                };
                self.all.insert(*job, view);
            }
            Event::TerminalResized { job, size, .. } => {
                if let Some(view) = self.all.get_mut(job) {
                    view.output.resize(*size);
                }
            }
            Event::ControllerChanged {
                job, controller, ..
            } => {
                if let Some(view) = self.all.get_mut(job) {
                    view.controller.clone_from(controller);
                }
            }
            Event::ScreenCaptured { job, .. } => {
                if let Some(view) = self.all.get_mut(job) {
                    view.screen = Some(record.sequence);
                }
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
                if let Some(view) = self.all.get_mut(job) {
                    view.controller = None;
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
