//! Runners of nodes: one whose jobs end with their process, and one whose jobs are held by the machine's
//! keeper.
//!
//! Statements are scripts: `say 5; wait 300; exit 3`. A program on a keeper writes something every so often,
//! whoever listens: what it has written by now follows from when it began.

use super::mutants::NodesMutant;
use super::net::Net;
use crate::workload::words;
use futures::future::{BoxFuture, Either, FutureExt, select};
use rejoin_core::{JobId, OutputOffsets, OutputPosition, OutputStream, SessionId, Submission};
use rejoin_engine::{Exit, KeptJob, Runner, RunnerError, RunnerHost, RunnerJob};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Runs scripts in the process.
#[derive(Debug)]
pub(super) struct PlainRunner(pub(super) Arc<Net>);

impl Runner for PlainRunner {
    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let net = self.0.clone();
        begin(&net, &job);
        async move {
            let play = pin!(play(&net, &job));
            match select(play, pin!(job.interrupts.next())).await {
                Either::Left((exit, _)) => exit,
                Either::Right(_) => Exit {
                    status: 130,
                    ..Exit::default()
                },
            }
        }
        .boxed()
    }
}

fn begin(net: &Net, job: &RunnerJob) {
    let mut ledger = net.ledger();
    let run = ledger.run(job.session, job.job);
    ledger.report(run);
}

async fn play(net: &Net, job: &RunnerJob) -> Exit {
    let mut exit = Exit::default();
    let _ = job.reporter.started().await;
    let mut place = 0;
    for (word, number) in words(&job.statement) {
        match word {
            "say" => {
                for _ in 0..number {
                    place += 1;
                    let id = job.job;
                    let said = format!(r#"{{"jobId":{id},"place":{place},"type":"said"}}"#);
                    let _ = job.reporter.result(said.into()).await;
                }
            }
            "wait" => net.pause(Duration::from_millis(number)).await,
            "exit" => exit.status = i32::try_from(number).unwrap_or(1),
            _ => {}
        }
    }
    exit
}

/// The programs that a machine's keeper holds. They outlive the processes of the node.
#[derive(Debug, Default)]
pub(super) struct Keeper(Mutex<BTreeMap<JobId, Program>>);

#[derive(Clone, Copy, Debug)]
struct Program {
    session: SessionId,
    submission: Submission,
    begun: Duration,
    /// How much it will have written at its end.
    units: u64,
    /// The number of the last interrupt, which ends it, and how much it had written then.
    interrupted: Option<(u32, u64)>,
}

impl Keeper {
    fn programs(&self) -> MutexGuard<'_, BTreeMap<JobId, Program>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine stops.
    pub(super) fn die(&self) {
        self.programs().clear();
    }

    /// What it holds.
    pub(super) fn jobs(&self) -> Vec<(SessionId, JobId)> {
        let programs = self.programs();
        programs
            .iter()
            .map(|(job, it)| (it.session, *job))
            .collect()
    }
}

impl Program {
    fn written(&self, now: Duration) -> u64 {
        let passed = now.saturating_sub(self.begun).as_millis() / UNIT.as_millis();
        let written = self.units.min(u64::try_from(passed).unwrap_or(u64::MAX));
        self.interrupted.map_or(written, |(_, at)| at)
    }

    fn has_ended(&self, now: Duration) -> bool {
        self.interrupted.is_some() || self.written(now) == self.units
    }
}

/// Runs programs on the machine's keeper.
#[derive(Debug)]
pub(super) struct KeptRunner {
    pub(super) net: Arc<Net>,
    pub(super) keeper: Arc<Keeper>,
}

impl Runner for KeptRunner {
    /// As the shell's runner: what the log of this node does not say is running is ended.
    fn prepare(&self, host: RunnerHost) -> BoxFuture<'static, Result<(), RunnerError>> {
        let mut programs = self.keeper.programs();
        let before = programs.len();
        programs.retain(|job, it| {
            let logged = host.running.get(job);
            logged.is_some_and(|it_is| it_is.may_be(Some(it.submission)))
        });
        for _ in programs.len()..before {
            self.net
                .count("keeper: a start ended a job that its home does not know");
        }
        Box::pin(async { Ok(()) })
    }

    fn keeps_jobs(&self) -> bool {
        true
    }

    fn kept(&self) -> Vec<KeptJob> {
        let programs = self.keeper.programs();
        let kept = programs.iter().map(|(job, it)| KeptJob {
            job: *job,
            submission: Some(it.submission),
            input: 0,
            input_ended: false,
            interrupts: it.interrupted.map_or(0, |(number, _)| number),
        });
        kept.collect()
    }

    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        begin(&self.net, &job);
        let units = words(&job.statement).map(|(_, number)| number / 100).sum();
        let program = Program {
            session: job.session,
            submission: job.submission,
            begun: self.net.clock.elapsed(),
            units,
            interrupted: None,
        };
        self.keeper.programs().insert(job.job, program);
        attend(self.net.clone(), self.keeper.clone(), job, 0).boxed()
    }

    fn resume(&self, job: RunnerJob, from: OutputOffsets) -> BoxFuture<'static, Exit> {
        {
            let mut ledger = self.net.ledger();
            let resumed = ledger.resume(job.session, job.job);
            ledger.report(resumed);
        }
        attend(self.net.clone(), self.keeper.clone(), job, from.stdout).boxed()
    }

    fn forget(&self, job: JobId) {
        let now = self.net.clock.elapsed();
        let goes_on = {
            let mut programs = self.keeper.programs();
            let goes_on = programs.get(&job).is_some_and(|it| !it.has_ended(now));
            if !goes_on || !self.net.has(NodesMutant::LeavesLostJobs) {
                programs.remove(&job);
            }
            goes_on
        };
        if goes_on {
            self.net.count("keeper: the engine ended a job");
        }
    }
}

async fn attend(net: Arc<Net>, keeper: Arc<Keeper>, job: RunnerJob, mut from: u64) -> Exit {
    let _ = job.reporter.started().await;
    loop {
        let now = net.clock.elapsed();
        let program = keeper.programs().get(&job.job).copied();
        let Some(program) = program else {
            return Exit {
                status: 137,
                is_lost: true,
                ..Exit::default()
            };
        };
        while from < program.written(now) {
            from += 1;
            let (id, stream) = (job.job, OutputStream::Stdout);
            let said = format!(r#"{{"jobId":{id},"place":{from},"type":"kept"}}"#);
            let position = OutputPosition {
                stream,
                bytes: from,
            };
            if job.reporter.result_at(said.into(), position).await.is_err() {
                return Exit::default();
            }
        }
        if program.has_ended(now) {
            return Exit {
                status: if program.interrupted.is_some() {
                    130
                } else {
                    0
                },
                ..Exit::default()
            };
        }
        let next = pin!(job.interrupts.next_numbered());
        match select(next, net.clock.timer(UNIT)).await {
            Either::Left((Some(interrupt), _)) => {
                let now = net.clock.elapsed();
                if let Some(program) = keeper.programs().get_mut(&job.job) {
                    program.interrupted = Some((interrupt.number, program.written(now)));
                }
            }
            // The engine has ended, and the program goes on.
            Either::Left((None, _)) => return Exit::default(),
            Either::Right(_) => {}
        }
    }
}

/// A program writes something so often.
const UNIT: Duration = Duration::from_millis(700);
