//! The results of a long `exec`, read from the log as its client takes them.

use super::exec::CloseOnDrop;
use crate::limits::EXEC_PART;
use crate::translate::Results;
use rejoin_engine::{Engine, JobId, Sequence, SessionId};
use std::io;
use std::time::Duration;

/// An answer whose results are in the log.
#[derive(Debug)]
pub(crate) struct LoggedAnswer {
    /// Where the body has an empty array in their place.
    pub(crate) begin: usize,
    pub(crate) logged: LoggedResults,
}

/// Reads the results of a job.
#[derive(Debug)]
pub(crate) struct LoggedResults {
    pub(crate) engine: Engine,
    pub(crate) session: SessionId,
    pub(crate) job: JobId,
    /// The last record that was read.
    pub(crate) after: Sequence,
    /// The last record to read.
    pub(crate) until: Sequence,
    pub(crate) is_begun: bool,
    /// The session was created for this job, and is open as long as it is read.
    pub(crate) closes: Option<CloseOnDrop>,
}

impl LoggedResults {
    /// The next part of a JSON array, without its end. None: there are no more.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Vec<u8>>> {
        let mut results = Results::default();
        while results.is_empty() && self.after < self.until {
            self.engine.touch(self.session);
            let read = self
                .engine
                .read(self.session, self.after, EXEC_PART, Duration::ZERO);
            let records = match read.await {
                Ok(records) => records,
                Err(error) => return Some(Err(io::Error::other(error))),
            };
            let Some(last) = records.last() else {
                return Some(Err(io::ErrorKind::UnexpectedEof.into()));
            };
            self.after = last.sequence;
            for record in records.iter().filter(|it| it.sequence <= self.until) {
                results.of_job(self.job, record);
            }
        }
        if results.is_empty() {
            return None;
        }
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        Some(Ok(results.into_part(is_first)))
    }
}
