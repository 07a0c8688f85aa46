//! The command line: subcommands, arguments and their help.

mod client;
mod offline;
mod token;
mod user;

use crate::commands::health::HealthArgs;
use crate::settings::Settings;
use clap::{Parser, Subcommand};
pub(crate) use client::{
    AttachArgs, CloseArgs, ClusterArgs, ClusterCommand, CredentialArgs, DeleteArgs, InterruptArgs,
    LabelArgs, LinkArgs, LinkCommand, McpArgs, RedactArgs, RestoreArgs, RunArgs, SearchArgs,
    SearchedStream, SendArgs, ServerArgs, SessionAt, SessionOrder, SessionState, SessionsArgs,
    ShellArgs, ShowArgs, WaitArgs,
};
pub(crate) use offline::{ExportArgs, ExportFormat, LogArgs, LogPlace, ReplayArgs, SessionArgs};
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
pub(crate) use token::{TokenArgs, TokenCommand};
pub(crate) use user::{PasswordArgs, UserArgs, UserCommand};

/// Run commands in sessions that outlive the connection.
///
/// Rejoin is a server that runs commands and keeps everything they print. Close the laptop, lose
/// the VPN, restart the server: open the session again in a browser, on the command line or over
/// HTTP, and you get all output from the first line, then what comes live.
#[derive(Debug, Parser)]
#[command(name = "rejoin", version, max_term_width = 100, after_help = GETTING_STARTED)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const GETTING_STARTED: &str = "\
Getting started:
  rejoin serve                  start a server here; its web console is http://127.0.0.1:8563
  rejoin run 'echo hello'       in another terminal: run a command on that server
  rejoin shell                  open a shell there, which outlives this terminal
  rejoin help run               show all options of a subcommand
";

#[derive(Debug, Subcommand)]
// The help of most subcommands is on their argument types; a comment here would replace it.
pub(crate) enum Command {
    /// Start the server.
    ///
    /// The server runs the commands of each session in a shell. It serves the web console at /, its
    /// own API at /sessions, and the HTTP API of Arthas at /api. Sessions can also be listed and
    /// closed through the API of MaxScale at /v1/sessions, and listed through the API of Doris at
    /// /rest/v1/session. The first line of output shows the server's address and the log's
    /// directory.
    ///
    /// SIGTERM and SIGINT shut the server down cleanly: it answers open requests, ends running jobs
    /// and closes the log. After the next start the sessions are open again.
    ///
    /// A flag overrides an environment variable, which overrides the settings file, which overrides
    /// the default.
    #[command(after_long_help = EXAMPLES)]
    Serve(Box<ServeArgs>),
    Run(RunArgs),
    Shell(ShellArgs),
    Attach(AttachArgs),
    Sessions(SessionsArgs),
    Show(ShowArgs),
    Search(SearchArgs),
    Label(LabelArgs),
    Link(LinkArgs),
    Wait(WaitArgs),
    Interrupt(InterruptArgs),
    Close(CloseArgs),
    Delete(DeleteArgs),
    Redact(RedactArgs),
    Send(SendArgs),
    Mcp(McpArgs),
    Cluster(ClusterArgs),
    Verify(VerifyArgs),
    Replay(ReplayArgs),
    Export(ExportArgs),
    Log(LogArgs),
    Health(HealthArgs),
    User(UserArgs),
    Token(TokenArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Arguments of `rejoin serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// TOML file with settings; the keys are the names of the flags
    #[arg(long, value_name = "FILE", env = "REJOIN_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Serve the log in DIR [default: the directory of --data] for reading only: write no file, run
    /// no command, and refuse every request that would change something
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    pub(crate) read_only: Option<Option<PathBuf>>,

    #[command(flatten)]
    pub(crate) settings: Settings,
}

const EXAMPLES: &str = "\
Examples:
  Start on the default port, with the log in ./rejoin-data:
    rejoin serve
  Run a command on it:
    rejoin run 'echo hello'
  Create a session, run a command in it and read its output, as clients of Arthas do:
    curl -s localhost:8563/api -d '{\"action\":\"init_session\"}'
    curl -s localhost:8563/api -d '{\"action\":\"async_exec\",\"sessionId\":\"…\",\"command\":\"ls\"}'
    curl -s localhost:8563/api -d '{\"action\":\"pull_results\",\"sessionId\":\"…\",\"consumerId\":\"…\"}'
  Serve MaxScale's clients on the port they expect:
    rejoin serve --maxscale-listen 127.0.0.1:8989
    maxctrl list sessions
  Look at a copy of another server's directory without changing it:
    rejoin serve --read-only copy-of-rejoin-data --listen 127.0.0.1:0
  Start on any free port, and keep idle consumers for an hour:
    rejoin serve --listen 127.0.0.1:0 --consumer-timeout 1h
";

/// Check a log and report what is damaged.
///
/// Reads every byte of a log that no server has open, and changes nothing. Checks every checksum,
/// sequence number and state transition. Continues after damage, and reports for each damaged place
/// the file and bytes, the sessions and sequences that are missing because of it, and what is still
/// readable. An incomplete last write after a crash is reported, but does not count as damage: it
/// was never acknowledged.
///
/// With --salvage, also writes everything intact to a new log, from which a server can start. The
/// new log records which sequences are missing, so that viewers see the gap.
///
/// With --server, reads one session of a server that runs: the server checks the checksums as it reads, and
/// the sequences and state transitions are checked here.
#[derive(Debug, clap::Args)]
#[command(after_long_help = VERIFY_STATUS, override_usage = offline::usage!("verify", "", "<SESSION>"))]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) place: LogPlace,

    /// Print the report as one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Also write everything intact to a new log in the server directory OUT, which must be empty or
    /// not exist
    #[arg(long, value_name = "OUT", conflicts_with = "server")]
    pub(crate) salvage: Option<PathBuf>,
}

const VERIFY_STATUS: &str = "\
Exit status:
  0  the log is intact
  1  the log is damaged, or contains invalid records
  2  could not check: no such log, in use, unreadable, or written by a newer version

With --salvage:
  0  nothing was lost
  1  records were lost; the new log records the gaps
  2  no new log was written

Examples:
  rejoin verify rejoin-data
  rejoin verify --json rejoin-data/log | json_pp
  rejoin verify rejoin-data --salvage salvaged && rejoin serve --data salvaged
  rejoin verify --server http://127.0.0.1:8563 3
";

/// Print a completion script for a shell.
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

/// Print the manual page of this program or of one of its subcommands.
#[derive(Debug, clap::Args)]
#[command(after_long_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// The subcommand, for example `run` or `user add` [default: the program itself]
    #[arg(value_name = "COMMAND", conflicts_with = "directory")]
    pub(crate) command: Vec<String>,

    /// Write all pages into this directory; created if it doesn't exist
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

const MAN_EXAMPLES: &str = "\
Examples:
  rejoin man | man -l -
  rejoin man run | man -l -
  rejoin man --directory ~/.local/share/man/man1
";

/// Prints an error and its causes to standard error.
pub(crate) fn print_error(error: &dyn Error) {
    let mut message = format!("rejoin: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Many errors include their cause.
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    // Errors of TOML end with a line feed. If standard error is closed, nothing can be reported.
    let _ = writeln!(std::io::stderr(), "{}", message.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::fmt::Write as _;

    /// Scripts, unit files and container images depend on these names. A renamed field must keep
    /// its flag and its variable.
    #[test]
    fn flags_and_environment_variables_keep_their_names() {
        let mut names = String::new();
        list(&Args::command(), "", &mut names);
        assert_eq!(names.trim(), FLAGS.trim());
    }

    /// One line per subcommand with its arguments, and one line per flag that has a variable.
    fn list(command: &clap::Command, path: &str, names: &mut String) {
        let mut line = path.to_owned();
        let mut variables = String::new();
        for argument in command.get_arguments() {
            let flag = match (argument.get_short(), argument.get_long()) {
                (Some(short), Some(long)) => format!(" -{short}/--{long}"),
                (None, Some(long)) => format!(" --{long}"),
                (Some(short), None) => format!(" -{short}"),
                (None, None) => format!(" <{}>", argument.get_id()),
            };
            match argument.get_env() {
                Some(variable) => writeln!(variables, " {flag} {}", variable.display()).unwrap(),
                None => line += &flag,
            }
        }
        writeln!(names, "{}", line.trim_start()).unwrap();
        names.push_str(&variables);
        for command in command.get_subcommands() {
            list(command, &format!("{path} {}", command.get_name()), names);
        }
    }

    const FLAGS: &str = "
serve --read-only
  --config REJOIN_CONFIG
  --listen REJOIN_LISTEN
  --socket-mode REJOIN_SOCKET_MODE
  --socket-owner REJOIN_SOCKET_OWNER
  --path-prefix REJOIN_PATH_PREFIX
  --trusted-proxies REJOIN_TRUSTED_PROXIES
  --maxscale-listen REJOIN_MAXSCALE_LISTEN
  --doris-listen REJOIN_DORIS_LISTEN
  --admin-listen REJOIN_ADMIN_LISTEN
  --doris-columns REJOIN_DORIS_COLUMNS
  --arthas-service REJOIN_ARTHAS_SERVICE
  --mcp-services REJOIN_MCP_SERVICES
  --mcp-role REJOIN_MCP_ROLE
  --tls-cert REJOIN_TLS_CERT
  --tls-key REJOIN_TLS_KEY
  --data REJOIN_DATA
  --accounts REJOIN_ACCOUNTS
  --login-key-file REJOIN_LOGIN_KEY_FILE
  --allow-host REJOIN_ALLOW_HOST
  --allow-origin REJOIN_ALLOW_ORIGIN
  --durability REJOIN_DURABILITY
  --session-timeout REJOIN_SESSION_TIMEOUT
  --consumer-timeout REJOIN_CONSUMER_TIMEOUT
  --job-timeout REJOIN_JOB_TIMEOUT
  --exec-timeout REJOIN_EXEC_TIMEOUT
  --pull-wait REJOIN_PULL_WAIT
  --pull-gather REJOIN_PULL_GATHER
  --turn-wait REJOIN_TURN_WAIT
  --interrupt-grace REJOIN_INTERRUPT_GRACE
  --job-user REJOIN_JOB_USER
  --shell REJOIN_SHELL
  --leftover-processes REJOIN_LEFTOVER_PROCESSES
  --shutdown-grace REJOIN_SHUTDOWN_GRACE
  --jobs-at-exit REJOIN_JOBS_AT_EXIT
  --keeper-wait REJOIN_KEEPER_WAIT
  --idle-timeout REJOIN_IDLE_TIMEOUT
  --body-timeout REJOIN_BODY_TIMEOUT
  --write-timeout REJOIN_WRITE_TIMEOUT
  --max-sessions REJOIN_MAX_SESSIONS
  --max-consumers REJOIN_MAX_CONSUMERS
  --max-jobs REJOIN_MAX_JOBS
  --max-output REJOIN_MAX_OUTPUT
  --max-queue REJOIN_MAX_QUEUE
  --max-connections REJOIN_MAX_CONNECTIONS
  --max-body REJOIN_MAX_BODY
  --max-bodies REJOIN_MAX_BODIES
  --max-unread REJOIN_MAX_UNREAD
  --max-compressed REJOIN_MAX_COMPRESSED
  --max-exec-answers REJOIN_MAX_EXEC_ANSWERS
  --max-header REJOIN_MAX_HEADER
  --recent-bytes REJOIN_RECENT_BYTES
  --retain-age REJOIN_RETAIN_AGE
  --retain-bytes REJOIN_RETAIN_BYTES
  --retain-removals REJOIN_RETAIN_REMOVALS
  --log-level REJOIN_LOG_LEVEL
  --log-format REJOIN_LOG_FORMAT
  --log-requests REJOIN_LOG_REQUESTS
  --cluster REJOIN_CLUSTER
  --node REJOIN_NODE
  --cluster-name REJOIN_CLUSTER_NAME
  --cluster-monitoring REJOIN_CLUSTER_MONITORING
  --cluster-replicas REJOIN_CLUSTER_REPLICAS
  --cluster-user REJOIN_CLUSTER_USER
  --cluster-password-file REJOIN_CLUSTER_PASSWORD_FILE
  --cluster-token-file REJOIN_CLUSTER_TOKEN_FILE
  --cluster-cacert REJOIN_CLUSTER_CACERT
  --cluster-take-over-after REJOIN_CLUSTER_TAKE_OVER_AFTER
  --cluster-stop-jobs-without-log REJOIN_CLUSTER_STOP_JOBS_WITHOUT_LOG
run <command> -s/--session -k/--keep -d/--detach -t/--terminal -T/--no-terminal -i/--input -n/--no-input --timeout --leftover-processes --user --service --reconnect-for --json --notify -v/--verbose --insecure
  --prefix-key REJOIN_PREFIX_KEY
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
shell <session> -k/--keep --shell --user --service --reconnect-for --insecure
  --prefix-key REJOIN_PREFIX_KEY
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
attach <session> --insecure --since --no-history --watch --events --json --reconnect-for
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
  --prefix-key REJOIN_PREFIX_KEY
sessions --user --service --state -q/--query --sort --limit --json --insecure
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
show <session> --insecure --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
search <session> --insecure <pattern> -E/--regex -i/--ignore-case -j/--job --stream -m/--limit -c/--count --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
label <session> --insecure <labels> -t/--title --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
link
link add <session> --insecure --expires --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
link list <session> --insecure --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
link remove <session> --insecure <link>
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
wait <session> --insecure <job> --timeout --reconnect-for --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
interrupt <session> --insecure <job> --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
close <session> --insecure --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
delete <session> --insecure -y/--yes --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
redact <session> --insecure <records> --text-file -y/--yes --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
send <session> --insecure <job> <line> --end
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
mcp --reconnect-for --insecure
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
cluster
cluster status --insecure --json
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
cluster retire <node> --insecure
  --server REJOIN_SERVER
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
cluster restore --home
  --data REJOIN_DATA
  --config REJOIN_CONFIG
  --cluster REJOIN_CLUSTER
  --node REJOIN_NODE
  --cluster-name REJOIN_CLUSTER_NAME
  --cluster-monitoring REJOIN_CLUSTER_MONITORING
  --cluster-replicas REJOIN_CLUSTER_REPLICAS
  --cluster-user REJOIN_CLUSTER_USER
  --cluster-password-file REJOIN_CLUSTER_PASSWORD_FILE
  --cluster-token-file REJOIN_CLUSTER_TOKEN_FILE
  --cluster-cacert REJOIN_CLUSTER_CACERT
  --cluster-take-over-after REJOIN_CLUSTER_TAKE_OVER_AFTER
  --cluster-stop-jobs-without-log REJOIN_CLUSTER_STOP_JOBS_WITHOUT_LOG
verify <directory> --server --insecure --json --salvage
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
replay <directory> --server --insecure <session> --from --until --all --events --speed --idle-limit
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
export <directory> --server --insecure <session> --from --until --all --events --format -o/--output --columns --rows --idle-limit --input
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
log <directory> --server --insecure <session> --json --audit --account --since --until --from --limit
  -l/--login REJOIN_LOGIN
  --password-file REJOIN_PASSWORD_FILE
  --token-file REJOIN_TOKEN_FILE
  --cacert REJOIN_CACERT
  --client-config REJOIN_CLIENT_CONFIG
health --ready
  --at REJOIN_ADMIN_LISTEN
user
  --accounts REJOIN_ACCOUNTS
  --data REJOIN_DATA
user add <name> --role --password-stdin
user list
user remove <name>
user passwd <name> --password-stdin
token
  --accounts REJOIN_ACCOUNTS
  --data REJOIN_DATA
token add <account> <name> --role --expires
token list <account>
token remove <account> <name>
completions <shell>
man <command> --directory
";
}
