//! Checks the log's clock against the time that really passes, and the times that people are shown
//! against the wall clock. The timeouts themselves are checked on the log's clock, by `Promises`.

use super::ensure;
use rejoin_core::{Instant, Record, Sequence, SessionId, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// The clocks in all processes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clocks {
    /// What the log's clock showed in the current process, and when that was.
    shown: Option<(Instant, Duration)>,
    /// When each record was decided, in whichever process.
    decided: BTreeMap<(SessionId, Sequence), Duration>,
    /// From when on the current process knows how much time has passed.
    known_from: Option<Duration>,
    /// The time of the last record.
    last_at: Timestamp,
}

/// Whether the log's clock counted the time between two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restart {
    WentOn,
    StoodStill,
}

impl Clocks {
    /// A new process starts. Its log ends with `last`.
    pub(crate) fn restart(&mut self, last: Option<&Record>) {
        self.shown = None;
        self.known_from = None;
        self.last_at = last.map(|last| last.at).unwrap_or_default();
    }

    /// The log told the process where its clock stood at `elapsed`.
    pub(crate) fn anchor(&mut self, elapsed: Duration) {
        self.known_from = Some(elapsed);
    }

    /// The log's clock shows `clock` at `elapsed`, after `last`, the last record before this process.
    pub(crate) fn check(
        &mut self,
        clock: Instant,
        elapsed: Duration,
        last: Option<&Record>,
    ) -> Result<Option<Restart>, String> {
        if let Some((shown, then)) = self.shown {
            let (passed, expected) = (clock.since(shown), elapsed.saturating_sub(then));
            ensure!(
                clock >= shown && passed == expected,
                "promise 8: the log's clock went on by {passed:?} in {expected:?}"
            );
            return Ok(None);
        }
        self.shown = Some((clock, elapsed));
        let Some(last) = last else {
            return Ok(None);
        };
        let decided = self.decided.get(&(last.session, last.sequence));
        let then = decided.copied().unwrap_or_default();
        let (passed, expected) = (clock.since(last.clock), elapsed.saturating_sub(then));
        ensure!(
            clock >= last.clock && passed <= expected,
            "promise 8: over a restart, the log's clock went on by {passed:?} in {expected:?}"
        );
        let known = self.known_from.map(|from| elapsed.saturating_sub(from));
        let least = known.unwrap_or_default().min(expected);
        ensure!(
            passed >= least,
            "promise 8: over a restart, the log's clock went on by {passed:?} in {least:?} and more"
        );
        Ok(match expected.is_zero() {
            true => None,
            false if passed.is_zero() => Some(Restart::StoodStill),
            false => Some(Restart::WentOn),
        })
    }

    /// A record was decided. People are shown the wall's time unless the last record has a later one.
    pub(crate) fn decide(
        &mut self,
        record: &Record,
        elapsed: Duration,
        wall: Timestamp,
    ) -> Result<(), String> {
        self.decided
            .insert((record.session, record.sequence), elapsed);
        let expected = wall.max(self.last_at);
        let off = record.at.since(expected).max(expected.since(record.at));
        ensure!(
            off <= ROUNDING && record.at >= self.last_at,
            "promise 8: {record:?} is decided at {wall:?} after one at {:?}",
            self.last_at
        );
        self.last_at = record.at;
        Ok(())
    }
}

/// The engine does not notice when the wall clock is set by less.
const ROUNDING: Duration = Duration::from_millis(20);
