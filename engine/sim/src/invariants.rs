//! What must hold whenever no task can proceed until time passes. Records and answers are checked on
//! arrival; this module finds what should have arrived and did not.

use crate::oracle::{Checker, ensure};
use crate::world::World;
use rejoin_core::Instant;
use rejoin_engine::{Engine, Services, Unavailable, limits};
use std::time::Duration;

/// Since when the next deadline has been overdue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OverdueTracker(Option<(Instant, Duration)>);

impl OverdueTracker {
    /// Checks everything. `services` are those of the current process.
    pub(crate) fn check(
        &mut self,
        world: &World,
        engine: &Engine,
        services: &Services,
    ) -> Result<(), String> {
        let clock = engine.now().clock;
        let mut checker = world.checker();
        checker.check_clock(clock, world.clock.elapsed());
        let has_ended = checker.ended.is_some();
        match &checker.ended {
            Some(Unavailable::Broken) => {
                return Err("promise 9: the engine broke an assertion".into());
            }
            Some(Unavailable::ShuttingDown) => ensure!(
                !checker.log_failed,
                "promise 11: the log failed, and the engine reports a shutdown"
            ),
            Some(Unavailable::LogFailed(_)) => {
                ensure!(
                    checker.log_failed,
                    "the engine reports a log failure that did not happen"
                );
            }
            Some(why @ (Unavailable::Moved | Unavailable::Unanswered | Unavailable::Behind)) => {
                return Err(format!("an engine without other nodes reports: {why}"));
            }
            None => ensure!(
                !checker.log_failed,
                "promise 11: the log failed, and the engine goes on"
            ),
        }
        let waiting = checker.history.waiting();
        ensure!(
            waiting.is_empty(),
            "a wake-up is lost: no answer to {waiting:?}"
        );
        checker.readers.check_waiting(has_ended, &checker.model)?;
        if has_ended {
            return Ok(());
        }
        // Promise 1: what is shown is the fold of what is durable.
        ensure!(
            engine.view(|views| *views == checker.model.views),
            "promise 1: the views are not the fold of the log"
        );
        let is_served = |session| {
            // The service of a removed session is not known.
            let view = checker.model.views.session(session);
            view.is_some_and(|view| services.contains_key(&view.service))
        };
        checker.runs.check_waiting(is_served, &checker.model)?;
        self.check_late(world, clock, &checker)
    }

    /// Promise 8: what is due happens within a tick.
    fn check_late(&mut self, world: &World, now: Instant, checker: &Checker) -> Result<(), String> {
        let elapsed = world.clock.elapsed();
        let due = checker
            .model
            .state
            .next_deadline()
            .filter(|due| *due <= now);
        let since = match (due, self.0) {
            (Some(due), Some((last, since))) if due == last => since,
            _ => elapsed,
        };
        self.0 = due.map(|due| (due, since));
        let late = elapsed.saturating_sub(since);
        ensure!(
            late <= limits::TICK + SLACK,
            "promise 8: {:?} of {:?} has been due for {late:?}",
            due,
            checker.model.state.due(now).next()
        );
        Ok(())
    }
}

/// One `Expire` handles only a few deadlines; the rest take further turns.
const SLACK: Duration = Duration::from_millis(200);
