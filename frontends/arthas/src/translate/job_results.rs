//! Collects the results of one job, for the answer of `exec`.

use super::Results;
use super::result::is_cut_off;
use rejoin_engine::{Event, JobId, Outcome, Record};
use rejoin_http::{Exhausted, Share};
use std::sync::Arc;

/// Bytes of an answer besides its results, without the statement.
const AROUND: usize = 4096;

/// The results of a job so far.
#[derive(Debug)]
pub(crate) struct JobResults {
    job: JobId,
    results: Results,
    end: Option<End>,
    share: Share,
    is_too_long: bool,
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
    /// No results. They use `share`.
    pub(crate) fn new(job: JobId, share: Share) -> Self {
        Self {
            job,
            results: Results::default(),
            end: None,
            share,
            is_too_long: false,
        }
    }

    /// Adds the session's next record; records of other jobs change nothing.
    pub(crate) fn add(&mut self, record: &Record) {
        match &record.event {
            Event::ResultEmitted { job, result, .. } if *job == self.job => {
                if self.is_too_long {
                    return;
                }
                let share = &mut self.share;
                // Room for the separator, and for what is around the results in the end.
                let bytes = result.len() + AROUND;
                match self
                    .results
                    .try_reserve(bytes, |bytes| share.grow_to(bytes))
                {
                    Ok(()) => self.results.splice(result),
                    Err(Exhausted) => {
                        self.is_too_long = true;
                        self.discard();
                    }
                }
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

    /// Whether there were more results than there is room for; all are gone then.
    pub(crate) fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    /// The results as a JSON array, and what they use. The last one is the job's `status`.
    pub(crate) fn finish(self) -> (Vec<u8>, Share) {
        (self.results.finish(), self.share)
    }
}
