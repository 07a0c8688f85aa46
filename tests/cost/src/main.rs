//! Guards the cost of the hot paths: instructions, allocations, and bytes held. Times vary on a
//! shared machine; counts do not.
//!
//! ```sh
//! cargo cost          # compares with baseline.toml, fails if a count grew by more than 10%
//! cargo cost renew    # rewrites baseline.toml, for a change that is worth its cost
//! ```
//!
//! Needs valgrind. The program runs itself under valgrind, each path with one pass and with two, so
//! that the cost of starting cancels out. Counts depend on the compiler: if the baseline names
//! another one, renew it on the commit before your change and compare with that.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]

mod baseline;
mod counts;
mod engine;
mod fold;
mod still;

use baseline::Baseline;
use std::error::Error;
use std::process::ExitCode;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// A path to measure. It is run for a number of passes; each pass handles `units` units.
pub(crate) struct Path {
    pub(crate) name: &'static str,
    /// Units per pass.
    pub(crate) units: u64,
    pub(crate) run: fn(passes: u64) -> Outcome<()>,
    /// Measure the memory that is held instead of the work.
    pub(crate) holds: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] => Baseline::read().and_then(|known| known.compare(&counts::count()?)),
        ["renew"] => counts::count().and_then(|counted| Baseline::write(&counted)),
        [counts::RUN, name, passes] => run(name, passes),
        _ => Err("usage: cargo cost [renew]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, passes: &str) -> Outcome<()> {
    let path = paths().find(|path| path.name == name);
    (path.ok_or("no such path")?.run)(passes.parse()?)
}

pub(crate) fn paths() -> impl Iterator<Item = Path> {
    fold::PATHS.into_iter().chain(engine::PATHS)
}
