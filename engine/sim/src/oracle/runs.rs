//! Checks what runners do: a job runs once, after its submission is durable; its results are logged
//! completely and in order.

use super::{Model, ensure};
use rejoin_core::{Event, InterruptCause, JobId, Outcome, Record, SessionId, TerminalSize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The runs of all jobs, in all processes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs {
    jobs: BTreeMap<JobId, Run>,
    released: BTreeSet<SessionId>,
    /// How many records were durable when the process started.
    from: usize,
}

#[derive(Clone, Debug, Default)]
struct Run {
    interrupts: usize,
    results: Vec<Arc<str>>,
    /// How many bytes of input were delivered that are not logged.
    hidden: u64,
    /// How many writes to its standard input were delivered.
    read: usize,
    panicked: bool,
    /// A keeper holds it: other checks are made of it.
    is_kept: bool,
}

impl Runs {
    pub(crate) fn restart(&mut self) {
        // A dead process has no duties.
        self.from = usize::MAX;
    }

    pub(crate) fn resume(&mut self, model: &Model) {
        self.from = model.log().len();
    }

    /// A runner starts a job.
    pub(crate) fn start(
        &mut self,
        session: SessionId,
        job: JobId,
        model: &Model,
    ) -> Result<(), String> {
        let is_submitted = |record: &Record| matches!(record.event, Event::JobSubmitted { job: other, .. } if other == job);
        ensure!(
            model
                .records(session)
                .any(|(_, record)| is_submitted(record)),
            "promise 3: job {job} is run before it is durable"
        );
        ensure!(
            self.jobs.insert(job, Run::default()).is_none(),
            "promise 7: job {job} is run twice"
        );
        Ok(())
    }

    /// The job is held by a keeper.
    pub(crate) fn keep(&mut self, job: JobId) {
        self.jobs.entry(job).or_default().is_kept = true;
    }

    /// A runner gets an interrupt.
    pub(crate) fn interrupt(
        &mut self,
        session: SessionId,
        job: JobId,
        cause: InterruptCause,
        is_engine_gone: bool,
        model: &Model,
    ) -> Result<(), String> {
        let run = self.jobs.entry(job).or_default();
        run.interrupts += 1;
        let asked = model.records(session).filter(
            |(_, record)| matches!(record.event, Event::InterruptRequested { job: other, .. } if other == job),
        );
        ensure!(
            is_engine_gone || asked.count() >= run.interrupts,
            "promise 3: job {job} is interrupted ({cause:?}) before that is durable"
        );
        Ok(())
    }

    /// A runner gets a write to its standard input: each write once, in log order.
    pub(crate) fn read(
        &mut self,
        session: SessionId,
        job: JobId,
        bytes: &Arc<[u8]>,
        model: &Model,
    ) -> Result<(), String> {
        let run = self.jobs.entry(job).or_default();
        let next = written(session, job, model).nth(run.read);
        run.read += 1;
        ensure!(
            next.as_ref() == Some(bytes),
            "promises 2, 3: job {job} is given {bytes:?} as write {}, which is {next:?} in the log",
            run.read
        );
        Ok(())
    }

    /// A runner gets input that is not logged: as many bytes as the log says.
    pub(crate) fn read_hidden(
        &mut self,
        session: SessionId,
        job: JobId,
        bytes: &Arc<[u8]>,
        model: &Model,
    ) -> Result<(), String> {
        let run = self.jobs.entry(job).or_default();
        run.hidden += bytes.len() as u64;
        let said: u64 = model
            .records(session)
            .filter_map(|(_, record)| match record.event {
                Event::InputHidden {
                    job: other, bytes, ..
                } if other == job => Some(bytes),
                _ => None,
            })
            .sum();
        ensure!(
            run.hidden <= said,
            "promise 3: job {job} is given {} hidden bytes, of which the log has {said}",
            run.hidden
        );
        Ok(())
    }

    /// A terminal gets a size: one that the log has.
    pub(crate) fn resize(
        &mut self,
        session: SessionId,
        job: JobId,
        size: TerminalSize,
        model: &Model,
    ) -> Result<(), String> {
        let mut records = model.records(session);
        let is_durable = records.any(|(_, record)| {
            matches!(record.event, Event::TerminalResized { job: other, size: to, .. }
                if other == job && to == size)
        });
        ensure!(
            is_durable,
            "promise 3: the terminal of job {job} gets a size before that is durable"
        );
        Ok(())
    }

    /// The engine accepted a result.
    pub(crate) fn say(&mut self, job: JobId, result: Arc<str>) {
        self.jobs.entry(job).or_default().results.push(result);
    }

    pub(crate) fn panic(&mut self, job: JobId) {
        self.jobs.entry(job).or_default().panicked = true;
    }

    /// A runner is asked to release what it holds for a session.
    pub(crate) fn release(&mut self, session: SessionId, model: &Model) -> Result<(), String> {
        ensure!(
            model.is_closed(session),
            "promise 3: session {session} is released before its end is durable"
        );
        ensure!(
            self.released.insert(session),
            "session {session} is released twice"
        );
        Ok(())
    }

    /// A submission is durable: no other job of the session has the same request name.
    pub(crate) fn submit(&self, record: &Record, model: &Model) -> Result<(), String> {
        let Event::JobSubmitted {
            job,
            request: Some(request),
            ..
        } = &record.event
        else {
            return Ok(());
        };
        let is_same = |record: &Record| matches!(&record.event, Event::JobSubmitted { request: Some(other), .. } if other == request);
        let mut submitted = model.records(record.session).map(|(_, record)| record);
        let times = submitted.by_ref().filter(|record| is_same(record)).count();
        // The workload uses fewer names than a session remembers.
        ensure!(
            times <= 1,
            "promise 7: job {job} is the second of request {request}"
        );
        Ok(())
    }

    /// The end of a job is durable: all of its results must be, too.
    pub(crate) fn finish(&self, record: &Record, model: &Model) -> Result<(), String> {
        let Event::JobFinished {
            job,
            outcome,
            status,
            ..
        } = record.event
        else {
            return Ok(());
        };
        let mut logged = vec![];
        let mut was_cut = outcome == Outcome::Lost;
        for (_, record) in model.records(record.session) {
            match &record.event {
                Event::ResultEmitted {
                    job: other, result, ..
                } if *other == job => logged.push(result.clone()),
                Event::InterruptRequested {
                    job: other,
                    cause: InterruptCause::OutputLimit | InterruptCause::SessionClosed,
                    ..
                } if *other == job => was_cut = true,
                _ => {}
            }
        }
        let Some(run) = self.jobs.get(&job).filter(|run| !run.is_kept) else {
            return Ok(());
        };
        ensure!(
            run.results.starts_with(&logged) || !was_cut && logged.starts_with(&run.results),
            "promise 2: job {job} emitted {:?}, and the log has {logged:?}",
            run.results
        );
        ensure!(
            was_cut || logged.len() >= run.results.len(),
            "promise 5: job {job} emitted {} results and finished; the log has {} of them and declares no loss",
            run.results.len(),
            logged.len()
        );
        ensure!(
            !run.panicked || was_cut || outcome != Outcome::Completed,
            "job {job} panicked and is completed with status {status}"
        );
        Ok(())
    }

    /// No task can proceed until time passes: every durable submission and closing was acted upon.
    pub(crate) fn check_waiting(
        &self,
        is_served: impl Fn(SessionId) -> bool,
        model: &Model,
    ) -> Result<(), String> {
        for record in model.log().iter().skip(self.from) {
            match &record.event {
                Event::JobSubmitted { job, statement, .. } => {
                    let is_builtin = !statement.contains('#');
                    ensure!(
                        is_builtin || self.jobs.contains_key(job) || !is_served(record.session),
                        "job {job} was never run"
                    );
                }
                Event::SessionClosed { .. } => ensure!(
                    self.released.contains(&record.session) || !is_served(record.session),
                    "session {} was never released",
                    record.session
                ),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The durable writes to a job. An end without bytes is not delivered.
fn written(session: SessionId, job: JobId, model: &Model) -> impl Iterator<Item = Arc<[u8]>> {
    model
        .records(session)
        .filter_map(move |(_, record)| match &record.event {
            Event::InputWritten {
                job: other, bytes, ..
            } if *other == job && !bytes.is_empty() => Some(bytes.clone()),
            _ => None,
        })
}
