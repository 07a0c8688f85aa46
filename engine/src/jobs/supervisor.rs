//! Executes effects: starts jobs on their runners, passes interrupts on, releases sessions.

use crate::Runtime;
use crate::jobs::builtin::Builtin;
use crate::jobs::runner::{Exit, Interrupter, Interrupts, Reporter, Runner, RunnerJob};
use crate::jobs::stdin::{Input, Inputs};
use async_channel::Sender;
use futures::FutureExt;
use rejoin_core::{Command, Effect, Event, InterruptCause, JobId, JobSlot, Record, SessionId};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

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
    running: BTreeMap<JobId, Interrupter>,
}

impl Supervisor {
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        services: Arc<Services>,
        builtin: Arc<Builtin>,
        reports: Sender<Command>,
        inputs: Arc<Inputs>,
    ) -> Self {
        Self {
            runtime,
            services,
            builtin,
            reports,
            inputs,
            running: BTreeMap::new(),
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
                } => {
                    let input = input.then(|| self.inputs.open(job));
                    self.start(&service, session, job, statement, slot, input);
                }
                Effect::Write { job, bytes, end } => self.inputs.write(job, bytes, end),
                Effect::Interrupt { job, cause, .. } => self.interrupt(job, cause),
                Effect::Release { session, service } => self.release(&service, session),
            }
        }
        for record in records {
            if let Event::JobFinished { job, .. } = record.event {
                self.running.remove(&job);
                self.inputs.forget(job);
            }
        }
    }

    /// Interrupts all jobs when the engine ends without its log; how they end is not recorded.
    pub(crate) fn interrupt_all(&mut self) {
        let jobs: Vec<_> = self.running.keys().copied().collect();
        jobs.into_iter()
            .for_each(|job| self.interrupt(job, InterruptCause::Shutdown));
    }

    fn start(
        &mut self,
        service: &Arc<str>,
        session: SessionId,
        job: JobId,
        statement: Arc<str>,
        slot: JobSlot,
        input: Option<Input>,
    ) {
        let (interrupter, interrupts) = Interrupts::channel();
        self.running.insert(job, interrupter);
        let reporter = Reporter::new(session, job, self.reports.clone());
        let runner = match self.services.get(service) {
            Some(runner) if !runner.has_builtins() => Some(runner.clone()),
            _ if Builtin::knows(&statement) => Some(self.builtin.clone() as Arc<dyn Runner>),
            runner => runner.cloned(),
        };
        let Some(runner) = runner else {
            // The configuration may have changed since the session was created.
            let message = Some(format!("there is no service called {service} any more"));
            self.runtime.spawn(Box::pin(async move {
                let _ = reporter
                    .finished(Exit {
                        status: NOT_RUN,
                        message,
                    })
                    .await;
            }));
            return;
        };
        let runner_job = RunnerJob {
            session,
            job,
            statement,
            slot,
            reporter: reporter.clone(),
            interrupts,
            input,
        };
        // Called before the spawn, so that a runner gets jobs and releases in the order of the log.
        let run = catch_unwind(AssertUnwindSafe(|| runner.run(runner_job)));
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
                }
            });
            let _ = reporter.finished(exit).await;
        }));
    }

    fn interrupt(&self, job: JobId, cause: InterruptCause) {
        if let Some(interrupter) = self.running.get(&job) {
            interrupter.interrupt(cause);
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
