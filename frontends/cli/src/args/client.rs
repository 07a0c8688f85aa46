//! Arguments of the subcommands that talk to a server.

use crate::offline::Bound;
use crate::settings::{ClusterTable, LeftoverProcesses, Wait};
use crate::terminal::PrefixKey;
use clap::ValueEnum;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// The server's address and the credentials for it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ServerArgs {
    /// Address of the server, or `unix:PATH` for its socket on this machine [default:
    /// http://127.0.0.1:8563]
    #[arg(long, value_name = "URL", env = "REJOIN_SERVER", help_heading = SERVER)]
    pub(crate) server: Option<String>,

    #[command(flatten)]
    pub(crate) credentials: CredentialArgs,

    /// TOML file with `server`, `login`, `password-file`, `token-file` and `cacert` [default:
    /// ~/.config/rejoin/client.toml, if it exists]
    #[arg(long, value_name = "FILE", env = "REJOIN_CLIENT_CONFIG", help_heading = SERVER)]
    pub(crate) client_config: Option<PathBuf>,

    /// The secret of a link, which is used instead of all other credentials
    #[arg(skip)]
    pub(crate) link: Option<String>,
}

/// How to log in to a server, and whether to trust it.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct CredentialArgs {
    /// Account to log in with; the password comes from REJOIN_PASSWORD or --password-file
    #[arg(long, short, value_name = "NAME", env = "REJOIN_LOGIN", help_heading = SERVER)]
    pub(crate) login: Option<String>,

    /// File whose first line is the password; must be readable by its owner only
    #[arg(long, value_name = "FILE", env = "REJOIN_PASSWORD_FILE", help_heading = SERVER)]
    pub(crate) password_file: Option<PathBuf>,

    /// File whose first line is an access token, to use instead of an account and its password; must
    /// be readable by its owner only. Or put the token in REJOIN_TOKEN
    #[arg(long, value_name = "FILE", env = "REJOIN_TOKEN_FILE", help_heading = SERVER)]
    pub(crate) token_file: Option<PathBuf>,

    /// PEM file with certificates to trust instead of the system's
    #[arg(long, value_name = "FILE", env = "REJOIN_CACERT", help_heading = SERVER)]
    pub(crate) cacert: Option<PathBuf>,

    /// Allow sending the password or the token over unencrypted HTTP to another machine
    #[arg(long, help_heading = SERVER)]
    pub(crate) insecure: bool,
}

pub(super) const SERVER: &str = "Server";

/// A session on a server.
#[derive(Debug, clap::Args)]
pub(crate) struct SessionAt {
    /// The session: its number, or its ID or a prefix of it; to watch by a link, the link's address
    #[arg(value_name = "SESSION")]
    pub(crate) session: String,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// A session that is made for a command.
#[derive(Debug, clap::Args)]
pub(crate) struct NewSessionArgs {
    /// User of the new session; only on a server without accounts
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    pub(crate) user: Option<String>,

    /// Service of the new session [default: the server's first]
    #[arg(long, value_name = "NAME", conflicts_with = "session")]
    pub(crate) service: Option<String>,
}

/// How a command that runs on a server is followed here.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectionArgs {
    /// Key before those that are not for the command: `ctrl-` and a letter or one of \ ] ^ _, or `none`
    #[arg(long, value_name = "KEY", env = "REJOIN_PREFIX_KEY", default_value = PREFIX)]
    pub(crate) prefix_key: PrefixKey,

    #[command(flatten)]
    pub(crate) reconnecting: ReconnectArgs,
}

/// What happens when the connection breaks.
#[derive(Debug, clap::Args)]
pub(crate) struct ReconnectArgs {
    /// How long to try to reconnect when the server doesn't answer
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub(crate) reconnect_for: Wait,
}

/// Run a command on a server as if it ran here.
///
/// Prints the command's standard output and standard error as they arrive, byte for byte, and exits
/// with the command's exit status. The command outlives the connection: if the connection breaks or
/// the server restarts, `rejoin run` reconnects and continues where it was, without losing or
/// repeating output.
///
/// Several words are a command and its arguments, passed on unchanged. A single word is a line for
/// the server's shell: `rejoin run 'ls | wc -l'`.
///
/// Where standard input and standard output are terminals, the command has one, too: colours, prompts
/// and full-screen programs work as in a local terminal. Ctrl-\ d leaves, and the command goes on;
/// `rejoin attach` comes back to it. Ctrl-\ ? shows more keys. What is typed while the terminal shows
/// nothing of it, such as a password, is not kept in the server's log; everything else is.
///
/// Without a terminal, standard input is passed on, unless it is a terminal, and kept in the log: do not
/// send secrets. Ctrl-C or SIGTERM interrupts the job; a second one detaches and leaves the job running.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// Command and arguments, or one line for the shell
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<String>,

    /// Session to run it in: its number, or its ID or a prefix of it [default: a new session, closed
    /// when the command ends]
    #[arg(long, short, value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// Keep the new session open when the command ends
    #[arg(long, short, conflicts_with = "session")]
    pub(crate) keep: bool,

    /// Start the job, print the session's ID and exit
    #[arg(long, short)]
    pub(crate) detach: bool,

    /// Give the command a terminal [default: where standard input and standard output are terminals]
    #[arg(long, short = 't', conflicts_with = "no_terminal")]
    pub(crate) terminal: bool,

    /// Give the command no terminal
    #[arg(long, short = 'T')]
    pub(crate) no_terminal: bool,

    /// Pass on standard input even if it is a terminal, without a terminal for the command
    #[arg(long, short = 'i', conflicts_with_all = ["no_input", "detach"])]
    pub(crate) input: bool,

    /// Pass on no standard input
    #[arg(long, short = 'n')]
    pub(crate) no_input: bool,

    /// Interrupt the job after this time [default: the server's --job-timeout]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Wait>,

    /// What becomes of processes that the command leaves in its process group [default: the server's
    /// --leftover-processes]
    #[arg(long, value_name = "WHAT")]
    pub(crate) leftover_processes: Option<LeftoverProcesses>,

    #[command(flatten)]
    pub(crate) new_session: NewSessionArgs,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    /// Print the job's events instead of its output, one JSON object per line; with --detach, print
    /// one object with `session`, `number` and `job`
    #[arg(long)]
    pub(crate) json: bool,

    /// Notify when the command has ended: ring the terminal's bell, and have it show a notification
    ///
    /// By an escape sequence (OSC 9) that iTerm2, kitty, WezTerm, Ghostty, foot and Windows Terminal know,
    /// also through SSH; other terminals show nothing and ring.
    #[arg(long, conflicts_with = "detach")]
    pub(crate) notify: bool,

    /// Print the session and job to standard error
    #[arg(long, short)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const PREFIX: &str = "ctrl-\\";

const RUN_EXAMPLES: &str = "\
Exit status:
  that of the command, or
    2  wrong command line
  125  the command could not be run, or its exit status could not be read from the server
  130  left by Ctrl-\\ d, or by a second Ctrl-C without a terminal: the job may still be running
  141  the reader of the output is gone; the job was interrupted
  128 + N  the command was killed by signal N; 137 also if the server died while it ran

Examples:
  rejoin run make -j4 test
  rejoin run vim notes
  rejoin run 'sort | uniq -c' < words
  rejoin run --detach 'sleep 60; echo done'
  rejoin run --session 3 pwd
";

/// Show a session from its first line, then follow it live.
///
/// Shows each command after a prompt, its output, and how it ended. Ctrl-C detaches; the session and its
/// jobs continue. Exits when the session is closed.
///
/// Where the command that runs has a terminal, and here is one, too, it takes part: it shows the screen,
/// and what is typed goes to the command, unless somebody else controls it. Ctrl-\ t takes control,
/// Ctrl-\ d leaves, and Ctrl-\ ? shows more keys. A terminal here that is smaller than the command's
/// shows what fits. Who controls it sets the size. Of terminals that have ended, the text is shown.
///
/// With the address of a link, as `rejoin link add` and the console's Share give it, it watches that
/// session and needs no account. Put it in quotes. Others on this machine can see the command line.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ATTACH_EXAMPLES)]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Start at a sequence (17), a point in time (2026-01-31T12:00:00Z), or some time ago (90s)
    #[arg(long, value_name = "WHERE", conflicts_with = "no_history")]
    pub(crate) since: Option<Bound>,

    /// Show only new events, and the screen of a command that runs
    #[arg(long)]
    pub(crate) no_history: bool,

    /// Only watch: type nothing, and take no control
    #[arg(long)]
    pub(crate) watch: bool,

    /// Also show who joined and left, rejected commands, input and interrupts
    #[arg(long)]
    pub(crate) events: bool,

    /// Print the events, one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

const ATTACH_EXAMPLES: &str = "\
Exit status:
    0  the session has ended, and all of it was shown; or left by Ctrl-\\ d
    2  no such server or session, or could not reconnect
  130  Ctrl-C

Examples:
  rejoin attach 3
  rejoin attach b09f --since 10m
  rejoin attach 'https://rejoin.example/#session=3&link=rejoin_link_…'
  rejoin attach 3 --json | jq 'select(.type == \"job-finished\")'
";

/// Open a session's shell on this terminal, or come back to it.
///
/// Without SESSION, opens a shell in a new session, which is closed when the shell ends. With SESSION,
/// comes back to the terminal that runs in it, or opens a shell there. It is the one that the server's
/// settings name, or that of your account there. The shell goes on when the
/// connection or this window is lost, and when the server restarts. Ctrl-\ d leaves it; Ctrl-\ ? shows
/// more keys.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SHELL_EXAMPLES)]
pub(crate) struct ShellArgs {
    /// The session: its number, or its ID or a prefix of it [default: a new session]
    #[arg(value_name = "SESSION")]
    pub(crate) session: Option<String>,

    /// Keep the new session open when the shell ends
    #[arg(long, short, conflicts_with = "session")]
    pub(crate) keep: bool,

    /// Open this shell: a name that the session's PATH leads to, or a path
    #[arg(long, value_name = "SHELL")]
    pub(crate) shell: Option<String>,

    #[command(flatten)]
    pub(crate) new_session: NewSessionArgs,

    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const SHELL_EXAMPLES: &str = "\
Exit status:
  that of the shell, or
    2  wrong command line
  125  no such session or server, no terminal here, or the server did not come back
  130  left by Ctrl-\\ d: the shell goes on

Examples:
  rejoin shell
  rejoin shell 3
  rejoin shell --shell zsh
";

/// List sessions, newest first.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct SessionsArgs {
    /// Only sessions of this user
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,

    /// Only sessions of this service
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,

    /// Only sessions in this state
    #[arg(long, value_name = "STATE", default_value = "all")]
    pub(crate) state: SessionState,

    /// Only sessions that match: words that each must be in the title, the labels, the user, the
    /// service or a command of a session, or be its state or the result of its last command
    #[arg(long, short, value_name = "WORDS", long_help = QUERY)]
    pub(crate) query: Option<String>,

    /// How to sort those that are shown
    #[arg(long, value_name = "ORDER", default_value = "newest")]
    pub(crate) sort: SessionOrder,

    /// Show at most this many
    #[arg(long, value_name = "COUNT", default_value = "50")]
    pub(crate) limit: NonZeroUsize,

    /// Print one JSON object: `sessions`, each as in the server's API, and `more`
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const QUERY: &str = "\
Only sessions that match: words that each must be in the title, the labels (KEY=VALUE), the user, the \
service, the address or a command of a session, or be its number (#17), its state or the result of its \
last command. Words in double quotes are one. `title:`, `label:`, `user:`, `service:`, `command:`, \
`state:` and `result:` before a word say what it is about: result:failed,lost";

/// The order of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SessionOrder {
    /// The newest first
    Newest,
    /// Those whose state changed last first
    Changed,
    /// Those that run first, then those whose last command did not succeed
    State,
    /// By title, those without one last
    Title,
}

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SessionState {
    /// A job is running
    Running,
    /// Open, and no job is running
    Idle,
    /// Closed
    Ended,
    /// Any state
    All,
}

/// Show a session and its jobs.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Print one JSON object, as in the server's API
    #[arg(long)]
    pub(crate) json: bool,
}

/// Find lines in the output of a session.
///
/// Searches all of the output on the server, however long it is. Colours and other escape sequences in
/// the output do not hide what is searched for. Prints each line with the job that wrote it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SEARCH_EXAMPLES)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// What to find: a part of a line
    #[arg(value_name = "PATTERN")]
    pub(crate) pattern: String,

    /// The pattern is a regular expression
    #[arg(long, short = 'E')]
    pub(crate) regex: bool,

    /// Upper and lower case are the same
    #[arg(long, short)]
    pub(crate) ignore_case: bool,

    /// Only output of this job
    #[arg(long, short, value_name = "NUMBER")]
    pub(crate) job: Option<u64>,

    /// Only output of this stream
    #[arg(long, value_name = "STREAM")]
    pub(crate) stream: Option<SearchedStream>,

    /// Stop after this many lines
    #[arg(long, short = 'm', value_name = "COUNT")]
    pub(crate) limit: Option<NonZeroUsize>,

    /// Print only how many lines there are
    #[arg(long, short, conflicts_with = "json")]
    pub(crate) count: bool,

    /// Print one JSON object per line found, as in the server's API
    #[arg(long)]
    pub(crate) json: bool,
}

/// A stream of a job's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SearchedStream {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
    /// The output of a terminal
    Terminal,
}

const SEARCH_EXAMPLES: &str = "\
Exit status:
  0  found
  1  found nothing
  2  failed: no such server or session, no regular expression, or wrong command line

Examples:
  rejoin search 3 'connection refused'
  rejoin search 3 -E -i 'warn|error' --job 7
";

/// Change the title and the labels of a session.
///
/// People find a session by them: in the console, and with `rejoin sessions --query`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = LABEL_EXAMPLES)]
pub(crate) struct LabelArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Labels to set (KEY=VALUE) and to remove (KEY-)
    #[arg(value_name = "LABEL", required_unless_present = "title")]
    pub(crate) labels: Vec<String>,

    /// Title; an empty one removes it
    #[arg(long, short, value_name = "TITLE")]
    pub(crate) title: Option<String>,

    /// Print one JSON object, as in the server's API
    #[arg(long)]
    pub(crate) json: bool,
}

const LABEL_EXAMPLES: &str = "\
Exit status:
  0  done
  2  failed: no such server or session, not allowed, or wrong command line

Examples:
  rejoin label 3 --title 'Release 1.2' env=live
  rejoin label 3 env-
";

/// Interrupt a job: SIGINT, then SIGTERM, then SIGKILL.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct InterruptArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Number of the job [default: the foreground job]
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<u64>,

    /// Print one JSON object: `job` and `sequence`
    #[arg(long)]
    pub(crate) json: bool,
}

/// Close a session: end its jobs; its history stays readable.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct CloseArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Print one JSON object: `session`
    #[arg(long)]
    pub(crate) json: bool,
}

/// Delete a session: end its jobs, and remove its history from the server.
///
/// Its creator and admins may do that. Its readers learn that its records are gone, and
/// who removed them. The bytes stay in the server's files until compaction rewrites those, which can take
/// long: `rejoin redact` first what must be gone now. Copies elsewhere stay, too: backups,
/// exported files, and what somebody's terminal still shows.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Delete it without asking
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// Print one JSON object: `session`
    #[arg(long, requires = "yes")]
    pub(crate) json: bool,
}

/// Redact results and inputs of a session: their bytes are replaced for good.
///
/// For secrets that a command printed or was given. The session's creator and admins may do that. Each
/// record stays with its number, and says that it was redacted, by whom and when; the server's log is
/// rewritten where it has the bytes. A session that has ended can be redacted, too. What a command line
/// says can't: delete the session.
///
/// Copies elsewhere stay: backups, exported files, and what somebody's terminal still shows. So do variables
/// that a command exported, which the server keeps for the session's next command: `unset` them in a command
/// of the session, or delete the session.
#[derive(Debug, clap::Args)]
#[command(after_long_help = REDACT_EXAMPLES, override_usage = REDACT_USAGE)]
pub(crate) struct RedactArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Numbers of the records, as `rejoin log` and the API give them
    #[arg(value_name = "RECORD", required_unless_present = "text_file")]
    pub(crate) records: Vec<u64>,

    /// Redact all results and inputs with the first line of FILE, also where it is spread over several of
    /// one job, or where colours and other escape sequences are in between. `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "records")]
    pub(crate) text_file: Option<PathBuf>,

    /// Redact without asking
    #[arg(long, short)]
    pub(crate) yes: bool,

    /// Print one JSON object: `session`, `records`, and `sequence`, the record that says so
    #[arg(long)]
    pub(crate) json: bool,
}

const REDACT_USAGE: &str = "\
rejoin redact [OPTIONS] <SESSION> <RECORD>...
       rejoin redact [OPTIONS] <SESSION> --text-file <FILE>";

const REDACT_EXAMPLES: &str = "\
Examples:
  Redact all that has a password in it:
    rejoin redact 17 --text-file ~/password
  Redact two records without being asked:
    rejoin redact 17 5 6 --yes

Exit status:
  0  redacted
  1  failed, or there was nothing to redact
";

/// Send input to a job: one line, or all of standard input.
///
/// The job must have been started with `rejoin run -i` or with standard input. The server keeps the
/// input in its log: do not send secrets.
#[derive(Debug, clap::Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Number of the job
    #[arg(value_name = "JOB")]
    pub(crate) job: u64,

    /// Line to send [default: standard input, until its end]
    #[arg(value_name = "LINE")]
    pub(crate) line: Option<String>,

    /// Then close the job's input, so that the job reads its end
    #[arg(long)]
    pub(crate) end: bool,
}

/// Serve an agent over standard input and output (the Model Context Protocol).
///
/// For agents that start their servers as programs. Passes their messages on to a running Rejoin
/// server, and its answers back. When that server restarts, it waits, and sends again what is safe to
/// repeat. Commands go on when the agent or this program ends.
///
/// An agent that can use a URL needs no program: give it the server's address with /mcp.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MCP_EXAMPLES)]
pub(crate) struct McpArgs {
    /// How long to try to reconnect when the server doesn't answer
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub(crate) reconnect_for: Wait,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

const MCP_EXAMPLES: &str = "\
Examples:
  In the configuration of an agent:
    {\"mcpServers\": {\"rejoin\": {\"command\": \"rejoin\", \"args\": [\"mcp\"]}}}
  For a server with accounts, on another machine:
    REJOIN_SERVER=https://rejoin.example REJOIN_TOKEN_FILE=~/.config/rejoin/token rejoin mcp
";

const STATUS: &str = "\
Exit status:
  0  done
  2  failed: no such server, session or job, not allowed, or wrong command line
";

/// Make, list and remove links to a session.
///
/// Who has the link can watch this session in a browser, without an account: what ran, all output and
/// what comes live. That includes what was typed, the directory, the names of the accounts that took part
/// and the addresses that they came from. Of other sessions a link shows nothing, and no command can be
/// run by it. A link ends at its time, when it is removed, and with the account or the token that made
/// it. The server's log says when somebody watches by it.
#[derive(Debug, clap::Args)]
#[command(after_long_help = LINK_EXAMPLES)]
pub(crate) struct LinkArgs {
    #[command(subcommand)]
    pub(crate) change: LinkCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum LinkCommand {
    /// Make a link, and print its address, which is shown once
    Add {
        #[command(flatten)]
        at: SessionAt,

        /// The link ends after this time, 30d at most
        #[arg(long, value_name = "TIME", default_value = "1h")]
        expires: Wait,

        /// Print one JSON object, as in the server's API
        #[arg(long)]
        json: bool,
    },
    /// List the links to a session: their names, who made them and when they end
    List {
        #[command(flatten)]
        at: SessionAt,

        /// Print one JSON object, as in the server's API
        #[arg(long)]
        json: bool,
    },
    /// Remove a link: who watches by it is cut off
    Remove {
        #[command(flatten)]
        at: SessionAt,

        /// The link's name
        #[arg(value_name = "LINK")]
        link: String,
    },
}

const LINK_EXAMPLES: &str = "\
Exit status:
  0  done
  2  failed: no such server, session or link, not allowed, or wrong command line

Examples:
  rejoin link add 3 --expires 8h
  rejoin link list 3
  rejoin link remove 3 fQ3kLz0a
";

/// Wait until a job ends, and exit with its exit status.
///
/// Goes on waiting when the connection breaks or the server restarts. Shows no output: `rejoin attach`
/// does.
#[derive(Debug, clap::Args)]
#[command(after_long_help = WAIT_EXAMPLES)]
pub(crate) struct WaitArgs {
    #[command(flatten)]
    pub(crate) at: SessionAt,

    /// Number of the job [default: the one that runs in the foreground, or else the last one]
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<u64>,

    /// Stop waiting after this time, with exit status 124; the job goes on
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Wait>,

    #[command(flatten)]
    pub(crate) reconnecting: ReconnectArgs,

    /// Print the job, as in the server's API, when it has ended
    #[arg(long)]
    pub(crate) json: bool,
}

const WAIT_EXAMPLES: &str = "\
Exit status:
  that of the job, as `rejoin run` has it, or
    2  wrong command line
  124  the job did not end within --timeout
  125  no such server, session or job, or its exit status could not be read from the server

Examples:
  rejoin wait 3
  rejoin wait 3 17 --timeout 1h && deploy
";

/// Show the nodes of a cluster and their logs, or take one out.
///
/// As the node sees them that is asked: which nodes live, which node writes which log and since which change
/// of writers (its term), and how far its copies are. For admins.
#[derive(Debug, clap::Args)]
#[command(after_long_help = CLUSTER_EXAMPLES)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub(crate) ask: ClusterCommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum ClusterCommand {
    /// Show which nodes live, and who writes which log
    Status {
        #[command(flatten)]
        server: ServerArgs,

        /// Print one JSON object, as in the server's API
        #[arg(long)]
        json: bool,
    },

    /// Take a node out of the cluster for good: its sessions stay with the others
    ///
    /// The node must have ended. Its name can't be used again. To replace a machine, start the new one with the
    /// name of the old one instead.
    Retire {
        /// Name of the node
        #[arg(value_parser = node_name)]
        node: String,

        #[command(flatten)]
        server: ServerArgs,
    },

    /// Make the logs again from the copies of one node, after the servers of NATS have lost them
    ///
    /// Stop all nodes, and start the servers of NATS with empty store directories. Choose the node whose copies
    /// have the most records (`rejoin verify DIR/logs/0`, and so on), and run this on its machine once. It writes
    /// all records of its copies to new streams. Then move the directory `logs` away at the other nodes, and start
    /// all nodes.
    Restore(Box<RestoreArgs>),
}

/// A text that can be a node's name, and so a part of a path.
fn node_name(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match !text.is_empty() && text.bytes().all(is_allowed) {
        true => Ok(text.to_owned()),
        false => Err("a node's name has lower-case letters, digits and `-`".to_owned()),
    }
}

// The patience of a node means nothing here. Its flags are there all the same, because the table of a settings
// file has it.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = RESTORE_EXAMPLES,
    mut_arg("take_over_after", |it| it.hide(true)),
    mut_arg("stop_jobs_without_log", |it| it.hide(true))
)]
pub(crate) struct RestoreArgs {
    /// The node's directory, as in `rejoin serve`. Its copies stay in `logs.old`
    #[arg(
        long,
        value_name = "DIR",
        env = "REJOIN_DATA",
        default_value = "rejoin-data"
    )]
    pub(crate) data: PathBuf,

    /// The node to which a log belongs, for a log without a session; repeat it for several
    #[arg(long, value_name = "LOG=NODE")]
    pub(crate) home: Vec<String>,

    /// TOML file with the node's settings
    #[arg(long, value_name = "FILE", env = "REJOIN_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) cluster: ClusterTable,
}

const RESTORE_EXAMPLES: &str = "\
Examples:
  rejoin cluster restore --config /etc/rejoin/rejoin.toml --data /var/lib/rejoin

Exit status:
  0  all records of the copies are in the streams
  2  failed: a copy is not whole, a stream has messages, no server, or wrong command line
";

const CLUSTER_EXAMPLES: &str = "\
Examples:
  rejoin cluster status
  rejoin cluster status --server http://127.0.0.1:8563 --json
  rejoin cluster retire n3

Exit status:
  0  the node that was asked is ready, or the server is alone
  1  it is not ready: cut off from NATS, for instance, or behind with a log
  2  failed: no such server, not allowed, or wrong command line
";
