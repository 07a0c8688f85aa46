//! What runners were told and what they said. A job is run once, after the log knows of it; what
//! it says is logged, all of it and in order.

use super::{Model, ensure};
use rejoin_core::{Event, InterruptCause, JobId, Outcome, Record, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The runs of all jobs, in all processes.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    jobs: BTreeMap<JobId, Run>,
    released: BTreeSet<SessionId>,
    /// How many records were durable when the process started.
    from: usize,
}

#[derive(Debug, Default)]
struct Run {
    interrupts: usize,
    said: Vec<Arc<str>>,
    /// How many writes to its input it was given.
    read: usize,
    panicked: bool,
}

impl Runs {
    pub(crate) fn restart(&mut self) {
        // What a dead process had to do is nobody's any more.
        self.from = usize::MAX;
    }

    pub(crate) fn resume(&mut self, model: &Model) {
        self.from = model.log().len();
    }

    /// A runner is told to run a job.
    pub(crate) fn start(
        &mut self,
        session: SessionId,
        job: JobId,
        model: &Model,
    ) -> Result<(), String> {
        let is_submitted = |record: &Record| matches!(record.event, Event::JobSubmitted { job: it, .. } if it == job);
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

    /// A runner is told to end a job.
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
            |(_, record)| matches!(record.event, Event::InterruptRequested { job: it, .. } if it == job),
        );
        ensure!(
            is_engine_gone || asked.count() >= run.interrupts,
            "promise 3: job {job} is interrupted ({cause:?}) before that is durable"
        );
        Ok(())
    }

    /// A runner is given what was written to its job: each write once, in the order of the log.
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

    /// The engine has taken what a job said.
    pub(crate) fn say(&mut self, job: JobId, result: Arc<str>) {
        self.jobs.entry(job).or_default().said.push(result);
    }

    pub(crate) fn panic(&mut self, job: JobId) {
        self.jobs.entry(job).or_default().panicked = true;
    }

    /// A session's runner is told to leave nothing of it behind.
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

    /// A job was submitted, durably: no other one by the same request.
    pub(crate) fn submit(&self, record: &Record, model: &Model) -> Result<(), String> {
        let Event::JobSubmitted {
            job,
            request: Some(request),
            ..
        } = &record.event
        else {
            return Ok(());
        };
        let is_same = |other: &Record| matches!(&other.event, Event::JobSubmitted { request: Some(it), .. } if it == request);
        let mut submitted = model.records(record.session).map(|(_, it)| it);
        let times = submitted.by_ref().filter(|it| is_same(it)).count();
        // Fewer names are asked with than a session remembers.
        ensure!(
            times <= 1,
            "promise 7: job {job} is the second of request {request}"
        );
        Ok(())
    }

    /// A job has finished, durably: all that it said is there.
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
                    job: it, result, ..
                } if *it == job => logged.push(result.clone()),
                Event::InterruptRequested {
                    job: it,
                    cause: InterruptCause::OutputLimit | InterruptCause::SessionClosed,
                    ..
                } if *it == job => was_cut = true,
                _ => {}
            }
        }
        let Some(run) = self.jobs.get(&job) else {
            return Ok(());
        };
        ensure!(
            run.said.starts_with(&logged) || !was_cut && logged.starts_with(&run.said),
            "promise 2: job {job} said {:?}, and the log has {logged:?}",
            run.said
        );
        ensure!(
            was_cut || logged.len() >= run.said.len(),
            "promise 5: job {job} said {} results and finished; the log has {} of them, and nobody is told",
            run.said.len(),
            logged.len()
        );
        ensure!(
            !run.panicked || was_cut || outcome != Outcome::Completed,
            "job {job} panicked and is completed with status {status}"
        );
        Ok(())
    }

    /// Nothing can go on before time passes: nothing that was to be done has been forgotten.
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

/// What was written to a job, durably; an end alone is nothing.
fn written(session: SessionId, job: JobId, model: &Model) -> impl Iterator<Item = Arc<[u8]>> {
    model
        .records(session)
        .filter_map(move |(_, record)| match &record.event {
            Event::InputWritten { job: it, bytes, .. } if *it == job && !bytes.is_empty() => {
                Some(bytes.clone())
            }
            _ => None,
        })
}
