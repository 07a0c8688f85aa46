//! `cargo sim`: runs seeds and prints how to reproduce each failure.

use rejoin_sim::{Coverage, Plan, run};
use std::process::ExitCode;

const HELP: &str = "\
Runs the engine in a simulated world and checks its promises after every step.

Usage: cargo sim -- [OPTIONS]

  --seed N       run this seed only
  --seeds A..B   run the seeds from A to B, without B            [default: 0..200]
  --steps M      polls per seed before faults stop               [default: 2000]
  --trace        print everything that happened, line by line
  --help         print this

A failure prints the end of the trace, the broken promise, and how to reproduce it. At the end, the
number of times that each fault and each kind of event occurred is printed. In a run of 100000 polls
or more, one that never occurred is a failure, too.
";

/// The options of the command line.
struct Options {
    seeds: std::ops::Range<u64>,
    steps: u64,
    prints_trace: bool,
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
)]
fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            eprintln!("{what}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let mut coverage = Coverage::default();
    let (mut polls, mut records, mut failures) = (0, 0, 0);
    for seed in options.seeds.clone() {
        let plan = Plan {
            seed,
            steps: options.steps,
            mutant: None,
        };
        match run(plan) {
            Ok(report) => {
                if options.prints_trace {
                    print!("{}", String::from_utf8_lossy(report.trace.as_bytes()));
                }
                coverage.add(&report.coverage);
                polls += report.steps;
                records += report.records;
            }
            Err(failure) => {
                if options.prints_trace {
                    print!("{}", String::from_utf8_lossy(failure.trace.as_bytes()));
                }
                eprintln!("{failure}\n");
                failures += 1;
            }
        }
    }
    print!("{coverage}");
    println!(
        "{:?}: {polls} polls, {records} records, {failures} failures",
        options.seeds
    );
    let missing = coverage.missing();
    if polls >= LONG && !missing.is_empty() {
        eprintln!("never occurred: {}", missing.join(", "));
        failures += 1;
    }
    if failures > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        seeds: 0..200,
        steps: 2_000,
        prints_trace: false,
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{argument} needs a value"))
        };
        let number = |text: &str| text.parse().map_err(|_| format!("{text} is not a number"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--trace" => options.prints_trace = true,
            "--steps" => options.steps = number(&value()?)?,
            "--seed" => {
                let seed: u64 = number(&value()?)?;
                options.seeds = seed..seed.saturating_add(1);
            }
            "--seeds" => {
                let text = value()?;
                let (from, to) = text
                    .split_once("..")
                    .ok_or_else(|| format!("{text} is not A..B"))?;
                options.seeds = number(from)?..number(to)?;
            }
            _ => return Err(format!("unknown option: {argument}")),
        }
    }
    Ok(Some(options))
}

/// A run of this many polls must cover everything.
const LONG: u64 = 100_000;
