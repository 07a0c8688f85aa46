//! Who has seen everything: the model, the coverage, the trace, and the first promise that was
//! found broken. Never asks the engine anything, and so can be asked in the middle of it.

use super::history::History;
use super::readers::Readers;
use super::runs::Runs;
use super::{Coverage, Model, Trace};
use rejoin_engine::Unavailable;
use std::time::Duration;

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) model: Model,
    pub(crate) history: History,
    pub(crate) readers: Readers,
    pub(crate) runs: Runs,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    pub(crate) failure: Option<String>,
    /// The log of this process has failed.
    pub(crate) log_failed: bool,
    /// The engine began to close.
    pub(crate) is_closing: bool,
    /// The engine of this process has ended, and said so.
    pub(crate) ended: Option<Unavailable>,
}

impl Checker {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            history: History::default(),
            readers: Readers::default(),
            runs: Runs::default(),
            coverage: Coverage::default(),
            trace: Trace::default(),
            failure: None,
            log_failed: false,
            is_closing: false,
            ended: None,
        }
    }

    /// A promise is broken. The first one counts.
    pub(crate) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    pub(crate) fn report(&mut self, result: Result<(), String>) {
        if let Err(what) = found {
            self.fail(what);
        }
    }

    /// The process is gone, and with it all that it had not answered.
    pub(crate) fn restart(&mut self, progress: Duration) {
        self.log_failed = false;
        self.is_closing = false;
        self.ended = None;
        self.history.restart();
        self.readers.restart(progress);
        self.runs.restart();
        self.model.restart();
    }
}
