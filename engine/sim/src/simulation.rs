//! One run: processes that start, work and die on one disk, and a drain at the end.

use crate::invariants::OverdueTracker;
use crate::mutants::Mutant;
use crate::oracle::{
    CONSUMER_TIMEOUT, Checker, Coverage, Knowledge, Model, SESSION_TIMEOUT, Trace, check_gone,
};
use crate::workload::{Keepers, KeptRunner, OWNER, ScriptedRunner, client, view};
use crate::world::{FaultyDisk, Random, Recorder, SimulatedRuntime, World};
use rejoin_core::{ConsumerId, JobId, Limits, Numbering, Record, Retention, Server, SessionId};
use rejoin_engine::{Config, Engine, Runner, Services};
use rejoin_log::segment::{Compactor, Durability, LogId, OpenError, OpenOptions, Options};
use rejoin_log::testing::{SimulatedDisk, Survival};
use rejoin_log::{Log, LogReader};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// How many polls there are before the run is drained.
    pub steps: u64,
    /// A deliberate defect, if any.
    pub mutant: Option<Mutant>,
}

/// A run in which every promise was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What happened, line by line.
    pub trace: Trace,
    /// How often each fault and event occurred.
    pub coverage: Coverage,
    /// How many records the log has in the end.
    pub records: usize,
    /// How many polls there were in total.
    pub steps: u64,
}

/// A run in which a promise was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was run.
    pub plan: Plan,
    /// Which promise was broken, and how.
    pub what: String,
    /// At which step.
    pub step: u64,
    /// What happened before, line by line.
    pub trace: Trace,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            plan,
            what,
            step,
            trace,
        } = self;
        let Plan { seed, steps, .. } = plan;
        writeln!(f, "{}", trace.tail(TAIL))?;
        writeln!(f, "seed {seed} failed at step {step}: {what}")?;
        write!(
            f,
            "reproduce with: cargo sim -- --seed {seed} --steps {steps}"
        )
    }
}

/// Runs a plan to its end.
///
/// # Errors
///
/// The first promise that was broken.
pub fn run(plan: Plan) -> Result<Report, Box<Failure>> {
    let mut simulation = Simulation::new(plan);
    let found = simulation.run();
    let world = &simulation.world;
    world.executor.clear();
    let checker = world.checker();
    let step = world.steps();
    let trace = checker.trace.clone();
    match checker.failure.clone().or_else(|| found.err()) {
        Some(what) => Err(Box::new(Failure {
            plan,
            what,
            step,
            trace,
        })),
        None => Ok(Report {
            trace,
            coverage: checker.coverage.clone(),
            records: checker.model.log().len(),
            steps: step,
        }),
    }
}

/// A process: the engine and its services.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) engine: Engine,
    pub(crate) services: Services,
    keepers: Arc<Keepers>,
    overdue: OverdueTracker,
}

pub(crate) struct Simulation {
    plan: Plan,
    pub(crate) world: Arc<World>,
    disk: SimulatedDisk,
    random: Random,
    options: Options,
    config: Config,
    pub(crate) keepers: Arc<Keepers>,
    backup: Option<Backup>,
}

/// A copy of the data directory, and what was known when it was made.
struct Backup {
    files: Vec<(String, Vec<u8>)>,
    /// The highest job number in it.
    last_job: JobId,
    knowledge: Knowledge,
}

impl Simulation {
    fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed);
        let limits = Limits {
            input: 1_000,
            job_input: 1_000_000,
            sessions: 4,
            consumers: 4,
            jobs: 3,
            statement: 150,
            result: 350,
            name: 60,
            labels: Limits::DEFAULT.labels,
            redacted: Limits::DEFAULT.redacted,
            message: 120,
            expired: 3,
            retention: Retention {
                age: random.pick([None, Some(Duration::ZERO), Some(SESSION_TIMEOUT)]),
                bytes: random.pick([None, Some(0), Some(5_000)]),
            },
        };
        let forgets = if plan.mutant == Some(Mutant::ForgetsWakeUps) {
            200
        } else {
            0
        };
        let options = Options {
            durability: Durability::Sync,
            segment_bytes: random.pick([800, 4_000, 20_000]),
            zero_ahead: false,
            remembered_removals: random.pick([1, 4, Options::DEFAULT.remembered_removals]),
        };
        let checker = Checker::new(Model::new(limits, options.remembered_removals));
        let config = Config {
            limits,
            session_timeout: SESSION_TIMEOUT,
            consumer_timeout: CONSUMER_TIMEOUT,
            job_timeout: Duration::from_secs(40),
            output_limit: 4_000,
            pull_lock_timeout: Duration::from_millis(500),
            max_pull_wait: Duration::from_secs(30),
            recent_bytes: random.pick([0, 1_500, 10_000, 1_000_000]),
            queue: random.pick([4, 8, 64]),
            read_only: false,
            numbering: Numbering::ALONE,
            server: Server {
                process: 1,
                version: "simulated".into(),
                node: None,
            },
        };
        let patience = Duration::from_secs(random.pick([15, 60, 3_600]));
        Self {
            keepers: Keepers::new(plan.mutant, patience),
            backup: None,
            plan,
            world: World::new(random.fork(), checker, forgets),
            disk: SimulatedDisk::new(),
            random,
            options,
            config,
        }
    }

    fn run(&mut self) -> Result<(), String> {
        while self.world.steps() < self.plan.steps {
            let Some(mut process) = self.start()? else {
                continue;
            };
            self.populate(&process);
            self.work(&mut process)?;
            self.stop(process);
            if let Some(what) = self.world.checker().failure.clone() {
                return Err(what);
            }
        }
        self.world.begin_draining();
        self.keepers.set_out_of_reach(false);
        let Some(process) = self.start()? else {
            return Err("the log could not be opened on a sound disk".to_owned());
        };
        self.drain(process)
    }

    /// Opens the log and starts an engine on it. None if the process died before it was ready.
    pub(crate) fn start(&mut self) -> Result<Option<Process>, String> {
        self.world.revive();
        let elapsed = self.world.clock.elapsed();
        self.world.checker().restart(elapsed);
        let disk = FaultyDisk {
            world: self.world.clone(),
            disk: self.disk.clone(),
            mutant: self.plan.mutant,
        };
        let id = LogId::from_bytes([7; 16]);
        // Without a snapshot, the views cannot count changes by sessions that are gone.
        let has_removed = self.world.checker().model.has_removed();
        let use_snapshot = has_removed || self.random.once_in(2);
        let mut records = vec![];
        let mut observer = |record: &Record| records.push(record.clone());
        let mut opening = OpenOptions::disk(Arc::new(disk), id)
            .options(self.options)
            .limits(self.config.limits)
            .observe(&mut observer);
        if !use_snapshot {
            opening = opening.ignore_snapshots();
        }
        let (log, projection, recovery) = match opening.open() {
            Ok(opened) => opened.into_parts(),
            Err(OpenError::Io { .. }) if !self.world.is_draining() => {
                self.after_death();
                return Ok(None);
            }
            Err(OpenError::InvalidRecord(violation)) => {
                return Err(format!("promise 9: {violation}"));
            }
            Err(error) => return Err(format!("the log cannot be opened: {error}")),
        };
        if recovery.torn.is_some() {
            self.world.count("fault: torn end of the log cut");
        }
        if recovery.snapshot.is_some() {
            self.world.count("archive: opened from a snapshot");
        }
        if recovery.removed > 0 {
            self.world.count("archive: opened with records removed");
        }
        self.world.note(format_args!("opened: {recovery:?}"));
        let is_unfinished = self
            .world
            .checker()
            .model
            .reopen(&records, recovery.snapshot)?;
        if is_unfinished {
            self.world.count("redaction: unfinished at a start");
        }
        self.world.checker().check_kept();
        self.world.checker().begin_process();
        if *projection.views() != self.world.checker().model.views {
            return Err("promise 9: replay leads to different views".to_owned());
        }
        if *projection.state() != self.world.checker().model.state {
            return Err("promise 9: replay leads to a different state".to_owned());
        }
        let compactor = log.compactor();
        let reader = log.reader();
        if reader.pending_redactions() == 0 {
            check_gone(&self.disk, &self.world.checker().model)?;
        }
        let log = Box::new(Recorder {
            world: self.world.clone(),
            log: Box::new(log),
        });
        let log: Box<dyn Log> = match self.plan.mutant {
            Some(mutant) => mutant.wrap(log),
            None => log,
        };
        let services = self.services();
        let runtime = Arc::new(SimulatedRuntime {
            world: self.world.clone(),
            trusts_wall: self.plan.mutant == Some(Mutant::TrustsTheWallClock),
        });
        let started = rejoin_engine::testing::start(
            self.config.clone(),
            runtime,
            log,
            projection,
            services.clone(),
        );
        let Ok(engine) = started else {
            if !self.world.checker().kept.expected().is_empty() {
                self.world
                    .count("keeper: the server died while it took over");
            }
            drop(services);
            self.world.crash();
            self.world.executor.clear();
            self.after_death();
            return Ok(None);
        };
        {
            let mut checker = self.world.checker();
            let checker = &mut *checker;
            checker.runs.resume(&checker.model);
        }
        let (world, ending) = (self.world.clone(), engine.clone());
        self.world.executor.spawn(
            "watch",
            Box::pin(async move {
                let why = ending.ended().await;
                world.note(format_args!("ended: {why}"));
                world.checker().ended = Some(why);
            }),
        );
        self.spawn_compactor(compactor, reader);
        // A start takes a time of its own. Otherwise two servers on copies of a log would often do the
        // same thing in the same millisecond of their clocks.
        if !self.world.is_draining() {
            self.world.clock.pass(self.random.millis(2_000));
        }
        let overdue = OverdueTracker::default();
        Ok(Some(Process {
            engine,
            services,
            keepers: self.keepers.clone(),
            overdue,
        }))
    }

    /// Runs the compactor at random times.
    fn spawn_compactor(&mut self, compactor: Compactor, reader: Arc<dyn LogReader>) {
        let disk = self.disk.clone();
        let (world, mut random) = (self.world.clone(), self.random.fork());
        let work = async move {
            while !compactor.is_over() {
                world.pause(random.millis(6_000)).await;
                world.note(format_args!("archive: begins a round"));
                let outcome = compactor.run_once();
                world.note(format_args!("archive: {outcome:?}"));
                match outcome {
                    Ok(round) => {
                        if round.rewritten > 0 {
                            world.count("archive: rewritten");
                        }
                        if round.removed > 0 {
                            world.count("archive: removed");
                        }
                        if round.redacted > 0 {
                            world.count("redaction: carried out");
                            if reader.pending_redactions() == 0 {
                                let mut checker = world.checker();
                                let gone = check_gone(&disk, &checker.model);
                                checker.report(gone);
                            }
                        }
                        if round.forgotten > 0 {
                            world.count("archive: forgot");
                        }
                    }
                    Err(OpenError::Io { .. }) => world.count("archive: failed"),
                    Err(OpenError::Unsynced { .. }) => {
                        world.count("archive: ended by a failed sync of the directory");
                    }
                    Err(error) => world.checker().fail(format!("the archive found {error}")),
                }
            }
        };
        self.world.executor.spawn("archive", Box::pin(work));
    }

    fn services(&mut self) -> Services {
        let scripted: Arc<dyn Runner> = Arc::new(ScriptedRunner(self.world.clone()));
        let mut names = vec!["kept"];
        if self.random.once_in(4) {
            self.world.count("fault: service removed");
        } else {
            names.push("script");
        }
        let held = self.keepers.greet(&self.world, OWNER);
        {
            let mut checker = self.world.checker();
            let (expected, refused) =
                self.keepers
                    .expected(&held, |service| names.contains(&service), &checker);
            checker.kept.expect(expected, refused);
        }
        let kept = KeptRunner::take_over(self.world.clone(), self.keepers.clone(), held);
        let kept: Arc<dyn Runner> = Arc::new(kept);
        let mut services = Services::from([("shell".into(), scripted)]);
        services.extend(names.into_iter().map(|name| (name.into(), kept.clone())));
        services
    }

    /// Starts clients, and viewers for consumers that exist already.
    fn populate(&mut self, process: &Process) {
        let executor = &self.world.executor;
        for _ in 0..2 + self.random.below(4) {
            let client = client(
                self.world.clone(),
                process.engine.clone(),
                self.random.fork(),
            );
            executor.spawn("client", Box::pin(client));
        }
        for key in self.readers() {
            if !self.random.once_in(4) {
                let viewer = view(
                    self.world.clone(),
                    process.engine.clone(),
                    key,
                    self.random.fork(),
                );
                executor.spawn("viewer", Box::pin(viewer));
            }
        }
    }

    /// All consumers of open sessions.
    pub(crate) fn readers(&self) -> Vec<(SessionId, ConsumerId)> {
        let checker = self.world.checker();
        let sessions = checker.model.state.sessions();
        sessions
            .flat_map(|(id, open)| open.consumers().map(move |(consumer, _)| (id, consumer)))
            .collect()
    }

    /// Steps until the process has ended or all steps are taken.
    fn work(&mut self, process: &mut Process) -> Result<(), String> {
        while self.world.steps() < self.plan.steps && !self.world.is_over() {
            match self.random.below(3_000) {
                0..=1 | 90..=94 => {
                    self.world.count("fault: crash between two polls");
                    self.world.crash();
                }
                95..=114 if self.keepers.has_used_numbers(&self.world.checker()) => {
                    self.world.count("fault: crash between two polls");
                    self.world.crash();
                }
                2 => self.world.shut_down(&process.engine, &mut self.random),
                3 => self.world.shut_down_and_keep_jobs(&process.engine),
                4..=15 => self.set_clock(),
                16..=35 => {
                    self.world.count("fault: time passes while there is work");
                    self.world.clock.pass(self.random.millis(60));
                }
                36..=75 => {
                    if self.world.executor.wake_any() {
                        self.world.count("fault: wake-up without reason");
                    }
                }
                80..=82 => {
                    let random = &mut self.random;
                    if self.keepers.kill(&self.world, || random.once_in(3)) > 0 {
                        self.world.count("keeper: killed while a server is there");
                    }
                }
                76..=79 => {
                    self.world.count("fault: process stopped for a while");
                    self.world.clock.pass(self.random.millis(120_000));
                }
                _ if self.world.poll() => {}
                _ if self.world.checker().ended.is_some() => {
                    return process.check(&self.world);
                }
                _ => {
                    process.check(&self.world)?;
                    self.world.pass_to_next_timer()?;
                }
            }
        }
        Ok(())
    }

    /// Moves the time of day a little or a lot.
    fn set_clock(&mut self) {
        let by = self
            .random
            .pick([50, 5_000, 60_000, 3_600_000, 40 * MILLIS_OF_DAY]);
        let by = 1 + self.random.below(by);
        let is_forward = self.random.once_in(2);
        let name = if is_forward {
            "fault: clock jumps forward"
        } else {
            "fault: clock jumps back"
        };
        self.world.count(name);
        if by >= MILLIS_OF_DAY {
            self.world.count(match is_forward {
                true => "fault: clock jumps forward by days",
                false => "fault: clock jumps back by days",
            });
        }
        self.world.note(format_args!("{name} by {by} ms"));
        let set = |day: u64| {
            if is_forward {
                day + by
            } else {
                day.saturating_sub(by)
            }
        };
        self.world.clock.set(set);
    }

    /// Ends the process if it still runs.
    fn stop(&mut self, process: Process) {
        let name = {
            let checker = self.world.checker();
            if checker.log_failed {
                "restart: after the log failed"
            } else if checker.ended.is_some() && !self.world.is_crashed() {
                "restart: after a clean end"
            } else {
                "restart: after a crash"
            }
        };
        self.world.count(name);
        self.world.crash();
        self.world.executor.clear();
        drop(process);
        self.after_death();
    }

    /// The process is dead. The machine may lose power, too, and its clock may be set.
    fn after_death(&mut self) {
        self.keepers.lose_server(&self.world, &mut self.random);
        self.disk.heal();
        let longest = self.random.pick([100, 2_000, 20_000]);
        self.world.clock.pass(self.random.millis(longest));
        self.keepers.pass(&self.world);
        if self.random.once_in(3) {
            self.world
                .count("fault: clock jumps while the server is down");
            self.set_clock();
        }
        if self.random.once_in(4) {
            self.keepers.visit_of_a_copy(&self.world);
        }
        let random = &mut self.random;
        if random.once_in(5) && self.keepers.kill(&self.world, || random.once_in(2)) > 0 {
            self.world.count("keeper: killed while no server is there");
        }
        // Most interesting while numbers are used twice.
        let is_back = self.keepers.has_used_numbers(&self.world.checker());
        if is_back || self.random.once_in(4) {
            self.keepers.set_out_of_reach(false);
            self.world.checker().numbers_elsewhere.clear();
        }
        // Most often while jobs run that the backup may know, or whose numbers it will use again.
        let is_running = self.keepers.running() > 0;
        let has_newer = self.backup.as_ref().is_some_and(|backup| {
            let mut numbers = self.keepers.numbers().into_keys();
            numbers.any(|job| job > backup.last_job)
        });
        let times = match (has_newer, is_running) {
            (true, _) => 2,
            (false, true) => 3,
            (false, false) => 8,
        };
        if self.backup.is_some() && self.random.once_in(times) {
            self.restore();
            // It can happen as well that the backup is used on another machine first.
            if self.random.once_in(2) {
                self.world.count("keeper: out of reach for a while");
                self.keepers.set_out_of_reach(true);
                self.world.checker().numbers_elsewhere = self.keepers.numbers();
            }
        } else if self.random.once_in(if is_running { 2 } else { 12 }) {
            self.back_up();
        }
        let survival = match self.random.below(11) {
            0 => Survival::nothing(),
            1 => Survival::everything(),
            2..=3 => Survival::seeded(self.random.bits()),
            _ => {
                self.world.count("fault: process killed");
                return;
            }
        };
        self.world.count("fault: power cut");
        self.world.note(format_args!("power cut: {survival:?}"));
        self.disk.power_cut(survival);
        self.keepers.kill(&self.world, || true);
        self.world.clock.reboot();
    }

    fn back_up(&mut self) {
        let names = self.disk.file_names().into_iter();
        let files = names.filter_map(|name| Some((name.clone(), self.disk.bytes(&name)?)));
        let last_job = self.world.checker().model.state.last_job();
        self.backup = Some(Backup {
            files: files.collect(),
            last_job,
            knowledge: self.world.checker().knowledge(),
        });
    }

    /// The data directory gets the content that it had when it was backed up.
    fn restore(&mut self) {
        let Some(Backup {
            files, knowledge, ..
        }) = self.backup.take()
        else {
            return;
        };
        self.world.count("fault: log restored from a backup");
        self.world.note(format_args!("restored from a backup"));
        self.disk = SimulatedDisk::new();
        for (name, bytes) in files {
            self.disk.put(&name, &bytes);
        }
        self.world.checker().go_back(knowledge);
    }
}

impl Process {
    pub(crate) fn check(&mut self, world: &World) -> Result<(), String> {
        self.overdue.check(world, &self.engine, &self.services)?;
        self.keepers.check(&world.checker())
    }
}

const MILLIS_OF_DAY: u64 = 24 * 60 * 60 * 1_000;

/// How many lines of the trace a failure shows.
const TAIL: usize = 60;
