//! What happened, line by line: two runs of one seed are compared by it, and a failure shows its end.
//!
//! Invariant: it contains nothing that differs from run to run, such as addresses or real time.

use std::fmt::{Arguments, Write};

/// The lines of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    text: String,
}

impl Trace {
    pub(crate) fn note(&mut self, step: u64, line: Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{step:>6} {line}");
    }

    /// The whole trace.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The last `lines` lines.
    pub fn tail(&self, lines: usize) -> String {
        let all: Vec<&str> = self.text.lines().collect();
        let from = all.len().saturating_sub(lines);
        all[from..].join("\n")
    }
}
