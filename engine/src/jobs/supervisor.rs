//! Executes effects: starts jobs on their runners, passes interrupts on, releases sessions.

use crate::Runtime;
use crate::engine::JobsAtEnd;
use crate::jobs::builtin::Builtin;
use crate::jobs::runner::{
    Exit, Interrupter, Interrupts, Leftovers, Reporter, Runner, RunnerJob, Settled, TerminalSizes,
};
use crate::jobs::stdin::{Input, Inputs};
use crate::limits;
use crate::screens::Unfolded;
use async_channel::Sender;
use futures::FutureExt;
use futures::future::BoxFuture;
use rejoin_core::{
    Command, Effect, Event, InterruptCause, JobId, JobOutput, JobSlot, OutputOffsets,
    OutputPosition, Record, SessionId, Submission, TerminalSize,
};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// The runners by the names of their services. A session is created on a service and keeps it. If an
/// engine no longer has that service, jobs of the session fail.
pub type Services = BTreeMap<Arc<str>, Arc<dyn Runner>>;

#[derive(Debug)]
pub(crate) struct Supervisor {
    runtime: Arc<dyn Runtime>,
    services: Arc<Services>,
    builtin: Arc<Builtin>,
    reports: Sender<Command>,
    inputs: Arc<Inputs>,
    running: BTreeMap<JobId, RunningJob>,
    unfolded: Unfolded,
}

#[derive(Debug)]
struct RunningJob {
    interrupter: Interrupter,
    sizes: Sender<TerminalSize>,
    settled: Settled,
    leftovers: Leftovers,
    runner: Option<Arc<dyn Runner>>,
}

/// A job that goes on after a restart.
#[derive(Debug)]
pub(crate) struct ResumedJob {
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) session: SessionId,
    pub(crate) job: JobId,
    pub(crate) submission: Submission,
    pub(crate) statement: Arc<str>,
    pub(crate) slot: JobSlot,
    pub(crate) from: OutputOffsets,
    /// The number of the last interrupt that it was given.
    pub(crate) interrupts: u32,
    /// The causes of the interrupts that are logged and were not given to it, in order.
    pub(crate) pending: Vec<InterruptCause>,
    /// Whether it has an input, and the writes that are logged and were not given to it.
    pub(crate) input: Option<Vec<LoggedWrite>>,
    /// How its output goes, with the size of its terminal that is logged.
    pub(crate) output: JobOutput,
    /// What was said about the processes that it leaves.
    pub(crate) keeps_leftovers: Option<bool>,
}

/// A job that begins or goes on, as it is given to its runner.
struct BegunJob {
    session: SessionId,
    job: JobId,
    submission: Submission,
    statement: Arc<str>,
    slot: JobSlot,
    /// How far its output is logged.
    from: OutputOffsets,
    interrupts: (Interrupter, Interrupts),
    input: Option<Input>,
    output: JobOutput,
    keeps_leftovers: Option<bool>,
}

/// A write to a job's input, and whether it ends the input.
pub(crate) type LoggedWrite = (Arc<[u8]>, bool);

impl Supervisor {
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        services: Arc<Services>,
        builtin: Arc<Builtin>,
        reports: Sender<Command>,
        inputs: Arc<Inputs>,
        unfolded: Unfolded,
    ) -> Self {
        Self {
            runtime,
            services,
            builtin,
            reports,
            inputs,
            running: BTreeMap::new(),
            unfolded,
        }
    }

    /// Executes the effects of durable records.
    pub(crate) fn carry_out(&mut self, effects: Vec<Effect>, records: &[Arc<Record>]) {
        for effect in effects {
            match effect {
                Effect::Start {
                    session,
                    service,
                    job,
                    statement,
                    slot,
                    input,
                    output,
                    submission,
                } => {
                    let input = input.then(|| self.inputs.open(job));
                    if output.terminal().is_some() {
                        self.unfolded.begin(job);
                    }
                    let begun = BegunJob {
                        session,
                        job,
                        submission,
                        statement,
                        slot,
                        from: OutputOffsets::default(),
                        interrupts: Interrupts::channel(),
                        input,
                        output,
                        keeps_leftovers: None,
                    };
                    self.start(&service, begun);
                }
                Effect::ChooseLeftovers { job, kept } => {
                    if let Some(running) = self.running.get(&job) {
                        running.leftovers.choose(kept);
                    }
                }
                Effect::Resize { job, size } => {
                    if let Some(running) = self.running.get(&job) {
                        let _ = running.sizes.force_send(size);
                    }
                }
                Effect::Write { job, bytes, end } => self.inputs.write(job, bytes, end),
                Effect::Interrupt { job, cause, .. } => self.interrupt(job, cause),
                Effect::Release { session, service } => self.release(&service, session),
            }
        }
        for record in records {
            self.unfolded.take(record);
            if let Event::JobFinished { job, .. } = record.event {
                let finished = self.running.remove(&job);
                self.inputs.forget(job);
                if let Some(runner) = finished.and_then(|finished| finished.runner) {
                    runner.forget(job);
                }
            }
        }
    }

    /// Informs the runner of a job how far its output is settled.
    pub(crate) fn settle(&self, job: JobId, position: OutputPosition) {
        if let Some(running) = self.running.get(&job) {
            running.settled.advance(position);
        }
    }

    /// Goes on with a job that outlived the process before this one.
    pub(crate) fn resume(&mut self, resumed: ResumedJob) {
        let ResumedJob {
            runner,
            session,
            job,
            submission,
            statement,
            slot,
            from,
            interrupts: last,
            pending,
            input,
            output,
            keeps_leftovers,
        } = resumed;
        if output.terminal().is_some() {
            self.unfolded.begin(job);
        }
        let (interrupter, interrupts) = Interrupts::channel_after(last);
        pending
            .into_iter()
            .for_each(|cause| interrupter.interrupt(cause));
        let input = input.map(|writes| {
            let open = self.inputs.open(job);
            for (bytes, end) in writes {
                self.inputs.write(job, bytes, end);
            }
            open
        });
        let begun = BegunJob {
            session,
            job,
            submission,
            statement,
            slot,
            from,
            interrupts: (interrupter, interrupts),
            input,
            output,
            keeps_leftovers,
        };
        let runner_job = self.begin(begun, Some(runner.clone()));
        let reporter = runner_job.reporter.clone();
        let run = catch_unwind(AssertUnwindSafe(|| runner.resume(runner_job, from)));
        self.attend(run, reporter);
    }

    /// Interrupts the jobs that still run when the engine ends, if they are not to be kept or their
    /// runner can't keep them; how they end is not recorded.
    pub(crate) fn end(&mut self, jobs: JobsAtEnd) {
        for (job, running) in &self.running {
            let keeps = running.runner.as_ref().is_some_and(|it| it.keeps_jobs());
            if jobs != JobsAtEnd::Kept || !keeps {
                let cause = InterruptCause::Shutdown;
                running.interrupter.interrupt_unlogged(cause);
            }
            if jobs == JobsAtEnd::Lost {
                self.insist(running.interrupter.clone());
                if let Some(runner) = &running.runner {
                    runner.forget(*job);
                }
            }
        }
    }

    /// Interrupts a job that was interrupted again and again, so that it ends soon in any case.
    fn insist(&self, interrupter: Interrupter) {
        let patience = self.runtime.timer(limits::LOST_GRACE);
        self.runtime.spawn(Box::pin(async move {
            patience.await;
            for _ in 0..2 {
                interrupter.interrupt_unlogged(InterruptCause::Shutdown);
            }
        }));
    }

    /// Notes a job as running. Returns it as its runner gets it.
    fn begin(&mut self, begun: BegunJob, runner: Option<Arc<dyn Runner>>) -> RunnerJob {
        let BegunJob {
            session,
            job,
            submission,
            statement,
            slot,
            from,
            interrupts: (interrupter, interrupts),
            input,
            output,
            keeps_leftovers,
        } = begun;
        let (size_sender, sizes) = TerminalSizes::channel();
        let reporter = Reporter::new(session, job, self.reports.clone(), from);
        let leftovers = Leftovers::default();
        if let Some(kept) = keeps_leftovers {
            leftovers.choose(kept);
        }
        let running = RunningJob {
            interrupter,
            sizes: size_sender,
            settled: reporter.settled().clone(),
            leftovers: leftovers.clone(),
            runner,
        };
        self.running.insert(job, running);
        RunnerJob {
            session,
            job,
            submission,
            statement,
            slot,
            reporter,
            interrupts,
            input,
            output,
            sizes,
            leftovers,
        }
    }

    fn start(&mut self, service: &Arc<str>, begun: BegunJob) {
        let runner = match self.services.get(service) {
            Some(runner) if !runner.has_builtins() => Some(runner.clone()),
            _ if Builtin::knows(&begun.statement) => Some(self.builtin.clone() as Arc<dyn Runner>),
            runner => runner.cloned(),
        };
        let runner_job = self.begin(begun, runner.clone());
        let reporter = runner_job.reporter.clone();
        let Some(runner) = runner else {
            // The configuration may have changed since the session was created.
            let message = Some(format!("there is no service called {service} any more"));
            self.runtime.spawn(Box::pin(async move {
                let _ = reporter
                    .finished(Exit {
                        status: NOT_RUN,
                        message,
                        is_lost: false,
                    })
                    .await;
            }));
            return;
        };
        // Called before the spawn, so that a runner gets jobs and releases in the order of the log.
        let run = catch_unwind(AssertUnwindSafe(|| runner.run(runner_job)));
        self.attend(run, reporter);
    }

    /// Reports the end of a job.
    fn attend(&self, run: thread::Result<BoxFuture<'static, Exit>>, reporter: Reporter) {
        let Reporter { session, job, .. } = reporter;
        self.runtime.spawn(Box::pin(async move {
            let exit = match run {
                Ok(run) => AssertUnwindSafe(run).catch_unwind().await,
                Err(panic) => Err(panic),
            };
            let exit = exit.unwrap_or_else(|_| {
                tracing::error!(%session, %job, "the runner of a job panicked");
                let message = Some("the job's runner failed; see the server's log".into());
                Exit {
                    status: NOT_RUN,
                    message,
                    is_lost: false,
                }
            });
            let _ = reporter.finished(exit).await;
        }));
    }

    fn interrupt(&self, job: JobId, cause: InterruptCause) {
        if let Some(running) = self.running.get(&job) {
            running.interrupter.interrupt(cause);
        }
    }

    fn release(&self, service: &Arc<str>, session: SessionId) {
        let Some(runner) = self.services.get(service) else {
            return;
        };
        match catch_unwind(AssertUnwindSafe(|| runner.release(session))) {
            Ok(release) => self.runtime.spawn(release),
            Err(_) => tracing::error!(%session, "the runner panicked while it released a session"),
        }
    }
}

/// The status that a shell gives a command that could not run.
const NOT_RUN: i32 = 126;
