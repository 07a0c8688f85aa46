//! Statements as shell commands: the code behind the default service.
//!
//! What enters: a job with its statement, and each word to end it. What leaves: everything that
//! the statement wrote, byte for byte and as it came, and how the shell ended. What is never
//! true: that a process is ended that neither stands in the job's own process group nor carries
//! the mark of this runner.
//!
//! # What is not guaranteed
//!
//! - A process is found by its process group, or by the mark in its environment. One that leaves
//!   its group *and* clears its environment stays, and so does one that runs as another user.
//! - Reading the environment of other processes is Linux's; elsewhere only the group counts, and
//!   what left it stays: [`ShellRunner::sweep`] then ends nothing.
//! - A process that leaves its group and closes its output belongs to the session, not to the
//!   job: it runs on until the session is released, as a daemon does that a terminal started.
//! - The directory and the environment are taken down by a trap on the shell's exit. A statement
//!   that replaces that trap or the shell itself (`trap … EXIT`, `exec …`) changes nothing for
//!   the next job, nor does one whose shell is ended by a signal other than SIGINT.
//! - A signal that comes in the instant in which a shell starts a command may be lost on both:
//!   dash forgets it. The next, firmer one comes after the grace time all the same.
//! - A server that ignores SIGINT passes that on to what it starts, which then ends with the
//!   second signal.

mod escalate;
mod input;
mod job;
mod output;
mod process_group;
mod process_sweep;
mod session_env;
#[cfg(all(test, feature = "smol"))]
mod tests;

use self::process_sweep::Mark;
use self::session_env::Store;
use crate::Runtime;
use crate::error::RunnerError;
use crate::jobs::runner::{Exit, Runner, RunnerHost, RunnerJob};
use async_channel::{Receiver, Sender};
use futures::future::{BoxFuture, select};
use rejoin_core::SessionId;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// How statements are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellSettings {
    /// Where the working directory and the environment of each session are kept between its jobs.
    /// Created where it is missing, and closed to other users: environments hold secrets.
    pub directory: PathBuf,
    /// What every process that is started carries in its environment, as `REJOIN_MARK`, and is
    /// found by. No two data directories on a host may share one.
    pub mark: String,
    /// The shell: a path, or a name that is looked up once in the server's `PATH`.
    pub shell: PathBuf,
    /// Where the first job of a session starts.
    pub start: PathBuf,
    /// How long a job has after each signal before it gets the next, firmer one.
    pub grace: Duration,
}

impl ShellSettings {
    /// `sh`, two seconds of grace, and sessions that start where the server did.
    pub fn new(directory: impl Into<PathBuf>, mark: impl Into<String>) -> Self {
        Self {
            directory: directory.into(),
            mark: mark.into(),
            shell: "sh".into(),
            start: ".".into(),
            grace: Duration::from_secs(2),
        }
    }
}

/// Runs each statement as `sh -c`, in a process group of its own.
///
/// - Standard input is empty, or what is written to it where the job was submitted with an input.
///   A job that does not read it is held up by nothing, and what it has not read when it ends is
///   forgotten. Standard output and standard error are results of the type `shell`,
///   in chunks of at most 64 KiB: `content`, or `contentBase64` for what is not UTF-8. What is
///   written after a quiet millisecond is told at once; within a burst, together.
/// - The status is the exit code, 128 and the number of the signal that ended the shell, or 126
///   or 127 where it could not be started.
/// - The working directory and the exported environment carry over to the next job of the
///   session, also when the statement fails or is interrupted, and when the server starts again.
///   A background job starts from what it finds and changes nothing. `REJOIN_MARK`, `REJOIN_SESSION` and `REJOIN_JOB` say where a process belongs;
///   nothing called `REJOIN_…` carries over.
/// - An interrupt is SIGINT to the process group, then SIGTERM, then SIGKILL, with the grace time
///   between; each further one is the next signal at once. When the session closes or the server
///   shuts down it begins with SIGTERM.
/// - A job has ended when the shell has and nobody holds its output any more; whatever is left of
///   its process group is then ended. A dropped job ends with its process group, too.
///
/// Clones are the same runner. Needs no particular runtime.
///
/// ```
/// use futures::StreamExt;
/// use rejoin_engine::{
///     Interrupts, JobId, JobSlot, RunnerReport, Reporter, Runner, RunnerJob, SessionId, ShellRunner,
///     ShellSettings, SmolRuntime,
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
///     slot: JobSlot::Foreground,
///     statement: "echo hello; exit 3".into(),
///     reporter,
///     interrupts,
///     input: None,
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
}

/// Why a [`ShellRunner`] could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OpenShellError {
    /// Its directory could not be made, or the starting directory is not one.
    #[error("cannot use the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no such shell.
    #[error("there is no shell called {}", .0.display())]
    NoShell(PathBuf),
    /// The mark is empty or holds a NUL: nothing could be told apart by it.
    #[error("the mark {0:?} cannot stand in an environment")]
    Mark(String),
}

impl ShellRunner {
    /// How long a job has after each signal before it gets the next, firmer one: two seconds unless
    /// you choose. For a runner that was not made with [`new`](Self::new), whose settings say it.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// A runner with these settings, for use without an engine or with a directory of its own. The
    /// [`Default`] one takes its directory and its mark from the engine. Starts nothing; [`sweep`](Self::sweep) it before its first
    /// job.
    ///
    /// # Errors
    ///
    /// When a directory cannot be used, there is no such shell, or the mark marks nothing.
    pub fn new(settings: ShellSettings, runtime: Arc<dyn Runtime>) -> Result<Self, OpenShellError> {
        let ShellSettings {
            directory,
            mark,
            shell,
            start,
            grace,
        } = settings;
        if mark.is_empty() || mark.contains('\0') {
            return Err(OpenShellError::Mark(mark));
        }
        let store = Store::open(&directory).map_err(|source| OpenShellError::Directory {
            path: directory,
            source,
        })?;
        let start = start
            .canonicalize()
            .and_then(|start| session_env::enter(&start).map(|()| start))
            .map_err(|source| OpenShellError::Directory {
                path: start,
                source,
            })?;
        let program = find(&shell).ok_or(OpenShellError::NoShell(shell))?;
        // Found once, so that a session that loses its PATH can still be used.
        let env = find("env".as_ref()).unwrap_or_else(|| "/usr/bin/env".into());
        let shell = Shell {
            store,
            mark: Mark::server(mark.into()),
            program,
            env,
            start,
            grace,
            runtime,
            sessions: Mutex::default(),
        };
        Ok(Self {
            shell: Arc::new(OnceLock::from(Arc::new(shell))),
            grace: None,
        })
    }

    /// Ends every process that carries this runner's mark, and removes what unfinished jobs left
    /// in its directory: once before the first job, for the orphans of a server that did not end
    /// by itself, and once after the last. Says how many processes it found.
    ///
    /// Jobs that run meanwhile end, too. Waits until the processes are gone, a few seconds at
    /// most. Never ends the calling process. Finds nothing where there is no `/proc`.
    pub fn sweep(&self) -> BoxFuture<'static, usize> {
        let shell = self.shell.get().cloned();
        Box::pin(async move {
            let Some(shell) = shell else {
                return 0;
            };
            let ended = process_sweep::end_all(&shell.mark, &shell.runtime).await;
            shell.store.remove_unfinished();
            ended
        })
    }

    /// Forgets where sessions stood that are not open any more: those that were closed just
    /// before a server died. To be called before the first job.
    pub fn retain(&self, is_open: impl Fn(SessionId) -> bool) {
        if let Some(shell) = self.shell.get() {
            shell.store.retain(is_open);
        }
    }
}

impl Runner for ShellRunner {
    /// Kills the processes that an earlier server of this directory has left behind.
    fn prepare(&self, host: RunnerHost) -> BoxFuture<'static, Result<(), RunnerError>> {
        let runner = self.clone();
        Box::pin(async move {
            if runner.shell.get().is_none() {
                let directory = host.directory.ok_or(
                    "the shell keeps directories and environments of sessions in files: give the \
                     engine a runner_directory",
                )?;
                let mark = host.log.unwrap_or_else(|| directory.display().to_string());
                let mut settings = ShellSettings::new(directory.join("shell"), mark);
                settings.grace = runner.grace.unwrap_or(settings.grace);
                let opened = Self::new(settings, host.runtime)?;
                if let Some(shell) = opened.shell.get() {
                    // Prepared twice at once, the first counts.
                    let _ = runner.shell.set(shell.clone());
                }
            }
            runner.retain(|session| host.open_sessions.contains(&session));
            let killed = runner.sweep().await;
            if killed > 0 {
                tracing::warn!("killed {killed} processes left over from the previous server");
            }
            Ok(())
        })
    }

    fn run(&self, job: RunnerJob) -> BoxFuture<'static, Exit> {
        let Some(shell) = self.shell.get() else {
            return Box::pin(async { not_prepared() });
        };
        let guard = shell.guard(job.session);
        Box::pin(job::run(shell.clone(), job, guard))
    }

    /// Waits for the session's jobs, which have been interrupted; then ends every process that
    /// carries the session's mark, and forgets its directory and environment. Takes two grace
    /// times and some seconds at most.
    fn release(&self, session: SessionId) -> BoxFuture<'static, ()> {
        // Now, not when the future is first polled: no job of it may start from here on.
        let Some(shell) = self.shell.get().cloned() else {
            return Box::pin(async {});
        };
        let held = shell.close(session);
        Box::pin(async move {
            // Looking through all processes is not cheap, and needless for a session that has
            // run nothing since the sweep.
            if let Some(gone) = held {
                let patience = shell.runtime.timer(shell.grace * 2 + SLACK);
                select(std::pin::pin!(gone.recv()), patience).await;
                let mark = shell.mark.clone().of_session(session);
                process_sweep::end_all(&mark, &shell.runtime).await;
            }
            shell.store.remove(session);
        })
    }
}

fn not_prepared() -> Exit {
    Exit {
        status: 126,
        message: Some("the shell runner was not prepared by an engine".into()),
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
    runtime: Arc<dyn Runtime>,
    /// Those that ran a job and are not released.
    sessions: Mutex<BTreeMap<SessionId, SessionEntry>>,
}

/// A session with its jobs.
#[derive(Debug)]
struct SessionEntry {
    guard: SessionGuard,
    /// Closed when the last guard is dropped.
    gone: Receiver<Infallible>,
}

/// What a job holds of its session until it has ended.
#[derive(Clone, Debug)]
struct SessionGuard {
    released: Arc<AtomicBool>,
    _held: Sender<Infallible>,
}

impl Shell {
    fn guard(&self, session: SessionId) -> SessionGuard {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let held = sessions.entry(session).or_insert_with(|| {
            let (sender, gone) = async_channel::bounded(1);
            SessionEntry {
                guard: SessionGuard {
                    released: Arc::default(),
                    _held: sender,
                },
                gone,
            }
        });
        held.guard.clone()
    }

    fn close(&self, session: SessionId) -> Option<Receiver<Infallible>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let SessionEntry { guard, gone } = sessions.remove(&session)?;
        guard.released.store(true, Ordering::SeqCst);
        Some(gone)
    }
}

impl SessionGuard {
    fn is_released(&self) -> bool {
        self.released.load(Ordering::SeqCst)
    }
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

/// How long the output of a job is read once nothing can be done to end it any more.
const WAIT_FOR_OUTPUT: Duration = Duration::from_secs(1);

/// What the end of a job may take beyond its grace times.
const SLACK: Duration = Duration::from_secs(3);
