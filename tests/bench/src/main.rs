//! The harness: Rejoin, what a user would pick instead, and what the machine can do, side by side
//! in one run. Enters: flags. Leaves: a Markdown page and the same as JSON, every round in it.
//!
//! Rounds are interleaved: every contestant has its turn before any has its next.

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

/// What a run is told.
#[derive(Debug)]
pub(crate) struct Options {
    /// Fewer rounds of less: shows that everything works, and roughly where things stand.
    pub(crate) quick: bool,
    /// The measures to take; none means all.
    pub(crate) only: Vec<String>,
    /// Where the report goes.
    pub(crate) out: PathBuf,
    /// The server.
    pub(crate) rejoin: PathBuf,
    /// Where the real Arthas was unpacked, if it is to take part.
    pub(crate) arthas: Option<PathBuf>,
    /// Where the logs of contestants go: on the disk that is to be measured.
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
            let mut value = || arguments.next().ok_or_else(|| format!("{flag} what?"));
            match flag.as_str() {
                "--quick" => options.quick = true,
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--out" => options.out = value()?.into(),
                "--rejoin" => options.rejoin = value()?.into(),
                "--arthas" => options.arthas = Some(value()?.into()),
                "--scratch" => options.scratch = value()?.into(),
                _ => return Err(format!("{flag}? {USAGE}").into()),
            }
        }
        Ok(options)
    }

    /// How many rounds there are of what is worth `full` of them.
    pub(crate) const fn rounds(&self, full: usize) -> usize {
        if self.quick { 2 } else { full }
    }

    /// How much is done in a round.
    pub(crate) const fn size(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(4) } else { full }
    }
}

const USAGE: &str = "rejoin-bench [--quick] [--only MEASURE,…] [--out DIR] [--rejoin PROGRAM] \
                     [--arthas DIR] [--scratch DIR]";
