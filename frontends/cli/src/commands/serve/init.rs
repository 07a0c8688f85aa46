//! The first process of a container, in front of the server.
//!
//! Processes that lose their parent become children of the first process, which has to reap them when
//! they end. The server can't: it would take the exit statuses that it waits for itself. So where it
//! would be the first process, this one starts the server as its child, passes signals on, reaps
//! everything, and ends as the server ends. The kernel then kills what is left.

use async_signal::{Signal as Received, Signals};
use futures::StreamExt;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait};
use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// Whether orphans become children of this process: it is the first one of a container, or a
/// program that adopts orphans has become this one.
pub(super) fn adopts_orphans() -> bool {
    getpid().is_init() || is_subreaper()
}

/// Runs the server, with the same arguments, as a child. Returns its exit status.
///
/// # Errors
///
/// When the server can't be started or waited for.
pub(super) fn run() -> io::Result<ExitCode> {
    // Before the server is started: no signal and no end is missed.
    let mut signals = Signals::new([Received::Child, Received::Term, Received::Int])?;
    let server = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        // Ctrl-C in a terminal signals the whole group. The server gets it once, from here.
        .process_group(0)
        .spawn()?;
    let server = i32::try_from(server.id()).ok().and_then(Pid::from_raw);
    let server = server.ok_or_else(|| io::Error::other("the server has no process number"))?;
    smol::block_on(async {
        loop {
            if let Some(status) = reap(server)? {
                return Ok(ExitCode::from(status));
            }
            let signal = match signals.next().await.transpose()? {
                Some(Received::Term) => Signal::TERM,
                Some(Received::Int) => Signal::INT,
                _ => continue,
            };
            // It is not reaped yet, so the number is its own.
            kill_process(server, signal)?;
        }
    })
}

/// Reaps every child that has ended, and returns the status of the server once it is among them.
fn reap(server: Pid) -> io::Result<Option<u8>> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((process, status))) if process == server => return Ok(Some(exit(status))),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The exit status that tells the same, as a shell's.
fn exit(status: WaitStatus) -> u8 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    let status = status.exit_status().or(signal);
    status
        .and_then(|status| u8::try_from(status).ok())
        .unwrap_or(1)
}

#[cfg(target_os = "linux")]
fn is_subreaper() -> bool {
    rustix::process::child_subreaper().is_ok_and(|set| set.is_some())
}

#[cfg(not(target_os = "linux"))]
fn is_subreaper() -> bool {
    false
}
