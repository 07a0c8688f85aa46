//! Checks the jobs that keepers hold: what is logged and read of a job is what its program wrote, byte
//! for byte up to its end, however often the server died; and a job is lost only with its keeper.
//!
//! What programs did is known from themselves. It is not taken back when a log is restored from a
//! backup; all other knowledge is.

use super::{Model, ensure};
use rejoin_core::{
    ConsumerId, Event, InterruptCause, JobId, Outcome, OutputOffsets, OutputStream, Record,
    Sequence, SessionId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The services whose jobs are held by keepers.
const KEPT_SERVICES: [&str; 2] = ["kept", "script"];

/// What a program did so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProgramFacts {
    pub(crate) written: OutputOffsets,
    /// Its status, once it has ended by itself.
    pub(crate) exit: Option<i32>,
    /// Its keeper died, or killed it.
    pub(crate) is_gone: bool,
    /// It makes its runner panic.
    pub(crate) panics: bool,
    /// The input that it was given.
    pub(crate) given: Vec<u8>,
}

/// What all programs did, by their statements, which are unique.
#[derive(Debug, Default)]
pub(crate) struct Programs(BTreeMap<Arc<str>, ProgramFacts>);

impl Programs {
    pub(crate) fn update(&mut self, statement: &Arc<str>, facts: &ProgramFacts) {
        if self.0.get(statement) != Some(facts) {
            self.0.insert(statement.clone(), facts.clone());
        }
    }
}

/// The byte that the program of this statement writes at this offset.
pub(crate) fn byte(statement: &str, stream: OutputStream, offset: u64) -> u8 {
    let seed = statement
        .bytes()
        .fold(u64::from(stream == OutputStream::Stderr), |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
    let mixed = (seed ^ offset).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    b'a' + u8::try_from((mixed >> 40) % 26).unwrap_or(0)
}

/// The result that a runner makes of a part of the output.
pub(crate) fn result(
    job: JobId,
    statement: &str,
    stream: OutputStream,
    offset: u64,
    count: u64,
) -> Arc<str> {
    let bytes = (offset..offset + count).map(|offset| byte(statement, stream, offset));
    let content = String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned();
    let stream = stream.name();
    format!(r#"{{"content":"{content}","jobId":{job},"stream":"{stream}","type":"kept"}}"#).into()
}

/// What is logged and read of the jobs that keepers hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeptJobs {
    jobs: BTreeMap<JobId, LoggedProgram>,
    /// The jobs that must go on in the process that starts now.
    expected: BTreeSet<JobId>,
    /// The statements of jobs that keepers had and that could not go on.
    refused: BTreeSet<Arc<str>>,
    /// A read has failed since this process began to start.
    has_failed_to_read: bool,
    viewers: BTreeMap<(SessionId, ConsumerId), Reading>,
    /// How many records of the log are taken.
    taken: usize,
}

#[derive(Clone, Debug)]
struct LoggedProgram {
    statement: Arc<str>,
    has_input: bool,
    offsets: OutputOffsets,
}

/// What one viewer has read.
#[derive(Clone, Debug, Default)]
struct Reading {
    to: Sequence,
    jobs: BTreeMap<JobId, OutputOffsets>,
}

impl KeptJobs {
    /// A new process starts, in which the jobs in `expected` must go on, and those with the statements in
    /// `refused` can't.
    pub(crate) fn expect(&mut self, expected: BTreeSet<JobId>, refused: BTreeSet<Arc<str>>) {
        self.expected = expected;
        self.refused.extend(refused);
        self.has_failed_to_read = false;
    }

    /// A read of the log failed. A job of the last process whose input can't be read does not go on: what
    /// it was not given is not known.
    pub(crate) fn fail_to_read(&mut self) {
        self.has_failed_to_read = true;
    }

    /// Whether the job may be lost because of that.
    pub(crate) fn is_unreadable(&self, job: JobId) -> bool {
        self.has_failed_to_read && self.jobs.get(&job).is_some_and(|logged| logged.has_input)
    }

    /// A keeper is told to forget the job with this statement: that must be over, or can't go on.
    pub(crate) fn forget(&self, job: JobId, statement: &str, model: &Model) -> Result<(), String> {
        let mut running = model
            .state
            .sessions()
            .flat_map(|(_, session)| session.jobs());
        ensure!(
            self.refused.contains(statement)
                || self.statement(job) != Some(statement)
                || !running.any(|(running, _)| running == job),
            "promise 7: job {job} is forgotten before its end is durable"
        );
        Ok(())
    }

    pub(crate) fn expected(&self) -> &BTreeSet<JobId> {
        &self.expected
    }

    /// Whether a keeper holds the job, or held it.
    pub(crate) fn knows(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// The statement of a job that a keeper holds.
    pub(crate) fn statement(&self, job: JobId) -> Option<&str> {
        self.jobs.get(&job).map(|logged| &*logged.statement)
    }

    /// Takes the records that are durable since the last call.
    pub(crate) fn catch_up(&mut self, programs: &Programs, model: &Model) -> Result<(), String> {
        // In its first batch, a process says which jobs no keeper has any more.
        let is_first = model.was_first();
        let new = model.log().iter().skip(self.taken);
        self.taken = model.log().len();
        for record in new {
            self.take(record, is_first, programs, model)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        record: &Record,
        is_first: bool,
        programs: &Programs,
        model: &Model,
    ) -> Result<(), String> {
        let facts = |logged: &LoggedProgram| programs.0.get(&logged.statement);
        match &record.event {
            Event::JobSubmitted {
                job,
                statement,
                input,
                output,
                ..
            } => {
                let is_kept = model
                    .service(record.session)
                    .is_some_and(|service| KEPT_SERVICES.contains(&service));
                if is_kept && statement.contains('#') {
                    let logged = LoggedProgram {
                        statement: statement.clone(),
                        has_input: *input || output.terminal().is_some(),
                        offsets: OutputOffsets::default(),
                    };
                    self.jobs.insert(*job, logged);
                }
            }
            Event::ResultEmitted { job, .. } => {
                if let Some(logged) = self.jobs.get_mut(job) {
                    let written = facts(logged).map(|facts| facts.written);
                    let written = written.unwrap_or_default();
                    append(record, &logged.statement, &mut logged.offsets, written)?;
                }
            }
            Event::JobFinished {
                job,
                outcome: Outcome::Lost,
                ..
            } => {
                let logged = self.jobs.get(job);
                let Some((logged, facts)) = logged.and_then(|it| Some((it, facts(it)?))) else {
                    return Ok(());
                };
                let is_right = match is_first {
                    true => {
                        facts.is_gone
                            || self.refused.contains(&logged.statement)
                            || self.is_unreadable(*job)
                    }
                    false => facts.is_gone,
                };
                ensure!(
                    is_right,
                    "promise 7: job {job} is lost although its keeper lives and has all of it"
                );
            }
            Event::JobFinished {
                job,
                outcome,
                status,
                ..
            } => {
                if let Some(logged) = self.jobs.get(job) {
                    let end = (*job, *outcome, *status);
                    finish(record.session, end, logged, facts(logged), model)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A viewer was given these records.
    pub(crate) fn read(
        &mut self,
        (session, consumer): (SessionId, ConsumerId),
        records: &[Arc<Record>],
        model: &Model,
    ) -> Result<(), String> {
        let reading = self.viewers.entry((session, consumer)).or_default();
        for record in records {
            // After a crash, a viewer may be given records again.
            if record.sequence <= reading.to {
                continue;
            }
            reading.to = record.sequence;
            match &record.event {
                Event::ResultEmitted { job, .. } => {
                    if let Some(logged) = self.jobs.get(job) {
                        let read = reading.jobs.entry(*job).or_default();
                        append(record, &logged.statement, read, logged.offsets)
                            .map_err(|what| format!("{what}, to viewer {consumer}"))?;
                    }
                }
                Event::JobFinished { job, .. } => {
                    let read = reading.jobs.remove(job).unwrap_or_default();
                    let logged = self.jobs.get(job).map(|logged| logged.offsets);
                    // Of a session that was removed, a viewer gets what is left.
                    let is_whole = !model.is_removed(session);
                    ensure!(
                        !is_whole || logged.is_none_or(|logged| logged == read),
                        "promise 7: viewer {consumer} read {read:?} of job {job}, and {logged:?} are logged"
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Adds a result to what is known of a job: its bytes are those that follow, and the program wrote them.
fn append(
    record: &Record,
    statement: &str,
    before: &mut OutputOffsets,
    written: OutputOffsets,
) -> Result<(), String> {
    let Event::ResultEmitted {
        job,
        result: logged,
        position: Some(position),
        ..
    } = &record.event
    else {
        return Err(format!("promise 7: {record:?} has no position"));
    };
    let (stream, offset) = (position.stream, before.of(position.stream));
    let expected = result(
        *job,
        statement,
        stream,
        offset,
        position.bytes.saturating_sub(offset),
    );
    // A redacted one is as long as it was, and the model knows what it is now.
    let is_same = match record.redacted {
        None => expected == *logged,
        Some(_) => expected.len() == logged.len(),
    };
    ensure!(
        is_same && position.bytes <= written.of(stream),
        "promise 7: {record:?} follows {offset} bytes of {stream:?}, and the program wrote {expected} up to {written:?}"
    );
    before.advance(*position);
    Ok(())
}

fn finish(
    session: SessionId,
    (job, outcome, status): (JobId, Outcome, i32),
    logged: &LoggedProgram,
    facts: Option<&ProgramFacts>,
    model: &Model,
) -> Result<(), String> {
    let mut causes = vec![];
    for (_, record) in model.records(session) {
        if let Event::InterruptRequested {
            job: other, cause, ..
        } = record.event
            && other == job
        {
            causes.push(cause);
        }
    }
    if causes.contains(&InterruptCause::SessionClosed) {
        return Ok(());
    }
    let Some(facts) = facts else {
        // No keeper has started it: the server died before that, or its service is gone.
        ensure!(
            status == NOT_RUN,
            "promise 7: job {job}, which never ran, is {outcome:?} with status {status}"
        );
        return Ok(());
    };
    if facts.panics && status == NOT_RUN {
        return Ok(());
    }
    ensure!(
        facts.exit == Some(status) || outcome == Outcome::Failed && facts.exit == Some(0),
        "promise 7: job {job} is {outcome:?} with status {status}, and its program's end was {:?}",
        facts.exit
    );
    let is_cut = causes.contains(&InterruptCause::OutputLimit);
    ensure!(
        is_cut || logged.offsets == facts.written,
        "promise 7: job {job} wrote {:?} and has finished with {:?} in the log",
        facts.written,
        logged.offsets
    );
    Ok(())
}

/// The status of a job that could not run.
const NOT_RUN: i32 = 126;
