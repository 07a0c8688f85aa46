//! Facts about the machine and the versions for the report, and system calls of the harness.

use crate::Outcome;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Raises the limit of open files to the maximum, for this process and its children.
///
/// # Errors
///
/// If the operating system refuses.
pub fn allow_many_files() -> Outcome<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// Machine, date and versions.
pub fn describe(quick: bool, contestants: &[(String, String)]) -> Value {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or_default();
    let versions: serde_json::Map<_, _> = contestants
        .iter()
        .map(|(name, version)| (name.clone(), version.clone().into()))
        .collect();
    json!({
        "run": if quick { "quick: fewer and smaller rounds" } else { "full" },
        "date": said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"])),
        "processor": processor,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gib": memory / 1024 / 1024,
        "kernel": said(Command::new("uname").arg("-sr")),
        "load_before": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "rustc": said(Command::new("rustc").arg("--version")),
        "versions": versions,
    })
}

/// The first line that a program prints, or an empty string if it cannot be run.
pub fn said(command: &mut Command) -> String {
    let output = command.output().map(|it| [it.stdout, it.stderr].concat());
    let text = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// Nanoseconds since 1970, for timestamps that are compared across processes.
pub fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX))
}
