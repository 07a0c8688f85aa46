//! Everything observed in a run: the model, the coverage, the trace, and the first broken promise.

use super::clocks::Clocks;
use super::history::History;
use super::kept::{KeptJobs, Programs};
use super::readers::Readers;
use super::runs::Runs;
use super::{Coverage, Model, Restart, Trace};
use rejoin_core::{Instant, JobId, SessionId};
use rejoin_engine::Unavailable;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was observed so far, and the first promise that was found broken.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) model: Model,
    pub(crate) history: History,
    pub(crate) readers: Readers,
    pub(crate) runs: Runs,
    pub(crate) kept: KeptJobs,
    pub(crate) programs: Programs,
    pub(crate) clocks: Clocks,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    pub(crate) failure: Option<String>,
    /// The log of the current process has failed.
    pub(crate) log_failed: bool,
    /// The engine began to shut down.
    pub(crate) is_closing: bool,
    /// Why the engine of the current process ended, once it has.
    pub(crate) ended: Option<Unavailable>,
    /// The jobs of keepers that are out of reach, and their sessions.
    pub(crate) numbers_elsewhere: BTreeMap<JobId, SessionId>,
}

/// What was known at some moment of what is durable.
#[derive(Clone, Debug)]
pub(crate) struct Knowledge {
    model: Model,
    history: History,
    readers: Readers,
    runs: Runs,
    kept: KeptJobs,
    clocks: Clocks,
}

impl Checker {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            history: History::default(),
            readers: Readers::default(),
            runs: Runs::default(),
            kept: KeptJobs::default(),
            programs: Programs::default(),
            clocks: Clocks::default(),
            coverage: Coverage::default(),
            trace: Trace::default(),
            failure: None,
            log_failed: false,
            is_closing: false,
            ended: None,
            numbers_elsewhere: BTreeMap::new(),
        }
    }

    /// What is known now, between two processes.
    pub(crate) fn knowledge(&self) -> Knowledge {
        Knowledge {
            model: self.model.clone(),
            history: self.history.clone(),
            readers: self.readers.clone(),
            runs: self.runs.clone(),
            kept: self.kept.clone(),
            clocks: self.clocks.clone(),
        }
    }

    /// The log was restored from a backup: what happened since then never happened.
    pub(crate) fn go_back(&mut self, then: Knowledge) {
        let Knowledge {
            model,
            history,
            readers,
            runs,
            kept,
            clocks,
        } = then;
        (self.model, self.history, self.readers) = (model, history, readers);
        (self.runs, self.kept, self.clocks) = (runs, kept, clocks);
    }

    /// Looks at what is durable since the last time.
    pub(crate) fn check_kept(&mut self) {
        let checked = self.kept.catch_up(&self.programs, &self.model);
        self.report(checked);
    }

    /// Records a broken promise. Only the first one is kept.
    pub(crate) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    /// Records the outcome of a check.
    pub(crate) fn report(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.fail(what);
        }
    }

    /// The log was opened, and an engine starts on it.
    pub(crate) fn begin_process(&mut self) {
        let last = self.model.log().last();
        self.clocks.restart(last.map(|last| &**last));
    }

    /// The engine's clock shows this.
    pub(crate) fn check_clock(&mut self, clock: Instant, elapsed: Duration) {
        let last = self.model.log().last();
        match self.clocks.check(clock, elapsed, last.map(|last| &**last)) {
            Ok(None) => {}
            Ok(Some(Restart::WentOn)) => self.coverage.count("clock: went on over a restart"),
            Ok(Some(Restart::StoodStill)) => {
                self.coverage.count("clock: stood still over a restart")
            }
            Err(what) => self.fail(what),
        }
    }

    /// A new process starts: whatever the old one left unanswered is dropped.
    pub(crate) fn restart(&mut self, elapsed: Duration) {
        self.log_failed = false;
        self.is_closing = false;
        self.ended = None;
        self.history.restart();
        self.readers.restart(elapsed);
        self.runs.restart();
        self.model.restart();
    }
}
