//! What the commands that talk to a server take, and how that is explained.

use crate::offline::Bound;
use crate::settings::Wait;
use clap::ValueEnum;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Where the server is, and who asks.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ServerArgs {
    /// The server [default: http://127.0.0.1:8563]
    #[arg(long, value_name = "URL", env = "REJOIN_SERVER", help_heading = SERVER)]
    pub(crate) server: Option<String>,

    /// The account to log in with; its password is taken from REJOIN_PASSWORD or a file
    #[arg(long, short, value_name = "NAME", env = "REJOIN_LOGIN", help_heading = SERVER)]
    pub(crate) login: Option<String>,

    /// File whose first line is the password; nobody else may be able to read it
    #[arg(long, value_name = "FILE", env = "REJOIN_PASSWORD_FILE", help_heading = SERVER)]
    pub(crate) password_file: Option<PathBuf>,

    /// PEM file with the certificates to trust, instead of the system's
    #[arg(long, value_name = "FILE", env = "REJOIN_CACERT", help_heading = SERVER)]
    pub(crate) cacert: Option<PathBuf>,

    /// Send a password also over plain HTTP to another machine, where everybody on the way reads it
    #[arg(long, help_heading = SERVER)]
    pub(crate) insecure: bool,

    /// TOML file with `server`, `login`, `password-file` and `cacert` [default:
    /// ~/.config/rejoin/client.toml, where there is one]
    #[arg(long, value_name = "FILE", env = "REJOIN_CLIENT_CONFIG", help_heading = SERVER)]
    pub(crate) client_config: Option<PathBuf>,
}

const SERVER: &str = "Server";

/// A session, and the server that has it.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionAt {
    /// The session: its number, its identity, or how that begins
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Run a command on a server as if it ran here.
///
/// Output is written as it comes, standard error to standard error, byte for byte; the exit status
/// is the command's. It outlives the connection: when the server is gone, this comes back to it and
/// goes on where it was, nothing twice and nothing left out.
///
/// Several words are one command with its arguments, each as it is. One alone is a line for the
/// server's shell: `rejoin run 'ls | wc -l'`.
///
/// What comes in on standard input is passed on, unless that is a terminal. It is kept in the
/// server's log like all else: do not send secrets.
///
/// Ctrl-C, and SIGTERM, interrupt the job; a second one leaves at once, and the job to the server.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// The command and its arguments, or one line for the shell
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<String>,

    /// Run it in this session: its number, its identity, or how that begins [default: a new one,
    /// closed at the end]
    #[arg(long, short, value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// Leave the new session open at the end
    #[arg(long, short, conflicts_with = "session")]
    pub(crate) keep: bool,

    /// Print the session, and leave the job to the server at once
    #[arg(long, short)]
    pub(crate) detach: bool,

    /// Pass standard input on also from a terminal
    #[arg(long, short = 'i', conflicts_with_all = ["no_input", "detach"])]
    pub(crate) input: bool,

    /// Pass no standard input on
    #[arg(long, short = 'n')]
    pub(crate) no_input: bool,

    /// End the job when it has run so long [default: as the server is set]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Wait>,

    /// The user that the new session is for, on a server without accounts
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    pub(crate) user: Option<String>,

    /// The service of the new session [default: the server's first]
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    pub(crate) service: Option<String>,

    /// How long to try to come back to a server that is gone
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) reconnect_for: Wait,

    /// Write the job's events to standard output, a JSON object a line, in the place of what it
    /// writes; with --detach, one object with `session`, `number` and `job`
    #[arg(long)]
    pub(crate) json: bool,

    /// Say on standard error which session and job it is
    #[arg(long, short)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const RUN_EXAMPLES: &str = "\
Exit status:
  that of the command, and beside it:
  125  rejoin could not run it, or could not come back to learn how it ended
  128 + N  the command was ended by signal N; 137 also when the server died while it ran
  130  a second Ctrl-C: the job may still run
  141  nobody reads the output any more; the job was interrupted
    2  the command line is wrong

Examples:
  rejoin run make -j4 test
  rejoin run 'sort | uniq -c' < words
  rejoin run --detach 'sleep 60; echo done'
  rejoin run --session 3 pwd
";

/// Show a session: what has been, and then what comes.
///
/// Statements stand behind a prompt, what jobs write is shown byte for byte, and how each ended.
/// Ctrl-C leaves; the session and its jobs go on. When the session is closed, this ends.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ATTACH_EXAMPLES)]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Begin at this sequence (17), instant (2026-01-31T12:00:00Z), or so long ago (90s)
    #[arg(long, value_name = "PLACE", conflicts_with = "no_history")]
    pub(crate) since: Option<Bound>,

    /// Show only what comes from now on
    #[arg(long)]
    pub(crate) no_history: bool,

    /// Show also who joined and left, what was refused, and who interrupted what
    #[arg(long)]
    pub(crate) events: bool,

    /// Write the events, a JSON object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// How long to try to come back to a server that is gone
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) reconnect_for: Wait,
}

const ATTACH_EXAMPLES: &str = "\
Exit status:
    0  the session has ended, and all of it was shown
    2  no such server or session, or the server did not come back
  130  Ctrl-C

Examples:
  rejoin attach 3
  rejoin attach b09f --since 10m
  rejoin attach 3 --json | jq 'select(.type == \"job-finished\")'
";

/// List sessions, the newest first.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct SessionsArgs {
    /// Only those of this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,

    /// Only those that are in this state
    #[arg(long, value_name = "STATE", default_value = "all")]
    pub(crate) state: SessionState,

    /// So many at most
    #[arg(long, value_name = "COUNT", default_value = "50")]
    pub(crate) limit: NonZeroUsize,

    /// Write one JSON object: `sessions`, each as the server's API has it, and `more`
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SessionState {
    /// A job runs
    Running,
    /// Open, and no job runs
    Idle,
    /// Closed
    Ended,
    /// Any
    All,
}

/// Show a session and its jobs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Write one JSON object, as the server's API has it
    #[arg(long)]
    pub(crate) json: bool,
}

/// Interrupt a job: SIGINT, then SIGTERM, then SIGKILL.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct InterruptArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// The job's number [default: the one in the foreground]
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<u64>,

    /// Write one JSON object: `job` and `sequence`
    #[arg(long)]
    pub(crate) json: bool,
}

/// Close a session: its jobs are ended, and what happened in it stays readable.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct CloseArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Write one JSON object: `session`
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write to a job that takes input: a line, or all of standard input.
///
/// It is kept in the server's log like all else: do not send secrets.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// The job's number
    #[arg(value_name = "JOB")]
    pub(crate) job: u64,

    /// The line [default: standard input, to its end]
    #[arg(value_name = "LINE")]
    pub(crate) line: Option<String>,

    /// Nothing more will come: the job reads the end of its input
    #[arg(long)]
    pub(crate) end: bool,
}

const STATUS: &str = "\
Exit status:
  0  done
  2  not done, and why is said: no such server, session or job, not allowed, a wrong command line
";
