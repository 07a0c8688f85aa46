//! The settings of `rejoin serve`: one structure for flags, environment variables and the file.

mod cluster;
#[cfg(test)]
mod example;
mod frontends;
mod logging;
mod services;
mod webhooks;

use crate::commands::keeper::KEEPER;
use clap::ValueEnum;
#[cfg(feature = "cluster")]
pub(crate) use cluster::ClusterError;
pub(crate) use cluster::ClusterTable;
use frontends::Frontends;
use logging::LogRequests;
pub(crate) use logging::{LogFormat, LogLevel};
use rejoin_accounts::{Role, ServiceAccess};
use rejoin_core::Retention;
use rejoin_engine::{Config, KeeperSettings, Services, ShellRunner};
use rejoin_http::{PathPrefix, Proxies, TrustedProxy};
use rejoin_log::segment::Durability;
use serde::{Deserialize, Deserializer};
use services::{ServiceError, ServiceTables};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use webhooks::WebhookTables;
pub(crate) use webhooks::{Webhook, WebhookError, WebhookEvent};

/// All settings. `None`: not set here.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Settings {
    /// Address and port to listen on; port 0 picks a free one; or `unix:PATH`, a socket in the file system
    /// [default: 127.0.0.1:8563]
    #[arg(long, value_name = "ADDRESS:PORT", env = "REJOIN_LISTEN")]
    listen: Option<Address>,

    /// Permissions of Unix sockets: users who may write to one may connect [default: 600]
    #[arg(long, value_name = "MODE", env = "REJOIN_SOCKET_MODE", help_heading = PROXIES)]
    socket_mode: Option<SocketMode>,

    /// User, or USER:GROUP, or :GROUP that Unix sockets belong to [default: the server's]
    #[arg(long, value_name = "OWNER", env = "REJOIN_SOCKET_OWNER", help_heading = PROXIES)]
    socket_owner: Option<SocketOwner>,

    /// Path at which a proxy has this server, such as /rejoin; links and cookies have it [default: what a
    /// trusted proxy says in X-Forwarded-Prefix, or else none]
    #[arg(long, value_name = "PATH", env = "REJOIN_PATH_PREFIX", help_heading = PROXIES)]
    path_prefix: Option<Prefix>,

    /// Proxy that is believed when it says for whom it asks (X-Forwarded-For, -Proto and -Prefix): an
    /// address, a network (10.0.0.0/8), or `unix` for clients of a Unix socket; repeat it or separate them
    /// with commas [default: none]
    #[arg(long, value_name = "PROXY", env = "REJOIN_TRUSTED_PROXIES", value_delimiter = ',', help_heading = PROXIES)]
    trusted_proxies: Option<Vec<Proxy>>,

    /// Separate address and port for the API of MaxScale, for clients that expect a fixed port
    /// (8989) [default: the same as --listen]
    #[arg(long, value_name = "ADDRESS:PORT", env = "REJOIN_MAXSCALE_LISTEN", help_heading = FRONTENDS)]
    maxscale_listen: Option<Address>,

    /// Separate address and port for the API of Doris, for clients that expect a fixed port (8030)
    /// [default: the same as --listen]
    #[arg(long, value_name = "ADDRESS:PORT", env = "REJOIN_DORIS_LISTEN", help_heading = FRONTENDS)]
    doris_listen: Option<Address>,

    /// Separate address and port for /metrics, /healthz and /readyz; no command can be run there, so
    /// other machines may reach it without a login [default: the same as --listen]
    #[arg(long, alias = "operate-listen", value_name = "ADDRESS:PORT", env = "REJOIN_ADMIN_LISTEN", help_heading = FRONTENDS)]
    #[serde(alias = "operate-listen")]
    admin_listen: Option<Address>,

    /// Columns in Doris' session table: `documented` (9) or `newer` (14, as in newer versions)
    /// [default: documented]
    #[arg(long, value_name = "SET", env = "REJOIN_DORIS_COLUMNS", help_heading = FRONTENDS)]
    doris_columns: Option<DorisColumns>,

    /// Service on which Arthas' clients run their commands [default: the only one, or `shell`]
    #[arg(long, value_name = "NAME", env = "REJOIN_ARTHAS_SERVICE", help_heading = FRONTENDS)]
    arthas_service: Option<String>,

    /// Services that agents may use (the frontend at /mcp); repeat it or separate names with commas
    /// [default: all]
    #[arg(long, value_name = "NAME", env = "REJOIN_MCP_SERVICES", value_delimiter = ',', help_heading = FRONTENDS)]
    mcp_services: Option<Vec<String>>,

    /// The most that an agent may do, whatever its account may: as a `viewer`, an `operator` or an
    /// `admin` [default: admin]
    #[arg(long, value_name = "ROLE", env = "REJOIN_MCP_ROLE", help_heading = FRONTENDS)]
    mcp_role: Option<Role>,

    /// PEM file with the server's certificate chain; turns on TLS for every address. Reloaded when it
    /// changes [default: no encryption]
    #[arg(long, value_name = "FILE", env = "REJOIN_TLS_CERT", help_heading = ENCRYPTION)]
    tls_cert: Option<PathBuf>,

    /// PEM file with the certificate's private key, without a passphrase
    #[arg(long, value_name = "FILE", env = "REJOIN_TLS_KEY", help_heading = ENCRYPTION)]
    tls_key: Option<PathBuf>,

    /// Directory for the log and all other files of the server; created if it doesn't exist [default:
    /// rejoin-data]
    #[arg(long, value_name = "DIR", env = "REJOIN_DATA")]
    data: Option<PathBuf>,

    /// File with the accounts, written by `rejoin user`; if there are any, everyone has to log in
    /// [default: accounts.toml in the --data directory, if it exists]
    #[arg(long, value_name = "FILE", env = "REJOIN_ACCOUNTS", help_heading = ACCESS)]
    accounts: Option<PathBuf>,

    /// File with a random secret, the same on all nodes of a cluster, so that who logs in at one of them is
    /// logged in at each; on a server that is alone, logins outlive a restart. Others may not read it. Make it
    /// with `openssl rand -hex 32` [default: none, logins hold until the server ends]
    #[arg(long, value_name = "FILE", env = "REJOIN_LOGIN_KEY_FILE", help_heading = ACCESS)]
    login_key_file: Option<PathBuf>,

    /// Host name that clients may use for this server (the `Host` header), besides its addresses;
    /// repeat it or separate names with commas [default: none]
    #[arg(long, value_name = "NAME", env = "REJOIN_ALLOW_HOST", value_delimiter = ',', help_heading = ACCESS)]
    allow_host: Option<Vec<String>>,

    /// Origin whose web pages may use this server, besides the server's own, such as
    /// `https://ui.example`; repeat it or separate origins with commas [default: none]
    #[arg(long, value_name = "ORIGIN", env = "REJOIN_ALLOW_ORIGIN", value_delimiter = ',', help_heading = ACCESS)]
    allow_origin: Option<Vec<Origin>>,

    /// What an acknowledged event survives: `sync`, a power failure; `flush`, only a crash of the
    /// server, but faster [default: sync]
    #[arg(long, value_name = "LEVEL", env = "REJOIN_DURABILITY")]
    durability: Option<DurabilityLevel>,

    /// Close a session that has been idle for this long [default: 3h]
    #[arg(long, value_name = "TIME", env = "REJOIN_SESSION_TIMEOUT", help_heading = TIMEOUTS)]
    session_timeout: Option<Wait>,

    /// Remove a consumer that has not pulled for this long [default: 5m]
    #[arg(long, value_name = "TIME", env = "REJOIN_CONSUMER_TIMEOUT", help_heading = TIMEOUTS)]
    consumer_timeout: Option<Wait>,

    /// Interrupt a job that has run for this long [default: 1d]
    #[arg(long, value_name = "TIME", env = "REJOIN_JOB_TIMEOUT", help_heading = TIMEOUTS)]
    job_timeout: Option<Wait>,

    /// Interrupt a job of Arthas' `exec` after this time, if the request sets none [default: 30s]
    #[arg(long, value_name = "TIME", env = "REJOIN_EXEC_TIMEOUT", help_heading = TIMEOUTS)]
    exec_timeout: Option<Wait>,

    /// Answer a pull without results after waiting this long [default: 2s]
    #[arg(long, value_name = "TIME", env = "REJOIN_PULL_WAIT", help_heading = TIMEOUTS)]
    pull_wait: Option<Wait>,

    /// Answer a pull of Arthas' API when no further result has come for this long; 0s: at the first
    /// result [default: 250ms]
    #[arg(long, value_name = "TIME", env = "REJOIN_PULL_GATHER", help_heading = TIMEOUTS)]
    pull_gather: Option<Wait>,

    /// How long a pull waits for another pull of the same consumer to finish [default: 500ms]
    #[arg(long = "turn-wait", value_name = "TIME", env = "REJOIN_TURN_WAIT", help_heading = TIMEOUTS)]
    #[serde(rename = "turn-wait")]
    pull_lock_timeout: Option<Wait>,

    /// Time between SIGINT and SIGTERM, and between SIGTERM and SIGKILL, when interrupting a job
    /// [default: 2s]
    #[arg(long, value_name = "TIME", env = "REJOIN_INTERRUPT_GRACE", help_heading = TIMEOUTS)]
    interrupt_grace: Option<Wait>,

    /// Run commands as this user instead of as the server's; the server must run as root [default: the
    /// server's user]
    #[arg(long, value_name = "NAME", env = "REJOIN_JOB_USER", help_heading = COMMANDS)]
    job_user: Option<String>,

    /// The shell of terminals that are opened without a command: a path, or a name in the server's PATH
    /// [default: what the session's variable SHELL says]
    #[arg(long, value_name = "PROGRAM", env = "REJOIN_SHELL", help_heading = COMMANDS)]
    shell: Option<PathBuf>,

    /// What becomes of processes that a command leaves running in its process group: `end` ends them
    /// with it, and says so; `keep` lets them run until the session ends [default: end]
    #[arg(long, value_name = "WHAT", env = "REJOIN_LEFTOVER_PROCESSES", help_heading = COMMANDS)]
    leftover_processes: Option<LeftoverProcesses>,

    /// How long shutdown waits for open requests and running jobs [default: 10s]
    #[arg(long, value_name = "TIME", env = "REJOIN_SHUTDOWN_GRACE", help_heading = TIMEOUTS)]
    shutdown_grace: Option<Wait>,

    /// What a shutdown does to running jobs: `end` interrupts them; `keep` lets them go on, and the
    /// next start takes them over [default: end]
    #[arg(long, value_name = "WHAT", env = "REJOIN_JOBS_AT_EXIT", help_heading = TIMEOUTS)]
    jobs_at_exit: Option<JobsAtExit>,

    /// How long jobs go on without a server, after a crash or a shutdown that keeps them; then they
    /// are ended. 0s: jobs end with the server [default: 1d]
    #[arg(long, value_name = "TIME", env = "REJOIN_KEEPER_WAIT", help_heading = TIMEOUTS)]
    keeper_wait: Option<Wait>,

    /// Close a connection that sends no complete request header within this time [default: 60s]
    #[arg(long, value_name = "TIME", env = "REJOIN_IDLE_TIMEOUT", help_heading = TIMEOUTS)]
    idle_timeout: Option<Wait>,

    /// Reject a request whose body does not arrive within this time [default: 30s]
    #[arg(long, value_name = "TIME", env = "REJOIN_BODY_TIMEOUT", help_heading = TIMEOUTS)]
    body_timeout: Option<Wait>,

    /// Close a connection whose client reads nothing of a response for this long [default: 30s]
    #[arg(long, value_name = "TIME", env = "REJOIN_WRITE_TIMEOUT", help_heading = TIMEOUTS)]
    write_timeout: Option<Wait>,

    /// Open sessions, at most [default: 100000]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_SESSIONS", help_heading = LIMITS)]
    max_sessions: Option<usize>,

    /// Consumers per session [default: 1000]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_CONSUMERS", help_heading = LIMITS)]
    max_consumers: Option<usize>,

    /// Running jobs per session [default: 16]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_JOBS", help_heading = LIMITS)]
    max_jobs: Option<usize>,

    /// Output of one job in bytes; a job with more output is interrupted [default: 1073741824]
    #[arg(long, value_name = "BYTES", env = "REJOIN_MAX_OUTPUT", help_heading = LIMITS)]
    max_output: Option<u64>,

    /// Requests waiting for the engine; further ones are rejected [default: 4096]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_QUEUE", help_heading = LIMITS)]
    max_queue: Option<usize>,

    /// Open connections per listening address; fewer if the limit of open files is low [default: 10000]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_CONNECTIONS", help_heading = LIMITS)]
    max_connections: Option<usize>,

    /// Size of a request's body in bytes [default: 10485760]
    #[arg(long, value_name = "BYTES", env = "REJOIN_MAX_BODY", help_heading = LIMITS)]
    max_body: Option<usize>,

    /// Size of the bodies of all requests together in bytes, without the first 16 KiB of each [default:
    /// 67108864]
    #[arg(long, value_name = "BYTES", env = "REJOIN_MAX_BODIES", help_heading = LIMITS)]
    max_bodies: Option<usize>,

    /// Size of the responses of all connections together in bytes that their clients do not take [default:
    /// 67108864]
    #[arg(long, value_name = "BYTES", env = "REJOIN_MAX_UNREAD", help_heading = LIMITS)]
    max_unread: Option<usize>,

    /// Responses that are compressed at the same time, with about 350 KB each; further ones are sent as
    /// they are. 0: none is compressed [default: 256]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_COMPRESSED", help_heading = LIMITS)]
    max_compressed: Option<usize>,

    /// Size of the results of all Arthas' `exec` commands together in bytes that are held for their
    /// clients; those of others are read from the log [default: 268435456]
    #[arg(long, value_name = "BYTES", env = "REJOIN_MAX_EXEC_ANSWERS", help_heading = LIMITS)]
    max_exec_answers: Option<usize>,

    /// Size of a request's line and headers in bytes [default: 16384]
    #[arg(long, value_name = "BYTES", env = "REJOIN_MAX_HEADER", help_heading = LIMITS)]
    max_header: Option<usize>,

    /// Memory for recent results in bytes, shared by all sessions [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "REJOIN_RECENT_BYTES", help_heading = LIMITS)]
    recent_bytes: Option<usize>,

    /// Remove a session this long after it was closed [default: never]
    #[arg(long, value_name = "TIME", env = "REJOIN_RETAIN_AGE", help_heading = RETENTION)]
    retain_age: Option<Wait>,

    /// Total size of closed sessions in bytes; those closed first are removed first [default:
    /// unlimited]
    #[arg(long, value_name = "BYTES", env = "REJOIN_RETAIN_BYTES", help_heading = RETENTION)]
    retain_bytes: Option<u64>,

    /// Removed sessions that are remembered, so that a late reader learns that they were removed. At
    /// least one [default: 10000]
    #[arg(long, value_name = "N", env = "REJOIN_RETAIN_REMOVALS", help_heading = RETENTION)]
    retain_removals: Option<usize>,

    /// How much to log to standard error [default: info]
    #[arg(long, value_name = "LEVEL", env = "REJOIN_LOG_LEVEL", help_heading = LOGGING)]
    pub(crate) log_level: Option<LogLevel>,

    /// Format of the log [default: human]
    #[arg(long, value_name = "FORMAT", env = "REJOIN_LOG_FORMAT", help_heading = LOGGING)]
    pub(crate) log_format: Option<LogFormat>,

    /// Which requests to log, with session, job, status and duration: `failed` logs those with status
    /// 500 and above. Queries, headers and bodies are never logged [default: failed]
    #[arg(long, value_name = "WHICH", env = "REJOIN_LOG_REQUESTS", help_heading = LOGGING)]
    log_requests: Option<LogRequests>,

    // In files, these have a table of their own.
    #[command(flatten)]
    cluster: ClusterTable,

    // In files only: a table for each frontend, service and webhook.
    #[arg(skip)]
    frontends: Frontends,
    #[arg(skip)]
    services: ServiceTables,

    #[arg(skip)]
    notify: WebhookTables,
}

const ACCESS: &str = "Access";
const PROXIES: &str = "Proxies";
const ENCRYPTION: &str = "Encryption";
const FRONTENDS: &str = "Frontends";
const TIMEOUTS: &str = "Timeouts (such as 500ms, 30s, 5m, 3h, 1d)";
const COMMANDS: &str = "Commands";
const LIMITS: &str = "Limits";
const RETENTION: &str = "Retention of closed sessions";
const LOGGING: &str = "Logging";

/// What an acknowledged event survives.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum DurabilityLevel {
    Sync,
    Flush,
}

/// What a shutdown does to running jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum JobsAtExit {
    End,
    Keep,
}

/// What becomes of processes that a command leaves in its process group.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LeftoverProcesses {
    End,
    Keep,
}

impl LeftoverProcesses {
    /// Its name in the API.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Keep => "keep",
        }
    }
}

/// The columns of Doris' session table.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum DorisColumns {
    Documented,
    Newer,
}

/// A duration as people write it: a whole number and one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "expected a number and a unit, for example 500ms, 30s, 5m, 3h or 1d".to_owned();
        let text = text.trim();
        let unit = text
            .find(|character: char| !character.is_ascii_digit())
            .ok_or_else(wrong)?;
        let (count, unit) = text.split_at(unit);
        let millis: u64 = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60 * 1_000,
            "h" => 60 * 60 * 1_000,
            "d" => 24 * 60 * 60 * 1_000,
            _ => return Err(wrong()),
        };
        let count: u64 = count.parse().map_err(|_| wrong())?;
        count
            .checked_mul(millis)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// An address to listen on, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// The TCP address; none of a Unix socket.
    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether only programs on this machine can connect.
    pub(crate) fn is_local(&self) -> bool {
        self.tcp().is_none_or(|address| address.ip().is_loopback())
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX) {
            Some("") => Err("expected unix:PATH, for example unix:/run/rejoin.sock".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                "expected ADDRESS:PORT, for example 127.0.0.1:8563, or unix:PATH".to_owned()
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// What the address of a Unix socket begins with.
pub(crate) const UNIX: &str = "unix:";

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The permissions of a Unix socket, as `chmod` takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SocketMode(u32);

impl FromStr for SocketMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode = u32::from_str_radix(text, 8).ok();
        let mode = mode.filter(|mode| *mode <= 0o777 && text.len() <= 4);
        mode.map(Self)
            .ok_or_else(|| "expected three octal digits, for example 660".to_owned())
    }
}

/// Whom a Unix socket belongs to, as `chown` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SocketOwner {
    user: Option<String>,
    group: Option<String>,
}

impl FromStr for SocketOwner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (user, group) = text.split_once(':').unwrap_or((text, ""));
        let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        match (name(user), name(group)) {
            (None, None) => Err("expected USER, USER:GROUP or :GROUP".to_owned()),
            (user, group) => Ok(Self { user, group }),
        }
    }
}

/// The path at which a proxy has the server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefix(PathPrefix);

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(str::to_owned)
    }
}

/// A proxy that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Proxy(TrustedProxy);

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(str::to_owned)
    }
}

macro_rules! deserialize_as_written {
    ($($setting:ident)+) => {
        $(impl<'de> Deserialize<'de> for $setting {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        })+
    };
}

deserialize_as_written! { SocketMode SocketOwner Prefix Proxy }

/// The origin of web pages, as browsers write it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin(String);

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "expected SCHEME://HOST or SCHEME://HOST:PORT, for example https://ui.example";
        let url: rejoin_http::Url = text.parse().map_err(|_| wrong())?;
        // Nothing but an origin: no path, no slash at the end, no port that browsers leave out.
        match url.origin().ascii_serialization() {
            origin if origin.eq_ignore_ascii_case(text) => Ok(Self(origin)),
            _ => Err(wrong().into()),
        }
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The admin address from `REJOIN_OPERATE_LISTEN`, the old name of `REJOIN_ADMIN_LISTEN`.
pub(crate) fn old_admin_listen() -> Result<Option<Address>, SettingsError> {
    let value = std::env::var(OLD_ADMIN_LISTEN).ok();
    let value = value.filter(|value| !value.is_empty());
    let address = value.map(|value| value.parse()).transpose();
    address.map_err(SettingsError::OldAdminListen)
}

const OLD_ADMIN_LISTEN: &str = "REJOIN_OPERATE_LISTEN";

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("cannot read the settings file {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    #[error("invalid settings in {}: {}", .0.display(), .1)]
    Parse(PathBuf, String),
    #[error("{} sets {} twice: at the top and in a table of [frontends]", .0.display(), .1)]
    Twice(PathBuf, &'static str),
    #[error("REJOIN_OPERATE_LISTEN: {0}")]
    OldAdminListen(String),
}

/// Takes each setting from the first of the two that sets it.
macro_rules! first_set {
    ($first:ident, $second:ident; $($name:ident)*) => {
        Settings {
            cluster: $first.cluster.or($second.cluster),
            frontends: Frontends::default(),
            services: match $first.services.is_empty() {
                true => $second.services,
                false => $first.services,
            },
            notify: match $first.notify.is_empty() {
                true => $second.notify,
                false => $first.notify,
            },
            $($name: $first.$name.or($second.$name),)* }
    };
}

impl Settings {
    /// Reads the settings in a file.
    pub(crate) fn read(file: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| SettingsError::Read(file.into(), error))?;
        toml::from_str::<Self>(&text)
            .map_err(|error| SettingsError::Parse(file.into(), error.to_string()))?
            .without_tables()
            .map_err(|name| SettingsError::Twice(file.into(), name))
    }

    /// These settings, completed by the others.
    pub(crate) fn or(self, other: Self) -> Self {
        first_set! { self, other;
            tls_cert tls_key
            listen maxscale_listen doris_listen admin_listen doris_columns arthas_service data durability session_timeout consumer_timeout job_timeout exec_timeout
            pull_wait pull_lock_timeout interrupt_grace shutdown_grace jobs_at_exit keeper_wait idle_timeout body_timeout
            write_timeout max_sessions max_consumers max_jobs
            max_output max_queue max_connections max_body max_bodies max_unread max_compressed max_exec_answers max_header recent_bytes
            socket_mode socket_owner path_prefix trusted_proxies
            accounts login_key_file allow_host allow_origin mcp_services mcp_role
            pull_gather leftover_processes job_user shell
            retain_age retain_bytes retain_removals log_level log_format log_requests
        }
    }

    pub(crate) fn listen(&self) -> Address {
        let default = || Address::Tcp(([127, 0, 0, 1], 8563).into());
        self.listen.clone().unwrap_or_else(default)
    }

    /// Permission bits of Unix sockets.
    pub(crate) fn socket_mode(&self) -> u32 {
        self.socket_mode.map_or(0o600, |SocketMode(mode)| mode)
    }

    /// The names of the user and of the group that Unix sockets belong to.
    pub(crate) fn socket_owner(&self) -> (Option<&str>, Option<&str>) {
        let owner = self.socket_owner.as_ref();
        let user = owner.and_then(|owner| owner.user.as_deref());
        (user, owner.and_then(|owner| owner.group.as_deref()))
    }

    /// The proxies in front of the server.
    pub(crate) fn proxies(&self) -> Proxies {
        let trusted = self.trusted_proxies.iter().flatten();
        let proxies = trusted.fold(Proxies::default(), |proxies, Proxy(proxy)| {
            proxies.trust(*proxy)
        });
        match &self.path_prefix {
            Some(Prefix(prefix)) => proxies.mounted_at(prefix.clone()),
            None => proxies,
        }
    }

    /// Takes the admin address from the old name of its variable, if it is set nowhere else.
    pub(crate) fn use_old_admin_listen(&mut self) -> Result<(), SettingsError> {
        if self.admin_listen.is_none() {
            self.admin_listen = old_admin_listen()?;
        }
        Ok(())
    }

    /// The services and their runners: those of the settings file, or else the shell.
    pub(crate) fn services(&self, shell: &ShellRunner) -> Result<Services, ServiceError> {
        services::runners(&self.services, shell)
    }

    /// Webhooks that are sent when a job has ended or a session was closed.
    pub(crate) fn webhooks(&self) -> Result<Vec<Webhook>, WebhookError> {
        let services = match self.services.is_empty() {
            true => vec!["shell"],
            false => self.services.keys().map(String::as_str).collect(),
        };
        webhooks::webhooks(&self.notify, &services)
    }

    /// The services that only some accounts may run commands on.
    pub(crate) fn service_access(&self) -> ServiceAccess {
        services::access(&self.services)
    }

    /// This server as one of several nodes.
    pub(crate) fn cluster(&self) -> &ClusterTable {
        &self.cluster
    }

    /// The service on which Arthas' clients run their commands.
    pub(crate) fn arthas_service(&self) -> Option<&str> {
        self.arthas_service.as_deref()
    }

    /// The separate address of MaxScale's API.
    pub(crate) fn maxscale_listen(&self) -> Option<Address> {
        self.maxscale_listen.clone()
    }

    /// The separate address of Doris' API.
    pub(crate) fn doris_listen(&self) -> Option<Address> {
        self.doris_listen.clone()
    }

    /// The separate address of /metrics, /healthz and /readyz.
    pub(crate) fn admin_listen(&self) -> Option<Address> {
        self.admin_listen.clone()
    }

    /// Which requests are logged.
    pub(crate) fn log_requests(&self) -> rejoin_http::RequestLog {
        match self.log_requests {
            Some(LogRequests::None) => rejoin_http::RequestLog::None,
            None | Some(LogRequests::Failed) => rejoin_http::RequestLog::Failed,
            Some(LogRequests::All) => rejoin_http::RequestLog::All,
        }
    }

    pub(crate) fn tls_cert(&self) -> Option<&Path> {
        self.tls_cert.as_deref()
    }

    pub(crate) fn tls_key(&self) -> Option<&Path> {
        self.tls_key.as_deref()
    }

    pub(crate) fn data(&self) -> PathBuf {
        data_directory(self.data.clone())
    }

    /// The file with the key of logins.
    pub(crate) fn login_key_file(&self) -> Option<&Path> {
        self.login_key_file.as_deref()
    }

    /// The file with the accounts, if the settings name one.
    pub(crate) fn accounts(&self) -> Option<&Path> {
        self.accounts.as_deref()
    }

    /// The host names that clients may use.
    pub(crate) fn allow_host(&self) -> &[String] {
        self.allow_host.as_deref().unwrap_or_default()
    }

    /// The origins whose web pages may use the server.
    pub(crate) fn allow_origin(&self) -> impl Iterator<Item = &str> {
        let origins = self.allow_origin.iter().flatten();
        origins.map(|Origin(origin)| origin.as_str())
    }

    pub(crate) fn log(&self) -> rejoin_log::segment::Options {
        let durability = match self.durability {
            None | Some(DurabilityLevel::Sync) => Durability::Sync,
            Some(DurabilityLevel::Flush) => Durability::Flush,
        };
        let mut options = rejoin_log::segment::Options {
            durability,
            ..Default::default()
        };
        options.remembered_removals = self.retain_removals.unwrap_or(options.remembered_removals);
        options
    }

    pub(crate) fn engine(&self) -> Config {
        let mut config = Config::default();
        let wait = |setting: Option<Wait>, default| setting.map_or(default, |Wait(wait)| wait);
        config.session_timeout = wait(self.session_timeout, config.session_timeout);
        config.consumer_timeout = wait(self.consumer_timeout, config.consumer_timeout);
        config.job_timeout = wait(self.job_timeout, config.job_timeout);
        config.pull_lock_timeout = wait(self.pull_lock_timeout, config.pull_lock_timeout);
        config.max_pull_wait = config
            .max_pull_wait
            .max(wait(self.pull_wait, Duration::ZERO));
        config.limits.sessions = self.max_sessions.unwrap_or(config.limits.sessions);
        config.limits.consumers = self.max_consumers.unwrap_or(config.limits.consumers);
        config.limits.jobs = self.max_jobs.unwrap_or(config.limits.jobs);
        config.limits.retention = Retention {
            age: self.retain_age.map(|Wait(age)| age),
            bytes: self.retain_bytes,
        };
        config.output_limit = self.max_output.unwrap_or(config.output_limit);
        config.queue = self.max_queue.unwrap_or(config.queue).max(1);
        config.recent_bytes = self.recent_bytes.unwrap_or(config.recent_bytes);
        config
    }

    pub(crate) fn mcp(&self) -> rejoin_mcp::Settings {
        let default = rejoin_mcp::Settings::default();
        let services = self.mcp_services.iter().flatten();
        rejoin_mcp::Settings {
            services: services.map(|service| service.as_str().into()).collect(),
            role: self.mcp_role.unwrap_or(default.role),
        }
    }

    pub(crate) fn arthas(&self) -> rejoin_arthas::Settings {
        let mut arthas = rejoin_arthas::Settings::default();
        arthas.service = self.arthas_service.as_deref().map(Into::into);
        arthas.pull_wait = self.pull_wait.map_or(arthas.pull_wait, |Wait(wait)| wait);
        arthas.pull_gather = self
            .pull_gather
            .map_or(arthas.pull_gather, |Wait(wait)| wait);
        arthas.exec_timeout = self
            .exec_timeout
            .map_or(arthas.exec_timeout, |Wait(wait)| wait);
        if let Some(bytes) = self.max_exec_answers {
            arthas.exec_answers = rejoin_http::Budget::new(bytes);
        }
        arthas.exec_output = self
            .max_output
            .map_or(arthas.exec_output, |most| most.min(arthas.exec_output));
        arthas
    }

    pub(crate) fn doris(&self) -> rejoin_doris::Settings {
        let mut doris = rejoin_doris::Settings::default();
        let address = self.doris_listen().unwrap_or_else(|| self.listen());
        let ip = address
            .tcp()
            .map_or_else(|| Ipv4Addr::LOCALHOST.into(), |it| it.ip());
        doris.node = ip.to_string().into();
        doris.columns = match self.doris_columns {
            None | Some(DorisColumns::Documented) => rejoin_doris::Columns::Documented,
            Some(DorisColumns::Newer) => rejoin_doris::Columns::Newer,
        };
        doris
    }

    pub(crate) fn http(&self) -> rejoin_http::HttpLimits {
        let mut limits = rejoin_http::HttpLimits::default();
        limits.connections = self.max_connections.unwrap_or(limits.connections);
        limits.body_bytes = self.max_body.unwrap_or(limits.body_bytes);
        limits.all_body_bytes = self.max_bodies.unwrap_or(limits.all_body_bytes);
        limits.all_unread_bytes = self.max_unread.unwrap_or(limits.all_unread_bytes);
        limits.compressed = self.max_compressed.unwrap_or(limits.compressed);
        limits.header_bytes = self.max_header.unwrap_or(limits.header_bytes);
        limits.shutdown = self.shutdown_grace();
        let wait = |setting: Option<Wait>, default| setting.map_or(default, |Wait(wait)| wait);
        limits.idle = wait(self.idle_timeout, limits.idle);
        limits.body_read = wait(self.body_timeout, limits.body_read);
        limits.write = wait(self.write_timeout, limits.write);
        limits
    }

    pub(crate) fn interrupt_grace(&self) -> Duration {
        self.interrupt_grace
            .map_or(Duration::from_secs(2), |Wait(wait)| wait)
    }

    /// Whether a shutdown leaves running jobs to their keepers.
    pub(crate) fn keeps_jobs(&self) -> bool {
        self.jobs_at_exit == Some(JobsAtExit::Keep) && self.keeper().is_some()
    }

    /// How jobs outlive the server. None: they end with it.
    pub(crate) fn keeper(&self) -> Option<KeeperSettings> {
        let mut keeper = KeeperSettings::this_program(KEEPER);
        if let Some(Wait(wait)) = self.keeper_wait {
            keeper.patience = wait;
        }
        (!keeper.patience.is_zero()).then_some(keeper)
    }

    /// As whom commands run, if not as the server's user.
    pub(crate) fn job_user(&self) -> Option<&str> {
        self.job_user.as_deref().filter(|name| !name.is_empty())
    }

    /// The shell of terminals without a command, if one is set for all services.
    pub(crate) fn shell(&self) -> Option<&Path> {
        self.shell.as_deref()
    }

    /// Whether processes that a command leaves in its process group run on.
    pub(crate) fn keeps_leftovers(&self) -> bool {
        matches!(self.leftover_processes, Some(LeftoverProcesses::Keep))
    }

    pub(crate) fn shutdown_grace(&self) -> Duration {
        self.shutdown_grace
            .map_or(Duration::from_secs(10), |Wait(wait)| wait)
    }
}

fn data_directory(set: Option<PathBuf>) -> PathBuf {
    set.unwrap_or_else(|| "rejoin-data".into())
}

/// The file with the accounts: the one that was set, or else the one in the server's directory.
pub(crate) fn accounts_file(set: Option<PathBuf>, data: Option<PathBuf>) -> PathBuf {
    set.unwrap_or_else(|| data_directory(data).join("accounts.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        let millis = |text: &str| text.parse::<Wait>().map(|Wait(wait)| wait.as_millis());
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis(" 2 s "), Ok(2_000));
        assert_eq!(millis("3h"), Ok(10_800_000));
        assert_eq!(millis("1d"), Ok(86_400_000));
        for wrong in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "1w",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert!(
                millis(wrong)
                    .unwrap_err()
                    .contains("expected a number and a unit"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_address_has_a_port() {
        assert!("127.0.0.1:1".parse::<Address>().is_ok());
        let socket = "unix:/run/rejoin.sock".parse();
        assert_eq!(socket, Ok(Address::Unix("/run/rejoin.sock".into())));
        assert!("unix:".parse::<Address>().is_err());
        for wrong in ["8563", "127.0.0.1", ":8563", "localhost:8563", ""] {
            let error = wrong.parse::<Address>().unwrap_err();
            assert!(error.contains("expected ADDRESS:PORT"), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_admin_address_can_be_set_by_its_old_name() {
        let settings: Settings = toml::from_str("operate-listen = '127.0.0.1:9'").unwrap();
        let address = settings.admin_listen().unwrap();
        assert_eq!(address.tcp().unwrap().port(), 9);
    }

    #[test]
    fn a_flag_overrides_the_file() {
        let file: Settings = toml::from_str("listen = '127.0.0.1:1'\npull-wait = '1s'").unwrap();
        let flags = Settings {
            listen: "127.0.0.1:2".parse().ok(),
            ..Settings::default()
        };
        let both = flags.or(file);
        assert_eq!(both.listen().tcp().unwrap().port(), 2);
        assert_eq!(both.arthas().pull_wait, Duration::from_secs(1));
        assert_eq!(both.data(), PathBuf::from("rejoin-data"));
    }

    #[test]
    fn an_error_in_a_file_names_the_setting() {
        for wrong in [
            "listne = '127.0.0.1:1'",
            "pull-wait = 'soon'",
            "max-jobs = 'many'",
            "allow-origin = ['ui.example']",
            "listen = '8563'",
            "path-prefix = 'rejoin'",
            "trusted-proxies = ['10.0.0.0/33']",
            "socket-mode = '999'",
            "socket-owner = ':'",
        ] {
            let error = toml::from_str::<Settings>(wrong).unwrap_err().to_string();
            let key = wrong.split(' ').next().unwrap();
            assert!(error.contains(key), "{error}");
        }
    }
}
