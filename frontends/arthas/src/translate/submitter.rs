//! What whoever submitted a job is told of it alone: `exec`.

use super::Results;
use rejoin_core::{Event, JobId, Outcome, Record};

/// A job, as far as it was told.
#[derive(Debug)]
pub(crate) struct Told {
    job: JobId,
    results: Results,
    outcome: Option<Outcome>,
}

impl Told {
    pub(crate) fn new(job: JobId) -> Self {
        Self {
            job,
            results: Results::default(),
            outcome: None,
        }
    }

    /// Tells the session's next record.
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

    /// Forgets the results: nobody listens any more.
    pub(crate) fn forget(&mut self) {
        self.results = Results::default();
    }

    /// How the job ended, once it has.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// The job's results, of which its `status` is the last.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.results.finish()
    }
}
