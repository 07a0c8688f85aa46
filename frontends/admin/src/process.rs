//! Metrics of the process, with the names that Prometheus' own client libraries use. Those that
//! only Linux provides are left out on other systems.

use crate::text::Text;
use std::fs;

/// Clock ticks per second in `/proc`: the same on all architectures that this runs on.
const TICKS: f64 = 100.0;

pub(crate) fn describe(text: &mut Text, started_millis: u64) {
    #[expect(clippy::cast_precision_loss, reason = "exact for 200,000 years")]
    let started = started_millis as f64 / 1e3;
    text.gauge(
        "process_start_time_seconds",
        "When the process began, since 1970.",
    )
    .is(started);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(bytes) = kibibytes(&status, "VmRSS:") {
        text.gauge("process_resident_memory_bytes", "Bytes of memory in use.")
            .is(bytes);
    }
    if let Some(bytes) = kibibytes(&status, "VmSize:") {
        text.gauge("process_virtual_memory_bytes", "Bytes of address space.")
            .is(bytes);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        text.gauge("process_open_fds", "File descriptors in use.")
            .is(open.count());
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(limit) = max_open_files(&limits) {
        text.gauge("process_max_fds", "How many there may be.")
            .is(limit);
    }
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(seconds) = cpu_seconds(&stat) {
        text.counter("process_cpu_seconds_total", "Seconds of processors used.")
            .is(seconds);
    }
}

/// A line of `/proc/self/status`.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = rest.trim().strip_suffix(" kB")?.parse().ok()?;
    number.checked_mul(1024)
}

/// The soft limit, the first of the two in `/proc/self/limits`.
fn max_open_files(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Fields 14 and 15 of `/proc/self/stat`, counted after the name, which may contain anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_parsed() {
        let status = "Name:\trejoin\nVmSize:\t  20 kB\nVmRSS:\t    5124 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), Some(5_246_976));
        assert_eq!(kibibytes(status, "VmSwap:"), None);
        let limits = "Max open files            1024                 524288               files\n";
        assert_eq!(max_open_files(limits), Some(1024));
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 9";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }
}
