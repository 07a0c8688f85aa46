//! One job, from its statement to its exit.

use super::escalate::{Escalated, Escalation, escalate};
use super::output::Counted;
use super::process_group::{Group, LeftoverEnd, Started};
use super::process_sweep::{self, Mark};
use super::session_env::{Capture, Carried, ShellEnv, StartFile};
use super::{SessionGuard, Shell, input, output, session_env};
use crate::jobs::runner::{EngineEnded, Exit, LOST, RunnerJob};
use futures::FutureExt;
use futures::future::{Either, pending, select, try_join};
use rejoin_core::JobSlot;
#[cfg(target_os = "linux")]
use rejoin_core::OutputOffsets;
use rustix::process::Signal;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

/// Runs a job to its end.
pub(super) async fn run(
    shell: Arc<Shell>,
    job: RunnerJob,
    guard: SessionGuard,
    login_shell: Option<PathBuf>,
) -> Exit {
    let started = Setting::new(&shell, &job).and_then(|setting| {
        let (program, start) = Program::new(&shell, &job, &setting, login_shell.as_ref())?;
        Ok((setting, program, start))
    });
    // The file is read when the job starts.
    let (setting, program, _start) = match started {
        Ok(started) => started,
        Err(error) => return could_not_start(&shell.program, &error),
    };
    if guard.is_released() {
        return closed();
    }
    #[cfg(target_os = "linux")]
    if shell.keepers.are_used() || job.output.terminal().is_some() {
        return super::keeper::job::run(shell, job, guard, setting, program).await;
    }
    #[cfg(not(target_os = "linux"))]
    if job.output.terminal().is_some() {
        let error = io::Error::other("terminals need Linux");
        return could_not_start(&shell.program, &error);
    }
    run_as_child(shell, job, guard, setting, program).await
}

/// Goes on with a job that an earlier server started.
#[cfg(target_os = "linux")]
pub(super) async fn resume(
    shell: Arc<Shell>,
    job: RunnerJob,
    guard: SessionGuard,
    from: OutputOffsets,
) -> Exit {
    let setting = Setting::resumed(&shell, &job);
    super::keeper::job::resume(shell, job, guard, setting, from).await
}

/// Runs a job that ends with the server.
async fn run_as_child(
    shell: Arc<Shell>,
    mut job: RunnerJob,
    guard: SessionGuard,
    setting: Setting,
    program: Program,
) -> Exit {
    let mark = &setting.mark;
    let Started {
        group,
        stdin,
        stdout,
        stderr,
        exited,
    } = match Group::start(program.command(), job.input.is_some(), job.output) {
        Ok(started) => started,
        Err(error) => {
            // Without free file descriptors, it may run although starting it failed.
            if !NOTHING_RUNS.contains(&error.kind()) {
                process_sweep::end_all(mark, &shell.runtime).await;
            }
            return could_not_start(&shell.program, &error);
        }
    };
    let exited = exited.shared();
    // Checked again: a release first closes the session and then looks for processes. Either it
    // finds this process, or this check finds the session closed.
    if guard.is_released() {
        return closed();
    }

    let reported = async {
        job.reporter.started().await?;
        for changed in &setting.changed {
            output::report_notice(changed, false, &job.reporter).await?;
        }
        let pipes = output::pipes(&stdout, stderr.as_ref());
        let (out, err) = (Counted::none("stdout"), Counted::none("stderr"));
        let stdout = output::pump(stdout, out, &job.reporter, &*shell.runtime);
        let stderr = async {
            match stderr {
                Some(stderr) => output::pump(stderr, err, &job.reporter, &*shell.runtime).await,
                None => Ok(()),
            }
        };
        let held = async {
            exited.clone().await;
            shell.runtime.timer(HELD).await;
            if let Some(held) =
                describe_holders(&process_sweep::holders(pipes, &shell.runtime).await)
            {
                output::report_notice(&held, false, &job.reporter).await?;
            }
            pending().await
        };
        match select(pin!(try_join(stdout, stderr)), pin!(held)).await {
            Either::Left((ended, _)) => ended.map(drop),
            Either::Right((ended, _)) => ended,
        }
    };
    let fed = async {
        if let (Some(stdin), Some(input)) = (stdin, job.input.take()) {
            input::feed(stdin, input).await;
        }
    };
    let ended = async {
        if let Err(EngineEnded) = reported.await {
            // The engine has ended and can't interrupt it any more.
            group.signal(Signal::KILL);
        }
        exited.clone().await;
    };
    // The job's end does not wait for its input.
    let ended = async {
        if let Either::Left(((), ended)) = select(pin!(fed), pin!(ended)).await {
            ended.await;
        }
    };
    let escalation = Escalation::after(None, 0);
    let escalated = async {
        match escalate(&shell, &group, mark, &job.interrupts, &escalation).await {
            Escalated::Killed => {}
            // The reports of its output end, too.
            Escalated::EngineEnded => pending().await,
        }
    };
    let was_cut = matches!(
        select(pin!(ended), pin!(escalated)).await,
        Either::Right(((), _))
    );
    let was_interrupted = escalation.was_interrupted();
    let leftovers = match was_interrupted || was_cut {
        true => LeftoverEnd::KillAll,
        false => shell.leftovers_of(&job.leftovers),
    };
    let (status, left) = group.end(leftovers, &shell.runtime).await;
    let ended = Ended {
        status,
        left: left_of(&left).filter(|_| leftovers == LeftoverEnd::End),
        was_interrupted,
        was_cut,
    };
    setting.exit(&shell, &job, &guard, ended)
}

/// What a job runs in: its mark, and the directory and environment of its session.
pub(super) struct Setting {
    pub(super) mark: Mark,
    /// Messages for people about what is left out of the session's directory and environment.
    pub(super) changed: Vec<String>,
    env: ShellEnv,
    capture: Option<Capture>,
}

/// How a job ended.
pub(super) struct Ended {
    pub(super) status: io::Result<ExitStatus>,
    /// The processes that it left in its process group and that were ended.
    pub(super) left: Option<String>,
    pub(super) was_interrupted: bool,
    /// Whether it ended although something still had its output open.
    pub(super) was_cut: bool,
}

impl Setting {
    /// The setting of a new job.
    fn new(shell: &Shell, job: &RunnerJob) -> io::Result<Self> {
        // A background job is like a subshell: its directory and environment are not saved.
        // A login shell is the user's, and has no trap of ours.
        let foreground = job.slot == JobSlot::Foreground && !is_login(job);
        let capture = foreground.then(|| shell.store.capture(job.session, job.job));
        Ok(Self::with(shell, job, capture.transpose()?))
    }

    /// The setting of a job that runs already.
    #[cfg(target_os = "linux")]
    fn resumed(shell: &Shell, job: &RunnerJob) -> Self {
        let foreground = job.slot == JobSlot::Foreground && !is_login(job);
        let capture = foreground.then(|| shell.store.running_capture(job.session, job.job));
        Self::with(shell, job, capture)
    }

    fn with(shell: &Shell, job: &RunnerJob, capture: Option<Capture>) -> Self {
        let mut env = shell.store.load(job.session);
        let changed = [env.check_size(shell.user()), env.check_dir(&shell.start)];
        Self {
            mark: shell.mark.clone().of_session(job.session).of_job(job.job),
            changed: changed.into_iter().flatten().collect(),
            env,
            capture,
        }
    }

    /// Leaves the job to the next server.
    #[cfg(target_os = "linux")]
    pub(super) fn leave(self) {
        if let Some(capture) = self.capture {
            capture.leave();
        }
    }

    /// Saves the directory and environment of an ended job, and says how it ended.
    pub(super) fn exit(
        &self,
        shell: &Shell,
        job: &RunnerJob,
        guard: &SessionGuard,
        ended: Ended,
    ) -> Exit {
        let Ended {
            status,
            left,
            was_interrupted,
            was_cut,
        } = ended;
        let by_itself = status.as_ref().is_ok_and(|status| status.code().is_some());
        let mut notes = Vec::new();
        let (status, ended_by) = describe(status, was_interrupted);
        notes.extend(ended_by);
        if let Some(left) = left {
            notes.push(format!("ended {left} that it left in its process group"));
        }
        if was_cut {
            notes.push("something that left its process group still holds its output".into());
        }
        if let Some(capture) = &self.capture
            && by_itself
            && !guard.is_released()
        {
            match shell.store.commit(job.session, capture, &self.env) {
                Ok(Carried::All) => {}
                Ok(Carried::Directory(reason)) => {
                    notes.push(format!("its environment does not carry over: {reason}"));
                }
                Ok(Carried::Nothing) if session_env::may_change(&job.statement) => notes.push(
                    "its directory and environment do not carry over: it replaced the shell (exec) \
                     or the shell's exit trap"
                        .into(),
                ),
                Ok(Carried::Nothing) => {}
                Err(error) => notes.push(format!(
                    "its directory and environment do not carry over: {error}"
                )),
            }
        }
        Exit {
            status,
            message: (!notes.is_empty()).then(|| notes.join("; ")),
            ..Exit::default()
        }
    }
}

/// The processes of these names, for a message. None if there are none.
pub(super) fn left_of(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| describe_processes(names))
}

/// Whether it is the user's shell on a terminal, without a statement.
fn is_login(job: &RunnerJob) -> bool {
    job.output.terminal().is_some() && job.statement.trim().is_empty()
}

fn prefixed(prefix: &str, name: &OsStr) -> OsString {
    let mut prefixed = OsString::from(prefix);
    prefixed.push(name);
    prefixed
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: OsString,
    /// Its name, and then its arguments.
    pub(super) arguments: Vec<OsString>,
    /// Names and values.
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) directory: PathBuf,
}

impl Program {
    /// What is run for a job, and a file that must stay until it has started.
    fn new(
        shell: &Shell,
        job: &RunnerJob,
        setting: &Setting,
        login_shell: Option<&PathBuf>,
    ) -> io::Result<(Self, Option<StartFile>)> {
        let Setting {
            mark, env, capture, ..
        } = setting;
        let capture = capture.as_ref();
        // The name that the shell uses in its messages: `sh: 1: nosuch: not found`.
        let login = is_login(job).then(|| shell.login_shell(login_shell, &env.environment));
        let path = login.as_ref().unwrap_or(&shell.program);
        let name = path.file_name().unwrap_or_else(|| "sh".as_ref());
        let script = match capture {
            Some(capture) => capture.script(&shell.env, &job.statement),
            None => (*job.statement).into(),
        };
        let mut full = env.clone();
        full.environment
            .push(("PWD".into(), env.directory.clone().into()));
        let mark = mark.variables();
        let mark = mark.map(|(name, value)| (name.into(), value.into()));
        full.environment.extend(mark);
        if job.output.terminal().is_some() {
            let described = ["TERM", "COLUMNS", "LINES"];
            full.environment
                .retain(|(name, _)| !described.iter().any(|it| name == it));
            full.environment.push(("TERM".into(), TERM.into()));
        }
        let arguments = match login.is_some() {
            // The mark of a login shell.
            true => vec![prefixed("-", name)],
            false => vec![name.to_owned(), "-c".into(), script],
        };
        if let Some(user) = shell.user() {
            let start = shell.store.write_start(job.session, job.job, &full)?;
            let command = user.command(start.path(), capture, path, &arguments);
            return Ok((Self::of(&command), Some(start)));
        }
        let program = Self {
            path: path.into(),
            arguments,
            environment: full.environment,
            directory: env.directory.clone(),
        };
        Ok((program, None))
    }

    /// What a command runs, whose environment is all that it sets.
    fn of(command: &Command) -> Self {
        let path = command.get_program();
        let set = |(name, value): (&OsStr, Option<&OsStr>)| Some((name.into(), value?.into()));
        Self {
            path: path.into(),
            arguments: std::iter::once(path)
                .chain(command.get_args())
                .map(OsString::from)
                .collect(),
            environment: command.get_envs().filter_map(set).collect(),
            directory: command
                .get_current_dir()
                .unwrap_or_else(|| "/".as_ref())
                .into(),
        }
    }

    pub(super) fn command(self) -> Command {
        let mut arguments = self.arguments.into_iter();
        let mut command = Command::new(self.path);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment)
            .current_dir(self.directory);
        command
    }
}

/// The status of an ended shell, and a message if a signal ended it.
fn describe(status: io::Result<ExitStatus>, interrupted: bool) -> (i32, Option<String>) {
    let status = match status {
        Ok(status) => status,
        Err(error) => return (LOST, Some(format!("its end was not seen: {error}"))),
    };
    // An interrupted shell exits with this code instead of dying by the signal, so that its exit
    // trap runs. It means the same.
    let interrupt = Signal::INT.as_raw();
    let signal = match status.code() {
        Some(code) if interrupted && code == 128 + interrupt => Some(interrupt),
        Some(code) => return (code, None),
        None => status.signal(),
    };
    let signal = signal.unwrap_or_default();
    let name = NAMES.iter().find(|(named, _)| named.as_raw() == signal);
    let name = name.map_or(String::new(), |(_, name)| format!(" ({name})"));
    (
        128 + signal,
        Some(format!("ended by signal {signal}{name}")),
    )
}

/// `1 process (sleep)`, or `3 processes (sleep, tail)`.
fn describe_processes(names: &[String]) -> String {
    let mut programs: Vec<_> = names.iter().map(String::as_str).collect();
    programs.sort_unstable();
    programs.dedup();
    let more = if programs.len() > NAMED { ", …" } else { "" };
    programs.truncate(NAMED);
    let programs = programs.join(", ");
    match names.len() {
        1 => format!("1 process ({programs})"),
        count => format!("{count} processes ({programs}{more})"),
    }
}

pub(super) fn describe_holders(names: &[String]) -> Option<String> {
    let (verb, pronoun) = match names.len() {
        0 => return None,
        1 => ("holds", "it has"),
        _ => ("hold", "they have"),
    };
    let processes = describe_processes(names);
    Some(format!(
        "rejoin: the shell has ended, but {processes} still {verb} its output; the job runs until \
         {pronoun} ended\n"
    ))
}

pub(super) fn could_not_start(program: &Path, error: &io::Error) -> Exit {
    let status = match error.kind() {
        ErrorKind::NotFound => 127,
        _ => 126,
    };
    let program = program.display();
    Exit {
        status,
        message: Some(format!("could not start {program}: {error}")),
        ..Exit::default()
    }
}

pub(super) fn closed() -> Exit {
    Exit {
        status: LOST,
        message: Some("not started: its session is closed".into()),
        ..Exit::default()
    }
}

/// Errors after which the program certainly does not run.
const NOTHING_RUNS: [ErrorKind; 4] = [
    ErrorKind::ArgumentListTooLong,
    ErrorKind::InvalidInput,
    ErrorKind::NotFound,
    ErrorKind::PermissionDenied,
];

/// The kind of terminal that every emulator of today is.
const TERM: &str = "xterm-256color";

/// How long the output may be open after the end of the shell before that is said.
pub(super) const HELD: Duration = Duration::from_secs(1);

/// Programs that a message names.
const NAMED: usize = 5;

const NAMES: [(Signal, &str); 18] = [
    (Signal::ABORT, "SIGABRT"),
    (Signal::ALARM, "SIGALRM"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::HUP, "SIGHUP"),
    (Signal::ILL, "SIGILL"),
    (Signal::INT, "SIGINT"),
    (Signal::KILL, "SIGKILL"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::SYS, "SIGSYS"),
    (Signal::TERM, "SIGTERM"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
];
