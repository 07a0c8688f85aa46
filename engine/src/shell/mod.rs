//! Runs statements as shell commands: the default service.
//!
//! Results are the bytes that the statement wrote, unchanged and in order.
//! Invariant: no process is killed that is neither in the job's process group nor has the mark of
//! this runner in its environment.
//!
//! # Limits
//!
//! - Processes are found by their process group or by the mark in their environment. A process that
//!   leaves its group *and* clears its environment is not killed, nor is one of another user.
//! - Only on Linux can the environment of other processes be read. Elsewhere, processes that leave
//!   their group are not killed, and [`ShellRunner::sweep`] does nothing.
//! - A process that leaves its group and closes its output belongs to the session, not to the job:
//!   it runs until the session is released, like a daemon that was started in a terminal.
//! - A trap on the shell's exit saves the directory and the environment. They are not saved if the
//!   statement replaces that trap or the shell itself (`trap … EXIT`, `exec …`), or if the shell is
//!   ended by a signal other than SIGINT. The job's end says so if the statement has a word like `cd` or
//!   `export`.
//! - A signal that arrives at the moment in which the shell starts a command may be lost: dash
//!   drops it. The next, firmer one still comes after the grace time.
//! - If the server ignores SIGINT, so do the processes that it starts. They end at the second
//!   signal.

mod directory_mark;
mod escalate;
mod inheritance;
mod input;
mod job;
mod job_user;
#[cfg(target_os = "linux")]
mod keeper;
mod keeper_settings;
mod output;
mod process_group;
mod process_sweep;
mod session_env;
#[cfg(all(test, feature = "smol"))]
mod tests;

#[cfg(target_os = "linux")]
pub use self::keeper::run_keeper;
pub use self::keeper_settings::{KeeperSettings, KeeperStatus};

use self::directory_mark::DirectoryMark;
pub use self::job_user::{JobUser, start_as_job_user};
#[cfg(target_os = "linux")]
use self::keeper::{HeldJob, Keepers};
use self::process_group::LeftoverEnd;
use self::process_sweep::Mark;
use self::session_env::Store;
use crate::Runtime;
use crate::error::RunnerError;
#[cfg(target_os = "linux")]
use crate::jobs::runner::LoggedJob;
use crate::jobs::runner::{Exit, KeptJob, Leftovers, Runner, RunnerHost, RunnerJob, TerminalMode};
#[cfg(target_os = "linux")]
use crate::takeover::ANOTHER_COMMAND;
use async_channel::{Receiver, Sender};
use futures::future::{BoxFuture, select};
use rejoin_core::{JobId, SessionId};
#[cfg(target_os = "linux")]
use rejoin_core::{OutputOffsets, OutputStream};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// The settings of a [`ShellRunner`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellSettings {
    /// Where the working directory and the environment of each session are kept between its jobs.
    /// Created where it is missing, and closed to other users: environments hold secrets.
    pub directory: PathBuf,
    /// The value of `REJOIN_MARK` in the environment of every process that is started. Processes
    /// are found by it, so each data directory on a host needs its own.
    pub mark: String,
    /// The shell: a path, or a name that is looked up once in the server's `PATH`.
    pub shell: PathBuf,
    /// The working directory of a session's first job.
    pub start: PathBuf,
    /// How long a job has after each signal before it gets the next, firmer one.
    pub grace: Duration,
    /// How keepers are started, so that jobs outlive the server. None: jobs end with it. Ignored on
    /// other systems than Linux.
    pub keeper: Option<KeeperSettings>,
    /// Whether processes that a job leaves in its process group run on when it ends. They then belong
    /// to the session, and end with it.
    pub keeps_leftovers: bool,
    /// The user as whom jobs run; None: the server's own. New sessions then start in its home.
    pub user: Option<JobUser>,
}

impl ShellSettings {
    /// `sh`, two seconds of grace, and sessions that start in the server's working directory.
    pub fn new(directory: impl Into<PathBuf>, mark: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            mark: mark.into(),
            shell: "sh".into(),
            start: ".".into(),
            grace: Duration::from_secs(2),
            keeper: None,
            keeps_leftovers: false,
            user: None,
        }
    }
}

/// Runs each statement as `sh -c`, in its own process group.
///
/// - Standard input is empty, unless the job was submitted with an input. A job does not have to
///   read its input; what it has not read when it ends is dropped.
/// - A job with a terminal is the leader of a session of its own, with a terminal for all three streams and
///   `TERM=xterm-256color`. Without a statement, it is the user's shell. What it writes becomes results of
///   the type `terminal`. Linux only.
/// - Standard output and standard error become results of the type `shell`, in chunks of at most
///   64 KiB: `content`, or `contentBase64` for what is not UTF-8. Output after a quiet millisecond
///   is reported at once; output in a burst is reported together.
/// - The status is the exit code, 128 plus the number of the signal that ended the shell, or 126 or
///   127 if the shell could not be started.
/// - The working directory and the exported environment carry over to the next job of the
///   session, also when the statement fails or is interrupted, and when the server starts again.
///   A background job starts with them and does not change them. `REJOIN_MARK`, `REJOIN_SESSION`
///   and `REJOIN_JOB` identify the job of a process; no variable called `REJOIN_…` carries over.
/// - An interrupt of a terminal sends SIGINT to the process group in its foreground, and a firmer signal if
///   another one follows within the grace time. Its end is a hang-up: SIGHUP, and then SIGKILL, to
///   everything in its session.
/// - Any other interrupt sends SIGINT to the process group, then SIGTERM, then SIGKILL, with the grace time
///   between them; each further interrupt sends the next signal at once. When the session closes or
///   the server shuts down, it begins with SIGTERM.
/// - A job ends when the shell has ended and no process has its output open. If that takes a second,
///   a line on standard error says so. What is left of the process group is then killed, and the
///   job's end names it; or it runs on, if the settings say so. Dropping a job kills its process
///   group, too.
///
/// Clones are the same runner. It works on any [`Runtime`]. Pipes and processes are watched by the
/// crates `async-io` and `async-process`, which start a thread of their own (`async-io`) in every
/// process that runs a job, also without the feature `smol` and on tokio.
///
/// ```
/// use futures::StreamExt;
/// use rejoin_engine::{
///     Interrupts, JobId, JobOutput, JobSlot, Leftovers, RunnerReport, Reporter, Runner, RunnerJob, SessionId,
///     ShellRunner, ShellSettings, SmolRuntime, Submission, TerminalSizes,
/// };
/// use std::sync::Arc;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let settings = ShellSettings::new(directory, "the mark of this example");
/// let runner = ShellRunner::new(settings, Arc::new(SmolRuntime))?;
///
/// let (session, job) = (SessionId::from_bytes([7; 16]), JobId(1));
/// let (reporter, reports) = Reporter::channel(session, job, 16);
/// let (_interrupter, interrupts) = Interrupts::channel();
/// let exit = smol::block_on(runner.run(RunnerJob {
///     session,
///     job,
///     submission: Submission::default(),
///     slot: JobSlot::Foreground,
///     statement: "echo hello; exit 3".into(),
///     reporter,
///     interrupts,
///     input: None,
///     output: JobOutput::Merged,
///     sizes: TerminalSizes::none(),
///     leftovers: Leftovers::default(),
/// }));
/// assert_eq!(exit.status, 3, "{exit:?}");
///
/// let result = r#"{"content":"hello\n","jobId":1,"stream":"stdout","type":"shell"}"#;
/// let reports: Vec<_> = smol::block_on(reports.collect());
/// assert_eq!(reports, [RunnerReport::Started, RunnerReport::Result(result.into())]);
///
/// smol::block_on(runner.release(session));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ShellRunner {
    /// Empty until an engine prepares the runner, or from the start if it was made with `new`.
    shell: Arc<OnceLock<Arc<Shell>>>,
    grace: Option<Duration>,
    keeper: Option<KeeperSettings>,
    keeps_leftovers: bool,
    login_shell: Option<PathBuf>,
    user: Option<JobUser>,
}

/// Why a [`ShellRunner`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenShellError {
    /// Its directory could not be made, or the starting directory is not one.
    #[error("cannot use the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// There is no such shell.
    #[error("there is no shell called {}", .0.display())]
    NoShell(PathBuf),
    /// The mark is empty or contains a NUL.
    #[error("the mark {0:?} cannot stand in an environment")]
    Mark(String),
}

impl ShellRunner {
    /// Sets how long a job has after each signal before it gets the next, firmer one; two seconds by
    /// default. Ignored for a runner that was made with [`new`](Self::new).
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Lets jobs outlive the server: keepers hold them, which are started as the settings say. Without
    /// it, jobs end with the server. Ignored for a runner that was made with [`new`](Self::new).
    #[must_use]
    pub fn with_keeper(mut self, keeper: KeeperSettings) -> Self {
        self.keeper = Some(keeper);
        self
    }

    /// What the keepers hold.
    pub fn keeper_status(&self) -> KeeperStatus {
        #[cfg(target_os = "linux")]
        if let Some(shell) = self.shell.get() {
            return shell.keepers.status();
        }
        KeeperStatus::default()
    }

    /// Lets processes that a job leaves in its process group run on when it ends, until the session
    /// closes. By default they are ended with the job. Ignored for a runner that was made with
    /// [`new`](Self::new).
    #[must_use]
    pub fn with_leftovers_kept(mut self, kept: bool) -> Self {
        self.keeps_leftovers = kept;
        self
    }

    /// Sets the shell of terminals without a statement: a path, or a name that is looked up in the
    /// server's `PATH`. By default it is what the session's variable `SHELL` says. Clones may have
    /// different ones.
    ///
    /// # Errors
    ///
    /// When there is no such shell.
    pub fn with_login_shell(mut self, shell: &Path) -> Result<Self, OpenShellError> {
        let found = find(shell).ok_or_else(|| OpenShellError::NoShell(shell.into()))?;
        self.login_shell = Some(found);
        Ok(self)
    }

    /// Runs jobs as another user. Ignored for a runner that was made with [`new`](Self::new).
    #[must_use]
    pub fn with_user(mut self, user: JobUser) -> Self {
        self.user = Some(user);
        self
    }

    /// A runner with these settings, for use without an engine or with its own directory. The
    /// [`Default`] runner gets its directory and its mark from the engine. Call
    /// [`sweep`](Self::sweep) before the first job.
    ///
    /// # Errors
    ///
    /// When a directory cannot be used, there is no such shell, or the mark is invalid.
    pub fn new(settings: ShellSettings, runtime: Arc<dyn Runtime>) -> Result<Self, OpenShellError> {
        let ShellSettings {
            directory,
            mark,
            shell,
            start,
            grace,
            keeper,
            keeps_leftovers,
            user,
        } = settings;
        if mark.is_empty() || mark.contains('\0') {
            return Err(OpenShellError::Mark(mark));
        }
        let start = match &user {
            Some(user) if session_env::check_dir(user.home()).is_ok() => user.home().into(),
            Some(_) => "/".into(),
            None => start,
        };
        let store = Store::open(&directory, user).map_err(|source| OpenShellError::Directory {
            path: directory.clone(),
            source,
        })?;
        let start = start
            .canonicalize()
            .and_then(|start| session_env::check_dir(&start).map(|()| start))
            .map_err(|source| OpenShellError::Directory {
                path: start,
                source,
            })?;
        let program = find(&shell).ok_or(OpenShellError::NoShell(shell))?;
        #[cfg(target_os = "linux")]
        let keepers = {
            let directory = store.directory().join("keepers");
            let opened = Keepers::open(directory.clone(), mark.clone(), runtime.clone(), keeper);
            opened.map_err(|source| OpenShellError::Directory {
                path: directory,
                source,
            })?
        };
        #[cfg(not(target_os = "linux"))]
        drop(keeper);
        // Looked up once, because a session may change its PATH.
        let env = find("env".as_ref()).unwrap_or_else(|| "/usr/bin/env".into());
        let shell = Shell {
            store,
            mark: Mark::server(mark.into()),
            program,
            env,
            start,
            grace,
            leftovers: match keeps_leftovers {
                true => LeftoverEnd::Keep,
                false => LeftoverEnd::End,
            },
            runtime,
            sessions: Mutex::default(),
            #[cfg(target_os = "linux")]
            keepers,
            #[cfg(target_os = "linux")]
            has_taken_over: AtomicBool::new(false),
            kept: Mutex::default(),
            refused: Mutex::default(),
        };
        Ok(Self {
            shell: Arc::new(OnceLock::from(Arc::new(shell))),
            grace: None,
            keeper: None,
            keeps_leftovers: false,
            login_shell: None,
            user: None,
        })
    }

    /// Kills every process with this runner's mark, ends its keepers, and removes the files of
    /// unfinished jobs. Call it before the first job, for processes that a crashed server left behind, and after the last
    /// job. Returns how many processes it found.
    ///
    /// Running jobs are killed, too. Waits until the processes are gone, a few seconds at most.
    /// Never kills the calling process. Finds nothing on systems without `/proc`.
    pub fn sweep(&self) -> BoxFuture<'static, usize> {
        let shell = self.shell.get().cloned();
        Box::pin(async move {
            let Some(shell) = shell else {
                return 0;
            };
            #[cfg(target_os = "linux")]
            shell.keepers.quit().await;
            let ended = process_sweep::end_all(&shell.mark, &shell.runtime).await;
            shell.store.remove_unfinished(|_| false);
            ended
        })
    }

    /// Leaves the jobs of open sessions to their keepers, after the engine has ended. What was still
    /// ending when it did is ended now: processes of sessions that are closed. Returns how many there
    /// were. Waits until they are gone, a few seconds at most.
    pub fn detach(
        &self,
        is_open: impl Fn(SessionId) -> bool + Send + Sync + 'static,
    ) -> BoxFuture<'static, usize> {
        let shell = self.shell.get().cloned();
        Box::pin(async move {
            let Some(shell) = shell else {
                return 0;
            };
            #[cfg(target_os = "linux")]
            {
                shell.keepers.detach().await;
                let spares = Arc::new(move |session, _| is_open(session));
                process_sweep::end_others(&shell.mark, &shell.runtime, spares).await
            }
            #[cfg(not(target_os = "linux"))]
            {
                drop((shell, is_open));
                0
            }
        })
    }

    /// Removes the directory and environment of sessions that are no longer open: they were closed
    /// just before a server crashed. Call it before the first job.
    pub fn retain(&self, is_open: impl Fn(SessionId) -> bool) {
        if let Some(shell) = self.shell.get() {
            shell.store.retain(is_open);
        }
    }
}

impl Runner for ShellRunner {
    fn working_directory(&self, session: SessionId) -> Option<PathBuf> {
        let shell = self.shell.get()?;
        let mut env = shell.store.load(session);
        env.check_dir(&shell.start);
        Some(env.directory)
    }

    /// Takes over the jobs that keepers hold, and kills all other processes that an earlier server of
    /// this directory has left behind.
    fn prepare(&self, host: RunnerHost) -> BoxFuture<'static, Result<(), RunnerError>> {
        let runner = self.clone();
        Box::pin(async move {
            if runner.shell.get().is_none() {
                let directory = host.directory.clone().ok_or(
                    "the shell keeps directories and environments of sessions in files: give the \
                     engine a runner_directory",
                )?;
                let directory = directory.join("shell");
                let mark = mark_of(&directory, &*host.runtime)?;
                let mut settings = ShellSettings::new(directory, mark);
                settings.grace = runner.grace.unwrap_or(settings.grace);
                settings.keeps_leftovers = runner.keeps_leftovers;
                settings.keeper.clone_from(&runner.keeper);
                settings.user.clone_from(&runner.user);
                if let Some(user) = &settings.user {
                    user.warn_of_missing_rights();
                }
                let opened = Self::new(settings, host.runtime.clone())?;
                if let Some(shell) = opened.shell.get() {
                    // If two engines prepare it at once, the first one wins.
                    let _ = runner.shell.set(shell.clone());
                }
            }
            runner.retain(|session| host.open_sessions.contains(&session));
            let Some(shell) = runner.shell.get() else {
                return Ok(());
            };
            let killed = shell.take_over(&host).await;
            if killed > 0 {
                tracing::warn!(
                    processes = killed,
                    "killed what the previous server left running"
                );
            }
            Ok(())
        })
    }

    #[cfg(target_os = "linux")]
    fn keeps_jobs(&self) -> bool {
        self.shell.get().is_some_and(|it| it.keepers.are_used())
    }

    fn kept(&self) -> Vec<KeptJob> {
        let kept = self.shell.get().map(|shell| {
            let kept = shell.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.clone()
        });
        kept.unwrap_or_default()
    }

    fn why_lost(&self, job: JobId) -> Option<String> {
        let shell = self.shell.get()?;
        let refused = shell.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = self.keeps_jobs().then_some(KEEPER_GONE);
        refused.get(&job).copied().or(gone).map(Into::into)
    }

    #[cfg(target_os = "linux")]
    fn resume(&self, job: RunnerJob, from: OutputOffsets) -> BoxFuture<'static, Exit> {
        let Some(shell) = self.shell.get() else {
            return Box::pin(async { not_prepared() });
        };
        let guard = shell.guard(job.session);
        Box::pin(job::resume(shell.clone(), job, guard, from))
    }

    #[cfg(target_os = "linux")]
    fn terminal_mode(&self, job: JobId) -> BoxFuture<'static, Option<TerminalMode>> {
        let shell = self.shell.get().cloned();
        Box::pin(async move { shell?.keepers.terminal_mode(job).await })
    }

    #[cfg(target_os = "linux")]
    fn forget(&self, job: JobId) {
        if let Some(shell) = self.shell.get() {
            shell.keepers.forget(job);
        }
    }

    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let Some(shell) = self.shell.get() else {
            return Box::pin(async { not_prepared() });
        };
        let guard = shell.guard(job.session);
        let login_shell = self.login_shell.clone();
        Box::pin(job::run(shell.clone(), job, guard, login_shell))
    }

    /// Waits for the session's jobs, which have been interrupted; then kills every process with the
    /// session's mark, and removes its directory and environment. Takes two grace times and a few
    /// seconds at most.
    fn release(&self, session: SessionId) -> BoxFuture<'static, ()> {
        // Before the future is first polled: no job of the session may start from here on.
        let Some(shell) = self.shell.get().cloned() else {
            return Box::pin(async {});
        };
        let drained = shell.close(session);
        Box::pin(async move {
            // Scanning all processes is expensive. A session that has run no job needs no scan.
            if let Some(drained) = drained {
                let patience = shell.runtime.timer(shell.grace * 2 + SLACK);
                select(std::pin::pin!(drained.recv()), patience).await;
                let mark = shell.mark.clone().of_session(session);
                process_sweep::end_all(&mark, &shell.runtime).await;
            }
            shell.store.remove(session);
        })
    }
}

/// The mark of a directory, which is created if it is missing.
fn mark_of(directory: &Path, runtime: &dyn Runtime) -> Result<String, OpenShellError> {
    let opened = Store::open(directory, None)
        .and_then(|_| DirectoryMark::open(directory, runtime.random()))
        .map_err(|source| OpenShellError::Directory {
            path: directory.into(),
            source,
        })?;
    if opened.is_copy {
        tracing::warn!(
            directory = %directory.display(),
            "this data directory is a copy, or was moved to another file system: from now on its \
             jobs have a mark of their own, and processes of the original's jobs are left alone"
        );
    }
    Ok(opened.mark)
}

fn not_prepared() -> Exit {
    Exit {
        status: 126,
        message: Some("the shell runner was not prepared by an engine".into()),
        ..Exit::default()
    }
}

#[derive(Debug)]
struct Shell {
    store: Store,
    mark: Mark,
    program: PathBuf,
    env: PathBuf,
    start: PathBuf,
    grace: Duration,
    leftovers: LeftoverEnd,
    runtime: Arc<dyn Runtime>,
    /// Sessions that have run a job and are not released.
    sessions: Mutex<BTreeMap<SessionId, SessionEntry>>,
    #[cfg(target_os = "linux")]
    keepers: Keepers,
    #[cfg(target_os = "linux")]
    has_taken_over: AtomicBool,
    /// The jobs of an earlier server that go on.
    kept: Mutex<Vec<KeptJob>>,
    /// Those that a keeper held and that can't go on, and why.
    refused: Mutex<BTreeMap<JobId, &'static str>>,
}

impl Shell {
    /// What becomes of the processes that a job leaves, if it ends by itself.
    fn leftovers_of(&self, job: &Leftovers) -> LeftoverEnd {
        match job.kept() {
            Some(true) => LeftoverEnd::Keep,
            Some(false) => LeftoverEnd::End,
            None => self.leftovers,
        }
    }
}

/// A session that has run a job.
#[derive(Debug)]
struct SessionEntry {
    guard: SessionGuard,
    /// Closed when the last guard is dropped.
    drained: Receiver<Infallible>,
}

/// Held by each running job of a session.
#[derive(Clone, Debug)]
struct SessionGuard {
    released: Arc<AtomicBool>,
    _running: Sender<Infallible>,
}

impl Shell {
    /// Takes over the jobs that go on, and ends everything else of an earlier server. Returns how many
    /// processes it killed.
    #[cfg(target_os = "linux")]
    async fn take_over(&self, host: &RunnerHost) -> usize {
        // A runner that serves several services is prepared for each.
        if self.keepers.are_used() && self.has_taken_over.swap(true, Ordering::SeqCst) {
            return 0;
        }
        let refuses = |held: &HeldJob| {
            let reason = refusal(held, host).filter(|_| self.keepers.are_used());
            reason
                .map(|reason| self.refuse(held, host, reason))
                .is_some()
        };
        let held = self.keepers.take_over(refuses).await;
        if !self.keepers.are_used() {
            self.keepers.quit().await;
            let killed = process_sweep::end_all(&self.mark, &self.runtime).await;
            self.store.remove_unfinished(|_| false);
            return killed;
        }
        let kept: BTreeMap<_, _> = held
            .iter()
            .map(|held| (held.job, KeptJob::from(held)))
            .collect();
        // Another keeper has the job of the log.
        self.refused().retain(|job, _| !kept.contains_key(job));
        let (running, last) = (host.running.clone(), host.last_job);
        let open = host.open_sessions.clone();
        let is_kept = {
            let kept: BTreeSet<_> = kept.keys().copied().collect();
            move |job| kept.contains(&job)
        };
        self.store.remove_unfinished(&is_kept);
        let spared = Arc::new(Mutex::new(BTreeSet::new()));
        let spares = {
            let spared = spared.clone();
            move |session, job| {
                // A job that ended may have left a process to its session.
                let has_ended = job <= last && !running.contains_key(&job);
                let is_spared = open.contains(&session) && (is_kept(job) || has_ended);
                if is_spared {
                    let mut spared = spared.lock().unwrap_or_else(PoisonError::into_inner);
                    spared.insert(session);
                }
                is_spared
            }
        };
        let killed = process_sweep::end_others(&self.mark, &self.runtime, Arc::new(spares)).await;
        // When these sessions close, their processes are looked for.
        let spared = std::mem::take(&mut *spared.lock().unwrap_or_else(PoisonError::into_inner));
        spared
            .into_iter()
            .for_each(|session| drop(self.guard(session)));
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept.into_values().collect();
        killed
    }

    /// Remembers and says why a job does not go on. One whose end is logged is simply over.
    #[cfg(target_os = "linux")]
    fn refuse(&self, held: &HeldJob, host: &RunnerHost, reason: &'static str) {
        let (session, job) = (held.session, held.job);
        let logged = host.running.get(&job);
        if logged.is_some() {
            self.refused().insert(job, reason);
        }
        let unlogged: u64 = OutputStream::ALL
            .into_iter()
            .map(|stream| held.read.of(stream).saturating_sub(held.settled.of(stream)))
            .sum();
        if logged.is_none()
            && !held.has_ended
            && job <= host.last_job
            && host.open_sessions.contains(&session)
        {
            tracing::warn!(
                %session, %job, bytes = unlogged,
                "ended a job of the previous server that was recorded as lost meanwhile; `bytes` of its output are \
                 in no record"
            );
        }
        let is_another = logged.is_some_and(|logged| !is_job(logged, held));
        if is_another || job > host.last_job || !host.open_sessions.contains(&session) {
            self.keepers.count_unknown();
            tracing::warn!(%session, %job, "ended a job that the log does not know, or whose session is closed");
        }
    }

    #[cfg(target_os = "linux")]
    fn refused(&self) -> std::sync::MutexGuard<'_, BTreeMap<JobId, &'static str>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends everything of an earlier server. Returns how many processes it killed.
    #[cfg(not(target_os = "linux"))]
    async fn take_over(&self, _: &RunnerHost) -> usize {
        let killed = process_sweep::end_all(&self.mark, &self.runtime).await;
        self.store.remove_unfinished(|_| false);
        killed
    }

    /// The shell of a terminal without a statement: this one, or else what the session's variable `SHELL`
    /// says, or the shell that runs statements.
    fn login_shell(&self, set: Option<&PathBuf>, environment: &[(OsString, OsString)]) -> PathBuf {
        let mut variables = environment.iter().rev();
        let chosen = variables.find(|(name, _)| name == "SHELL");
        let chosen = chosen.map(|(_, path)| PathBuf::from(path));
        let shells = [set.cloned(), chosen];
        let found = shells.into_iter().flatten().find(|path| path.is_file());
        found.unwrap_or_else(|| self.program.clone())
    }

    /// The user as whom jobs run, if not the server's own.
    fn user(&self) -> Option<&JobUser> {
        self.store.user()
    }

    fn guard(&self, session: SessionId) -> SessionGuard {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = sessions.entry(session).or_insert_with(|| {
            let (sender, drained) = async_channel::bounded(1);
            SessionEntry {
                guard: SessionGuard {
                    released: Arc::default(),
                    _running: sender,
                },
                drained,
            }
        });
        entry.guard.clone()
    }

    fn close(&self, session: SessionId) -> Option<Receiver<Infallible>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let SessionEntry { guard, drained } = sessions.remove(&session)?;
        guard.released.store(true, Ordering::SeqCst);
        Some(drained)
    }
}

impl SessionGuard {
    fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }
}

/// Whether a keeper holds this job, and not another one of its number.
#[cfg(target_os = "linux")]
fn is_job(logged: &LoggedJob, held: &HeldJob) -> bool {
    logged.session == held.session && logged.may_be(held.submission)
}

/// Why a job that a keeper holds does not go on. It does if the log says that it runs, and nothing is
/// missing between what the log and the keeper have of its output.
#[cfg(target_os = "linux")]
fn refusal(held: &HeldJob, host: &RunnerHost) -> Option<&'static str> {
    let Some(logged) = host.running.get(&held.job) else {
        return Some("the log does not say that it runs");
    };
    if !is_job(logged, held) {
        return Some(ANOTHER_COMMAND);
    }
    let fits = |stream: OutputStream| {
        let logged = logged.offsets.of(stream);
        (held.settled.of(stream)..=held.read.of(stream)).contains(&logged)
    };
    // What a job wrote beyond its limit is not logged, and was dropped.
    let fits = logged.is_truncated || OutputStream::ALL.into_iter().all(fits);
    (!fits).then_some("the log does not have all of the output, and may be restored from a backup")
}

#[cfg(target_os = "linux")]
impl From<&HeldJob> for KeptJob {
    fn from(held: &HeldJob) -> Self {
        Self {
            job: held.job,
            submission: held.submission,
            input: held.input,
            input_ended: held.input_ended,
            interrupts: held.interrupts,
        }
    }
}

/// As on Linux; here it can't run.
///
/// # Errors
///
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn run_keeper(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The absolute path of a program, looked up as a shell would.
fn find(program: &Path) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| path.is_file();
    if program.components().count() > 1 {
        return std::path::absolute(program).ok().filter(is_file);
    }
    let path = std::env::var_os("PATH");
    std::env::split_paths(
        path.as_deref()
            .unwrap_or_else(|| OsStr::new("/usr/bin:/bin")),
    )
    .filter(|directory| directory.is_absolute())
    .map(|directory| directory.join(program))
    .find(is_file)
}

/// Why a job is lost that no keeper has.
const KEEPER_GONE: &str =
    "its keeper ended, too: it was killed, or the machine or the container was restarted";

/// How long the output of a job is read after everything that can be killed was killed.
const WAIT_FOR_OUTPUT: Duration = Duration::from_secs(1);

/// How long a job may take to end, beyond its grace times.
const SLACK: Duration = Duration::from_secs(3);
