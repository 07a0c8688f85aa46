//! One job, from its statement to its exit.

use super::process_group::{Group, Started};
use super::process_sweep::{self, Mark};
use super::session_env::{Capture, ShellEnv};
use super::{SessionGuard, Shell, escalate, input, output};
use crate::jobs::runner::{EngineEnded, Exit, RunnerJob};
use futures::future::{Either, select, try_join};
use rejoin_core::JobSlot;
use rustix::process::Signal;
use std::io::{self, ErrorKind};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Runs a job to its end.
pub(super) async fn run(shell: Arc<Shell>, mut job: RunnerJob, guard: SessionGuard) -> Exit {
    let mark = shell.mark.clone().of_session(job.session).of_job(job.job);
    let mut env = shell.store.load(job.session);
    let moved = env.check_dir(&shell.start);
    // A background job is like a subshell: its directory and environment are not saved.
    let foreground = job.slot == JobSlot::Foreground;
    let capture = foreground.then(|| shell.store.capture(job.session, job.job));

    if guard.is_released() {
        return closed();
    }
    let command = command(&shell, &job, &mark, &env, capture.as_ref());
    let Started {
        group,
        stdin,
        stdout,
        stderr,
        exited,
    } = match Group::start(command, job.input.is_some()) {
        Ok(started) => started,
        Err(error) => {
            // Without free file descriptors, it may run although starting it failed.
            if !NOTHING_RUNS.contains(&error.kind()) {
                process_sweep::end_all(&mark, &shell.runtime).await;
            }
            return could_not_start(&shell.program, &error);
        }
    };
    // Checked again: a release first closes the session and then looks for processes. Either it
    // finds this process, or this check finds the session closed.
    if guard.is_released() {
        return closed();
    }

    let reported = async {
        job.reporter.started().await?;
        if let Some(moved) = moved {
            output::report(moved.as_bytes(), "stderr", &job.reporter).await?;
        }
        let stdout = output::pump(stdout, "stdout", &job.reporter, &*shell.runtime);
        let stderr = output::pump(stderr, "stderr", &job.reporter, &*shell.runtime);
        try_join(stdout, stderr).await
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
        exited.await;
    };
    // The job's end does not wait for its input.
    let ended = async {
        if let Either::Left(((), ended)) = select(pin!(fed), pin!(ended)).await {
            ended.await;
        }
    };
    let interrupted = AtomicBool::new(false);
    let escalated = escalate::escalate(&shell, &group, &mark, &job.interrupts, &interrupted);
    let cut = matches!(
        select(pin!(ended), pin!(escalated)).await,
        Either::Right(((), _))
    );

    let status = group.end(&shell.runtime).await;
    let by_itself = status.as_ref().is_ok_and(|status| status.code().is_some());
    let mut notes = Vec::new();
    let (status, ended_by) = describe(status, interrupted.into_inner());
    notes.extend(ended_by);
    if cut {
        notes.push("something that left its process group still holds its output".into());
    }
    if let Some(capture) = capture
        && by_itself
        && !guard.is_released()
        && let Err(error) = shell.store.commit(job.session, &capture, &env)
    {
        notes.push(format!(
            "its directory and environment do not carry over: {error}"
        ));
    }
    Exit {
        status,
        message: (!notes.is_empty()).then(|| notes.join("; ")),
        ..Exit::default()
    }
}

fn command(
    shell: &Shell,
    job: &RunnerJob,
    mark: &Mark,
    env: &ShellEnv,
    capture: Option<&Capture>,
) -> Command {
    let mut command = Command::new(&shell.program);
    // The name that the shell uses in its messages: `sh: 1: nosuch: not found`.
    if let Some(name) = shell.program.file_name() {
        command.arg0(name);
    }
    command.arg("-c");
    match capture {
        Some(capture) => command.arg(capture.script(&shell.env, &job.statement)),
        None => command.arg(&*job.statement),
    };
    command
        .env_clear()
        .envs(env.environment.iter().map(|(name, value)| (name, value)))
        .env("PWD", &env.directory)
        .envs(mark.variables())
        .current_dir(&env.directory);
    command
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

fn could_not_start(program: &Path, error: &io::Error) -> Exit {
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

fn closed() -> Exit {
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

/// The status if there is none: as of a child that was ended by SIGKILL.
const LOST: i32 = 128 + 9;

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
