//! Runs the jobs of a service in Arthas.

use crate::client::{ArthasClient, ArthasError, Response};
use crate::limits::{INTERRUPT, UNUSED};
use crate::options::ArthasOptions;
use crate::queue::{self, Queue};
use crate::results::JobResults;
use crate::sessions::{IdleSessions, UpstreamSession};
use crate::unclosed::{RunningJob, UnclosedSession, UnclosedSessions};
use futures::FutureExt;
use futures::future::{BoxFuture, Either, Fuse, FusedFuture, select};
use rejoin_engine::{
    Exit, InterruptCause, JobId, JobSlot, KeptJob, OutputOffsets, Runner, RunnerError, RunnerHost,
    RunnerJob, Runtime, SessionId, encode_result,
};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Runs the commands of sessions in one Arthas. Clones are the same runner.
///
/// A command that is interrupted ends within about 3 seconds, also if Arthas does not answer: its
/// session in Arthas is then closed, and the next command gets a new one. So it is when Arthas was
/// restarted.
#[derive(Clone, Debug)]
pub struct ArthasRunner(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: ArthasOptions,
    client: ArthasClient,
    idle: IdleSessions,
    running: AtomicUsize,
    host: OnceLock<Host>,
    /// The sessions whose command goes on, or whose command's end is not durable yet.
    busy: Mutex<BTreeMap<JobId, (String, UnclosedSession)>>,
}

#[derive(Debug)]
struct Host {
    runtime: Arc<dyn Runtime>,
    unclosed: Option<UnclosedSessions>,
}

/// What a runner waits for while a command runs.
enum Happening {
    Pulled(Result<Response, ArthasError>),
    Interrupted(Option<InterruptCause>),
    NotEnded,
}

/// How a command ended, and what becomes of its session in Arthas.
struct Ended {
    exit: Exit,
    then: Then,
}

#[derive(PartialEq, Eq)]
enum Then {
    /// It can run another command.
    Keep,
    Close,
    /// The server has ended, and the next one goes on with the command.
    Leave,
}

impl ArthasRunner {
    /// A runner for one Arthas. Nothing is sent before the first command.
    pub fn new(options: ArthasOptions) -> Self {
        Self(Arc::new(Inner {
            client: ArthasClient::new(&options),
            options,
            idle: IdleSessions::default(),
            running: AtomicUsize::new(0),
            host: OnceLock::new(),
            busy: Mutex::default(),
        }))
    }
}

impl Runner for ArthasRunner {
    fn prepare(&self, host: RunnerHost) -> BoxFuture<'static, Result<(), RunnerError>> {
        let runner = self.clone();
        Box::pin(async move {
            let unclosed = host.directory.map(|directory| {
                let name = directory_name(&runner.0.options.url);
                UnclosedSessions::open(directory.join("arthas").join(name))
            });
            let unclosed = unclosed.transpose().map_err(RunnerError::from)?;
            let left = unclosed.as_ref().map(UnclosedSessions::all).transpose();
            let left = left.unwrap_or_default().unwrap_or_default();
            let running = host.running;
            let host = Host {
                runtime: host.runtime,
                unclosed,
            };
            if runner.0.host.set(host).is_ok() {
                for (id, session) in left {
                    let job = session.job.as_ref().filter(|job| {
                        let logged = running.get(&job.id());
                        logged.is_some_and(|logged| logged.may_be(job.submission()))
                    });
                    match job.map(RunningJob::id) {
                        Some(job) if runner.0.still_has(&id, &session).await => {
                            runner.0.busy().insert(job, (id, session));
                        }
                        _ => runner.0.clone().close(id),
                    }
                }
            }
            Ok(())
        })
    }

    fn keeps_jobs(&self) -> bool {
        self.0.unclosed().is_some()
    }

    fn kept(&self) -> Vec<KeptJob> {
        let busy = self.0.busy();
        let kept = busy.iter().map(|(job, (_, known))| KeptJob {
            job: *job,
            submission: known.job.as_ref().and_then(RunningJob::submission),
            input: 0,
            input_ended: false,
            // Arthas bears one that is repeated.
            interrupts: 0,
        });
        kept.collect()
    }

    fn resume(&self, job: RunnerJob, _: OutputOffsets) -> BoxFuture<'static, Exit> {
        let inner = self.0.clone();
        if job.slot == JobSlot::Foreground {
            // From now on, a session of Rejoin that is closed is known here.
            inner.idle.take(job.session);
        }
        Box::pin(async move {
            let Some((id, known)) = inner.busy().get(&job.job).cloned() else {
                return failed(FAILED, "its session in Arthas is gone");
            };
            inner.resume(job, id, known).await
        })
    }

    fn forget(&self, job: JobId) {
        let Some((id, known)) = self.0.busy().remove(&job) else {
            return;
        };
        // The command has not ended, and has no reader any more.
        if known.job.as_ref().is_some_and(|job| job.end.is_none()) {
            self.0.clone().close(id);
            return;
        }
        let _ = self.0.unclosed().map(|all| all.clear_job(&id, &known));
    }

    fn has_builtins(&self) -> bool {
        // `help`, `session` and the others are commands of Arthas.
        false
    }

    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let inner = self.0.clone();
        let idle = match job.slot {
            JobSlot::Foreground => inner.idle.take(job.session),
            JobSlot::Background => None,
        };
        Box::pin(async move { inner.run(job, idle).await })
    }

    fn release(&self, session: SessionId) -> BoxFuture<'static, ()> {
        if let Some(idle) = self.0.idle.remove(session) {
            self.0.clone().close(idle.id);
        }
        Box::pin(async {})
    }
}

impl Inner {
    async fn run(self: Arc<Self>, job: RunnerJob, idle: Option<UpstreamSession>) -> Exit {
        let command = foreground(&job.statement);
        if !self.options.allow_stop && ends_arthas(command) {
            self.keep(&job, idle);
            return failed(
                NOT_RUN,
                "this would end Arthas for everybody, and the service does not allow it \
                 (allow-stop)",
            );
        }
        let is_full = self.running.fetch_add(1, Ordering::Relaxed) >= self.options.jobs;
        let exit = match is_full {
            true => {
                self.keep(&job, idle);
                let message = format!("{} commands run in this Arthas already", self.options.jobs);
                failed(NOT_RUN, message)
            }
            false => self.run_in_session(&job, command, idle).await,
        };
        self.running.fetch_sub(1, Ordering::Relaxed);
        exit
    }

    async fn run_in_session(
        self: &Arc<Self>,
        job: &RunnerJob,
        command: &str,
        idle: Option<UpstreamSession>,
    ) -> Exit {
        let (mut session, response) = match self.start(command, idle).await {
            Ok(started) => started,
            Err(error) => return failed(FAILED, error.to_string()),
        };
        if response.state != "SCHEDULED" {
            self.keep(job, Some(session));
            return refused(&response.message);
        }
        let once = session.queue.message.take();
        let reported = async {
            job.reporter.started().await?;
            match &once {
                Some(message) => job.reporter.result(message_result(job, message)).await,
                None => Ok(()),
            }
        };
        // An error means that the engine has ended. The pump notices the same.
        let _ = reported.await;
        let known = UnclosedSession {
            consumer: session.consumer.clone(),
            queue: session.queue.results,
            job: Some(RunningJob {
                job: job.job.0,
                submission: Some(job.submission.to_numbers()),
                upstream: response.body.job_id,
                end: None,
            }),
        };
        self.record(&session.id, &known);
        self.busy().insert(job.job, (session.id.clone(), known));
        let results = JobResults::new(job.job, response.body.job_id, session.queue.results);
        self.run_to_end(job, session, results).await
    }

    /// Goes on with a command that an earlier process has started.
    async fn resume(self: Arc<Self>, job: RunnerJob, id: String, known: UnclosedSession) -> Exit {
        let running = known.job.clone().unwrap_or_default();
        let session = UpstreamSession {
            id,
            consumer: known.consumer.clone(),
            queue: Queue {
                results: known.queue,
                message: None,
            },
            used: self.elapsed(),
        };
        if let Some(exit) = running.exit() {
            self.keep(&job, Some(session));
            return exit;
        }
        let results = JobResults::new(job.job, running.upstream, known.queue);
        // What was pulled and not yet logged when the server ended is gone.
        let _ = job.reporter.result(results.gap(RESTARTED)).await;
        self.run_to_end(&job, session, results).await
    }

    async fn run_to_end(
        self: &Arc<Self>,
        job: &RunnerJob,
        session: UpstreamSession,
        results: JobResults,
    ) -> Exit {
        let ended = self.pump(job, &session, results).await;
        match ended.then {
            Then::Keep => {
                self.note_end(job.job, &ended.exit);
                self.keep(job, Some(session));
            }
            Then::Close => self.clone().close(session.id),
            Then::Leave => {}
        }
        ended.exit
    }

    /// Records how a command ended, until that is durable.
    fn note_end(&self, job: JobId, exit: &Exit) {
        if let Some((id, known)) = self.busy().get_mut(&job)
            && let Some(running) = &mut known.job
        {
            running.end = Some((exit.status, exit.message.clone()));
            self.record(id, known);
        }
    }

    /// Whether Arthas still has the session of a command. Where it does not answer, it is not asked for
    /// long: the command is lost then.
    async fn still_has(&self, id: &str, known: &UnclosedSession) -> bool {
        let has_ended = known.job.as_ref().is_some_and(|job| job.end.is_some());
        has_ended
            || self
                .client
                .info(id)
                .await
                .is_ok_and(|response| response.succeeded())
    }

    fn record(&self, id: &str, known: &UnclosedSession) {
        if let Some(Err(error)) = self.unclosed().map(|all| all.set(id, known)) {
            tracing::warn!(%error, "cannot record a session in Arthas; a crash would leave it open");
        }
    }

    fn busy(&self) -> MutexGuard<'_, BTreeMap<JobId, (String, UnclosedSession)>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a command in the idle session, or in a new one where that is too old or unknown to
    /// Arthas.
    async fn start(
        self: &Arc<Self>,
        command: &str,
        idle: Option<UpstreamSession>,
    ) -> Result<(UpstreamSession, Response), ArthasError> {
        if let Some(session) = idle {
            if self.elapsed().saturating_sub(session.used) < UNUSED {
                let response = self.client.start(&session.id, command).await;
                match response {
                    Ok(response) if !is_unusable(&response) => return Ok((session, response)),
                    Ok(_) => {}
                    Err(error) => {
                        self.clone().close(session.id);
                        return Err(error);
                    }
                }
            }
            self.clone().close(session.id);
        }
        let session = self.create().await?;
        match self.client.start(&session.id, command).await {
            Ok(response) => Ok((session, response)),
            Err(error) => {
                // Whether the command runs is not known: closing the session ends it.
                self.clone().close(session.id);
                Err(error)
            }
        }
    }

    async fn create(&self) -> Result<UpstreamSession, ArthasError> {
        let queue = queue::raise(&self.client, self.options.queue).await?;
        let response = self.client.init_session().await?;
        let known = UnclosedSession {
            consumer: response.consumer_id.clone(),
            queue: queue.results,
            job: None,
        };
        self.record(&response.session_id, &known);
        Ok(UpstreamSession {
            id: response.session_id,
            consumer: response.consumer_id,
            queue,
            used: self.elapsed(),
        })
    }

    /// Pulls the results of a command until it ends.
    async fn pump(
        self: &Arc<Self>,
        job: &RunnerJob,
        session: &UpstreamSession,
        mut results: JobResults,
    ) -> Ended {
        let mut pull = self.client.pull(&session.id, &session.consumer).boxed();
        let mut deadline: Fuse<BoxFuture<'static, ()>> = Fuse::terminated();
        loop {
            let interrupt = job.interrupts.next().boxed();
            let happening = match select(pull, select(interrupt, &mut deadline)).await {
                Either::Left((pulled, _)) => {
                    pull = self.client.pull(&session.id, &session.consumer).boxed();
                    Happening::Pulled(pulled)
                }
                Either::Right((Either::Left((cause, _)), waiting)) => {
                    pull = waiting;
                    Happening::Interrupted(cause)
                }
                Either::Right((Either::Right(_), waiting)) => {
                    pull = waiting;
                    Happening::NotEnded
                }
            };
            match happening {
                Happening::Pulled(Ok(response)) if response.succeeded() => {
                    for result in results.take(response.body.results) {
                        if job.reporter.result(result).await.is_err() {
                            return self.left();
                        }
                    }
                    if let Some(exit) = results.exit() {
                        return Ended {
                            exit,
                            then: Then::Keep,
                        };
                    }
                }
                Happening::Pulled(Ok(response)) => {
                    let reason = format!("Arthas lost the session: {}", response.message);
                    return unusable(
                        results
                            .last_exit()
                            .unwrap_or_else(|| failed(FAILED, reason)),
                    );
                }
                Happening::Pulled(Err(error)) => {
                    let reason = format!("lost the command: {error}");
                    return unusable(
                        results
                            .last_exit()
                            .unwrap_or_else(|| failed(FAILED, reason)),
                    );
                }
                Happening::Interrupted(Some(_)) if deadline.is_terminated() => {
                    let (client, id) = (self.client.clone(), session.id.clone());
                    self.spawn(async move {
                        let _ = client.interrupt(&id).await;
                    });
                    deadline = self.timer().fuse();
                }
                Happening::Interrupted(None) => return self.left(),
                Happening::Interrupted(Some(_)) | Happening::NotEnded => {
                    return unusable(failed(
                        KILLED,
                        "Arthas did not end the command in time; its session there was closed",
                    ));
                }
            }
        }
    }

    /// The server has ended: the result of the command is not used. Without a directory, the next start
    /// can't go on with it.
    fn left(&self) -> Ended {
        Ended {
            exit: failed(FAILED, "the server has ended"),
            then: match self.unclosed() {
                Some(_) => Then::Leave,
                None => Then::Close,
            },
        }
    }

    /// Keeps the session for the next command in the foreground; closes one that had a command in the
    /// background.
    fn keep(self: &Arc<Self>, job: &RunnerJob, session: Option<UpstreamSession>) {
        let Some(mut session) = session else { return };
        session.used = self.elapsed();
        let left = match job.slot {
            JobSlot::Foreground => self.idle.put_back(job.session, session),
            JobSlot::Background => Some(session),
        };
        if let Some(session) = left {
            self.clone().close(session.id);
        }
    }

    /// Closes a session in Arthas, and so ends its command, without waiting for it.
    fn close(self: Arc<Self>, session: String) {
        let inner = self.clone();
        self.spawn(async move {
            match inner.client.close(&session).await {
                // It may be open still: the next start closes it.
                Err(ArthasError::Silent | ArthasError::Unauthorized) => {
                    tracing::warn!("a session in Arthas could not be closed");
                }
                // Closed, or gone with its JVM.
                _ => {
                    let _ = inner.unclosed().map(|all| all.remove(&session));
                }
            }
        });
    }
}

impl Inner {
    fn host(&self) -> Option<&Host> {
        self.host.get()
    }

    fn unclosed(&self) -> Option<&UnclosedSessions> {
        self.host().and_then(|host| host.unclosed.as_ref())
    }

    fn elapsed(&self) -> Duration {
        self.host()
            .map_or(Duration::ZERO, |host| host.runtime.elapsed())
    }

    fn timer(&self) -> BoxFuture<'static, ()> {
        match self.host() {
            Some(host) => host.runtime.timer(INTERRUPT),
            None => Box::pin(std::future::ready(())),
        }
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(host) = self.host() {
            host.runtime.spawn(Box::pin(future));
        }
    }
}

/// A command without the `&` that would let it run in the background of Arthas, where nothing can
/// interrupt it. Commands in the background of Rejoin run in the foreground of another session.
fn foreground(statement: &str) -> &str {
    let statement = statement.trim();
    match statement.strip_suffix('&') {
        Some(rest) if !rest.ends_with('&') => rest.trim_end(),
        _ => statement,
    }
}

/// Whether a command ends Arthas for everybody.
fn ends_arthas(command: &str) -> bool {
    let word = command.split(|character: char| character.is_whitespace() || character == '|');
    matches!(word.into_iter().next(), Some("stop" | "shutdown"))
}

/// Whether another session has to be made for the command, which was not started.
fn is_unusable(response: &Response) -> bool {
    response.is_unknown_session() || response.state == "REFUSED"
}

/// How a command ends that Arthas did not start.
fn refused(message: &str) -> Exit {
    let message = message
        .trim_start_matches("Async exec command failed:")
        .trim_start_matches("java.lang.IllegalArgumentException: ");
    match message.ends_with("command not found") {
        true => failed(NOT_FOUND, message),
        false => failed(FAILED, message),
    }
}

fn message_result(job: &RunnerJob, message: &str) -> Arc<str> {
    let members = Map::from_iter([("message".to_owned(), json!(message))]);
    encode_result(job.job, "message", members)
}

fn failed(status: i32, message: impl Into<String>) -> Exit {
    Exit {
        status,
        message: Some(message.into()),
        ..Exit::default()
    }
}

fn unusable(exit: Exit) -> Ended {
    Ended {
        exit,
        then: Then::Close,
    }
}

/// The address as a name of a directory.
fn directory_name(url: &str) -> String {
    let plain = |character: char| match character {
        '.' | '-' => character,
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '_',
    };
    url.trim_start_matches("http://")
        .chars()
        .map(plain)
        .take(NAME)
        .collect()
}

const NAME: usize = 100;

/// Why results may be missing after a restart.
const RESTARTED: &str =
    "results may be missing here: the server was restarted, and read on from what Arthas had kept";

// As a shell gives them.
const FAILED: i32 = 1;
const NOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;
const KILLED: i32 = 137;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_background_of_arthas_is_not_used() {
        for (statement, command) in [
            (" watch A b & ", "watch A b"),
            ("watch A b&", "watch A b"),
            ("watch A b", "watch A b"),
            ("ognl 1&&", "ognl 1&&"),
        ] {
            assert_eq!(foreground(statement), command);
        }
    }

    #[test]
    fn a_command_that_ends_arthas_is_known_by_its_first_word() {
        for command in ["stop", "shutdown", "stop | cat", "stop|cat"] {
            assert!(ends_arthas(command), "{command}");
        }
        for command in ["stopwatch", "watch A stop", "help stop", ""] {
            assert!(!ends_arthas(command), "{command}");
        }
    }

    #[test]
    fn a_command_that_arthas_does_not_know_has_the_status_of_a_shell() {
        let message =
            "Async exec command failed:java.lang.IllegalArgumentException: x: command not found";
        let exit = refused(message);
        assert_eq!(
            (exit.status, exit.message.as_deref()),
            (127, Some("x: command not found"))
        );
    }

    #[test]
    fn an_address_becomes_a_name_that_stays_in_its_directory() {
        assert_eq!(directory_name("http://127.0.0.1:8563"), "127.0.0.1_8563");
        assert_eq!(directory_name("http://host/../x"), "host_.._x");
    }
}
