//! A contestant in a separate process, so that its time and memory can be measured separately.
//!
//! The process is killed when the value is dropped.

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
    /// Starts a program and ignores its output.
    ///
    /// # Errors
    ///
    /// If it cannot be run.
    pub fn start(command: &mut Command) -> Outcome<Self> {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        Self::of(command.spawn()?)
    }

    /// Starts a program that prints its `http://` address on its first line, and waits for that
    /// line.
    ///
    /// # Errors
    ///
    /// If it cannot be run or prints something else.
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
            .map_err(|_| format!("{command:?} printed {line:?} instead of an address"))?;
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

    /// The total processor time of its threads.
    pub fn time(&self) -> Outcome<Duration> {
        Ok(Duration::from(self.clock.now()?))
    }

    /// Its resident anonymous memory in bytes.
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
