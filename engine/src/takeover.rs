//! What becomes, at a start, of the jobs that the log says are running.

use crate::jobs::runner::{KeptJob, Runner};
use crate::jobs::supervisor::{LoggedWrite, ResumedJob, Services};
use crate::limits::LOST_JOBS_NAMED;
use rejoin_core::{Event, InterruptCause, Job, JobId, JobState, JobView, SessionId, State, Views};
use rejoin_log::{LogReader, ReadLimit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What became of the jobs that the log said were running when the engine was started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Takeover {
    /// How many went on.
    pub kept: usize,
    /// How many were lost, by the reason. Runners have few reasons.
    pub lost: BTreeMap<String, usize>,
}

impl Takeover {
    /// Logs what went on and what was lost.
    pub(crate) fn new(kept: usize, lost: Vec<(SessionId, JobId, String)>) -> Self {
        if kept > 0 {
            tracing::info!(jobs = kept, "went on with jobs of the previous server");
        }
        for (session, job, reason) in lost.iter().take(LOST_JOBS_NAMED) {
            tracing::warn!(%session, %job, %reason, "lost a job of the previous server");
        }
        if lost.len() > LOST_JOBS_NAMED {
            let jobs = lost.len() - LOST_JOBS_NAMED;
            tracing::warn!(jobs, "lost further jobs of the previous server");
        }
        let mut by_reason = BTreeMap::new();
        for (_, _, reason) in lost {
            *by_reason.entry(reason).or_default() += 1;
        }
        Self {
            kept,
            lost: by_reason,
        }
    }

    /// How many were lost in all.
    pub fn lost(&self) -> usize {
        self.lost.values().sum()
    }
}

/// A job that a runner has and that can't go on.
pub(crate) type RefusedJob = (Arc<dyn Runner>, JobId);

/// The jobs that go on, and those that a runner still has although they can't: the log does not say
/// that they are running, or their input can't be read.
pub(crate) fn kept_jobs(
    services: &Services,
    state: &State,
    views: &Views,
    log: &dyn LogReader,
) -> (Vec<ResumedJob>, Vec<RefusedJob>) {
    let running: BTreeMap<_, _> = state
        .sessions()
        .flat_map(|(id, session)| {
            session
                .jobs()
                .map(move |(job, it)| (job, (id, session, it)))
        })
        .collect();
    let (mut kept, mut refused) = (BTreeMap::new(), BTreeMap::new());
    for (service, runner) in services {
        for had in runner.kept() {
            let resumed = running
                .get(&had.job)
                .filter(|(_, session, _)| session.service() == service)
                .and_then(|&(session, _, job)| {
                    let view = views.session(session)?.job(had.job)?;
                    resumed_job(runner, session, job, view, had, log)
                });
            match resumed {
                Some(resumed) => drop(kept.insert(had.job, resumed)),
                None => drop(refused.insert(had.job, runner.clone())),
            }
        }
    }
    // A runner may serve several services, and names its jobs for each.
    refused.retain(|job, _| !kept.contains_key(job));
    let refused = refused.into_iter().map(|(job, runner)| (runner, job));
    (kept.into_values().collect(), refused.collect())
}

/// The running jobs that do not go on, and why.
pub(crate) fn lost_jobs(
    services: &Services,
    state: &State,
    views: &Views,
    kept: &[ResumedJob],
    refused: &[RefusedJob],
) -> Vec<(SessionId, JobId, String)> {
    let kept: BTreeSet<_> = kept.iter().map(|job| job.job).collect();
    let refused: BTreeSet<_> = refused.iter().map(|(_, job)| *job).collect();
    let mut lost = Vec::new();
    for (id, session) in state.sessions() {
        for (job, _) in session.jobs().filter(|(job, _)| !kept.contains(job)) {
            let view = views.session(id).and_then(|session| session.job(job));
            let runner = services.get(session.service());
            let reason = if refused.contains(&job) {
                "the log does not have all of the input, and may be restored from a backup"
                    .to_owned()
            } else if view.is_some_and(|view| view.state == JobState::Submitted) {
                "accepted, and not started".to_owned()
            } else {
                let reason = runner.and_then(|runner| runner.why_lost(job));
                reason.unwrap_or_else(|| "the service does not have it any more".to_owned())
            };
            lost.push((id, job, reason));
        }
    }
    lost
}

fn resumed_job(
    runner: &Arc<dyn Runner>,
    session: SessionId,
    job: &Job,
    view: &JobView,
    had: KeptJob,
    log: &dyn LogReader,
) -> Option<ResumedJob> {
    // The log is an older copy if the job had more than it says.
    let is_older = had.interrupts > job.interrupts()
        || had.input_ended && job.has_input() && !job.input_has_ended();
    if is_older {
        return None;
    }
    let input = match job.has_input() {
        true => Some(missed_input(session, view, had, log)?),
        false => None,
    };
    let missed = job.interrupts().saturating_sub(had.interrupts);
    Some(ResumedJob {
        runner: runner.clone(),
        session,
        job: had.job,
        statement: view.statement.clone(),
        slot: view.mode.slot,
        from: job.offsets(),
        interrupts: had.interrupts,
        pending: job
            .interrupt()
            .or_else(|| {
                let has_terminal = job.output().terminal().is_some();
                has_terminal.then_some(InterruptCause::Requested)
            })
            .filter(|_| missed > 0)
            .map(|it| (missed, it)),
        input,
        output: job.output(),
    })
}

/// The writes to a job's input that are logged and that it was not given. None if they can't be read.
fn missed_input(
    session: SessionId,
    view: &JobView,
    had: KeptJob,
    log: &dyn LogReader,
) -> Option<Vec<LoggedWrite>> {
    let mut writes = Vec::new();
    if had.input_ended {
        writes.push(([].into(), true));
        return Some(writes);
    }
    let (mut after, mut written) = (view.submitted, 0_u64);
    loop {
        let records = log.read(session, after, INPUT_READ);
        let records = records
            .inspect_err(|error| {
                let job = view.job;
                tracing::warn!(%session, %job, %error, "cannot read what was written to a job's input");
            })
            .ok()?;
        let Some(last) = records.last() else {
            // Otherwise it was given what is not in the log, which is an older copy.
            return (had.input <= written).then_some(writes);
        };
        after = last.sequence;
        for record in &records {
            let Event::InputWritten {
                job, bytes, end, ..
            } = &record.event
            else {
                continue;
            };
            if *job != view.job {
                continue;
            }
            let had = usize::try_from(had.input.saturating_sub(written)).unwrap_or(usize::MAX);
            written += bytes.len() as u64;
            let missed = bytes.get(had..).unwrap_or_default();
            if !missed.is_empty() || *end {
                writes.push((missed.into(), *end));
            }
        }
    }
}

/// How much of the log is read at once for input that a job was not given.
const INPUT_READ: ReadLimit = ReadLimit {
    records: 1_024,
    bytes: 1024 * 1024,
};
