//! The end of a run, without faults: every job ends, every reader catches up, no task is left, and
//! the log is closed without a torn end.

use crate::oracle::ensure;
use crate::simulation::{Process, Simulation};
use crate::workload::{PullOutcome, pull, read_along};
use crate::world::{MIN_PAUSE, Random, World};
use futures::future::join_all;
use rejoin_core::Sequence;
use rejoin_engine::Engine;
use rejoin_log::ReadLimit;
use std::sync::Arc;
use std::time::Duration;

impl Simulation {
    pub(crate) fn drain(&mut self, mut process: Process) -> Result<(), String> {
        let world = self.world.clone();
        let no_jobs = || {
            let checker = world.checker();
            checker
                .model
                .state
                .sessions()
                .all(|(_, open)| open.jobs().count() == 0)
        };
        world
            .run_until(&mut process, LONGEST_JOB, no_jobs)
            .map_err(|stuck| {
                format!(
                    "promise 7: a job never ends: {stuck}; {:?}",
                    world.checker().model.state
                )
            })?;
        let keepers = self.keepers.clone();
        world
            .run_until(&mut process, LONGEST_JOB, || keepers.running() == 0)
            .map_err(|stuck| format!("promise 7: keepers have jobs that are over: {stuck}"))?;

        let engine = process.engine.clone();
        world.executor.spawn(
            "readers",
            Box::pin(catch_up(world.clone(), engine, self.readers())),
        );
        let caught_up = || !world.executor.names().contains(&"readers");
        world.run_until(&mut process, LONGEST_JOB, caught_up)?;
        {
            let checker = world.checker();
            checker.readers.check_caught_up(&checker.model)?;
        }

        // Pulls are still waiting while the engine shuts down.
        for key in self.readers() {
            let (world, engine) = (world.clone(), process.engine.clone());
            let waiting = async move {
                pull(&world, &engine, key, Duration::from_secs(25), LIMIT, None).await;
            };
            self.world.executor.spawn("waiting", Box::pin(waiting));
        }
        while world.poll() {}
        let mut random = Random::new(0);
        world.shut_down(&process.engine, &mut random);
        let ended = || world.checker().ended.is_some();
        world.run_until(&mut process, LONGEST_JOB, ended)?;
        while world.poll() {}
        process.check(&world)?;
        drop(process);
        let gone = || world.executor.live() == 0;
        world
            .wait_until(LONGEST_JOB, gone, || Ok(()))
            .map_err(|stuck| {
                format!(
                    "a task is left behind: {stuck}: {:?}",
                    world.executor.names()
                )
            })?;

        let torn = world
            .checker()
            .coverage
            .of("fault: torn end of the log cut");
        let Some(process) = self.start()? else {
            return Err("a log that was closed cannot be opened".to_owned());
        };
        drop(process);
        let checker = world.checker();
        ensure!(
            checker.coverage.of("fault: torn end of the log cut") == torn,
            "a log that was closed has a torn end"
        );
        checker.history.check(&checker.model)
    }
}

impl World {
    /// Shuts the engine down with a random grace period.
    pub(crate) fn shut_down(self: &Arc<Self>, engine: &Engine, random: &mut Random) {
        self.note(format_args!("shut down"));
        self.checker().is_closing = true;
        let (engine, patience) = (engine.clone(), random.millis(5_000));
        let ending = async move {
            engine.shut_down(patience).await;
        };
        self.executor.spawn("operator", Box::pin(ending));
    }

    /// Ends the engine, and leaves the jobs that keepers hold to them.
    pub(crate) fn shut_down_and_keep_jobs(self: &Arc<Self>, engine: &Engine) {
        self.note(format_args!("shut down, jobs go on"));
        self.checker().is_closing = true;
        let engine = engine.clone();
        let ending = async move {
            engine.shut_down_and_keep_jobs().await;
        };
        self.executor.spawn("operator", Box::pin(ending));
    }

    /// Moves the clock to the next timer.
    pub(crate) fn pass_to_next_timer(&self) -> Result<(), String> {
        let Some(wait) = self.clock.next_timer() else {
            let left = self.executor.names();
            return Err(format!(
                "a wake-up is lost: nothing will ever happen to {left:?}"
            ));
        };
        self.clock.pass(wait);
        self.note(format_args!("{:?} later", wait));
        Ok(())
    }

    /// Runs until `is_done`, and checks the invariants whenever no task can proceed.
    fn run_until(
        &self,
        process: &mut Process,
        patience: Duration,
        is_done: impl Fn() -> bool,
    ) -> Result<(), String> {
        self.wait_until(patience, is_done, || process.check(self))
    }

    fn wait_until(
        &self,
        patience: Duration,
        is_done: impl Fn() -> bool,
        mut check: impl FnMut() -> Result<(), String>,
    ) -> Result<(), String> {
        let begun = self.clock.elapsed();
        loop {
            while self.poll() {}
            if let Some(failure) = self.checker().failure.clone() {
                return Err(failure);
            }
            check()?;
            if is_done() {
                return Ok(());
            }
            let waited = self.clock.elapsed().saturating_sub(begun);
            ensure!(waited < patience, "nothing after {waited:?}");
            self.pass_to_next_timer()?;
        }
    }
}

/// Reads to the end: each consumer from its cursor, and every session by sequence.
async fn catch_up(
    world: Arc<World>,
    engine: Engine,
    readers: Vec<(rejoin_core::SessionId, rejoin_core::ConsumerId)>,
) {
    let (world, engine) = (&world, &engine);
    let pulls = readers.into_iter().map(|key| async move {
        while pull(world, engine, key, Duration::ZERO, LIMIT, None).await == PullOutcome::Records {}
    });
    join_all(pulls).await;
    let sessions: Vec<_> = world.checker().model.session_ids().collect();
    for session in sessions {
        let mut after = Sequence::START;
        while let Ok(last) = read_along(world, engine, session, after, LIMIT, MIN_PAUSE).await {
            if last == after {
                break;
            }
            after = last;
        }
    }
}

const LIMIT: ReadLimit = ReadLimit {
    records: 50,
    bytes: 10_000,
};

/// Far longer than scripts and timeouts.
const LONGEST_JOB: Duration = Duration::from_secs(600);
