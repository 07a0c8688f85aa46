//! The server's end of keepers: a runner whose jobs outlive the server.

use super::keeper::{ToKeeper, ToServer};
use super::{HeldJob, INPUT_WINDOW, Keepers, OWNER, mutated};
use crate::mutants::Mutant;
use crate::oracle::result;
use crate::world::World;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{BoxFuture, Either, pending, select};
use futures::{FutureExt, StreamExt};
use rejoin_core::{JobId, OutputOffsets, OutputPosition, OutputStream};
use rejoin_engine::{Exit, Input, InputBytes, KeptJob, Runner, RunnerJob, TerminalMode};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The runner of a service whose jobs are held by keepers.
#[derive(Debug)]
pub(crate) struct KeptRunner(Arc<Connections>);

/// The connections of a process to its keepers.
#[derive(Debug)]
struct Connections {
    world: Arc<World>,
    keepers: Arc<Keepers>,
    /// What earlier processes left, if the log says that it runs.
    held: BTreeMap<JobId, HeldJob>,
    /// Which keeper has a job.
    places: Mutex<BTreeMap<JobId, u64>>,
    /// The jobs of earlier processes that go on.
    resumed: Mutex<BTreeSet<JobId>>,
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.keepers.disconnect();
    }
}

impl KeptRunner {
    /// Takes over what the keepers hold, as far as it fits to the log. The rest is ended.
    pub(crate) fn take_over(
        world: Arc<World>,
        keepers: Arc<Keepers>,
        all_held: Vec<HeldJob>,
    ) -> Self {
        let mut held = BTreeMap::new();
        let mut refused = vec![];
        for it in all_held {
            match refusal(&it, &world, keepers.mutant) {
                // Two keepers can have a job of the same number.
                None => drop(held.entry(it.job).or_insert(it)),
                Some(reason) => {
                    world.count(reason);
                    refused.push((it.keeper, it.job));
                }
            }
        }
        let places = held.iter().map(|(job, it)| (*job, it.keeper)).collect();
        for (keeper, job) in refused {
            keepers.send(&world, keeper, ToKeeper::Forget(job));
        }
        Self(Arc::new(Connections {
            world,
            keepers,
            held,
            places: Mutex::new(places),
            resumed: Mutex::default(),
        }))
    }
}

/// Why a job does not go on, if the log does not say that it runs, or something is missing between what
/// the log and the keeper have of its output.
fn refusal(held: &HeldJob, world: &World, mutant: Option<Mutant>) -> Option<&'static str> {
    let checker = world.checker();
    let session = checker.model.state.session(held.session);
    let job = session.and_then(|session| {
        let mut jobs = session.jobs();
        jobs.find(|(job, _)| *job == held.job).map(|(_, job)| job)
    });
    let Some(job) = job else {
        return Some("keeper: ended a job that does not run in the log");
    };
    let view = checker.model.views.session(held.session);
    let view = view.and_then(|view| view.job(held.job));
    let is_another = view.is_some_and(|view| view.submission() != held.submission);
    if is_another && !mutated(mutant, Mutant::KnowsJobsByTheirNumbers) {
        return Some("keeper: ended a job whose number was used again");
    }
    let is_between = |stream: OutputStream| {
        let logged = job.offsets().of(stream);
        (held.settled.of(stream)..=held.end.of(stream)).contains(&logged)
    };
    let fits = job.is_truncated()
        || mutated(mutant, Mutant::TakesOverWhatDoesNotFit)
        || OutputStream::ALL.into_iter().all(is_between);
    (!fits).then_some("keeper: ended a job whose output does not fit to the log")
}

impl Connections {
    fn send(&self, job: JobId, frame: ToKeeper) {
        let place = self.places().get(&job).copied();
        if let Some(keeper) = place {
            self.keepers.send(&self.world, keeper, frame);
        }
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<JobId, u64>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn resumed(&self) -> MutexGuard<'_, BTreeSet<JobId>> {
        self.resumed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runner for KeptRunner {
    fn keeps_jobs(&self) -> bool {
        true
    }

    fn kept(&self) -> Vec<KeptJob> {
        let held = self.0.held.values();
        held.map(|held| KeptJob {
            job: held.job,
            submission: match mutated(self.0.keepers.mutant, Mutant::KnowsJobsByTheirNumbers) {
                true => None,
                false => Some(held.submission),
            },
            input: held.input,
            input_ended: held.input_ended,
            interrupts: held.interrupts,
        })
        .collect()
    }

    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let connections = self.0.clone();
        {
            let mut checker = connections.world.checker();
            let checker = &mut *checker;
            let started = checker.runs.start(job.session, job.job, &checker.model);
            checker.report(started);
            checker.runs.keep(job.job);
        }
        let (events, from_keeper) = unbounded();
        let keeper = connections.keepers.for_new_job(OWNER);
        connections.places().insert(job.job, keeper);
        let start = ToKeeper::Start {
            job: job.job,
            session: job.session,
            submission: job.submission,
            statement: job.statement.clone(),
            has_input: job.input.is_some(),
            events,
        };
        connections.send(job.job, start);
        Box::pin(attend(connections, job, from_keeper, 0))
    }

    fn resume(&self, job: RunnerJob, from: OutputOffsets) -> BoxFuture<'static, Exit> {
        let connections = self.0.clone();
        let Some(held) = connections.held.get(&job.job) else {
            return Box::pin(async { lost(None) });
        };
        connections.resumed().insert(job.job);
        connections.world.count(match held.servers {
            1 => "keeper: a job went on",
            _ => "keeper: a job went on with its third server, or a later one",
        });
        let mutant = connections.keepers.mutant;
        let mut from = OutputOffsets {
            stdout: from.stdout.max(held.settled.stdout),
            stderr: from.stderr.max(held.settled.stderr),
        };
        if mutated(mutant, Mutant::ResumesBehind) {
            from.stdout += 1;
        }
        if mutated(mutant, Mutant::ResumesBefore) {
            from.stdout = from.stdout.saturating_sub(1);
        }
        let given = held.input;
        let (events, from_keeper) = unbounded();
        let resume = ToKeeper::Resume {
            job: job.job,
            from,
            events,
        };
        connections.send(job.job, resume);
        if !mutated(mutant, Mutant::SettlesNothingAtTheStart) {
            let settled = ToKeeper::Settled {
                job: job.job,
                offsets: from,
            };
            connections.send(job.job, settled);
        }
        Box::pin(attend(connections, job, from_keeper, given))
    }

    /// A terminal asks for something secret now and then.
    fn terminal_mode(&self, _: JobId) -> BoxFuture<'static, Option<TerminalMode>> {
        let world = self.0.world.clone();
        Box::pin(async move {
            Some(TerminalMode {
                echoes: world.draw(|random| !random.once_in(3)),
                collects_lines: true,
            })
        })
    }

    fn forget(&self, job: JobId) {
        if self.0.held.contains_key(&job) && !self.0.resumed().contains(&job) {
            self.0.world.count("keeper: the engine refused a job");
        }
        self.0.send(job, ToKeeper::Forget(job));
        self.0.places().remove(&job);
    }

    fn release(&self, session: rejoin_core::SessionId) -> BoxFuture<'static, ()> {
        let mut checker = self.0.world.checker();
        let checker = &mut *checker;
        let released = checker.runs.release(session, &checker.model);
        checker.report(released);
        Box::pin(async {})
    }
}

async fn attend(
    connections: Arc<Connections>,
    mut job: RunnerJob,
    mut events: UnboundedReceiver<ToServer>,
    given: u64,
) -> Exit {
    let (world, id) = (connections.world.clone(), job.job);
    let mutant = connections.keepers.mutant;
    let taken = AtomicU64::new(0);
    let (more, mut is_taken) = unbounded();
    let input = job.input.take();
    let is_resumed = connections.held.contains_key(&id);
    let reported = async {
        if is_resumed && !job.statement.contains("late") {
            let _ = job.reporter.started().await;
        }
        while let Some(event) = events.next().await {
            match event {
                ToServer::Started => {
                    if !job.statement.contains("late") {
                        let _ = job.reporter.started().await;
                    }
                }
                ToServer::NotStarted => return End::NotStarted,
                ToServer::Output {
                    statement,
                    stream,
                    offset,
                    count,
                } => {
                    let output = result(id, &statement, stream, offset, count);
                    let bytes = offset + count;
                    let position = OutputPosition { stream, bytes };
                    if job.reporter.result_at(output, position).await.is_err() {
                        return End::Detached;
                    }
                }
                ToServer::Taken(bytes) => {
                    taken.store(bytes, Ordering::Relaxed);
                    let _ = more.unbounded_send(());
                }
                ToServer::Exited(status) => {
                    if mutated(mutant, Mutant::ForgetsEarly) {
                        connections.send(id, ToKeeper::Forget(id));
                    }
                    return End::Exited(status);
                }
                // Unlike `panic!`, this does not run the hook that prints the panic.
                ToServer::Panicked => {
                    world.count("fault: runner of a kept job panics");
                    std::panic::resume_unwind(Box::new("the script says so"));
                }
            }
        }
        End::Lost
    };
    let settling = async {
        loop {
            job.reporter.settled().changed().await;
            let offsets = job.reporter.settled().offsets();
            connections.send(id, ToKeeper::Settled { job: id, offsets });
        }
    };
    let feeding = async {
        let Some(input) = input else {
            return pending::<()>().await;
        };
        feed(&connections, id, input, given, &taken, &mut is_taken).await;
        pending().await
    };
    let interrupting = async {
        while let Some(interrupt) = job.interrupts.next_numbered().await {
            let interrupts = interrupt.number;
            if is_resumed {
                world.count("keeper: interrupted after a restart");
            }
            connections.send(
                id,
                ToKeeper::Signal {
                    job: id,
                    interrupts,
                },
            );
        }
        End::Detached
    };
    let end = {
        let helping = async { futures::future::join(settling, feeding).map(drop).await };
        let ending = pin!(async {
            match select(pin!(reported), pin!(interrupting)).await {
                Either::Left((end, _)) | Either::Right((end, _)) => end,
            }
        });
        match select(ending, pin!(helping)).await {
            Either::Left((end, _)) => end,
            Either::Right(_) => End::Lost,
        }
    };
    match end {
        End::Exited(status) => {
            let explained = job.statement.split("explain ").nth(1);
            Exit {
                status,
                message: explained.map(|_| "it is explained".into()),
                ..Exit::default()
            }
        }
        End::NotStarted => Exit {
            status: 126,
            ..Exit::default()
        },
        End::Detached => Exit::default(),
        End::Lost => lost(mutant),
    }
}

enum End {
    Exited(i32),
    NotStarted,
    /// The engine has ended, and the job goes on.
    Detached,
    Lost,
}

fn lost(mutant: Option<Mutant>) -> Exit {
    Exit {
        status: 137,
        message: Some("its keeper is gone".into()),
        is_lost: !mutated(mutant, Mutant::CallsLostCompleted),
    }
}

/// Passes input on as fast as the job reads.
async fn feed(
    connections: &Connections,
    job: JobId,
    mut input: Input,
    mut given: u64,
    taken: &AtomicU64,
    is_taken: &mut UnboundedReceiver<()>,
) {
    let begun = given;
    while let Some(InputBytes { bytes, is_hidden }) = input.next_bytes().await {
        if is_hidden {
            connections.send(job, ToKeeper::HiddenInput { job, bytes });
            continue;
        }
        while given >= taken.load(Ordering::Relaxed) + INPUT_WINDOW {
            if is_taken.next().await.is_none() {
                return;
            }
        }
        if begun > 0 {
            connections
                .world
                .count("keeper: input went on after a restart");
        }
        let frame = ToKeeper::Input {
            job,
            offset: given,
            bytes: bytes.to_vec(),
        };
        connections.send(job, frame);
        given += bytes.len() as u64;
    }
    connections.send(job, ToKeeper::EndInput(job));
}
