//! Whole jobs with the real `sh`, each test on smol and on tokio. Every wait has a limit.

#[expect(dead_code, reason = "only its runtime is used")]
#[path = "../../../examples/embed_tokio.rs"]
mod embed_tokio;
#[cfg(target_os = "linux")]
mod end;
mod output;
mod session_env;

use self::embed_tokio::TokioRuntime;
use super::{ShellRunner, ShellSettings};
use crate::{
    Exit, Interrupter, Interrupts, Reporter, Runner, RunnerJob, RunnerReport, Runtime, SmolRuntime,
    TerminalSizes,
};
use async_channel::Receiver;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use futures::future::{BoxFuture, Either, select};
use futures::stream::BoxStream;
use rejoin_core::{InterruptCause, JobId, JobOutput, JobSlot, SessionId};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Runs a test on each runtime, with a new runner and a new directory.
fn on_each_runtime(test: impl AsyncFn(&Server)) {
    on_each_runtime_with(|_| {}, test);
}

fn on_each_runtime_with(change: impl Fn(&mut ShellSettings), test: impl AsyncFn(&Server)) {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .unwrap();
    let on_tokio = TokioRuntime(tokio.handle().clone());
    let runtimes: [Arc<dyn Runtime>; 2] = [Arc::new(SmolRuntime), Arc::new(on_tokio)];
    for runtime in runtimes {
        let server = Server::open(runtime, &change);
        smol::block_on(test(&server));
        smol::block_on(async {
            within(server.runner.release(SESSION)).await;
            assert_eq!(within(server.runner.sweep()).await, 0, "something was left");
        });
        let states = server.directory.path().join("states");
        assert_eq!(std::fs::read_dir(states).unwrap().count(), 0);
    }
}

/// A runner with its directories.
struct Server {
    runner: ShellRunner,
    settings: ShellSettings,
    runtime: Arc<dyn Runtime>,
    /// Holds `states`, and `home`, where sessions start.
    directory: TempDir,
    last_job: AtomicU64,
}

impl Server {
    fn open(runtime: Arc<dyn Runtime>, change: &dyn Fn(&mut ShellSettings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().canonicalize().unwrap().join("home");
        std::fs::create_dir(&home).unwrap();
        let mut settings = ShellSettings {
            start: home,
            ..ShellSettings::new(
                directory.path().join("states"),
                directory.path().display().to_string(),
            )
        };
        change(&mut settings);
        Self {
            runner: ShellRunner::new(settings.clone(), runtime.clone()).unwrap(),
            settings,
            runtime,
            directory,
            last_job: AtomicU64::new(0),
        }
    }

    fn home(&self) -> &Path {
        &self.settings.start
    }

    /// The runner of the next server process on the same directory.
    fn reopened(&self) -> ShellRunner {
        ShellRunner::new(self.settings.clone(), self.runtime.clone()).unwrap()
    }

    /// Makes a job, and the future that runs it.
    fn job(
        &self,
        runner: &ShellRunner,
        slot: JobSlot,
        statement: &str,
    ) -> (BoxFuture<'static, Exit>, Job) {
        self.job_with(runner, slot, statement, JobOutput::Separate)
    }

    fn job_with(
        &self,
        runner: &ShellRunner,
        slot: JobSlot,
        statement: &str,
        output: JobOutput,
    ) -> (BoxFuture<'static, Exit>, Job) {
        let job = JobId(self.last_job.fetch_add(1, Ordering::SeqCst) + 1);
        let (reporter, reports) = Reporter::channel(SESSION, job, 4);
        let (interrupter, interrupts) = Interrupts::channel();
        let run = runner.run(RunnerJob {
            submission: rejoin_core::Submission::default(),
            session: SESSION,
            job,
            slot,
            statement: statement.into(),
            reporter,
            interrupts,
            input: None,
            output,
            leftovers: crate::Leftovers::default(),
            sizes: TerminalSizes::none(),
        });
        let job = Job {
            job,
            reports,
            interrupter,
            exit: None,
            said: Said::default(),
        };
        (run, job)
    }

    fn start_as(&self, slot: JobSlot, statement: &str) -> Job {
        let (run, mut job) = self.job(&self.runner, slot, statement);
        let (sender, exit) = async_channel::bounded(1);
        job.exit = Some(exit);
        self.runtime.spawn(Box::pin(async move {
            sender.try_send(run.await).ok();
        }));
        job
    }

    fn start(&self, statement: &str) -> Job {
        self.start_as(JobSlot::Foreground, statement)
    }

    async fn run(&self, statement: &str) -> Said {
        self.start(statement).end().await
    }

    async fn run_in_background(&self, statement: &str) -> Said {
        self.start_as(JobSlot::Background, statement).end().await
    }
}

/// A running job.
struct Job {
    job: JobId,
    reports: BoxStream<'static, RunnerReport>,
    interrupter: Interrupter,
    exit: Option<Receiver<Exit>>,
    said: Said,
}

/// The output and the exit of a job.
#[derive(Debug, Default)]
struct Said {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    results: Vec<Arc<str>>,
    exit: Exit,
}

impl Said {
    fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    fn stderr(&self) -> &str {
        std::str::from_utf8(&self.stderr).unwrap()
    }

    #[track_caller]
    fn assert_exit(&self, status: i32, message: Option<&str>) {
        let said = (self.exit.status, self.exit.message.as_deref());
        assert_eq!(said, (status, message), "{}", self.stderr());
    }
}

impl Job {
    fn interrupt(&self, cause: InterruptCause) {
        self.interrupter.interrupt(cause);
    }

    /// Reads until the standard output ends with `end`, and returns all of it.
    async fn until(&mut self, end: &str) -> String {
        while !self.said.stdout.ends_with(end.as_bytes()) {
            assert!(within(self.read()).await, "ended with {:?}", self.said);
        }
        self.said.stdout().trim_end().into()
    }

    /// Reads to the end, and waits for the exit.
    async fn end(mut self) -> Said {
        while within(self.read()).await {}
        let exit = self.exit.take().unwrap();
        self.said.exit = within(exit.recv()).await.unwrap();
        self.said
    }

    async fn read(&mut self) -> bool {
        let result = match self.reports.next().await {
            Some(RunnerReport::Result(result)) => result,
            Some(RunnerReport::Started) => {
                assert_eq!(self.said.results.len(), 0);
                return true;
            }
            None => return false,
        };
        let value: serde_json::Value = serde_json::from_str(&result).unwrap();
        assert_eq!(*value.to_string(), *result, "keys in order, no spaces");
        assert_eq!(
            (&value["type"], &value["jobId"]),
            (&"shell".into(), &self.job.0.into())
        );
        let content = match (value["content"].as_str(), value["contentBase64"].as_str()) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(encoded)) => STANDARD.decode(encoded).unwrap(),
            _ => panic!("{result}"),
        };
        assert!(
            (1..=64 * 1024).contains(&content.len()),
            "{}",
            content.len()
        );
        match value["stream"].as_str() {
            Some("stdout") => self.said.stdout.extend(content),
            Some("stderr") => self.said.stderr.extend(content),
            _ => panic!("{result}"),
        }
        self.said.results.push(result);
        true
    }
}

/// Waits for [`LONG`] at most.
async fn within<T>(future: impl Future<Output = T>) -> T {
    match select(pin!(future), SmolRuntime.timer(LONG)).await {
        Either::Left((value, _)) => value,
        Either::Right(_) => panic!("still waiting after {LONG:?}"),
    }
}

const SESSION: SessionId = SessionId::from_bytes([0x5e; 16]);
/// Prints `ready` once the shell waits for it: before that, a signal may be lost.
const SLEEP: &str = "sh -c 'echo ready; exec sleep 1000'";

const LONG: Duration = Duration::from_secs(60);
