//! Collects the results of one job, for the answer of `exec`.

use super::Results;
use super::result::is_cut_off;
use rejoin_engine::{Event, JobId, Outcome, Record};
use std::sync::Arc;

/// The results of a job so far.
#[derive(Debug)]
pub(crate) struct JobResults {
    job: JobId,
    results: Results,
    end: Option<End>,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// By itself, or because somebody interrupted it.
    Finished,
    /// It reached its timeout.
    TimedOut,
    /// Its session was closed, or the server was shut down. The message says which.
    CutOff(Arc<str>),
}

impl JobResults {
    pub(crate) fn new(job: JobId) -> Self {
        Self {
            job,
            results: Results::default(),
            end: None,
        }
    }

    /// Adds the session's next record; records of other jobs change nothing.
    pub(crate) fn add(&mut self, record: &Record) {
        match &record.event {
            Event::ResultEmitted { job, result, .. } if *job == self.job => {
                self.results.splice(result);
            }
            Event::JobFinished {
                job,
                outcome,
                status,
                message,
                ..
            } if *job == self.job => {
                self.results
                    .status(*job, *outcome, *status, message.as_deref());
                self.end = Some(match message {
                    Some(why) if is_cut_off(*outcome, Some(why)) => End::CutOff(why.clone()),
                    _ if *outcome == Outcome::TimedOut => End::TimedOut,
                    _ => End::Finished,
                });
            }
            _ => {}
        }
    }

    /// Frees the results so far, when nobody will receive them.
    pub(crate) fn discard(&mut self) {
        self.results = Results::default();
    }

    /// How the job ended. None: it has not ended yet.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The results as a JSON array. The last one is the job's `status`.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.results.finish()
    }
}
