//! What becomes, at a start, of the jobs that the log says are running.

use crate::jobs::runner::{KeptJob, Runner, is_same};
use crate::jobs::supervisor::{LoggedWrite, ResumedJob, Services};
use crate::limits::{self, LOST_JOBS_NAMED};
use rejoin_core::{
    Event, InterruptCause, Job, JobId, JobState, JobView, Numbering, SessionId, State, Views,
};
use rejoin_log::{LogReader, ReadError, ReadLimit};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    /// Nothing was running.
    pub(crate) const NONE: Self = Self {
        kept: 0,
        lost: BTreeMap::new(),
    };

    /// Logs what went on and what was lost.
    pub(crate) fn new(kept: usize, lost: Vec<LostJob>) -> Self {
        if kept > 0 {
            tracing::info!(jobs = kept, "went on with jobs of the previous server");
        }
        for it in lost.iter().take(LOST_JOBS_NAMED) {
            let (session, job, reason) = (it.session, it.job, it.reason());
            tracing::warn!(%session, %job, %reason, "lost a job of the previous server");
        }
        if lost.len() > LOST_JOBS_NAMED {
            let jobs = lost.len() - LOST_JOBS_NAMED;
            tracing::warn!(jobs, "lost further jobs of the previous server");
        }
        let mut by_reason = BTreeMap::new();
        for it in lost {
            *by_reason.entry(it.reason().to_owned()).or_default() += 1;
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

/// A running job that does not go on.
pub(crate) struct LostJob {
    session: SessionId,
    pub(crate) job: JobId,
    /// For people, if it is known.
    pub(crate) reason: Option<String>,
}

impl LostJob {
    fn reason(&self) -> &str {
        let reason = self.reason.as_deref();
        reason.unwrap_or("the service does not have it any more")
    }
}

/// A job that a runner has and that can't go on.
pub(crate) struct RefusedJob {
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) job: JobId,
    /// For people.
    reason: &'static str,
}

/// The jobs that go on, and those that a runner still has although they can't: the log does not say
/// that they are running, or is an older copy, or their input can't be read.
pub(crate) fn kept_jobs(
    services: &Services,
    state: &State,
    views: &Views,
    log: &dyn LogReader,
    numbering: Numbering,
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
        // Those of other logs are not touched.
        let is_here = |had: &KeptJob| numbering.log_of_number(had.job.0) == numbering.log();
        for had in runner.kept().into_iter().filter(is_here) {
            let resumed = running
                .get(&had.job)
                .filter(|(_, session, _)| session.service() == service)
                .and_then(|&(session, _, job)| {
                    Some((session, job, views.session(session)?.job(had.job)?))
                })
                .ok_or(NOT_RUNNING)
                .and_then(|(session, job, view)| resumed_job(runner, session, job, view, had, log));
            match resumed {
                Ok(resumed) => drop(kept.insert(had.job, resumed)),
                Err(reason) => {
                    let (runner, job) = (runner.clone(), had.job);
                    let it = RefusedJob {
                        runner,
                        job,
                        reason,
                    };
                    refused.insert(job, it);
                }
            }
        }
    }
    // A runner may serve several services, and names its jobs for each.
    refused.retain(|job, _| !kept.contains_key(job));
    let (kept, refused) = (kept.into_values(), refused.into_values());
    (kept.collect(), refused.collect())
}

const NOT_RUNNING: &str = "the log does not say that it runs";

/// The running jobs that do not go on, and why.
pub(crate) fn lost_jobs(
    services: &Services,
    state: &State,
    views: &Views,
    kept: &[ResumedJob],
    refused: &[RefusedJob],
) -> Vec<LostJob> {
    let kept: BTreeSet<_> = kept.iter().map(|job| job.job).collect();
    let refused: BTreeMap<_, _> = refused.iter().map(|it| (it.job, it.reason)).collect();
    let mut lost = Vec::new();
    for (id, session) in state.sessions() {
        for (job, _) in session.jobs().filter(|(job, _)| !kept.contains(job)) {
            let view = views.session(id).and_then(|session| session.job(job));
            let runner = services.get(session.service());
            let reason = if let Some(reason) = refused.get(&job) {
                Some((*reason).to_owned())
            } else if view.is_some_and(|view| view.state == JobState::Submitted) {
                Some("accepted, and not started".to_owned())
            } else {
                runner.and_then(|runner| runner.why_lost(job))
            };
            lost.push(LostJob {
                session: id,
                job,
                reason,
            });
        }
    }
    lost
}

/// What a job that goes on is given, or why it does not go on, for people.
fn resumed_job(
    runner: &Arc<dyn Runner>,
    session: SessionId,
    job: &Job,
    view: &JobView,
    had: KeptJob,
    log: &dyn LogReader,
) -> Result<ResumedJob, &'static str> {
    if !is_same(Some(view.submission()), had.submission) {
        return Err(ANOTHER_COMMAND);
    }
    // The log is an older copy if the job had more than it says.
    if had.interrupts > job.interrupts() {
        return Err("the log does not have all interrupts, and may be restored from a backup");
    }
    if had.input_ended && job.has_input() && !job.input_has_ended() {
        return Err(OLDER_INPUT);
    }
    let is_missing_input = job.has_input() && !had.input_ended;
    let missed_interrupts = job.interrupts() - had.interrupts;
    let missed = match is_missing_input || missed_interrupts > 0 {
        true => missed(session, view, had, log),
        false => Ok(Missed::default()),
    };
    let missed = match missed {
        // Whether it was given what the log does not have is then unknown.
        Err(_) if is_missing_input => return Err("what was written to its input cannot be read"),
        Ok(missed) if is_missing_input && had.input > missed.written => return Err(OLDER_INPUT),
        missed => missed.unwrap_or_default(),
    };
    let input = job.has_input().then(|| match had.input_ended {
        true => vec![([].into(), true)],
        false => missed.writes,
    });
    // Without the records, it is interrupted all the same.
    let cause = job.interrupt().unwrap_or(InterruptCause::Requested);
    let count = usize::try_from(missed_interrupts).unwrap_or(usize::MAX);
    let count = count.min(limits::INTERRUPTS);
    let mut pending = vec![cause; count.saturating_sub(missed.causes.len())];
    pending.extend(missed.causes);
    Ok(ResumedJob {
        runner: runner.clone(),
        session,
        job: had.job,
        submission: view.submission(),
        statement: view.statement.clone(),
        slot: view.mode.slot,
        from: job.offsets(),
        interrupts: job.interrupts() - u32::try_from(pending.len()).unwrap_or(0),
        pending,
        input,
        output: job.output(),
        keeps_leftovers: chosen_leftovers(session, view, log),
    })
}

/// What was said with a job about the processes that it leaves: in the record after its own.
fn chosen_leftovers(session: SessionId, view: &JobView, log: &dyn LogReader) -> Option<bool> {
    let next = ReadLimit {
        records: 1,
        bytes: 1,
    };
    let records = log.read(session, view.submitted, next).ok()?;
    match records.first()?.event {
        Event::LeftoversChosen { job, kept, .. } if job == view.job => Some(kept),
        _ => None,
    }
}

/// What is logged of a job and was not given to it.
#[derive(Default)]
struct Missed {
    writes: Vec<LoggedWrite>,
    /// How many bytes of input are logged, whether given or not.
    written: u64,
    /// Why it was interrupted: the last ones, as many as a runner is given at once.
    causes: VecDeque<InterruptCause>,
}

/// Reads what a job was not given.
fn missed(
    session: SessionId,
    view: &JobView,
    had: KeptJob,
    log: &dyn LogReader,
) -> Result<Missed, ReadError> {
    let (mut missed, mut interrupts) = (Missed::default(), 0_u32);
    let mut after = view.submitted;
    loop {
        let records = log.read(session, after, MISSED_READ).inspect_err(|error| {
            let job = view.job;
            tracing::warn!(%session, %job, %error, "cannot read what a running job was not given");
        })?;
        let Some(last) = records.last() else {
            return Ok(missed);
        };
        after = last.sequence;
        for record in &records {
            match &record.event {
                Event::InputWritten {
                    job, bytes, end, ..
                } if *job == view.job => {
                    let had = had.input.saturating_sub(missed.written);
                    let had = usize::try_from(had).unwrap_or(usize::MAX);
                    missed.written += bytes.len() as u64;
                    let rest = bytes.get(had..).unwrap_or_default();
                    if !rest.is_empty() || *end {
                        missed.writes.push((rest.into(), *end));
                    }
                }
                Event::InterruptRequested { job, cause, .. } if *job == view.job => {
                    interrupts += 1;
                    if interrupts > had.interrupts {
                        missed.causes.push_back(*cause);
                    }
                    if missed.causes.len() > limits::INTERRUPTS {
                        missed.causes.pop_front();
                    }
                }
                _ => {}
            }
        }
    }
}

/// Why a job does not go on, for people.
pub(crate) const ANOTHER_COMMAND: &str = "its number belongs to another command here: the log was restored from a backup, and \
     numbers were used again";
const OLDER_INPUT: &str =
    "the log does not have all of the input, and may be restored from a backup";

/// How much of the log is read at once for what a job was not given.
const MISSED_READ: ReadLimit = ReadLimit {
    records: 1_024,
    bytes: 1024 * 1024,
};
