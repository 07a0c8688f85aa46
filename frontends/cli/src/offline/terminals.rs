//! The text of the terminals of a session: what a person saw, for those who read it as lines.

use rejoin_core::JobId;
use rejoin_screen::{Screen, Transcript};
use std::collections::BTreeMap;

/// The terminals of the jobs that run.
#[derive(Debug, Default)]
pub(crate) struct Terminals(BTreeMap<JobId, Transcript>);

impl Terminals {
    /// A job with a terminal of so many columns and rows begins.
    pub(crate) fn begin(&mut self, job: JobId, (columns, rows): (u16, u16)) {
        self.0.insert(job, Transcript::new(columns, rows));
    }

    /// Takes output; returns the lines that can't change any more. None: the job has no terminal.
    pub(crate) fn output(&mut self, job: JobId, bytes: &[u8]) -> Option<Vec<u8>> {
        Some(text(self.0.get_mut(&job)?.feed(bytes)))
    }

    /// Changes a size; returns the lines that can't change any more. None: the job has no terminal.
    pub(crate) fn resize(&mut self, job: JobId, (columns, rows): (u16, u16)) -> Option<Vec<u8>> {
        Some(text(self.0.get_mut(&job)?.resize(columns, rows)))
    }

    /// A job ends; returns the rest of its lines.
    pub(crate) fn finish(&mut self, job: JobId) -> Option<Vec<u8>> {
        Some(text(self.0.remove(&job)?.finish()))
    }

    /// The rest of the lines of all that run.
    pub(crate) fn finish_all(&mut self) -> Vec<u8> {
        let all = std::mem::take(&mut self.0);
        let lines = all.into_values().flat_map(Transcript::finish);
        text(lines.collect())
    }

    /// What the terminal of a job shows now.
    pub(crate) fn screen(&self, job: JobId) -> Option<&Screen> {
        self.0.get(&job).map(Transcript::screen)
    }
}

fn text(lines: Vec<String>) -> Vec<u8> {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}
