//! Collects the results of one job, for the answer of `exec`.

use super::Results;
use super::result::is_cut_off;
use crate::limits::EXEC_HELD;
use rejoin_engine::{Event, JobId, Outcome, Record};
use rejoin_http::{Exhausted, Share};
use std::sync::Arc;

/// Bytes of an answer besides its results, without the statement.
const AROUND: usize = 4096;

/// The results of a job so far, while they are few.
#[derive(Debug)]
pub(crate) struct JobResults {
    job: JobId,
    end: Option<End>,
    /// None: they are read from the log in the end.
    held: Option<(Results, Share)>,
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
            end: None,
            held: Some((Results::default(), share)),
        }
    }

    /// Adds the session's next record; records of other jobs change nothing.
    pub(crate) fn add(&mut self, record: &Record) {
        if let Some(end) = end_of(self.job, record) {
            self.end = Some(end);
        }
        let Some((results, share)) = &mut self.held else {
            return;
        };
        // Room for the separator, and for what is around the results in the end.
        let bytes = result_bytes(self.job, record) + AROUND;
        let reserved = results.try_reserve(bytes, |bytes| match bytes <= EXEC_HELD {
            true => share.grow_to(bytes),
            false => Err(Exhausted),
        });
        match reserved {
            Ok(()) => results.of_job(self.job, record),
            Err(Exhausted) => self.discard(),
        }
    }

    /// Holds no results from now on: there are too many, or no client will receive them.
    pub(crate) fn discard(&mut self) {
        self.held = None;
    }

    /// How the job ended. None: it has not ended yet.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The results as a JSON array, and what they use. The last one is the job's `status`. None if they
    /// are not held.
    pub(crate) fn finish(self) -> Option<(Vec<u8>, Share)> {
        let (results, share) = self.held?;
        Some((results.finish(), share))
    }
}

impl Results {
    /// Appends what a record says of a job: a result, or the status at its end.
    pub(crate) fn of_job(&mut self, wanted: JobId, record: &Record) {
        match &record.event {
            Event::ResultEmitted { job, result, .. } if *job == wanted => self.splice(result),
            Event::JobFinished {
                job,
                outcome,
                status,
                message,
                ..
            } if *job == wanted => self.status(*job, *outcome, *status, message.as_deref()),
            _ => {}
        }
    }
}

/// About how many bytes [`Results::of_job`] appends; none for records of other jobs.
fn result_bytes(wanted: JobId, record: &Record) -> usize {
    match &record.event {
        Event::ResultEmitted { job, result, .. } if *job == wanted => result.len(),
        Event::JobFinished { job, message, .. } if *job == wanted => {
            message.as_ref().map_or(0, |message| message.len())
        }
        _ => 0,
    }
}

fn end_of(wanted: JobId, record: &Record) -> Option<End> {
    match &record.event {
        Event::JobFinished {
            job,
            outcome,
            message,
            ..
        } if *job == wanted => Some(match message {
            Some(why) if is_cut_off(*outcome, Some(why)) => End::CutOff(why.clone()),
            _ if *outcome == Outcome::TimedOut => End::TimedOut,
            _ => End::Finished,
        }),
        _ => None,
    }
}
