//! `[notify.NAME]` in a settings file: webhooks that are sent when a job has ended or a session was closed.

use super::Wait;
use crate::settings::services::is_name;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The tables, by name.
pub(super) type WebhookTables = BTreeMap<String, WebhookTable>;

/// The events that a webhook can get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WebhookEvent {
    /// A job has ended that did not fail.
    JobFinished,
    /// A job has failed, or has reached its timeout.
    JobFailed,
    /// It is unknown how a job has ended.
    JobLost,
    /// A session was closed.
    SessionClosed,
}

impl WebhookEvent {
    /// All.
    const ALL: [Self; 4] = [
        Self::JobFinished,
        Self::JobFailed,
        Self::JobLost,
        Self::SessionClosed,
    ];

    /// Its name in the body of a request.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::JobFinished => "job.finished",
            Self::JobFailed => "job.failed",
            Self::JobLost => "job.lost",
            Self::SessionClosed => "session.closed",
        }
    }
}

/// The options of a webhook, as they stand in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WebhookTable {
    url: String,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    /// Only to refuse it with a reason.
    secret: Option<String>,
    events: Option<Vec<WebhookEvent>>,
    services: Option<Vec<String>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    longer_than: Option<Wait>,
    statement: Option<bool>,
    console: Option<String>,
    #[serde(default)]
    allow_http: bool,
    #[serde(default)]
    allow_private: bool,
    cacert: Option<PathBuf>,
    timeout: Option<Wait>,
    attempts: Option<u32>,
    first_pause: Option<Wait>,
    longest_pause: Option<Wait>,
}

/// A webhook, ready for use.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) url: String,
    /// The key of its signatures.
    pub(crate) key: Vec<u8>,
    pub(crate) events: Vec<WebhookEvent>,
    /// Those that it gets; none: all.
    pub(crate) services: Option<Vec<String>>,
    /// What a session must have.
    pub(crate) labels: BTreeMap<String, String>,
    /// Jobs that took less are left out.
    pub(crate) longer_than: Duration,
    /// Whether it gets what ran.
    pub(crate) has_statement: bool,
    /// The console's address, without a slash at the end.
    pub(crate) console: Option<String>,
    /// Whether addresses are allowed that only this machine or its network can reach.
    pub(crate) allows_private: bool,
    /// Certificates to trust instead of the system's, in PEM.
    pub(crate) cacert: Option<Vec<u8>>,
    /// How long one attempt may take.
    pub(crate) timeout: Duration,
    /// The number of failures after which an event is given up.
    pub(crate) attempts: u32,
    /// The pause after the first failure; each further one doubles it.
    pub(crate) first_pause: Duration,
    pub(crate) longest_pause: Duration,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({})", self.name)
    }
}

/// Why a webhook can't be used.
#[derive(Debug, thiserror::Error)]
#[error("[notify.{name}]: {problem}")]
pub(crate) struct WebhookError {
    name: String,
    #[source]
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("a name has 1 to 64 characters of a-z, 0-9 and -")]
    Name,
    #[error("`url` must be an address such as https://hooks.example/rejoin, without a password")]
    Url,
    #[error(
        "`url` is not encrypted: use https, or set `allow-http` if everybody on the way may read it"
    )]
    Unencrypted,
    #[error("`console` must be an address such as https://rejoin.example")]
    Console,
    #[error(
        "this file must not contain a secret: write it to another file that only the server can \
         read, and set `secret-file`; or set `secret-env` to the name of an environment variable"
    )]
    Secret,
    #[error("set one of `secret-file` and `secret-env`: requests are signed")]
    NoSecret,
    #[error("cannot read {}: {}", .0.display(), .1)]
    File(PathBuf, #[source] io::Error),
    #[error("the secret file {} can be read by others: `chmod 600` it", .0.display())]
    ReadableByOthers(PathBuf),
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    #[error(
        "the secret must have 24 bytes or more: take the output of \
         `echo whsec_$(openssl rand -base64 32)`"
    )]
    ShortSecret,
    #[error("`services`: there is no service called {0}, only {1}")]
    Service(String, String),
    #[error("`attempts` must be 1 to 100")]
    Attempts,
    #[error("`timeout`, `first-pause` and `longest-pause` must be 1ms to 1h")]
    Pause,
}

/// The webhooks of the tables, on a server with these services.
pub(super) fn webhooks(
    tables: &WebhookTables,
    services: &[&str],
) -> Result<Vec<Webhook>, WebhookError> {
    let webhook = |(name, table): (&String, &WebhookTable)| {
        table
            .webhook(name, services)
            .map_err(|problem| WebhookError {
                name: name.clone(),
                problem,
            })
    };
    tables.iter().map(webhook).collect()
}

impl WebhookTable {
    fn webhook(&self, name: &str, services: &[&str]) -> Result<Webhook, Problem> {
        if !is_name(name) {
            return Err(Problem::Name);
        }
        let url: rejoin_http::Url = self.url.parse().map_err(|_| Problem::Url)?;
        let has_login = !url.username().is_empty() || url.password().is_some();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || has_login {
            return Err(Problem::Url);
        }
        if url.scheme() == "http" && !self.allow_http {
            return Err(Problem::Unencrypted);
        }
        let named = self.services.iter().flatten();
        if let Some(unknown) = named
            .into_iter()
            .find(|it| !services.contains(&it.as_str()))
        {
            return Err(Problem::Service(unknown.clone(), services.join(", ")));
        }
        let console = self.console.as_deref().map(|it| it.trim_end_matches('/'));
        let is_address = |it: &str| it.starts_with("https://") || it.starts_with("http://");
        if console.is_some_and(|it| !is_address(it)) {
            return Err(Problem::Console);
        }
        let time = |set: &Option<Wait>, default: u64| {
            let time = set.map_or(Duration::from_secs(default), |Wait(wait)| wait);
            let is_sound = !time.is_zero() && time <= Duration::from_secs(60 * 60);
            is_sound.then_some(time).ok_or(Problem::Pause)
        };
        let attempts = self.attempts.unwrap_or(12);
        if !(1..=100).contains(&attempts) {
            return Err(Problem::Attempts);
        }
        let read = |file: &PathBuf| {
            std::fs::read(file).map_err(|error| Problem::File(file.clone(), error))
        };
        Ok(Webhook {
            name: name.into(),
            url: self.url.clone(),
            events: self
                .events
                .clone()
                .unwrap_or_else(|| WebhookEvent::ALL.into()),
            services: self.services.clone(),
            labels: self.labels.clone(),
            longer_than: self.longer_than.map_or(Duration::ZERO, |Wait(wait)| wait),
            has_statement: self.statement.unwrap_or(true),
            console: console.map(Into::into),
            allows_private: self.allow_private,
            cacert: self.cacert.as_ref().map(read).transpose()?,
            timeout: time(&self.timeout, 10)?,
            attempts,
            first_pause: time(&self.first_pause, 1)?,
            longest_pause: time(&self.longest_pause, 10 * 60)?,
            key: self.key()?,
        })
    }

    /// The key of the signatures: the bytes of the secret, or what its Base64 stands for after `whsec_`,
    /// as the libraries of Standard Webhooks have it.
    fn key(&self) -> Result<Vec<u8>, Problem> {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        if self.secret.is_some() {
            return Err(Problem::Secret);
        }
        let text = match (&self.secret_file, &self.secret_env) {
            (Some(file), None) => read_private(file)?,
            (None, Some(variable)) => {
                std::env::var(variable).map_err(|_| Problem::NoVariable(variable.clone()))?
            }
            _ => return Err(Problem::NoSecret),
        };
        let text = text.lines().next().unwrap_or_default().trim();
        let key = match text.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| Problem::ShortSecret)?,
            None => text.as_bytes().to_owned(),
        };
        match key.len() {
            24.. => Ok(key),
            _ => Err(Problem::ShortSecret),
        }
    }
}

fn read_private(file: &Path) -> Result<String, Problem> {
    let failed = |error| Problem::File(file.into(), error);
    let metadata = std::fs::metadata(file).map_err(failed)?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
    if mode & 0o077 != 0 {
        return Err(Problem::ReadableByOthers(file.into()));
    }
    std::fs::read_to_string(file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(options: &str) -> String {
        let table: WebhookTable = toml::from_str(options).unwrap();
        table.webhook("chat", &["shell"]).unwrap_err().to_string()
    }

    #[test]
    fn a_webhook_without_a_secret_or_encryption_is_refused_with_what_to_do() {
        for (options, words) in [
            ("url = 'https://x.example'", "secret-file"),
            (
                "url = 'https://x.example'\nsecret = 'x'",
                "must not contain",
            ),
            ("url = 'http://x.example'\nsecret-env = 'X'", "allow-http"),
            ("url = 'ftp://x.example'", "such as https"),
            ("url = 'https://ada:pw@x.example'", "without a password"),
            (
                "url = 'https://x.example'\nsecret-env = 'REJOIN_NOT_SET'",
                "is not set",
            ),
            (
                "url = 'https://x.example'\nservices = ['shell', 'nosuch']",
                "no service called nosuch, only shell",
            ),
            ("url = 'https://x.example'\nattempts = 0", "1 to 100"),
            ("url = 'https://x.example'\ntimeout = '2h'", "to 1h"),
            ("url = 'https://x.example'\nconsole = 'rejoin'", "`console`"),
        ] {
            let problem = problem(options);
            assert!(problem.contains(words), "{options}: {problem}");
        }
    }

    #[test]
    fn a_secret_means_what_it_means_to_the_libraries_of_standard_webhooks() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("secret");
        let key = |secret: &str| {
            std::fs::write(&file, secret).unwrap();
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&file, private).unwrap();
            let options = format!("url = 'https://x.example'\nsecret-file = {file:?}");
            let table: WebhookTable = toml::from_str(&options).unwrap();
            table.webhook("chat", &[]).map(|webhook| webhook.key)
        };
        // The secret in the tests of these libraries, and the key that they sign with.
        let bytes = b"\x31\xf2\x90\xf6\xbf\x06\x29\x8a\xab\x4f\x08\xd4\x3c\x3f\x08\x2c\xf6\x48\xa3\x62\xda\x2d\xa4\xb0";
        let whole = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
        assert_eq!(key(whole).unwrap(), bytes);
        // Without the beginning it is the text, as in settings of older servers.
        let text = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(key(text).unwrap(), text.as_bytes());
        for short in ["whsec_MfKQ9r8GKYqr", "whsec_!", "short"] {
            let problem = key(short).unwrap_err().to_string();
            assert!(problem.contains("whsec_$(openssl"), "{problem}");
        }
    }
}
