//! The command line of Rejoin.

mod args;
mod client;
mod export;
mod health;
mod log;
mod log_output;
mod manual;
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
        Command::Health(args) => {
            health::run(&args).unwrap_or_else(|error| fail(&error, ExitCode::FAILURE))
        }
        Command::User(args) => user::run(args).map_or_else(
            |error| fail(&error, ExitCode::FAILURE),
            |()| ExitCode::SUCCESS,
        ),
        Command::Run(args) => client::run(&args)
            .unwrap_or_else(|error| fail(&error, ExitCode::from(client::UNUSABLE))),
        Command::Attach(args) => asked(client::attach(&args)),
        Command::Sessions(args) => asked(client::sessions(&args)),
        Command::Show(args) => asked(client::show(&args)),
        Command::Interrupt(args) => asked(client::interrupt(&args)),
        Command::Close(args) => asked(client::close(&args)),
        Command::Send(args) => asked(client::send(&args)),
        Command::Completions(args) => printed(manual::completions(args.shell)),
        Command::Man(args) => printed(manual::pages(&args)),
    }
}

fn asked(outcome: Result<(), client::ClientError>) -> ExitCode {
    match outcome {
        // Whoever reads has read enough.
        Err(error) if !error.is_broken_pipe() => fail(&error, ExitCode::from(UNUSABLE)),
        _ => ExitCode::SUCCESS,
    }
}

fn printed(outcome: Result<(), manual::ManualError>) -> ExitCode {
    outcome.map_or_else(
        |error| fail(&error, ExitCode::from(UNUSABLE)),
        |()| ExitCode::SUCCESS,
    )
}

fn offline(outcome: Result<ExitCode, offline::OfflineError>) -> ExitCode {
    outcome.unwrap_or_else(|error| fail(&error, ExitCode::from(UNUSABLE)))
}

fn fail(error: &dyn Error, status: ExitCode) -> ExitCode {
    args::complain(error);
    status
}
