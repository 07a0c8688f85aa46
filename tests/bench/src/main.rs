//! The benchmark harness. Compares Rejoin with its alternatives and with the limits of the machine
//! in one run, and writes a report as Markdown and, with all rounds, as JSON.
//!
//! Rounds are interleaved: all contestants complete a round before the next one starts.

mod contestants;
mod figures;
mod load;
mod machine;
mod measures;
mod process;
mod report;
mod stores;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The flags of a run.
#[derive(Debug)]
pub(crate) struct Options {
    /// Fewer and smaller rounds: shows that everything works, and gives rough figures.
    pub(crate) quick: bool,
    /// The measures to take; none means all.
    pub(crate) only: Vec<String>,
    /// The directory of the report.
    pub(crate) out: PathBuf,
    /// The server program.
    pub(crate) rejoin: PathBuf,
    /// The directory of the unpacked Arthas, if it is to be measured.
    pub(crate) arthas: Option<PathBuf>,
    /// The directory for the data of contestants, on the disk to measure.
    pub(crate) scratch: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let done = match contestants::serve(&arguments) {
        Some(served) => served,
        None => Options::read(&arguments).and_then(|options| measures::run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn read(arguments: &[String]) -> Outcome<Self> {
        let own = std::env::current_exe()?;
        let mut options = Self {
            quick: false,
            only: Vec::new(),
            out: "measured".into(),
            rejoin: own.with_file_name("rejoin"),
            arthas: None,
            scratch: own.with_file_name("bench-scratch"),
        };
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{flag} needs a value"))
            };
            match flag.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--out" => options.out = value()?.into(),
                "--rejoin" => options.rejoin = value()?.into(),
                "--arthas" => options.arthas = Some(value()?.into()),
                "--scratch" => options.scratch = value()?.into(),
                _ => return Err(format!("unknown flag {flag}; usage: {USAGE}").into()),
            }
        }
        Ok(options)
    }

    /// The number of rounds, if a full run has `full`.
    pub(crate) const fn rounds(&self, full: usize) -> usize {
        if self.quick { 2 } else { full }
    }

    /// The size of a round, if it is `full` in a full run.
    pub(crate) const fn size(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(4) } else { full }
    }
}

const USAGE: &str = "rejoin-bench [--quick] [--only MEASURE,…] [--out DIR] [--rejoin PROGRAM] \
                     [--arthas DIR] [--scratch DIR]";
