//! Arguments of `replay`, `export` and `log`, which read a log in a directory or a session of a server.

use super::client::SERVER;
use super::{CredentialArgs, ServerArgs};
use crate::commands::replay::Speed;
use crate::offline::{Bound, When};
use crate::settings::Wait;
use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// How a command is used that reads a log: of a directory, and of a server.
macro_rules! usage {
    ($command:literal, $session:literal, $served:literal) => {
        concat!(
            "rejoin ",
            $command,
            " [OPTIONS] <DIR>",
            $session,
            "\n       rejoin ",
            $command,
            " [OPTIONS] --server <URL> ",
            $served
        )
    };
}
pub(super) use usage;

/// Where a log is: in a directory, or on a server.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct LogPlace {
    /// The server's directory, or the `log` directory in it; with --server, the session instead
    #[arg(value_name = "DIR", required_unless_present = "server")]
    pub(crate) directory: Option<PathBuf>,

    /// Read from the server at this address, which may run, or at `unix:PATH`
    // REJOIN_SERVER does not count: the same words would mean something else where it is set.
    #[arg(long, value_name = "URL", help_heading = SERVER)]
    pub(crate) server: Option<String>,

    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,

    /// TOML file with `login`, `password-file`, `token-file` and `cacert` [default:
    /// ~/.config/rejoin/client.toml, if it exists]
    #[arg(long, value_name = "FILE", env = "REJOIN_CLIENT_CONFIG", help_heading = SERVER)]
    pub(crate) client_config: Option<PathBuf>,
}

impl LogPlace {
    /// The server and the name of the session on it; none for a directory. `session` is what follows the
    /// directory.
    ///
    /// # Errors
    ///
    /// A message, if there is a directory as well, or no session.
    pub(crate) fn served(
        &self,
        session: Option<&str>,
    ) -> Result<Option<(ServerArgs, &str)>, String> {
        let Some(server) = self.server() else {
            return Ok(None);
        };
        let Some(directory) = &self.directory else {
            return Err(
                "with --server, name the session: its number, or its ID or a prefix of it".into(),
            );
        };
        match (directory.to_str(), session) {
            (Some(name), None) => Ok(Some((server, name))),
            _ => Err("with --server, name the session alone, without a directory".into()),
        }
    }

    /// The server, if it is not a directory.
    pub(crate) fn server(&self) -> Option<ServerArgs> {
        Some(ServerArgs {
            server: Some(self.server.clone()?),
            credentials: self.credentials.clone(),
            client_config: self.client_config.clone(),
            link: None,
        })
    }

    /// Whether the address of a link stands where the directory does.
    pub(crate) fn is_link(&self) -> bool {
        let named = self.directory.as_deref().and_then(Path::to_str);
        named.is_some_and(|it| it.starts_with("http") && it.contains("&link="))
    }

    /// The directory; empty with `--server`.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.as_deref().unwrap_or_else(|| Path::new(""))
    }
}

/// A session of a log, and the part of it to show.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionArgs {
    #[command(flatten)]
    pub(crate) place: LogPlace,

    /// The session: its number, or its ID or a prefix of it [default: the only session]
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// Start at a sequence (17), a point in time (2026-01-31T12:00:00Z), or some time after the
    /// session's first event (90s)
    #[arg(long, value_name = "WHERE")]
    pub(crate) from: Option<Bound>,

    /// Stop at a sequence, a point in time, or some time after the session's first event
    #[arg(long, value_name = "WHERE")]
    pub(crate) until: Option<Bound>,

    /// Also show jobs whose output only their submitter could see
    #[arg(long)]
    pub(crate) all: bool,

    /// Also show who joined and left, rejected commands, input and interrupts
    #[arg(long)]
    pub(crate) events: bool,
}

/// Replay a session as a viewer would have seen it.
///
/// Reads a log that no server has open, and changes nothing; it can also be a copy of a running server's
/// directory or, with --server, a session of a server that runs. Shows each command after a prompt, its output, and how it ended. On a terminal it
/// plays at the original speed, otherwise without pauses and byte for byte; Ctrl-C stops it. A command
/// with a terminal is played as it looked, and its text stays when it has ended.
/// No server can open the log in a directory while the replay runs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = REPLAY_EXAMPLES, override_usage = usage!("replay", " [SESSION]", "<SESSION>"))]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,

    /// Playback speed: a factor, or `max` for no pauses [default: 1 on a terminal, otherwise max]
    #[arg(long, value_name = "TIMES")]
    pub(crate) speed: Option<Speed>,

    /// Shorten pauses to at most this time, before the speed is applied
    #[arg(long, value_name = "TIME")]
    pub(crate) idle_limit: Option<Wait>,
}

const REPLAY_EXAMPLES: &str = "\
Exit status:
  0  everything was shown
  1  the log is damaged: the readable part was shown, and the missing part was reported
  2  nothing was shown: no such log or session, in use, or unreadable

Examples:
  List the sessions, if there are several:
    rejoin replay rejoin-data
  Play session 3 four times as fast, with no pause longer than half a second:
    rejoin replay rejoin-data 3 --speed 4 --idle-limit 2s
  Show what a viewer had seen up to sequence 120:
    rejoin replay rejoin-data 3 --until 120 --speed max
  Play session 3 of a server that runs:
    rejoin replay --server http://127.0.0.1:8563 3
  Show one hour of the session whose ID starts with b09f:
    rejoin replay rejoin-data b09f --from 2026-01-31T12:00:00Z --until 2026-01-31T13:00:00Z
";

/// Export a session for other programs.
///
/// Reads a log that no server has open, and changes nothing in it; with --server, a session of a server that
/// runs. Without --all, the export holds
/// what viewers of the session could see.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXPORT_EXAMPLES, override_usage = usage!("export", " [SESSION]", "<SESSION>"))]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,

    /// Format of the export [default: by the name of the file: `.cast` asciicast-v2, `.v3.cast`
    /// asciicast-v3, `.txt` text, `.jsonl` and `.json` jsonl, `.raw` raw]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<ExportFormat>,

    /// File to write; an existing file is overwritten [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Width of the terminal at the start of an asciicast, in columns [default: that of the first
    /// terminal, or 80]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) columns: Option<u16>,

    /// Height of the terminal at the start of an asciicast, in rows [default: that of the first
    /// terminal, or 24]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rows: Option<u16>,

    /// Ask players of an asciicast to shorten pauses to at most this time
    #[arg(long, value_name = "TIME")]
    pub(crate) idle_limit: Option<Wait>,

    /// Also put what was typed into an asciicast
    #[arg(long)]
    pub(crate) input: bool,
}

impl ExportArgs {
    /// The format that is named, or else that of the file's name.
    ///
    /// # Errors
    ///
    /// A message, if neither says which.
    pub(crate) fn format(&self) -> Result<ExportFormat, String> {
        let named = self.format.or_else(|| {
            let name = self.output.as_ref()?.file_name()?.to_str()?;
            let name = name.to_ascii_lowercase();
            let known = FORMAT_OF_NAMES.iter().find(|(end, _)| name.ends_with(end));
            known.map(|(_, format)| *format)
        });
        named.ok_or_else(|| {
            "which format? Use --format, or a file whose name ends with .cast, .v3.cast, .txt, .jsonl \
             or .raw"
                .to_owned()
        })
    }
}

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A recording for asciinema from version 3.0, and its player, with a marker for each job
    #[value(name = "asciicast-v3", alias = "asciicast")]
    AsciicastV3,
    /// A recording for every asciinema, with a marker for each job
    #[value(name = "asciicast-v2")]
    AsciicastV2,
    /// One JSON object per record, with results embedded
    #[value(alias = "json")]
    Jsonl,
    /// What a person saw, without colours: of terminals the lines, of other output every byte
    Text,
    /// The output of all jobs, byte for byte, and nothing else
    Raw,
}

/// What the end of a file's name says.
const FORMAT_OF_NAMES: [(&str, ExportFormat); 8] = [
    (".v3.cast", ExportFormat::AsciicastV3),
    (".cast", ExportFormat::AsciicastV2),
    (".jsonl", ExportFormat::Jsonl),
    (".json", ExportFormat::Jsonl),
    (".txt", ExportFormat::Text),
    (".text", ExportFormat::Text),
    (".log", ExportFormat::Text),
    (".raw", ExportFormat::Raw),
];

const EXPORT_EXAMPLES: &str = "\
Exit status:
  0  everything was written
  1  the log is damaged: the readable part was written, and the missing part was reported
  2  nothing was written: no such log or session, in use, or unreadable

Examples:
  rejoin export rejoin-data 3 -o session.cast && asciinema play session.cast
  rejoin export rejoin-data 3 --format jsonl | jq 'select(.event == \"job-finished\")'
  rejoin export rejoin-data 3 --until 5m -o session.txt
  rejoin export --server http://127.0.0.1:8563 3 -o session.cast
";

/// Print the raw records of a log, to debug the engine.
///
/// Prints each record with its position in the log, session, sequence, time, encoded size and all
/// fields. Reads a log that no server has open, and changes nothing; with --server, a session of a server that
/// runs, where positions are counted in the session. With --server and --audit, an admin reads who asked for
/// what in all sessions.
#[derive(Debug, clap::Args)]
#[command(after_long_help = LOG_EXAMPLES, override_usage = usage!("log", " [SESSION]", "<SESSION|--audit>"))]
pub(crate) struct LogArgs {
    #[command(flatten)]
    pub(crate) place: LogPlace,

    /// The session: its number, or its ID or a prefix of it [default: all sessions]
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// Print one JSON object per record
    #[arg(long)]
    pub(crate) json: bool,

    /// Print who asked for what instead: one line for each command, input, interrupt, and session
    /// that was created, joined, left or closed
    #[arg(long)]
    pub(crate) audit: bool,

    /// In the audit, only what this account asked for
    #[arg(long, value_name = "ACCOUNT", requires = "audit")]
    pub(crate) account: Option<String>,

    /// In the audit, only from a point in time on (2026-01-31T12:00:00Z), or from some time ago (2h)
    #[arg(long, value_name = "WHEN", requires = "audit")]
    pub(crate) since: Option<When>,

    /// In the audit, only up to a point in time, or up to some time ago
    #[arg(long, value_name = "WHEN", requires = "audit")]
    pub(crate) until: Option<When>,

    /// Start with the record at this position, counted from 1 over all sessions
    #[arg(long, value_name = "POSITION", default_value_t = 1)]
    pub(crate) from: u64,

    /// Print at most this many records [default: all]
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<u64>,
}

const LOG_EXAMPLES: &str = "\
Exit status:
  0  everything was shown
  1  the log is damaged: the readable part was shown, and the missing part was reported
  2  nothing was shown: no such log or session, in use, or unreadable

Examples:
  rejoin log rejoin-data --limit 20
  rejoin log rejoin-data 3 --json | jq 'select(.bytes > 10000)'
  Show what the account ada asked for in the last day:
    rejoin log rejoin-data --audit --account ada --since 1d
  Show it of a server that runs:
    rejoin log --server http://127.0.0.1:8563 --audit --account ada --since 1d
";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: ExportArgs,
    }

    fn format(arguments: &[&str]) -> Result<ExportFormat, String> {
        let all = ["export", "rejoin-data"].iter().chain(arguments);
        Command::try_parse_from(all).unwrap().args.format()
    }

    #[test]
    fn the_format_follows_the_name_of_the_file() {
        for (name, expected) in [
            ("a.cast", ExportFormat::AsciicastV2),
            ("dir.txt/A.v3.CAST", ExportFormat::AsciicastV3),
            ("a.jsonl", ExportFormat::Jsonl),
            ("a.txt", ExportFormat::Text),
            ("a.raw", ExportFormat::Raw),
        ] {
            assert_eq!(format(&["-o", name]), Ok(expected), "{name}");
        }
        let said = ["-o", "a.txt", "--format", "asciicast"];
        assert_eq!(format(&said), Ok(ExportFormat::AsciicastV3));
        for unknown in [&["-o", "a.gif"][..], &[]] {
            let error = format(unknown).unwrap_err();
            assert!(error.contains("--format"), "{error}");
        }
    }
}
