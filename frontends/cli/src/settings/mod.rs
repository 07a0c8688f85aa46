//! The settings of `rejoin serve`: one structure for flags, environment and file.

#[cfg(test)]
mod example;
mod frontends;
mod logging;

use clap::ValueEnum;
use frontends::Frontends;
use logging::LogRequests;
pub(crate) use logging::{LogFormat, LogLevel};
use rejoin_core::Retention;
use rejoin_engine::Config;
use rejoin_log::segment::Durability;
use serde::{Deserialize, Deserializer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// What may be set. None: not said here.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Settings {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8563]
    #[arg(long, value_name = "ADDR:PORT", env = "REJOIN_LISTEN")]
    listen: Option<SocketAddr>,

    /// Address and port at which the API of MaxScale is served instead, for clients with a fixed
    /// port (8989) [default: with the others]
    #[arg(long, value_name = "ADDR:PORT", env = "REJOIN_MAXSCALE_LISTEN", help_heading = FRONTENDS)]
    maxscale_listen: Option<SocketAddr>,

    /// Address and port at which the API of Doris is served instead, for clients with a fixed port
    /// (8030) [default: with the others]
    #[arg(long, value_name = "ADDR:PORT", env = "REJOIN_DORIS_LISTEN", help_heading = FRONTENDS)]
    doris_listen: Option<SocketAddr>,

    /// Address and port at which /metrics, /healthz and /readyz are served instead; they tell numbers
    /// only and run nothing, so it need not be a loopback address [default: with the others]
    #[arg(long, value_name = "ADDR:PORT", env = "REJOIN_OPERATE_LISTEN", help_heading = FRONTENDS)]
    operate_listen: Option<SocketAddr>,

    /// Columns of Doris' tables: the nine that are documented, or the fourteen of newer versions
    /// [default: documented]
    #[arg(long, value_name = "FORM", env = "REJOIN_DORIS_COLUMNS", help_heading = FRONTENDS)]
    doris_columns: Option<DorisColumns>,

    /// File with the certificate that is shown to clients, and those of whoever vouches for it, as
    /// PEM; then everything is encrypted. Read again when it changes [default: nothing is encrypted]
    #[arg(long, value_name = "FILE", env = "REJOIN_TLS_CERT", help_heading = ENCRYPTION)]
    tls_cert: Option<PathBuf>,

    /// File with the certificate's private key, as PEM, without a password
    #[arg(long, value_name = "FILE", env = "REJOIN_TLS_KEY", help_heading = ENCRYPTION)]
    tls_key: Option<PathBuf>,

    /// Directory of the log; created where there is none [default: rejoin-data]
    #[arg(long, value_name = "DIR", env = "REJOIN_DATA")]
    data: Option<PathBuf>,

    /// File with the accounts, as `rejoin user` writes it; with accounts, everybody has to log in
    /// [default: accounts.toml in the directory of --data, if it is there]
    #[arg(long, value_name = "FILE", env = "REJOIN_ACCOUNTS", help_heading = ACCESS)]
    accounts: Option<PathBuf>,

    /// Name by which clients may ask for this server beside its addresses, as `Host` says it; for
    /// more than one, repeat it or put commas between them [default: none]
    #[arg(long, value_name = "NAME", env = "REJOIN_ALLOW_HOST", value_delimiter = ',', help_heading = ACCESS)]
    allow_host: Option<Vec<String>>,

    /// What an acknowledged event has survived: `sync`, a power cut; `flush`, the death of the
    /// process only, but faster [default: sync]
    #[arg(long, value_name = "LEVEL", env = "REJOIN_DURABILITY")]
    durability: Option<DurabilityLevel>,

    /// Close a session that nobody used for so long and that runs nothing [default: 3h]
    #[arg(long, value_name = "TIME", env = "REJOIN_SESSION_TIMEOUT", help_heading = TIMEOUTS)]
    session_timeout: Option<Wait>,

    /// Expire a consumer that did not pull for so long [default: 5m]
    #[arg(long, value_name = "TIME", env = "REJOIN_CONSUMER_TIMEOUT", help_heading = TIMEOUTS)]
    consumer_timeout: Option<Wait>,

    /// Interrupt a job that runs for so long [default: 1d]
    #[arg(long, value_name = "TIME", env = "REJOIN_JOB_TIMEOUT", help_heading = TIMEOUTS)]
    job_timeout: Option<Wait>,

    /// Interrupt a job of `exec` that runs for so long, where the request does not say [default: 30s]
    #[arg(long, value_name = "TIME", env = "REJOIN_EXEC_TIMEOUT", help_heading = TIMEOUTS)]
    exec_timeout: Option<Wait>,

    /// Answer a pull with nothing after so long [default: 2s]
    #[arg(long, value_name = "TIME", env = "REJOIN_PULL_WAIT", help_heading = TIMEOUTS)]
    pull_wait: Option<Wait>,

    /// Answer a second pull at once of one consumer with nothing after so long [default: 500ms]
    #[arg(long = "turn-wait", value_name = "TIME", env = "REJOIN_TURN_WAIT", help_heading = TIMEOUTS)]
    #[serde(rename = "turn-wait")]
    pull_lock_timeout: Option<Wait>,

    /// From SIGINT to SIGTERM, and from that to SIGKILL, when a job is interrupted [default: 2s]
    #[arg(long, value_name = "TIME", env = "REJOIN_INTERRUPT_GRACE", help_heading = TIMEOUTS)]
    interrupt_grace: Option<Wait>,

    /// How long open requests and running jobs may take when the server is told to end [default: 10s]
    #[arg(long, value_name = "TIME", env = "REJOIN_SHUTDOWN_GRACE", help_heading = TIMEOUTS)]
    shutdown_grace: Option<Wait>,

    /// Close a connection that has sent no whole request head for so long [default: 60s]
    #[arg(long, value_name = "TIME", env = "REJOIN_IDLE_TIMEOUT", help_heading = TIMEOUTS)]
    idle_timeout: Option<Wait>,

    /// Refuse a request whose body takes so long to come [default: 30s]
    #[arg(long, value_name = "TIME", env = "REJOIN_BODY_TIMEOUT", help_heading = TIMEOUTS)]
    body_timeout: Option<Wait>,

    /// Cut a connection whose client takes nothing of its answer for so long [default: 30s]
    #[arg(long, value_name = "TIME", env = "REJOIN_WRITE_TIMEOUT", help_heading = TIMEOUTS)]
    write_timeout: Option<Wait>,

    /// Open sessions [default: 100000]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_SESSIONS", help_heading = BOUNDS)]
    max_sessions: Option<usize>,

    /// Consumers of one session [default: 1000]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_CONSUMERS", help_heading = BOUNDS)]
    max_consumers: Option<usize>,

    /// Jobs that run in one session at once [default: 16]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_JOBS", help_heading = BOUNDS)]
    max_jobs: Option<usize>,

    /// Bytes of results of one job; the job is interrupted when it would emit more
    /// [default: 1073741824]
    #[arg(long, value_name = "BYTES", env = "REJOIN_MAX_OUTPUT", help_heading = BOUNDS)]
    max_output: Option<u64>,

    /// Requests that wait to be decided; one more is refused [default: 4096]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_QUEUE", help_heading = BOUNDS)]
    max_queue: Option<usize>,

    /// Open connections of each address that is listened at [default: 10000]
    #[arg(long, value_name = "COUNT", env = "REJOIN_MAX_CONNECTIONS", help_heading = BOUNDS)]
    max_connections: Option<usize>,

    /// Bytes of a request's body [default: 10485760]
    #[arg(long, value_name = "BYTES", env = "REJOIN_MAX_BODY", help_heading = BOUNDS)]
    max_body: Option<usize>,

    /// Bytes of a request's line and headers [default: 16384]
    #[arg(long, value_name = "BYTES", env = "REJOIN_MAX_HEADER", help_heading = BOUNDS)]
    max_header: Option<usize>,

    /// Bytes of recent results that are served from memory [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "REJOIN_RECENT_BYTES", help_heading = BOUNDS)]
    recent_bytes: Option<usize>,

    /// Remove a session so long after it was closed [default: never]
    #[arg(long, value_name = "TIME", env = "REJOIN_RETAIN_AGE", help_heading = RETENTION)]
    retain_age: Option<Wait>,

    /// Bytes that closed sessions may take together; the one that was closed first is removed first
    /// [default: no bound]
    #[arg(long, value_name = "BYTES", env = "REJOIN_RETAIN_BYTES", help_heading = RETENTION)]
    retain_bytes: Option<u64>,

    /// How much to say on standard error [default: info]
    #[arg(long, value_name = "LEVEL", env = "REJOIN_LOG_LEVEL", help_heading = LOGGING)]
    pub(crate) log_level: Option<LogLevel>,

    /// How to say it [default: human]
    #[arg(long, value_name = "FORM", env = "REJOIN_LOG_FORMAT", help_heading = LOGGING)]
    pub(crate) log_format: Option<LogFormat>,

    /// Which requests to tell, with session, job, status and time: `failed`, those answered with 500
    /// and above; never a query, a header or a body [default: failed]
    #[arg(long, value_name = "WHICH", env = "REJOIN_LOG_REQUESTS", help_heading = LOGGING)]
    log_requests: Option<LogRequests>,

    // In files only: there, a frontend may have a table of its own.
    #[arg(skip)]
    frontends: Frontends,
}

const ACCESS: &str = "Who may use it";
const ENCRYPTION: &str = "Encryption";
const FRONTENDS: &str = "Frontends";
const TIMEOUTS: &str = "Timeouts (such as 500ms, 30s, 5m, 3h, 1d)";
const BOUNDS: &str = "Bounds";
const RETENTION: &str = "What is kept of closed sessions";
const LOGGING: &str = "Logging";

/// How durable an acknowledged event is.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum DurabilityLevel {
    Sync,
    Flush,
}

/// Which columns Doris' tables have.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum DorisColumns {
    Documented,
    Newer,
}

/// A duration as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a time: write for example 500ms, 30s, 5m, 3h, 1d");
        let text = text.trim();
        let unit = text
            .find(|it: char| !it.is_ascii_digit())
            .ok_or_else(wrong)?;
        let (number, unit) = text.split_at(unit);
        let millis: u64 = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60 * 1_000,
            "h" => 60 * 60 * 1_000,
            "d" => 24 * 60 * 60 * 1_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number
            .checked_mul(millis)
            .map(|it| Self(Duration::from_millis(it)))
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

/// Why a settings file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("cannot read the settings in {0}")]
    Read(PathBuf, #[source] std::io::Error),
    #[error("the settings in {0} are wrong: {1}")]
    Parse(PathBuf, String),
    #[error("the settings in {0} say {1} twice, by its name and in a table of [frontends]")]
    Twice(PathBuf, &'static str),
}

/// Takes each setting from the first of the two that says it.
macro_rules! first_said {
    ($first:ident, $second:ident; $($name:ident)*) => {
        Settings { frontends: Frontends::default(), $($name: $first.$name.or($second.$name),)* }
    };
}

impl Settings {
    /// What a file says.
    pub(crate) fn read(file: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| SettingsError::Read(file.into(), error))?;
        toml::from_str::<Self>(&text)
            .map_err(|error| SettingsError::Parse(file.into(), error.to_string()))?
            .without_tables()
            .map_err(|name| SettingsError::Twice(file.into(), name))
    }

    /// What these settings say, and where they do not, what the others say.
    pub(crate) fn or(self, other: Self) -> Self {
        first_said! { self, other;
            tls_cert tls_key
            listen maxscale_listen doris_listen operate_listen doris_columns data durability session_timeout consumer_timeout job_timeout exec_timeout
            pull_wait pull_lock_timeout interrupt_grace shutdown_grace idle_timeout body_timeout
            write_timeout max_sessions max_consumers max_jobs
            max_output max_queue max_connections max_body max_header recent_bytes
            accounts allow_host
            retain_age retain_bytes log_level log_format log_requests
        }
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.listen.unwrap_or_else(|| ([127, 0, 0, 1], 8563).into())
    }

    /// Where MaxScale's API is served, if not with the others.
    pub(crate) fn maxscale_listen(&self) -> Option<SocketAddr> {
        self.maxscale_listen
    }

    /// Where Doris' API is served, if not with the others.
    pub(crate) fn doris_listen(&self) -> Option<SocketAddr> {
        self.doris_listen
    }

    /// Where /metrics, /healthz and /readyz are served, if not with the others.
    pub(crate) fn operate_listen(&self) -> Option<SocketAddr> {
        self.operate_listen
    }

    /// Which requests are told.
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

    /// The file with the accounts, where the settings name one.
    pub(crate) fn accounts(&self) -> Option<&Path> {
        self.accounts.as_deref()
    }

    /// The names that clients may ask for.
    pub(crate) fn allow_host(&self) -> &[String] {
        self.allow_host.as_deref().unwrap_or_default()
    }

    pub(crate) fn log(&self) -> rejoin_log::segment::Options {
        let durability = match self.durability {
            None | Some(DurabilityLevel::Sync) => Durability::Sync,
            Some(DurabilityLevel::Flush) => Durability::Flush,
        };
        rejoin_log::segment::Options {
            durability,
            ..Default::default()
        }
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

    pub(crate) fn arthas(&self) -> rejoin_arthas::Settings {
        let mut arthas = rejoin_arthas::Settings::default();
        arthas.pull_wait = self.pull_wait.map_or(arthas.pull_wait, |Wait(wait)| wait);
        arthas.exec_timeout = self
            .exec_timeout
            .map_or(arthas.exec_timeout, |Wait(wait)| wait);
        arthas.exec_output = self
            .max_output
            .map_or(arthas.exec_output, |most| most.min(arthas.exec_output));
        arthas
    }

    pub(crate) fn doris(&self) -> rejoin_doris::Settings {
        let mut doris = rejoin_doris::Settings::default();
        doris.node = self
            .doris_listen
            .unwrap_or_else(|| self.listen())
            .ip()
            .to_string()
            .into();
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

    pub(crate) fn shutdown_grace(&self) -> Duration {
        self.shutdown_grace
            .map_or(Duration::from_secs(10), |Wait(wait)| wait)
    }
}

fn data_directory(said: Option<PathBuf>) -> PathBuf {
    said.unwrap_or_else(|| "rejoin-data".into())
}

/// The file with the accounts: the one that is said, or the one in the server's directory.
pub(crate) fn accounts_file(said: Option<PathBuf>, data: Option<PathBuf>) -> PathBuf {
    said.unwrap_or_else(|| data_directory(data).join("accounts.toml"))
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
                millis(wrong).unwrap_err().contains("is not a time"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_flag_overrides_the_file() {
        let file: Settings = toml::from_str("listen = '127.0.0.1:1'\npull-wait = '1s'").unwrap();
        let flags = Settings {
            listen: "127.0.0.1:2".parse().ok(),
            ..Settings::default()
        };
        let both = flags.or(file);
        assert_eq!(both.listen().port(), 2);
        assert_eq!(both.arthas().pull_wait, Duration::from_secs(1));
        assert_eq!(both.data(), PathBuf::from("rejoin-data"));
    }

    #[test]
    fn what_a_file_says_wrong_is_named() {
        for wrong in [
            "listne = '127.0.0.1:1'",
            "pull-wait = 'soon'",
            "max-jobs = 'many'",
        ] {
            let error = toml::from_str::<Settings>(wrong).unwrap_err().to_string();
            let key = wrong.split(' ').next().unwrap();
            assert!(error.contains(key), "{error}");
        }
    }
}
