//! What the command line takes, and how it is explained.

mod client;
mod offline;
mod user;

use crate::commands::health::HealthArgs;
use crate::settings::Settings;
use clap::{Parser, Subcommand};
pub(crate) use client::{
    AttachArgs, CloseArgs, InterruptArgs, RunArgs, SendArgs, ServerArgs, SessionAt, SessionState,
    SessionsArgs, ShowArgs,
};
pub(crate) use offline::{ExportArgs, ExportFormat, LogArgs, ReplayArgs, SessionArgs};
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
pub(crate) use user::{PasswordArgs, UserArgs, UserCommand};

/// Command sessions that outlive the connection.
///
/// Rejoin runs commands in sessions. Every event of a session is a record in a durable log:
/// whoever joins, late or again, reads the same output from the first line.
#[derive(Debug, Parser)]
#[command(name = "rejoin", version, max_term_width = 100, after_help = BEGIN)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const BEGIN: &str = "\
Begin with:
  rejoin serve                  a server, here; in a browser, http://127.0.0.1:8563 is its console
  rejoin run 'echo hello'       in another terminal: a command on that server
  rejoin help run               all about a command
";

#[derive(Debug, Subcommand)]
// Each is explained by its arguments: a line here would take their place.
pub(crate) enum Command {
    /// Start the server.
    ///
    /// It runs each session's statements in a shell, and serves the web console at /, its own API at
    /// /sessions, and the HTTP API of Arthas at /api. The sessions are also listed and closed as
    /// MaxScale does, at /v1/sessions, and listed as Doris does, at /rest/v1/session. Its first line
    /// of output says where it listens and where its log is.
    ///
    /// SIGTERM and SIGINT end it cleanly: open requests are answered, running jobs are ended, the
    /// log is closed; the sessions are there again after the next start.
    ///
    /// Each setting is taken from its flag, else from its environment variable, else from the file,
    /// else it has the default that is named.
    #[command(after_long_help = EXAMPLES)]
    Serve(Box<ServeArgs>),
    Run(RunArgs),
    Attach(AttachArgs),
    Sessions(SessionsArgs),
    Show(ShowArgs),
    Interrupt(InterruptArgs),
    Close(CloseArgs),
    Send(SendArgs),
    Verify(VerifyArgs),
    Replay(ReplayArgs),
    Export(ExportArgs),
    Log(LogArgs),
    Health(HealthArgs),
    User(UserArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// What `rejoin serve` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// TOML file with settings; its keys are the names of the flags
    #[arg(long, value_name = "FILE", env = "REJOIN_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Serve the log in DIR, or else in the directory of `--data`, and change nothing: no file, no
    /// process. Whoever joins reads everything; all that would change something is refused
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub(crate) read_only: Option<Option<PathBuf>>,

    #[command(flatten)]
    pub(crate) settings: Settings,
}

const EXAMPLES: &str = "\
Examples:
  Start on the usual port, with the log in ./rejoin-data:
    rejoin serve
  Run something on it:
    rejoin run 'echo hello'
  Create a session, run something in it, read what it says, as clients of Arthas do:
    curl -s localhost:8563/api -d '{\"action\":\"init_session\"}'
    curl -s localhost:8563/api -d '{\"action\":\"async_exec\",\"sessionId\":\"…\",\"command\":\"ls\"}'
    curl -s localhost:8563/api -d '{\"action\":\"pull_results\",\"sessionId\":\"…\",\"consumerId\":\"…\"}'
  Serve MaxScale's clients on the port that they know:
    rejoin serve --maxscale-listen 127.0.0.1:8989
    maxctrl list sessions
  Look at a copy of another server's directory, and change nothing in it:
    rejoin serve --read-only copy-of-rejoin-data --listen 127.0.0.1:0
  Start on any free port, and keep consumers for an hour:
    rejoin serve --listen 127.0.0.1:0 --consumer-timeout 1h
";

/// Check a log, and say what is damaged.
///
/// Reads every byte of a log that no server has open, and changes nothing: every checksum, every
/// sequence, every transition. Goes on behind damage, and says of each damaged place which file
/// and bytes it is, which sessions and sequences are missing because of it, and what is still
/// readable. The torn end that a crash leaves was never acknowledged: it is told, and is no
/// damage.
///
/// With --salvage, writes what is sound to a new log as well, from which a server can be started.
/// Where records are missing, the new log says so, and so whoever reads it is told.
#[derive(Debug, clap::Args)]
#[command(after_long_help = VERIFY_STATUS)]
pub(crate) struct VerifyArgs {
    /// The server's directory, or the directory `log` in it
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Write what is sound to a new log: the directory of a server, which must be empty or not
    /// exist
    #[arg(long, value_name = "OUT")]
    pub(crate) salvage: Option<PathBuf>,
}

const VERIFY_STATUS: &str = "\
Exit status:
  0  the log is sound
  1  the log is damaged, or holds what no server writes
  2  nothing can be said: no such log, in use, unreadable, or written by a newer version

With --salvage:
  0  nothing was lost
  1  something was lost, and the new log declares it
  2  there is no new log

Examples:
  rejoin verify rejoin-data
  rejoin verify --json rejoin-data/log | json_pp
  rejoin verify rejoin-data --salvage salvaged && rejoin serve --data salvaged
";

/// Write what a shell needs to complete this program's command lines.
#[derive(Debug, clap::Args)]
#[command(after_long_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(rejoin completions bash)
  rejoin completions zsh > \"${fpath[1]}/_rejoin\"
  rejoin completions fish > ~/.config/fish/completions/rejoin.fish
";

/// Write the manual page of this program, or of one of its commands.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// The command, and that below it where there is one [default: the program itself]
    #[arg(value_name = "COMMAND", conflicts_with = "directory")]
    pub(crate) command: Vec<String>,

    /// Write all pages into this directory, which is created where there is none
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

const MAN_EXAMPLES: &str = "\
Examples:
  rejoin man | man -l -
  rejoin man run | man -l -
  rejoin man --directory ~/.local/share/man/man1
";

/// Says on standard error what went wrong, and why.
pub(crate) fn print_error(error: &dyn Error) {
    let mut words = format!("rejoin: {error}");
    let mut cause = error.source();
    while let Some(because) = cause {
        let because_words = because.to_string();
        // Many errors say their cause themselves.
        if !words.ends_with(&because_words) {
            words = format!("{words}: {because_words}");
        }
        cause = because.source();
    }
    // Those of TOML end with a line's end. There is nobody left to tell when this fails.
    let _ = writeln!(std::io::stderr(), "{}", words.trim_end());
}
