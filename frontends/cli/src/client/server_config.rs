//! The server's address and credentials, from flags, environment variables and the client's file.
//!
//! Invariant: a password never comes from the command line, which others on this machine can see, nor
//! from a file that others can read, and is sent unencrypted to another machine only with
//! --insecure. A link may come from the command line: it shows one session, for a time. It is sent to
//! the server in its address alone, and nothing else is sent there.

use super::ClientError;
use super::limits::FILE_BYTES;
use crate::args::{CredentialArgs, ServerArgs};
use crate::settings::UNIX;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use ureq::http::Uri;

/// A server, and how to connect to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerConfig {
    /// Its URL, without a slash at the end, or `unix:` and the path of its socket.
    pub(crate) url: String,
    /// The path of its socket, if it is not asked over TCP.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) is_local: bool,
    pub(crate) is_https: bool,
    /// The `Authorization` header.
    pub(crate) authorization: Option<String>,
    pub(crate) cacert: Option<PathBuf>,
}

/// The client's settings file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    server: Option<String>,
    login: Option<String>,
    password_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    cacert: Option<PathBuf>,
}

/// What variables of the environment give.
#[derive(Default)]
struct Secrets {
    password: Option<String>,
    token: Option<String>,
}

impl ServerConfig {
    /// What requests go to: on a socket, the host is a name for this machine.
    pub(crate) fn base(&self) -> &str {
        match self.socket {
            Some(_) => LOCALHOST,
            None => &self.url,
        }
    }

    /// Whether requests are sent by a link.
    pub(crate) fn is_by_link(&self) -> bool {
        let authorization = self.authorization.as_deref();
        authorization.is_some_and(|it| it.starts_with(BY_LINK))
    }

    /// Combines the arguments, the environment and the file.
    pub(crate) fn load(args: &ServerArgs) -> Result<Self, ClientError> {
        let file = match &args.client_config {
            Some(file) => Some(file.clone()),
            None => default_file().filter(|file| file.exists()),
        };
        let settings = file.as_deref().map(read_settings).transpose()?;
        // An empty variable counts as unset.
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let secrets = Secrets {
            password: variable("REJOIN_PASSWORD"),
            token: variable("REJOIN_TOKEN"),
        };
        Self::of(args, settings.unwrap_or_default(), secrets)
    }

    fn of(
        args: &ServerArgs,
        file: Settings,
        Secrets { password, token }: Secrets,
    ) -> Result<Self, ClientError> {
        if let Some(link) = &args.link {
            // Whatever the environment and the file have is for another server.
            let own = ServerArgs {
                link: None,
                credentials: CredentialArgs {
                    login: None,
                    password_file: None,
                    token_file: None,
                    ..args.credentials.clone()
                },
                ..args.clone()
            };
            let secrets = Secrets {
                password: None,
                token: Some(link.clone()),
            };
            let file = Settings {
                cacert: file.cacert,
                ..Settings::default()
            };
            return Self::of(&own, file, secrets);
        }
        let url = args.server.clone().or(file.server);
        let url = url.unwrap_or_else(|| DEFAULT.to_owned());
        let url = url.trim_end_matches('/').to_owned();
        let socket = url.strip_prefix(UNIX).map(PathBuf::from);
        let (is_https, is_local) = match &socket {
            Some(_) => (false, true),
            None => classify(&url)?,
        };
        let login = args.credentials.login.clone().or(file.login);
        // A token comes before an account and its password, unless that is on the command line and
        // the token in the file.
        let token = match (&args.credentials.token_file, token, &file.token_file) {
            (Some(file), _, _) => Some(read_secret(file, "token")?),
            (None, None, Some(file)) if login.is_none() => Some(read_secret(file, "token")?),
            (None, token, _) => token,
        };
        let password = match (
            &args.credentials.password_file,
            password,
            &file.password_file,
        ) {
            // The flag overrides the variable, which overrides the file.
            (Some(file), _, _) | (None, None, Some(file)) => Some(read_secret(file, "password")?),
            (None, password, _) => password,
        };
        let authorization = match (login, password) {
            _ if token.is_some() => token.map(|token| format!("Bearer {token}")),
            (Some(login), Some(_)) if login.contains(':') => {
                return Err(wrong(format!(
                    "the login {login:?} must not contain a colon"
                )));
            }
            (Some(login), Some(password)) => {
                let pair = STANDARD.encode(format!("{login}:{password}"));
                Some(format!("Basic {pair}"))
            }
            (Some(login), None) => {
                return Err(wrong(format!(
                    "no password for {login}: set REJOIN_PASSWORD or use --password-file"
                )));
            }
            (None, _) => None,
        };
        if authorization.is_some() && !is_https && !is_local && !args.credentials.insecure {
            return Err(wrong(format!(
                "refusing to send a password or token unencrypted to {url}: use https, or --insecure to \
                 send it anyway"
            )));
        }
        Ok(Self {
            url,
            socket,
            is_local,
            is_https,
            authorization,
            cacert: args.credentials.cacert.clone().or(file.cacert),
        })
    }
}

/// Whether the URL is HTTPS, and whether it is this machine.
fn classify(url: &str) -> Result<(bool, bool), ClientError> {
    let unusable = || {
        wrong(format!(
            "invalid server address {url:?}: expected a URL, for example {DEFAULT}, or unix:PATH"
        ))
    };
    let uri: Uri = url.parse().map_err(|_| unusable())?;
    let is_https = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(unusable()),
    };
    let authority = uri.authority().ok_or_else(unusable)?;
    if uri.query().is_some() || authority.as_str().contains('@') {
        return Err(unusable());
    }
    let host = authority.host().trim_matches(['[', ']']);
    let is_local = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
    Ok((is_https, is_local))
}

fn default_file() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let configuration = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".config")))?;
    Some(configuration.join("rejoin/client.toml"))
}

fn read_settings(file: &Path) -> Result<Settings, ClientError> {
    let (text, _) = read(file)?;
    toml::from_str(&text).map_err(|error| {
        let file = file.display();
        wrong(format!("invalid settings in {file}: {error}"))
    })
}

/// The first line of a file with a password or a token.
fn read_secret(file: &Path, what: &str) -> Result<String, ClientError> {
    let (text, mode) = read(file)?;
    let shown = file.display();
    if mode & OTHERS != 0 {
        return Err(wrong(format!(
            "{shown} contains a {what}, but other users can read or write it: chmod 600 {shown}"
        )));
    }
    match text.lines().next() {
        Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
        _ => Err(wrong(format!("no {what} in the first line of {shown}"))),
    }
}

/// The text and the mode of a file.
fn read(file: &Path) -> Result<(String, u32), ClientError> {
    let shown = file.display();
    let unreadable = |error| wrong(format!("cannot read {shown}: {error}"));
    let opened = File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode();
    let mut text = String::new();
    let mut limited = opened.take(FILE_BYTES + 1);
    limited.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(wrong(format!("{shown} is too long")));
    }
    Ok((text, mode))
}

fn wrong(words: String) -> ClientError {
    ClientError::Settings(words)
}

/// How the `Authorization` of a link begins.
const BY_LINK: &str = "Bearer rejoin_link_";

const DEFAULT: &str = "http://127.0.0.1:8563";

/// Is resolved without asking anybody.
const LOCALHOST: &str = "http://127.0.0.1";

/// Permissions of the group and of others.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};

    fn args(server: &str, login: Option<&str>) -> ServerArgs {
        ServerArgs {
            server: Some(server.to_owned()),
            credentials: CredentialArgs {
                login: login.map(str::to_owned),
                ..CredentialArgs::default()
            },
            ..ServerArgs::default()
        }
    }

    fn config(args: &ServerArgs, password: Option<&str>) -> Result<ServerConfig, String> {
        let secrets = Secrets {
            password: password.map(str::to_owned),
            token: None,
        };
        ServerConfig::of(args, Settings::default(), secrets).map_err(|error| error.to_string())
    }

    #[test]
    fn the_default_is_the_server_on_this_machine() {
        let config = config(&ServerArgs::default(), None).unwrap();
        assert_eq!(config.url, DEFAULT);
        assert!(config.is_local && !config.is_https);
        assert_eq!(config.authorization, None);
    }

    #[test]
    fn a_password_is_sent_unencrypted_to_this_machine_only() {
        let login = Some("anna");
        for near in [
            "http://localhost:1/",
            "http://127.0.0.9",
            "http://[::1]:2",
            "unix:/run/r.sock",
        ] {
            let found = config(&args(near, login), Some("secret")).unwrap();
            assert_eq!(found.authorization.unwrap(), "Basic YW5uYTpzZWNyZXQ=");
        }
        let far = "http://rejoin.example:8563";
        let error = config(&args(far, login), Some("secret")).unwrap_err();
        assert!(error.contains("unencrypted"), "{error}");
        assert!(config(&args(far, None), None).is_ok());
        assert!(config(&args("https://rejoin.example", login), Some("secret")).is_ok());
        let mut insecure = args(far, login);
        insecure.credentials.insecure = true;
        assert!(config(&insecure, Some("secret")).is_ok());
    }

    #[test]
    fn an_invalid_address_is_reported() {
        for url in [
            "",
            "localhost:8563",
            "ftp://localhost",
            "http://",
            "http://u:p@host",
            "http://host/?q",
        ] {
            let error = config(&args(url, None), None).unwrap_err();
            assert!(error.contains("invalid server address"), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_file_that_others_can_read_is_rejected() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("password");
        write(&file, "secret\nmore").unwrap();
        let mut args = args(DEFAULT, Some("anna"));
        args.credentials.password_file = Some(file.clone());
        set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let error = config(&args, None).unwrap_err();
        assert!(error.contains("chmod 600"), "{error}");
        set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        // The flag overrides the variable.
        let found = config(&args, Some("another")).unwrap();
        assert_eq!(found.authorization.unwrap(), "Basic YW5uYTpzZWNyZXQ=");
        write(&file, "").unwrap();
        assert!(config(&args, None).unwrap_err().contains("no password"));
        args.credentials.password_file = None;
        assert!(config(&args, None).unwrap_err().contains("REJOIN_PASSWORD"));
    }

    #[test]
    fn a_link_is_sent_alone() {
        let file: Settings =
            toml::from_str("server = 'https://far'\nlogin = 'anna'\ncacert = 'ca.pem'").unwrap();
        let mut args = args("https://near/", Some("bo"));
        args.link = Some("rejoin_link_a".to_owned());
        let secrets = Secrets {
            password: Some("secret".to_owned()),
            token: Some("rejoin_abc".to_owned()),
        };
        let found = ServerConfig::of(&args, file, secrets).unwrap();
        assert_eq!(found.url, "https://near");
        assert_eq!(found.authorization.as_deref(), Some("Bearer rejoin_link_a"));
        assert_eq!(found.cacert, Some("ca.pem".into()));
        assert!(found.is_by_link());
        args.server = Some("http://rejoin.example".to_owned());
        assert!(config(&args, None).unwrap_err().contains("unencrypted"));
    }

    #[test]
    fn a_flag_overrides_the_file() {
        let file: Settings = toml::from_str("server = 'https://far'\ncacert = 'ca.pem'").unwrap();
        let found = ServerConfig::of(&args("https://near/", None), file, Secrets::default());
        let found = found.unwrap();
        assert_eq!(found.url, "https://near");
        assert_eq!(found.cacert, Some("ca.pem".into()));
        assert!(toml::from_str::<Settings>("password = 'x'").is_err());
    }

    #[test]
    fn a_token_is_sent_instead_of_a_password_and_as_carefully() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("token");
        write(&file, "rejoin_abc\n").unwrap();
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let mut args = args(DEFAULT, Some("anna"));
        args.credentials.token_file = Some(file.clone());
        assert!(
            config(&args, None)
                .unwrap_err()
                .contains("contains a token")
        );
        set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        let found = config(&args, Some("secret")).unwrap();
        assert_eq!(found.authorization.unwrap(), "Bearer rejoin_abc");
        args.server = Some("http://rejoin.example".to_owned());
        assert!(config(&args, None).unwrap_err().contains("unencrypted"));
        let secrets = Secrets {
            password: None,
            token: Some("rejoin_def".to_owned()),
        };
        let found = ServerConfig::of(&ServerArgs::default(), Settings::default(), secrets);
        assert_eq!(found.unwrap().authorization.unwrap(), "Bearer rejoin_def");
    }
}
