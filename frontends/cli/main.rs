//! The command line of Rejoin.

mod args;
mod log_output;
mod serve;
mod settings;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Args { command } = Args::parse();
    let outcome = match command {
        Command::Serve(args) => serve::run(*args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            args::complain(&error);
            ExitCode::FAILURE
        }
    }
}
