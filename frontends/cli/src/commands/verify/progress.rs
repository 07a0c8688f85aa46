//! A progress bar on a terminal.

use std::io::{IsTerminal, Write, stderr};

/// A line that is overwritten as the work proceeds, and cleared when dropped. Shown on a terminal
/// only.
pub(super) struct Progress {
    is_shown: bool,
    percent: Option<u64>,
}

const BAR: usize = 40;

impl Progress {
    pub(super) fn begin() -> Self {
        Self {
            is_shown: stderr().is_terminal(),
            percent: None,
        }
    }

    /// Shows that `done` of `total` bytes are read.
    pub(super) fn show(&mut self, done: u64, total: u64) {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        if self.is_shown && self.percent != Some(percent) {
            self.percent = Some(percent);
            let full = usize::try_from(percent).map_or(BAR, |percent| percent * BAR / 100);
            let bar = "#".repeat(full);
            // Errors are ignored: progress is optional.
            let _ = write!(stderr(), "\rverifying [{bar:<BAR$}] {percent:3} %");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.percent.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
