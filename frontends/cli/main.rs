//! The command line of Rejoin.

mod args;
mod export;
mod log;
mod log_output;
mod offline;
mod replay;
mod serve;
mod settings;
mod user;
mod verify;

use args::{Args, Command};
use clap::Parser;
use std::error::Error;
use std::process::ExitCode;

/// The status when the command line is wrong, or nothing can be said about what it names.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let Args { command } = Args::parse();
    match command {
        Command::Serve(args) => serve::run(*args).map_or_else(
            |error| fail(&error, ExitCode::FAILURE),
            |()| ExitCode::SUCCESS,
        ),
        Command::Verify(args) => {
            verify::run(&args).unwrap_or_else(|error| fail(&error, ExitCode::from(UNUSABLE)))
        }
        Command::Replay(args) => offline(replay::run(&args)),
        Command::Export(args) => offline(export::run(&args)),
        Command::Log(args) => offline(log::run(&args)),
        Command::User(args) => user::run(args).map_or_else(
            |error| fail(&error, ExitCode::FAILURE),
            |()| ExitCode::SUCCESS,
        ),
    }
}

fn offline(outcome: Result<ExitCode, offline::OfflineError>) -> ExitCode {
    outcome.unwrap_or_else(|error| fail(&error, ExitCode::from(UNUSABLE)))
}

fn fail(error: &dyn Error, status: ExitCode) -> ExitCode {
    args::complain(error);
    status
}
