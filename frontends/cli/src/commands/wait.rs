//! `rejoin wait`: waits until a job ends, and exits with its exit status.

use super::run::exit_status;
use super::sessions::print;
use crate::args::WaitArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::limits::{ANSWER, FIRST_PAUSE, LONGEST_PAUSE, LONGEST_WAIT};
use crate::client::resolve::{address, identity, resolve};
use crate::offline::warn;
use rejoin_core::{Event, JobId, JobMode, JobSlot, Outcome, Visibility};
use rejoin_engine::{Runtime, SmolRuntime};
use rejoin_replay::describe;
use serde_json::Value;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Waits; returns the exit status of the job.
pub(crate) fn run(args: &WaitArgs) -> Result<ExitCode, ClientError> {
    let (api, name) = address(&args.at)?;
    let begun = SmolRuntime.elapsed();
    let deadline = args.timeout.map(|it| begun.saturating_add(it.0));
    let patience = args.reconnecting.reconnect_for.0;
    let mut waiter = Waiter {
        api,
        patience,
        begun,
        deadline,
    };
    let found = waiter.asked(Duration::ZERO, |api| resolve(api, &name));
    let Some(shown) = found? else {
        return Ok(ExitCode::from(TIMED_OUT));
    };
    let (session, _) = identity(&shown)?;
    let job = match args.job {
        Some(job) => job,
        None => chosen(&shown).ok_or_else(|| {
            ClientError::Session(format!("session {} has run nothing yet", shown["number"]))
        })?,
    };
    let after = shown["lastSequence"].as_u64().unwrap_or_default();
    match waiter.job(&session, job, after)? {
        None => Ok(ExitCode::from(TIMED_OUT)),
        Some(job) if args.json => {
            print(&format!("{job}\n"))?;
            Ok(ExitCode::from(ended(&job).1))
        }
        Some(job) => {
            let (event, status) = ended(&job);
            // A command that fails has printed its own message.
            if !matches!(
                event,
                Event::JobFinished {
                    outcome: Outcome::Completed | Outcome::Failed,
                    ..
                }
            ) {
                warn(&describe(&event).unwrap_or_default());
            }
            Ok(ExitCode::from(status))
        }
    }
}

/// The job that runs in the foreground, or else any that runs, or else the last one.
fn chosen(session: &Value) -> Option<u64> {
    let jobs = || session["jobs"].as_array().into_iter().flatten();
    let runs = |job: &&Value| job["state"] != "finished";
    let current = session["currentJob"]["job"].as_u64();
    let running = || jobs().rfind(runs);
    let last = || jobs().next_back();
    current.or_else(|| running().or_else(last)?["job"].as_u64())
}

struct Waiter {
    api: Api,
    /// How long the server may be away.
    patience: Duration,
    /// Both on the machine's stopwatch.
    begun: Duration,
    deadline: Option<Duration>,
}

impl Waiter {
    /// The job once it has finished. None: not within the timeout.
    fn job(
        &mut self,
        session: &str,
        job: u64,
        mut after: u64,
    ) -> Result<Option<Value>, ClientError> {
        loop {
            let path = format!("/sessions/{session}/jobs/{job}");
            let Some(shown) = self.asked(Duration::ZERO, |api| api.get(&path))? else {
                return Ok(None);
            };
            if shown["state"] == "finished" {
                return Ok(Some(shown));
            }
            // Until a record may be about its end. Each answer is a bounded part of what there is.
            loop {
                let wait = self.left().min(self.longest_wait());
                let millis = wait.as_millis();
                let path = format!("/sessions/{session}/events?after={after}&wait={millis}");
                let read = match self.asked(wait, |api| api.get(&path)) {
                    // Another log: from its beginning, which only costs time.
                    Err(error) if error.is_code("cursor_unknown") => {
                        after = 0;
                        continue;
                    }
                    read => read?,
                };
                let Some(read) = read else {
                    return Ok(None);
                };
                let mut events = read["events"].as_array().into_iter().flatten();
                after = read["after"].as_u64().unwrap_or(after);
                let has_ended = events.any(|event| {
                    let kind = event["type"].as_str();
                    let is_end = event["job"] == job && kind == Some("job-finished");
                    is_end || matches!(kind, Some("records-lost" | "session-resumed"))
                });
                if has_ended || read["ended"] == true {
                    break;
                }
                if self.left().is_zero() {
                    return Ok(None);
                }
            }
        }
    }

    /// How long there is to wait.
    fn left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_sub(SmolRuntime.elapsed())
        })
    }

    /// How long the server may wait for something to report, so that its silence is noticed in time.
    fn longest_wait(&self) -> Duration {
        let most = self.patience.saturating_sub(ANSWER);
        most.clamp(SHORTEST_WAIT, LONGEST_WAIT)
    }

    /// How long an answer may take. A server is always given a moment, so that the shortest timeout tells
    /// whether the job has ended.
    fn left_to_answer(&self) -> Duration {
        let moment = self.begun.saturating_add(MOMENT);
        let moment = moment.saturating_sub(SmolRuntime.elapsed());
        self.left().max(moment)
    }

    /// The answer to a request that changes nothing, for which it asks again while the server is away. The
    /// server may wait before it answers. None: the time to wait is over.
    fn asked(
        &mut self,
        wait: Duration,
        ask: impl Fn(&Api) -> Result<Value, ClientError>,
    ) -> Result<Option<Value>, ClientError> {
        let begun = SmolRuntime.elapsed();
        let patience = self.patience.max(wait + ANSWER);
        let left = || patience.saturating_sub(SmolRuntime.elapsed().saturating_sub(begun));
        let mut pause = FIRST_PAUSE;
        loop {
            let most = left().min(self.left_to_answer());
            match ask(&self.api.within(most)) {
                Err(error) if error.is_retryable() => {
                    if self.left().is_zero() {
                        return Ok(None);
                    }
                    if left().is_zero() {
                        return Err(error);
                    }
                }
                answer => return answer.map(Some),
            }
            thread::sleep(pause.min(self.left()).min(left()));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// How a finished job ended, and with which exit status.
fn ended(job: &Value) -> (Event, u8) {
    let name = job["outcome"].as_str().unwrap_or_default();
    let outcome = Outcome::ALL.into_iter().find(|it| it.name() == name);
    let outcome = outcome.unwrap_or(Outcome::Lost);
    let status = job["status"].as_i64().and_then(|it| i32::try_from(it).ok());
    let status = status.unwrap_or_default();
    let event = Event::JobFinished {
        job: JobId(job["job"].as_u64().unwrap_or_default()),
        mode: JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        },
        outcome,
        status,
        message: None,
    };
    (event, exit_status(outcome, status))
}

/// What a server waits for at least.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// How long a server may take to answer at all, whatever the timeout.
const MOMENT: Duration = Duration::from_secs(1);

/// Exit status when the job did not end in time, as that of `timeout`.
const TIMED_OUT: u8 = 124;
