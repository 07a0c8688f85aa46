//! Counts the cost of a path: runs it under valgrind with one pass and with two, and takes the
//! difference.

use crate::{Outcome, Path, paths};
use std::collections::BTreeMap;
use std::process::Command;

/// Counts per unit, by path and by what is counted.
pub(crate) type Counts = BTreeMap<String, BTreeMap<String, f64>>;

/// The first argument when this program runs itself under valgrind.
pub(crate) const RUN: &str = "run";

/// Counts all paths. Takes about a minute.
///
/// # Errors
///
/// If valgrind is missing or a path fails.
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
    let (_, rest) =
        found.ok_or_else(|| format!("no {name:?} in the output of valgrind: {said}"))?;
    Ok(rest)
}

fn number(said: &str, name: &str) -> Outcome<u64> {
    digits(line(said, name)?)
}

/// Parses the first number of a text. It may contain commas.
fn digits(text: &str) -> Outcome<u64> {
    let word = text.split_whitespace().next().unwrap_or_default();
    Ok(word.replace(',', "").parse()?)
}
