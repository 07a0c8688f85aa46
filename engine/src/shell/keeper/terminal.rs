//! The pseudo-terminal of a job, as its keeper holds it.

use super::process::Started;
use crate::jobs::runner::TerminalMode;
use crate::shell::inheritance;
use rejoin_core::{OutputStream, TerminalSize};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcgetpgrp, tcsetwinsize};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

/// The keeper's end of a terminal.
pub(super) struct Terminal(OwnedFd);

/// Starts a program as the leader of a new session with a new terminal.
pub(super) fn start(command: Command, size: TerminalSize) -> io::Result<Started> {
    let (pty, pts) = inheritance::opening(pty_process::blocking::open).map_err(error)?;
    let terminal = Terminal(OwnedFd::from(pty));
    // Before the program can ask for it.
    tcsetwinsize(&terminal.0, winsize(size))?;
    let child = pty_process::blocking::Command::from(command);
    let child = inheritance::starting(|| child.spawn(pts)).map_err(error)?;
    ioctl_fionbio(&terminal.0, true)?;
    Ok(Started {
        child,
        stdin: Some(File::from(terminal.0.try_clone()?)),
        output: vec![(OutputStream::Stdout, terminal.0.try_clone()?)],
        terminal: Some(terminal),
    })
}

impl Terminal {
    /// Sets the size. The program in the foreground gets a signal from the kernel.
    pub(super) fn resize(&self, size: TerminalSize) {
        let _ = tcsetwinsize(&self.0, winsize(size));
    }

    pub(super) fn mode(&self) -> Option<TerminalMode> {
        let modes = tcgetattr(&self.0).ok()?.local_modes;
        Some(TerminalMode {
            echoes: modes.contains(LocalModes::ECHO),
            collects_lines: modes.contains(LocalModes::ICANON),
        })
    }

    /// The process group in the foreground.
    pub(super) fn foreground(&self) -> Option<Pid> {
        tcgetpgrp(&self.0).ok()
    }

    /// The path of the program's end.
    pub(super) fn name(&self) -> Option<OsString> {
        let name = rustix::pty::ptsname(&self.0, Vec::new()).ok()?;
        Some(OsString::from_vec(name.into_bytes()))
    }
}

/// Sends a signal to every process of a session: also to those that a shell with job control has put
/// into process groups of their own.
pub(super) fn signal_session(leader: Pid, signal: Signal) {
    let Ok(listed) = std::fs::read_dir("/proc") else {
        return;
    };
    let numbers = listed.flatten().filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(number)
    });
    for process in numbers {
        let is_member = || session_of(process) == Some(leader.as_raw_nonzero().get());
        if !is_member() {
            continue;
        }
        // From here on, the signal reaches the opened process or none.
        if let Ok(opened) = pidfd_open(process, PidfdFlags::empty())
            && is_member()
        {
            // A stopped process handles it once it continues.
            for signal in [signal, Signal::CONT] {
                let _ = pidfd_send_signal(&opened, signal);
            }
        }
    }
}

/// The session of a process. Kernel threads have none, which `getsid` of rustix can't say.
fn session_of(process: Pid) -> Option<i32> {
    // `12 (name, of anything) S 1 34 34 …`: the state, the parent, the group, and the session.
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    let stat = std::fs::read(path).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, stat) = stat.rsplit_once(") ")?;
    stat.split(' ').nth(3)?.parse().ok()
}

const fn winsize(size: TerminalSize) -> Winsize {
    Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::process_group::Group;
    use rejoin_core::JobOutput;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn no_process_inherits_a_terminal_that_is_opened_while_it_is_started() {
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    drop(inheritance::opening(pty_process::blocking::open));
                }
            });
            for _ in 0..30 {
                let mut command = Command::new("ls");
                command.args(["-l", "/proc/self/fd"]);
                let started = Group::start(command, false, JobOutput::Merged);
                let listed = started.map(|started| {
                    let mut listed = String::new();
                    let mut stdout = started.stdout;
                    let read = futures::AsyncReadExt::read_to_string(&mut stdout, &mut listed);
                    smol::block_on(read).map(|_| listed)
                });
                is_done.store(listed.is_err(), Ordering::Relaxed);
                let listed = listed.unwrap().unwrap();
                let is_inherited = listed.contains("ptmx");
                is_done.store(is_inherited, Ordering::Relaxed);
                assert!(!is_inherited, "{listed}");
            }
            is_done.store(true, Ordering::Relaxed);
        });
    }
}
