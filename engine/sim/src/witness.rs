//! Who has seen everything: the model, the ledger, the trace, and the first promise that was
//! found broken. Never asks the engine anything, and so can be asked in the middle of it.

use crate::history::History;
use crate::ledger::Ledger;
use crate::readers::Readers;
use crate::runs::Runs;
use crate::shadow::Shadow;
use crate::trace::Trace;
use rejoin_engine::Unavailable;
use std::time::Duration;

/// What was seen so far.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) shadow: Shadow,
    pub(crate) history: History,
    pub(crate) readers: Readers,
    pub(crate) runs: Runs,
    pub(crate) ledger: Ledger,
    pub(crate) trace: Trace,
    pub(crate) failure: Option<String>,
    /// The log of this process has failed.
    pub(crate) log_failed: bool,
    /// The engine began to close.
    pub(crate) is_closing: bool,
    /// The engine of this process has ended, and said so.
    pub(crate) ended: Option<Unavailable>,
}

impl Witness {
    pub(crate) fn new(shadow: Shadow) -> Self {
        Self {
            shadow,
            history: History::default(),
            readers: Readers::default(),
            runs: Runs::default(),
            ledger: Ledger::default(),
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

    pub(crate) fn judge(&mut self, found: Result<(), String>) {
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
        self.shadow.restart();
    }
}

/// Says that a promise is broken, unless it holds.
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(format!($($what)+));
        }
    };
}
pub(crate) use ensure;
