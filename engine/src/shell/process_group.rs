//! The process group of a job: starts its command, gives its output, and its status once no process
//! of the group is left.
//!
//! Invariant: no signal is sent to a group whose number may have been reused.

use super::process_sweep;
use crate::Runtime;
use async_io::Async;
use async_process::{Child, ChildStderr, ChildStdin};
use futures::future::{BoxFuture, Either, select};
use rejoin_core::JobOutput;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::pin::pin;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
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
    pub(super) stdout: Async<ChildStdout>,
    /// None if both streams are one.
    pub(super) stderr: Option<ChildStderr>,
    /// Ready when the leader has ended.
    pub(super) exited: BoxFuture<'static, ()>,
}

impl Group {
    /// Starts a command with piped output, and with a piped or an empty input, as the leader of a new
    /// group.
    pub(super) fn start(
        mut command: Command,
        has_input: bool,
        output: JobOutput,
    ) -> io::Result<Started> {
        command.process_group(0);
        let mut command = async_process::Command::from(command);
        command
            // Set here, because async-process inherits what is not set on its own command.
            .stdin(if has_input {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .kill_on_drop(true);
        let merged = match output {
            JobOutput::Merged => {
                let (reader, writer) = io::pipe()?;
                command.stdout(writer.try_clone()?).stderr(writer);
                Some(ChildStdout::from(OwnedFd::from(reader)))
            }
            JobOutput::Separate | JobOutput::Terminal(_) => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                None
            }
        };
        let mut child = command.spawn()?;
        // It has the end of the pipe that the job writes to.
        drop(command);
        let stdout = match (merged, child.stdout.take()) {
            (Some(merged), _) => Some(Async::new(merged)?),
            (None, Some(stdout)) => Some(Async::new(OwnedFd::try_from(stdout)?.into())?),
            (None, None) => None,
        };
        let stderr = child.stderr.take();
        let (Some(leader), Some(stdout)) = (
            i32::try_from(child.id()).ok().and_then(Pid::from_raw),
            stdout,
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

    /// Reaps the leader, kills what is left of the group unless it is to be kept, and waits until that
    /// is gone. Returns the leader's status, and the names of the programs that were left.
    ///
    /// # Errors
    ///
    /// When the leader's status is unknown, or it does not end: a process that waits for a device or
    /// a network file system may not even end by SIGKILL.
    pub(super) async fn end(
        mut self,
        leftovers: LeftoverEnd,
        runtime: &Arc<dyn Runtime>,
    ) -> (io::Result<ExitStatus>, Vec<String>) {
        if leftovers == LeftoverEnd::KillAll
            || (leftovers == LeftoverEnd::End && !cfg!(target_os = "linux"))
        {
            self.signal(Signal::KILL);
        }
        let status = match select(pin!(self.child.status()), runtime.timer(PATIENCE)).await {
            Either::Left((status, _)) => status,
            Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        // No signals to the group from here on: the number may be reused.
        self.ended = true;
        let is_left = test_kill_process_group(self.leader).is_ok();
        let left = match leftovers {
            LeftoverEnd::End | LeftoverEnd::KillAll if is_left => {
                process_sweep::end_group(self.leader, runtime).await
            }
            _ => Vec::new(),
        };
        (status, left)
    }
}

/// What becomes of the processes that are left in the group of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftoverEnd {
    /// The leader has ended: they are killed.
    End,
    /// The leader has ended: they run on, as part of the session.
    Keep,
    /// The leader may still run: everything is killed.
    KillAll,
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
        .and_then(Async::new);
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

/// How long processes that were sent SIGKILL may take to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
