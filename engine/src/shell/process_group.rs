//! The process group of a job: starts its command, gives its output, and its status once no process
//! of the group is left.
//!
//! Invariant: no signal is sent to a group whose number may have been reused.

use crate::Runtime;
use async_process::{Child, ChildStderr, ChildStdin, ChildStdout};
use futures::future::{BoxFuture, Either, select};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::io;
use std::os::unix::process::CommandExt;
use std::pin::pin;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A running process group, which ends when this is dropped.
///
/// Its leader is not reaped while this lives. Until then no other process and no other group can
/// get its number, so signals reach this group or nothing.
#[derive(Debug)]
pub(super) struct Group {
    child: Child,
    leader: Pid,
    ended: bool,
}

/// A group that was just started.
pub(super) struct Started {
    pub(super) group: Group,
    /// None without an input.
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
    /// Ready when the leader has ended.
    pub(super) exited: BoxFuture<'static, ()>,
}

impl Group {
    /// Starts a command with piped output, and with a piped or an empty input, as the leader of a new
    /// group.
    pub(super) fn start(mut command: Command, has_input: bool) -> io::Result<Started> {
        command.process_group(0);
        let mut child = async_process::Command::from(command)
            // Set here, because async-process inherits what is not set on its own command.
            .stdin(if has_input {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(leader), Some(stdout), Some(stderr)) = (
            i32::try_from(child.id()).ok().and_then(Pid::from_raw),
            child.stdout.take(),
            child.stderr.take(),
        ) else {
            return Err(io::Error::other("it has no number or no output"));
        };
        let stdin = child.stdin.take();
        let exited = exited(&mut child, leader);
        let group = Self {
            child,
            leader,
            ended: false,
        };
        Ok(Started {
            group,
            stdin,
            stdout,
            stderr,
            exited,
        })
    }

    /// Sends a signal to the whole group, and continues stopped processes so that they handle it.
    pub(super) fn signal(&self, signal: Signal) {
        for signal in [signal, Signal::CONT] {
            // Fails if only zombies or other users' processes are left.
            if let Err(error) = kill_process_group(self.leader, signal) {
                tracing::debug!(group = self.leader.as_raw_nonzero(), signal = signal.as_raw(), %error, "signal not sent");
            }
        }
    }

    /// Kills what is left of the group, and waits until it is gone.
    ///
    /// # Errors
    ///
    /// When the leader's status is unknown, or it does not end: a process that waits for a device or
    /// a network file system may not even end by SIGKILL.
    pub(super) async fn end(mut self, runtime: &Arc<dyn Runtime>) -> io::Result<ExitStatus> {
        self.signal(Signal::KILL);
        let status = match select(pin!(self.child.status()), runtime.timer(PATIENCE)).await {
            Either::Left((status, _)) => status,
            Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        // No signals from here on: the number may be reused.
        self.ended = true;
        // Rare: a process that was sent SIGKILL has not ended yet.
        if test_kill_process_group(self.leader).is_ok() {
            members_end(self.leader, runtime).await;
        }
        status
    }
}

/// Kills the group of a job that was dropped. async-process reaps the leader.
impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            self.signal(Signal::KILL);
        }
    }
}

/// Waits for the leader's end without reaping it, where the system has a way to.
#[cfg(target_os = "linux")]
fn exited(child: &mut Child, leader: Pid) -> BoxFuture<'static, ()> {
    use rustix::process::{PidfdFlags, pidfd_open};

    let opened = pidfd_open(leader, PidfdFlags::empty())
        .map_err(io::Error::from)
        .and_then(async_io::Async::new);
    let Ok(opened) = opened else {
        return reaped(child);
    };
    let reaped = reaped(child);
    Box::pin(async move {
        if opened.readable().await.is_err() {
            reaped.await;
        }
    })
}

/// Waits for the leader's end without reaping it, where the system has a way to.
#[cfg(not(target_os = "linux"))]
fn exited(child: &mut Child, _leader: Pid) -> BoxFuture<'static, ()> {
    reaped(child)
}

/// The fallback, which reaps the leader: if the whole group is gone and its number is reused, a
/// signal that is sent before the end of the job may reach another group.
fn reaped(child: &mut Child) -> BoxFuture<'static, ()> {
    let status = child.status();
    Box::pin(async move {
        if let Err(error) = status.await {
            tracing::warn!(%error, "the end of a shell was not seen");
        }
    })
}

/// Waits, for [`PATIENCE`] at most, until no process of a group that was sent SIGKILL lives. Zombies
/// count as ended: it is not known when they are reaped.
async fn members_end(group: Pid, runtime: &Arc<dyn Runtime>) {
    let (sender, ended) = async_channel::bounded::<()>(1);
    let timers = runtime.clone();
    let wait = async move {
        let mut wait = Duration::from_millis(1);
        while wait < PATIENCE && lives(group) {
            timers.timer(wait).await;
            wait *= 2;
        }
        drop(sender);
    };
    // On its own thread, because reading /proc blocks.
    runtime.spawn_dedicated("rejoin-group", Box::pin(wait));
    ended.recv().await.unwrap_or_default();
}

#[cfg(target_os = "linux")]
pub(super) fn lives(group: Pid) -> bool {
    let Ok(listed) = std::fs::read_dir("/proc") else {
        return false;
    };
    listed.flatten().any(|process| {
        // `12 (name, of anything) S 1 34 …`: the state, the parent, and the group.
        let stat = std::fs::read(process.path().join("stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        let Some((_, stat)) = stat.rsplit_once(") ") else {
            return false;
        };
        let mut stat = stat.split(' ');
        let has_ended = matches!(stat.next(), Some("Z" | "X"));
        let of = stat.nth(1).and_then(|of| of.parse().ok());
        !has_ended && of == Some(group.as_raw_nonzero().get())
    })
}

#[cfg(not(target_os = "linux"))]
fn lives(group: Pid) -> bool {
    test_kill_process_group(group).is_ok()
}

/// How long processes that were sent SIGKILL may take to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
