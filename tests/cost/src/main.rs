//! Guards what the hot paths cost: instructions, allocations, and bytes held. Times on a shared
//! machine lie; counts do not.
//!
//! ```sh
//! cargo cost          # compares with baseline.toml, fails when something grew by over a tenth
//! cargo cost renew    # writes baseline.toml anew, for a change that is worth what it costs
//! ```
//!
//! Needs valgrind, under which this program runs itself: each path once and twice, so that what it
//! takes to begin cancels out. Another compiler counts otherwise: where the baseline names another
//! one than is used here, renew it on the commit before yours and compare with that.

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

/// Something that costs: run `passes` times, each pass on so many of what it is about.
pub(crate) struct Path {
    pub(crate) name: &'static str,
    /// How many a pass handles.
    pub(crate) units: u64,
    pub(crate) run: fn(passes: u64) -> Outcome<()>,
    /// Whether it is about the bytes that stay, and not about the work.
    pub(crate) holds: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] => Baseline::read().and_then(|known| known.compare(&counts::count()?)),
        ["renew"] => counts::count().and_then(|counted| Baseline::write(&counted)),
        [counts::RUN, name, passes] => run(name, passes),
        _ => Err("cargo cost [renew]".into()),
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
