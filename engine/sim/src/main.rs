//! `cargo sim`: runs seeds and prints how to reproduce each failure.

use rejoin_sim::{Coverage, NodesPlan, Plan, Trace, run, run_nodes};
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
Runs the engine, or several nodes, in a simulated world and checks the promises after every step.

Usage: cargo sim -- [OPTIONS]

  --seed N       run this seed only
  --seeds A..B   run the seeds from A to B, without B            [default: 0..200]
  --nodes N      run N nodes on a model of the message server, instead of one engine
  --steps M      polls per seed before faults stop   [default: 2000; with nodes: 8000]
  --trace        print everything that happened, line by line
  --help         print this

A failure prints the end of the trace, the broken promise, and how to reproduce it. At the end, the
number of times that each fault and each kind of event occurred is printed. In a run of 100000 polls
or more, one that never occurred is a failure, too.
";

/// The options of the command line.
struct Options {
    seeds: std::ops::Range<u64>,
    /// None: as the default says.
    steps: Option<u64>,
    nodes: Option<usize>,
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
    let (mut takeovers, mut lasted) = (0, Duration::ZERO);
    let mut is_first = true;
    for seed in options.seeds.clone() {
        let ran = match options.nodes {
            None => run_one(seed, options.steps.unwrap_or(2_000)),
            Some(nodes) => run_several(seed, nodes, options.steps.unwrap_or(8_000)),
        };
        let (trace, found) = match ran {
            Ok(ran) => {
                match std::mem::take(&mut is_first) {
                    true => coverage = ran.coverage,
                    false => coverage.add(&ran.coverage),
                }
                polls += ran.polls;
                records += ran.records;
                takeovers += ran.takeovers;
                lasted += ran.lasted;
                (ran.trace, None)
            }
            Err((trace, what)) => (trace, Some(what)),
        };
        if options.prints_trace {
            print!("{}", String::from_utf8_lossy(trace.as_bytes()));
        }
        if let Some(what) = found {
            eprintln!("{what}\n");
            failures += 1;
        }
    }
    if !is_first {
        print!("{coverage}");
    }
    println!(
        "{:?}: {polls} polls, {records} records, {failures} failures",
        options.seeds
    );
    if options.nodes.is_some() {
        println!(
            "{takeovers} takeovers in {} hours",
            lasted.as_secs() / 3_600
        );
    }
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

/// What a run without a failure shows.
struct Ran {
    trace: Trace,
    coverage: Coverage,
    polls: u64,
    records: u64,
    takeovers: u64,
    lasted: Duration,
}

fn run_one(seed: u64, steps: u64) -> Result<Ran, (Trace, String)> {
    let plan = Plan {
        seed,
        steps,
        mutant: None,
    };
    match run(plan) {
        Ok(report) => Ok(Ran {
            trace: report.trace,
            coverage: report.coverage,
            polls: report.steps,
            records: report.records as u64,
            takeovers: 0,
            lasted: Duration::ZERO,
        }),
        Err(failure) => Err((failure.trace.clone(), failure.to_string())),
    }
}

fn run_several(seed: u64, nodes: usize, steps: u64) -> Result<Ran, (Trace, String)> {
    let plan = NodesPlan {
        seed,
        nodes,
        steps,
        mutant: None,
    };
    match run_nodes(plan) {
        Ok(report) => Ok(Ran {
            trace: report.trace,
            coverage: report.coverage,
            polls: report.steps,
            records: report.records,
            takeovers: report.takeovers,
            lasted: report.lasted,
        }),
        Err(failure) => Err((failure.trace.clone(), failure.to_string())),
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        seeds: 0..200,
        steps: None,
        nodes: None,
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
            "--steps" => options.steps = Some(number(&value()?)?),
            "--nodes" => {
                let nodes = number(&value()?)?;
                options.nodes = Some(usize::try_from(nodes.clamp(1, 8)).unwrap_or(1));
            }
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
