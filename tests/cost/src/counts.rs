//! Counting: a path under valgrind, one pass and two; what the second adds is what a pass costs.

use crate::{Outcome, Path, paths};
use std::collections::BTreeMap;
use std::process::Command;

/// The counts of each path, by path and by what is counted, for one of its units.
pub(crate) type Counts = BTreeMap<String, BTreeMap<String, f64>>;

/// The first argument of this program's runs under valgrind.
pub(crate) const RUN: &str = "run";

/// Counts all paths. Takes about a minute.
///
/// # Errors
///
/// When valgrind is not there, or a path fails.
pub(crate) fn count() -> Outcome<Counts> {
    let mut counts = Counts::new();
    for path in paths() {
        let heap = |passes| heap(&path, passes);
        let (once, twice) = (heap(1)?, heap(2)?);
        let each = |once: u64, twice: u64| twice.saturating_sub(once) as f64 / path.units as f64;
        let counted = counts.entry(path.name.to_owned()).or_default();
        if path.holds {
            counted.insert("bytes held".into(), each(once.held, twice.held));
            continue;
        }
        counted.insert(
            "allocations".into(),
            each(once.allocations, twice.allocations),
        );
        let (once, twice) = (instructions(&path, 1)?, instructions(&path, 2)?);
        counted.insert("instructions".into(), each(once, twice));
    }
    Ok(counts)
}

fn instructions(path: &Path, passes: u64) -> Outcome<u64> {
    let flags = [
        "--tool=cachegrind",
        "--cache-sim=no",
        "--cachegrind-out-file=/dev/null",
    ];
    let said = valgrind(&flags, path, passes)?;
    number(&said, "I   refs:").or_else(|_| number(&said, "I refs:"))
}

struct Heap {
    allocations: u64,
    held: u64,
}

fn heap(path: &Path, passes: u64) -> Outcome<Heap> {
    let said = valgrind(&["--tool=dhat", "--dhat-out-file=/dev/null"], path, passes)?;
    let (_, blocks) = line(&said, "Total:")?
        .split_once(" in ")
        .ok_or("no blocks")?;
    Ok(Heap {
        allocations: digits(blocks)?,
        held: number(&said, "At t-gmax:")?,
    })
}

fn valgrind(flags: &[&str], path: &Path, passes: u64) -> Outcome<String> {
    let output = Command::new("valgrind")
        .args(flags)
        .arg(std::env::current_exe()?)
        .args([RUN, path.name, &passes.to_string()])
        .env("TZ", "UTC")
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!("{}: {said}", path.name).into()),
    }
}

fn line<'said>(said: &'said str, name: &str) -> Outcome<&'said str> {
    let found = said.lines().find_map(|line| line.split_once(name));
    let (_, rest) = found.ok_or_else(|| format!("valgrind says no {name:?}: {said}"))?;
    Ok(rest)
}

fn number(said: &str, name: &str) -> Outcome<u64> {
    digits(line(said, name)?)
}

/// The first number of a text, which may have commas in it.
fn digits(text: &str) -> Outcome<u64> {
    let word = text.split_whitespace().next().unwrap_or_default();
    Ok(word.replace(',', "").parse()?)
}
