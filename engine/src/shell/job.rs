//! One job, from its statement to its exit.

use super::process_group::{Group, Leftovers, Started};
use super::process_sweep::{self, Mark};
use super::session_env::{Capture, Carried, ShellEnv, StartFile};
use super::{SessionGuard, Shell, escalate, input, output, session_env};
use crate::jobs::runner::{EngineEnded, Exit, RunnerJob};
use futures::FutureExt;
use futures::future::{Either, pending, select, try_join};
use rejoin_core::JobSlot;
use rustix::process::Signal;
use std::io::{self, ErrorKind};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Runs a job to its end.
pub(super) async fn run(shell: Arc<Shell>, mut job: RunnerJob, guard: SessionGuard) -> Exit {
    let mark = shell.mark.clone().of_session(job.session).of_job(job.job);
    let mut env = shell.store.load(job.session);
    let changed = [env.check_size(shell.user()), env.check_dir(&shell.start)];
    // A background job is like a subshell: its directory and environment are not saved.
    let foreground = job.slot == JobSlot::Foreground;
    let capture = foreground.then(|| shell.store.capture(job.session, job.job));
    let capture = match capture.transpose() {
        Ok(capture) => capture,
        Err(error) => return could_not_start(&shell.program, &error),
    };

    if guard.is_released() {
        return closed();
    }
    let (command, _start) = match command(&shell, &job, &mark, &env, capture.as_ref()) {
        Ok(command) => command,
        Err(error) => return could_not_start(&shell.program, &error),
    };
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
    let exited = exited.shared();
    // Checked again: a release first closes the session and then looks for processes. Either it
    // finds this process, or this check finds the session closed.
    if guard.is_released() {
        return closed();
    }

    let reported = async {
        job.reporter.started().await?;
        for changed in changed.into_iter().flatten() {
            output::report(changed.as_bytes(), "stderr", &job.reporter).await?;
        }
        let pipes = output::pipes(&stdout, &stderr);
        let stdout = output::pump(stdout, "stdout", &job.reporter, &*shell.runtime);
        let stderr = output::pump(stderr, "stderr", &job.reporter, &*shell.runtime);
        let held = async {
            exited.clone().await;
            shell.runtime.timer(HELD).await;
            if let Some(held) =
                describe_holders(&process_sweep::holders(pipes, &shell.runtime).await)
            {
                output::report(held.as_bytes(), "stderr", &job.reporter).await?;
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
    let interrupted = AtomicBool::new(false);
    let escalated = escalate::escalate(&shell, &group, &mark, &job.interrupts, &interrupted);
    let cut = matches!(
        select(pin!(ended), pin!(escalated)).await,
        Either::Right(((), _))
    );

    let interrupted = interrupted.into_inner();
    let leftovers = match interrupted || cut {
        true => Leftovers::KillAll,
        false => shell.leftovers,
    };
    let (status, left) = group.end(leftovers, &shell.runtime).await;
    let by_itself = status.as_ref().is_ok_and(|status| status.code().is_some());
    let mut notes = Vec::new();
    let (status, ended_by) = describe(status, interrupted);
    notes.extend(ended_by);
    if leftovers == Leftovers::End && !left.is_empty() {
        let left = describe_processes(&left);
        notes.push(format!("ended {left} that it left in its process group"));
    }
    if cut {
        notes.push("something that left its process group still holds its output".into());
    }
    if let Some(capture) = capture
        && by_itself
        && !guard.is_released()
    {
        match shell.store.commit(job.session, &capture, &env) {
            Ok(Carried::All) => {}
            Ok(Carried::Directory(reason)) => {
                notes.push(format!("its environment does not carry over: {reason}"));
            }
            Ok(Carried::Nothing) if session_env::may_change(&job.statement) => notes.push(
                "its directory and environment do not carry over: it replaced the shell (exec) or \
                 the shell's exit trap"
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
    }
}

fn command(
    shell: &Shell,
    job: &RunnerJob,
    mark: &Mark,
    env: &ShellEnv,
    capture: Option<&Capture>,
) -> io::Result<(Command, Option<StartFile>)> {
    // The name that the shell uses in its messages: `sh: 1: nosuch: not found`.
    let name = shell.program.file_name().unwrap_or_else(|| "sh".as_ref());
    let script = match capture {
        Some(capture) => capture.script(&shell.env, &job.statement),
        None => (*job.statement).into(),
    };
    let mut full = env.clone();
    full.environment
        .push(("PWD".into(), env.directory.clone().into()));
    let mark = mark
        .variables()
        .map(|(name, value)| (name.into(), value.into()));
    full.environment.extend(mark);
    if let Some(user) = shell.user() {
        let start = shell.store.write_start(job.session, job.job, &full)?;
        let arguments = [name.to_owned(), "-c".into(), script];
        let command = user.command(start.path(), capture, &shell.program, &arguments);
        return Ok((command, Some(start)));
    }
    let mut command = Command::new(&shell.program);
    command
        .arg0(name)
        .arg("-c")
        .arg(script)
        .env_clear()
        .envs(full.environment)
        .current_dir(&env.directory);
    Ok((command, None))
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

fn describe_holders(names: &[String]) -> Option<String> {
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

fn could_not_start(program: &Path, error: &io::Error) -> Exit {
    let status = match error.kind() {
        ErrorKind::NotFound => 127,
        _ => 126,
    };
    let program = program.display();
    Exit {
        status,
        message: Some(format!("could not start {program}: {error}")),
    }
}

fn closed() -> Exit {
    Exit {
        status: LOST,
        message: Some("not started: its session is closed".into()),
    }
}

/// Errors after which the program certainly does not run.
const NOTHING_RUNS: [ErrorKind; 4] = [
    ErrorKind::ArgumentListTooLong,
    ErrorKind::InvalidInput,
    ErrorKind::NotFound,
    ErrorKind::PermissionDenied,
];

/// How long the output may be open after the end of the shell before that is said.
const HELD: Duration = Duration::from_secs(1);

/// Programs that a message names.
const NAMED: usize = 5;

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
