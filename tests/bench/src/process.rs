//! A contestant as a process of its own, so that its time and memory are nobody else's.
//!
//! Ends with the value: whatever happens, no contestant outlives the harness' interest in it.

use crate::Outcome;
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[derive(Debug)]
pub struct Process {
    child: Child,
    clock: ClockId,
}

impl Process {
    /// Starts a program whose output is of no interest.
    ///
    /// # Errors
    ///
    /// When it cannot be run.
    pub fn start(command: &mut Command) -> Outcome<Self> {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        Self::of(command.spawn()?)
    }

    /// Starts a program that says on its first line at which `http://` address it listens, and
    /// waits for that.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or says something else.
    pub fn serve(command: &mut Command) -> Outcome<(Self, SocketAddr)> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let process = Self::of(child)?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.split("http://").nth(1).unwrap_or_default();
        let address = address.split([',', ' ', '\n']).next().unwrap_or_default();
        let address = address
            .parse()
            .map_err(|_| format!("{command:?} said {line:?} instead of an address"))?;
        Ok((process, address))
    }

    fn of(child: Child) -> Outcome<Self> {
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let clock = clock_getcpuclockid(pid)?;
        Ok(Self { child, clock })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The time that its threads have run for, all together.
    pub fn time(&self) -> Outcome<Duration> {
        Ok(Duration::from(self.clock.now()?))
    }

    /// Bytes of memory that are its own and in use.
    pub fn memory(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next())
            .ok_or("no RssAnon")?;
        Ok(kib.parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
