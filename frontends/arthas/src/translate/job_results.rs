//! Collects the results of one job, for the answer of `exec`.

use super::Results;
use rejoin_engine::{Event, JobId, Outcome, Record};

/// The results of a job so far.
#[derive(Debug)]
pub(crate) struct JobResults {
    job: JobId,
    results: Results,
    outcome: Option<Outcome>,
}

impl JobResults {
    pub(crate) fn new(job: JobId) -> Self {
        Self {
            job,
            results: Results::default(),
            outcome: None,
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
                self.outcome = Some(*outcome);
            }
            _ => {}
        }
    }

    /// Frees the results so far, when nobody will receive them.
    pub(crate) fn discard(&mut self) {
        self.results = Results::default();
    }

    /// The job's outcome, once it has ended.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// The results as a JSON array. The last one is the job's `status`.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.results.finish()
    }
}
