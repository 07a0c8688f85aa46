//! Counts how often each fault and each kind of event occurred. What a simulator never does, it does
//! not test: a name that stays at zero fails a run that was long enough.

use std::collections::BTreeMap;
use std::fmt;

/// Counts by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    counts: BTreeMap<&'static str, u64>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self::expecting(EXPECTED)
    }
}

impl Coverage {
    /// No counts yet, of runs that must cover these names.
    pub(crate) fn expecting(names: &[&'static str]) -> Self {
        Self {
            counts: names.iter().map(|name| (*name, 0)).collect(),
        }
    }

    pub(crate) fn count(&mut self, name: &'static str) {
        self.count_times(name, 1);
    }

    pub(crate) fn count_times(&mut self, name: &'static str, times: u64) {
        *self.counts.entry(name).or_default() += times;
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (name, count) in &other.counts {
            *self.counts.entry(name).or_default() += count;
        }
    }

    /// The expected names that were never counted.
    pub fn missing(&self) -> Vec<&'static str> {
        let never = self.counts.iter().filter(|(_, count)| **count == 0);
        never.map(|(name, _)| *name).collect()
    }

    /// How often `name` was counted.
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.counts {
            writeln!(f, "{count:>10}  {name}")?;
        }
        Ok(())
    }
}

/// What every long run must cover.
const EXPECTED: &[&str] = &[
    "actor: in the log",
    "answer: accepted",
    "answer: overloaded",
    "answer: unavailable",
    "answer: no such service",
    "archive: ended by a failed sync of the directory",
    "archive: failed",
    "archive: forgot",
    "archive: opened from a snapshot",
    "archive: opened with records removed",
    "archive: removed",
    "archive: rewritten",
    "client: gives up on a command",
    "client: gathers what it pulls",
    "client: gives up on a pull",
    "client: joins in mid-output",
    "client: two pulls at once",
    "clock: stood still over a restart",
    "clock: went on over a restart",
    "event: consumer joined",
    "event: consumer left, as the session was closed",
    "event: consumer left, by itself",
    "event: consumer left, expired",
    "event: cursor advanced",
    "event: controller changed",
    "event: input hidden",
    "event: input written",
    "event: interrupt, for output",
    "event: interrupt, for shutdown",
    "event: interrupt, for the session's end",
    "event: interrupt, for timeout",
    "event: interrupt, requested",
    "event: job finished, completed",
    "event: job finished, failed",
    "event: job finished, interrupted",
    "event: job finished, lost",
    "event: job finished, timed out",
    "event: job started",
    "event: job submitted",
    "event: leftovers chosen",
    "event: records lost, by a person",
    "event: records lost, by retention",
    "event: records redacted",
    "event: result emitted",
    "event: session closed, idle",
    "event: session closed, requested",
    "event: session created",
    "event: session resumed",
    "event: session touched",
    "event: statement refused",
    "event: terminal resized",
    "event: user set",
    "fault: append failed",
    "fault: clock jumps back",
    "fault: clock jumps back by days",
    "fault: clock jumps forward",
    "fault: clock jumps forward by days",
    "fault: clock jumps while the server is down",
    "fault: completion delayed",
    "fault: crash between two polls",
    "fault: crash during recovery",
    "fault: crash while the log is written or read",
    "fault: directory sync failed",
    "fault: directory sync failed in part",
    "fault: disk full",
    "fault: disk full in mid-write",
    "fault: no file descriptor",
    "fault: file could not be begun or renamed",
    "fault: power cut",
    "fault: log restored from a backup",
    "fault: process killed",
    "fault: process stopped for a while",
    "fault: read failed",
    "fault: runner of a kept job panics",
    "fault: runner panics",
    "fault: service removed",
    "fault: sync failed",
    "fault: sync failed in part",
    "fault: time passes while there is work",
    "fault: torn end of the log cut",
    "fault: wake-up out of order",
    "fault: wake-up without reason",
    "input: read",
    "input: read, hidden",
    "keeper: a job went on",
    "keeper: a job went on with its third server, or a later one",
    "keeper: a job went on after hidden input",
    "keeper: a program ended while no server was there",
    "keeper: a program waited for room or input",
    "keeper: ended a job that does not run in the log",
    "keeper: ended a job whose output does not fit to the log",
    "keeper: ended its jobs because no server came",
    "keeper: frames lost with the server",
    "keeper: input hidden",
    "keeper: input went on after a restart",
    "keeper: interrupted after a restart",
    "keeper: killed while a server is there",
    "keeper: killed while no server is there",
    "keeper: out of reach for a while",
    "keeper: output came again",
    "keeper: the engine refused a job",
    "keeper: the server died while it took over",
    "keeper: turned away a server of another directory",
    "pull: as the session or the engine ends",
    "pull: refused, consumer not found",
    "pull: refused, session not found",
    "pull: failed, unreadable log",
    "pull: failed, unavailable",
    "pull: turn not got",
    "pull: waited in vain",
    "pull: with records",
    "read: of a place that is not known",
    "read: of a forgotten session",
    "read: of a removed session",
    "read: with records",
    "redaction: accepted",
    "redaction: carried out",
    "redaction: refused, job running",
    "redaction: unfinished at a start",
    "rejected: consumer_not_found",
    "rejected: input_ended",
    "rejected: invalid_size",
    "rejected: job_not_found",
    "rejected: job_running",
    "rejected: no_foreground_job",
    "rejected: no_input",
    "rejected: no_terminal",
    "rejected: not_controller",
    "rejected: request_taken",
    "rejected: session_not_found",
    "rejected: too_long",
    "rejected: too_many",
    "restart: after a clean end",
    "restart: after a crash",
    "restart: after the log failed",
    "terminal: size",
];
