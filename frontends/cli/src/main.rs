//! The program `rejoin`: the server, the tools that read its log, and the command-line client.

mod args;
mod client;
mod commands;
mod offline;
mod settings;
mod terminal;
mod trust;

use args::{Args, ClusterCommand, Command};
use clap::Parser;
use client::ClientError;

use commands::{
    actions, attach, cluster, export, health, keeper, link, log, man, mcp, redact, replay, restore,
    run, search, serve, sessions, shell, token, user, verify, wait,
};
use std::error::Error;
use std::process::ExitCode;

/// Exit status for a wrong command line, or when a command has no result to give.
const UNUSABLE: u8 = 2;

/// Exit status of a job whose shell could not be started, as a shell's.
const NOT_STARTED: u8 = 126;

fn main() -> ExitCode {
    // Before everything else: it has the rights of the server, and the input of a job.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == serve::START_JOB)
    {
        let error = rejoin_engine::start_as_job_user(std::env::args_os().skip(2));
        args::print_error(&error);
        return ExitCode::from(NOT_STARTED);
    }
    if let Some(ran) = keeper::run(std::env::args_os().skip(1)) {
        // A message would not be read.
        return ExitCode::from(u8::from(ran.is_err()));
    }
    let Args { command } = Args::parse();
    match command {
        Command::Serve(args) => status(serve::run(*args), 1),
        Command::User(args) => done(user::run(args), 1),
        Command::Token(args) => done(token::run(args), 1),
        Command::Health(args) => status(health::run(&args), 1),

        Command::Run(args) => status(run::run(&args), run::UNUSABLE),
        Command::Shell(args) => status(shell::run(&args), run::UNUSABLE),
        Command::Attach(args) => client_done(attach::attach(&args)),
        Command::Sessions(args) => client_done(sessions::sessions(&args)),
        Command::Show(args) => client_done(sessions::show(&args)),
        Command::Search(args) => client_status(search::search(&args)),
        Command::Label(args) => client_done(actions::label(&args)),
        Command::Link(args) => client_done(link::run(&args)),
        Command::Wait(args) => status(wait::run(&args), run::UNUSABLE),
        Command::Interrupt(args) => client_done(actions::interrupt(&args)),
        Command::Close(args) => client_done(actions::close(&args)),
        Command::Delete(args) => client_done(actions::delete(&args)),
        Command::Redact(args) => client_done(redact::redact(&args)),
        Command::Send(args) => client_done(actions::send(&args)),
        Command::Mcp(args) => client_done(mcp::run(&args)),

        Command::Cluster(args) => match args.ask {
            ClusterCommand::Status { server, json } => {
                client_status(cluster::status(&server, json))
            }
            ClusterCommand::Retire { node, server } => {
                client_status(cluster::retire(&node, &server))
            }
            ClusterCommand::Restore(args) => done(restore::run(&args), UNUSABLE),
        },

        Command::Verify(args) => status(verify::run(&args), UNUSABLE),
        Command::Replay(args) => status(replay::run(&args), UNUSABLE),
        Command::Export(args) => status(export::run(&args), UNUSABLE),
        Command::Log(args) => status(log::run(&args), UNUSABLE),

        Command::Completions(args) => done(man::completions(args.shell), UNUSABLE),
        Command::Man(args) => done(man::pages(&args), UNUSABLE),
    }
}

/// The status that the command chose, or `failure` after printing the error.
fn status<E: Error>(outcome: Result<ExitCode, E>, failure: u8) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        args::print_error(&error);
        ExitCode::from(failure)
    })
}

fn done<E: Error>(outcome: Result<(), E>, failure: u8) -> ExitCode {
    status(outcome.map(|()| ExitCode::SUCCESS), failure)
}

fn client_done(outcome: Result<(), ClientError>) -> ExitCode {
    client_status(outcome.map(|()| ExitCode::SUCCESS))
}

fn client_status(outcome: Result<ExitCode, ClientError>) -> ExitCode {
    match outcome {
        // The reader of a pipe has read enough, as `head` does.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        outcome => status(outcome, UNUSABLE),
    }
}
