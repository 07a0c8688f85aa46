//! What is known of a job: from the views, or else from the session's records.

use crate::limits::FIND_BYTES;
use crate::output::{Finish, ONE, finish_of};
use rejoin_engine::{
    Engine, Event, JobId, JobState, Moment, Outcome, PullError, ReadLimit, Record, Sequence,
    SessionId,
};
use std::sync::Arc;
use std::time::Duration;

/// A job that all viewers of its session may see.
#[derive(Clone, Debug)]
pub(crate) struct JobFacts {
    pub(crate) job: JobId,
    pub(crate) statement: Arc<str>,
    pub(crate) submitted: Sequence,
    pub(crate) since: Moment,
    /// None while it is unfinished.
    pub(crate) finish: Option<Finish>,
}

/// Why a job is not known.
#[derive(Debug)]
pub(crate) enum Unknown {
    /// The session has no such job, or it is private to its submitter.
    Job,
    /// There is no such session.
    Session,
    /// It may be there, but too much would have to be read to find it.
    TooFar,
    /// The records could not be read.
    Read(PullError),
}

impl From<PullError> for Unknown {
    fn from(error: PullError) -> Self {
        match error {
            PullError::SessionNotFound => Self::Session,
            error => Self::Read(error),
        }
    }
}

impl JobFacts {
    /// Finds a job. Costs a few reads if the session remembers it, and reads its records from the
    /// first on if not.
    pub(crate) async fn find(
        engine: &Engine,
        session: SessionId,
        job: JobId,
    ) -> Result<Self, Unknown> {
        let known = engine.know_job(session, job).await;
        known.map_err(PullError::Unavailable)?;
        let viewed = engine.view(|views| {
            let view = views.session(session)?;
            Some((view.job(job).cloned(), view.last_sequence))
        });
        let Some((Some(view), last)) = viewed else {
            return find_in_records(engine, session, job).await;
        };
        if view.mode.is_private() {
            return Err(Unknown::Job);
        }
        let finish = match view.state {
            JobState::Submitted | JobState::Running => None,
            JobState::Finished {
                outcome,
                status,
                at,
            } => {
                let known = (view.submitted, last, at);
                let found = find_finish(engine, session, job, known).await?;
                Some(found.unwrap_or(Finish {
                    outcome,
                    status,
                    message: None,
                    at,
                    sequence: last,
                }))
            }
        };
        Ok(Self {
            job,
            statement: view.statement,
            submitted: view.submitted,
            since: view.since,
            finish,
        })
    }

    /// The exit status of its command. None while it runs, and if the server ended first.
    pub(crate) fn exit_status(&self) -> Option<i32> {
        let finish = self.finish.as_ref()?;
        (finish.outcome != Outcome::Lost).then_some(finish.status)
    }
}

/// Whether a job is unfinished.
pub(crate) fn is_unfinished(engine: &Engine, session: SessionId, job: JobId) -> bool {
    engine.view(|views| {
        let view = views.session(session).and_then(|view| view.job(job));
        view.is_some_and(|view| !matches!(view.state, JobState::Finished { .. }))
    })
}

/// Waits until a job has finished, or until `patience` is ready.
pub(crate) async fn wait_for_end(
    engine: &Engine,
    session: SessionId,
    job: JobId,
    mut patience: impl Future + Unpin,
) -> Result<(), PullError> {
    while let Some(last) = engine.view(|views| {
        let view = views.session(session)?;
        let is_unfinished = view
            .job(job)
            .is_some_and(|job| !matches!(job.state, JobState::Finished { .. }));
        is_unfinished.then_some(view.last_sequence)
    }) {
        let next = engine.read_until(session, last, ONE, &mut patience);
        if next.await?.is_empty() {
            break;
        }
    }
    Ok(())
}

/// The record of a job's end, which was decided at this moment and lies between two sequences. Instants never
/// decrease, so that it is found in a few reads.
async fn find_finish(
    engine: &Engine,
    session: SessionId,
    job: JobId,
    (submitted, last, at): (Sequence, Sequence, Moment),
) -> Result<Option<Finish>, PullError> {
    // Usually it is the last record, or one of the last. Those before may be long output.
    for near in [1, 4] {
        let before = Sequence(last.0.saturating_sub(near)).max(submitted);
        let records = read(engine, session, before).await?;
        if let Some(found) = records.iter().find_map(|record| finish_of(record, job)) {
            return Ok(Some(found));
        }
    }
    // The first record that is later than the end.
    let (mut low, mut high) = (submitted.0, last.0 + 1);
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        let record = engine.read(session, Sequence(middle - 1), ONE, Duration::ZERO);
        match record.await?.first() {
            Some(record) if record.clock <= at.clock => low = middle,
            _ => high = middle,
        }
    }
    let mut end = high;
    while end > submitted.0 {
        let before = end.saturating_sub(NEAR).max(submitted.0);
        let records = read(engine, session, Sequence(before)).await?;
        if let Some(found) = records.iter().find_map(|record| finish_of(record, job)) {
            return Ok(Some(found));
        }
        if records.first().is_none_or(|first| first.clock < at.clock) {
            break;
        }
        end = before;
    }
    Ok(None)
}

async fn find_in_records(
    engine: &Engine,
    session: SessionId,
    job: JobId,
) -> Result<JobFacts, Unknown> {
    let mut after = Sequence::START;
    let mut found: Option<JobFacts> = None;
    let mut bytes = 0;
    loop {
        let records = read(engine, session, after).await?;
        let Some(last) = records.last() else {
            return found.ok_or(Unknown::Job);
        };
        after = last.sequence;
        for record in &records {
            match &record.event {
                Event::JobSubmitted {
                    job: submitted,
                    mode,
                    statement,
                    ..
                } if *submitted == job => {
                    if mode.is_private() {
                        return Err(Unknown::Job);
                    }
                    found = Some(JobFacts {
                        job,
                        statement: statement.clone(),
                        submitted: record.sequence,
                        since: record.moment(),
                        finish: None,
                    });
                }
                _ => {}
            }
            if let Some(finish) = finish_of(record, job)
                && let Some(found) = found.take()
            {
                return Ok(JobFacts {
                    finish: Some(finish),
                    ..found
                });
            }
            bytes += usize::try_from(record.bytes()).unwrap_or(usize::MAX);
        }
        if bytes > FIND_BYTES {
            return Err(Unknown::TooFar);
        }
    }
}

async fn read(
    engine: &Engine,
    session: SessionId,
    after: Sequence,
) -> Result<Vec<Arc<Record>>, PullError> {
    engine.read(session, after, MANY, Duration::ZERO).await
}

/// The number of records before the place of an end that are read at once.
const NEAR: u64 = 16;

const MANY: ReadLimit = ReadLimit {
    records: crate::limits::READ_RECORDS,
    bytes: 8 * 1024 * 1024,
};
