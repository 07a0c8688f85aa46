//! What `replay`, `export` and `log` take, and how that is explained.

use crate::commands::replay::Speed;
use crate::offline::Bound;
use crate::settings::Wait;
use clap::ValueEnum;
use std::path::PathBuf;

/// Which session of which log, and what of it.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArgs {
    /// The server's directory, or the directory `log` in it
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// The session: its number, its identity, or how that begins [default: the only one]
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// Begin at this sequence (17), instant (2026-01-31T12:00:00Z), or time after the session's
    /// beginning (90s)
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Option<Bound>,

    /// End with this sequence, at this instant, or at this time after the session's beginning
    #[arg(long, value_name = "PLACE")]
    pub(crate) until: Option<Bound>,

    /// Show also the jobs whose results were for their submitter alone, which viewers are not told
    #[arg(long)]
    pub(crate) all: bool,

    /// Show also who joined and left, what was refused, and who interrupted what
    #[arg(long)]
    pub(crate) events: bool,
}

/// Show a session as a viewer would have seen it.
///
/// Reads a log that no server has open, and changes nothing; a copy of a running server's directory
/// will do. Statements are shown behind a prompt, what jobs wrote byte for byte, and how each job
/// ended. At a terminal it takes the time that it took, else no time; Ctrl-C ends it. Until it has
/// ended, no server can open that log.
#[derive(Debug, clap::Args)]
#[command(after_long_help = REPLAY_EXAMPLES)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,

    /// Times as fast as it happened, or `max` for without waiting [default: 1 at a terminal, else
    /// max]
    #[arg(long, value_name = "TIMES")]
    pub(crate) speed: Option<Speed>,

    /// Shorten every pause to this time, before it is divided by the speed
    #[arg(long, value_name = "TIME")]
    pub(crate) idle_limit: Option<Wait>,
}

const REPLAY_EXAMPLES: &str = "\
Exit status:
  0  everything was shown
  1  the log is damaged: what could be read was shown, and what is missing was said
  2  nothing was shown: no such log or session, in use, unreadable

Examples:
  Which sessions there are, if there are several:
    rejoin replay rejoin-data
  Session 3, four times as fast, no pause longer than half a second:
    rejoin replay rejoin-data 3 --speed 4 --idle-limit 2s
  What a viewer had seen when the record with sequence 120 had come:
    rejoin replay rejoin-data 3 --until 120 --speed max
  One noon hour of the session whose identity begins with b09f:
    rejoin replay rejoin-data b09f --from 2026-01-31T12:00:00Z --until 2026-01-31T13:00:00Z
";

/// Write a session in a form that other programs read.
///
/// Reads a log that no server has open, and changes nothing in it. Without `--all`, it holds what
/// the viewers of the session were told.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXPORT_EXAMPLES)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,

    /// The form
    #[arg(long, value_name = "FORM")]
    pub(crate) format: ExportFormat,

    /// The file to write, in the place of one that is there [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Columns of the terminal that an asciicast is played in
    #[arg(long, value_name = "COUNT", default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) columns: u16,

    /// Rows of the terminal that an asciicast is played in
    #[arg(long, value_name = "COUNT", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rows: u16,

    /// Tell players of an asciicast to shorten every pause to this time
    #[arg(long, value_name = "TIME")]
    pub(crate) idle_limit: Option<Wait>,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A recording for asciinema and its player, version 3, with a marker for each job
    Asciicast,
    /// A JSON object for each record, results embedded
    Jsonl,
    /// What a viewer would have seen, byte for byte
    Text,
}

const EXPORT_EXAMPLES: &str = "\
Exit status:
  0  everything was written
  1  the log is damaged: what could be read was written, and what is missing was said
  2  nothing was written: no such log or session, in use, unreadable

Examples:
  rejoin export rejoin-data 3 --format asciicast -o session.cast && asciinema play session.cast
  rejoin export rejoin-data 3 --format jsonl | jq 'select(.event == \"job-finished\")'
  rejoin export rejoin-data 3 --format text --until 5m > session.txt
";

/// Show the records of a log as they are.
///
/// For whoever debugs the engine: every record with its place in the log, its session, sequence and
/// instant, the bytes that it takes, and everything that is in it. Reads a log that no server has
/// open, and changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_long_help = LOG_EXAMPLES)]
pub(crate) struct LogArgs {
    /// The server's directory, or the directory `log` in it
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// The session: its number, its identity, or how that begins [default: all of them]
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// A JSON object a line
    #[arg(long)]
    pub(crate) json: bool,

    /// Begin with the record that stands at this place, counted over all sessions from 1
    #[arg(long, value_name = "PLACE", default_value_t = 1)]
    pub(crate) from: u64,

    /// Show so many records at most [default: all]
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
}

const LOG_EXAMPLES: &str = "\
Exit status:
  0  everything was shown
  1  the log is damaged: what could be read was shown, and what is missing was said
  2  nothing was shown: no such log or session, in use, unreadable

Examples:
  rejoin log rejoin-data --limit 20
  rejoin log rejoin-data 3 --json | jq 'select(.bytes > 10000)'
";
