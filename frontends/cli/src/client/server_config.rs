//! Which server is meant, and who asks: flags, environment and file, put together.
//!
//! Never: a password is taken from the command line, where everybody on the machine reads it, or
//! from a file that others can read, or sent in clear to another machine unless that is asked for.

use super::ClientError;
use super::limits::FILE_BYTES;
use crate::args::ServerArgs;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use ureq::http::Uri;

/// A server, and how to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its address, without a slash at the end.
    pub(crate) url: String,
    pub(crate) is_local: bool,
    pub(crate) is_https: bool,
    /// The header `Authorization`.
    pub(crate) authorization: Option<String>,
    pub(crate) cacert: Option<PathBuf>,
}

/// What the file says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Settings {
    server: Option<String>,
    login: Option<String>,
    password_file: Option<PathBuf>,
    cacert: Option<PathBuf>,
}

impl Target {
    /// What the arguments, the environment and the file say.
    pub(crate) fn find(args: &ServerArgs) -> Result<Self, ClientError> {
        let file = match &args.client_config {
            Some(file) => Some(file.clone()),
            None => usual_file().filter(|file| file.exists()),
        };
        let settings = file.as_deref().map(read_settings).transpose()?;
        // A variable that is empty is as good as none.
        let password = std::env::var("REJOIN_PASSWORD").ok();
        let password = password.filter(|password| !password.is_empty());
        Self::of(args, settings.unwrap_or_default(), password)
    }

    fn of(
        args: &ServerArgs,
        file: Settings,
        password: Option<String>,
    ) -> Result<Self, ClientError> {
        let url = args.server.clone().or(file.server);
        let url = url.unwrap_or_else(|| DEFAULT.to_owned());
        let url = url.trim_end_matches('/').to_owned();
        let (is_https, is_local) = place(&url)?;
        let login = args.login.clone().or(file.login);
        let password = match (&args.password_file, password, &file.password_file) {
            // What is closer to the command line goes first.
            (Some(file), _, _) | (None, None, Some(file)) => Some(read_password(file)?),
            (None, password, _) => password,
        };
        let authorization = match (login, password) {
            (Some(login), Some(_)) if login.contains(':') => {
                return Err(wrong(format!("the login {login:?} has a colon in it")));
            }
            (Some(login), Some(password)) => {
                let pair = STANDARD.encode(format!("{login}:{password}"));
                Some(format!("Basic {pair}"))
            }
            (Some(login), None) => {
                return Err(wrong(format!(
                    "there is no password for {login}: set REJOIN_PASSWORD or --password-file"
                )));
            }
            (None, _) => None,
        };
        if authorization.is_some() && !is_https && !is_local && !args.insecure {
            return Err(wrong(format!(
                "{url} is plain HTTP to another machine, and everybody on the way would read the \
                 password: use https, or say --insecure"
            )));
        }
        Ok(Self {
            url,
            is_local,
            is_https,
            authorization,
            cacert: args.cacert.clone().or(file.cacert),
        })
    }
}

/// Whether it is HTTPS, and whether it is this machine.
fn place(url: &str) -> Result<(bool, bool), ClientError> {
    let unusable = || {
        wrong(format!(
            "{url:?} is no address of a server: write for example {DEFAULT}"
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

fn usual_file() -> Option<PathBuf> {
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
        wrong(format!("the settings in {file} are wrong: {error}"))
    })
}

fn read_password(file: &Path) -> Result<String, ClientError> {
    let (text, mode) = read(file)?;
    let shown = file.display();
    if mode & OTHERS != 0 {
        return Err(wrong(format!(
            "others than you can read or write {shown}, which holds a password: chmod 600 {shown}"
        )));
    }
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(wrong(format!(
            "the first line of {shown} holds no password"
        ))),
    }
}

/// What is in a file, and who may do what with it.
fn read(file: &Path) -> Result<(String, u32), ClientError> {
    let shown = file.display();
    let unreadable = |error| wrong(format!("cannot read {shown}: {error}"));
    let opened = File::open(file).map_err(unreadable)?;
    let mode = opened.metadata().map_err(unreadable)?.permissions().mode();
    let mut text = String::new();
    let mut limited = opened.take(FILE_BYTES + 1);
    limited.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(wrong(format!("{shown} is longer than any such file")));
    }
    Ok((text, mode))
}

fn wrong(words: String) -> ClientError {
    ClientError::Settings(words)
}

const DEFAULT: &str = "http://127.0.0.1:8563";

/// What the group and everybody else may do.
const OTHERS: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};

    fn args(server: &str, login: Option<&str>) -> ServerArgs {
        ServerArgs {
            server: Some(server.to_owned()),
            login: login.map(str::to_owned),
            ..ServerArgs::default()
        }
    }

    fn target(args: &ServerArgs, password: Option<&str>) -> Result<Target, String> {
        let password = password.map(str::to_owned);
        Target::of(args, Settings::default(), password).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_word_it_is_the_server_on_this_machine() {
        let target = target(&ServerArgs::default(), None).unwrap();
        assert_eq!(target.url, DEFAULT);
        assert!(target.is_local && !target.is_https);
        assert_eq!(target.authorization, None);
    }

    #[test]
    fn a_password_goes_in_clear_to_this_machine_only() {
        let login = Some("anna");
        for near in ["http://localhost:1/", "http://127.0.0.9", "http://[::1]:2"] {
            let found = target(&args(near, login), Some("secret")).unwrap();
            assert_eq!(found.authorization.unwrap(), "Basic YW5uYTpzZWNyZXQ=");
        }
        let far = "http://rejoin.example:8563";
        let error = target(&args(far, login), Some("secret")).unwrap_err();
        assert!(error.contains("plain HTTP"), "{error}");
        assert!(target(&args(far, None), None).is_ok());
        assert!(target(&args("https://rejoin.example", login), Some("secret")).is_ok());
        let mut insecure = args(far, login);
        insecure.insecure = true;
        assert!(target(&insecure, Some("secret")).is_ok());
    }

    #[test]
    fn what_is_no_address_is_said() {
        for url in [
            "",
            "localhost:8563",
            "ftp://localhost",
            "http://",
            "http://u:p@host",
            "http://host/?q",
        ] {
            let error = target(&args(url, None), None).unwrap_err();
            assert!(error.contains("no address of a server"), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_that_others_can_read_is_not_taken() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("password");
        write(&file, "secret\nmore").unwrap();
        let mut args = args(DEFAULT, Some("anna"));
        args.password_file = Some(file.clone());
        set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let error = target(&args, None).unwrap_err();
        assert!(error.contains("chmod 600"), "{error}");
        set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        // The flag goes before the variable.
        let found = target(&args, Some("another")).unwrap();
        assert_eq!(found.authorization.unwrap(), "Basic YW5uYTpzZWNyZXQ=");
        write(&file, "").unwrap();
        assert!(target(&args, None).unwrap_err().contains("no password"));
        args.password_file = None;
        assert!(target(&args, None).unwrap_err().contains("REJOIN_PASSWORD"));
    }

    #[test]
    fn a_flag_goes_before_the_file() {
        let file: Settings = toml::from_str("server = 'https://far'\ncacert = 'ca.pem'").unwrap();
        let found = Target::of(&args("https://near/", None), file, None).unwrap();
        assert_eq!(found.url, "https://near");
        assert_eq!(found.cacert, Some("ca.pem".into()));
        assert!(toml::from_str::<Settings>("password = 'x'").is_err());
    }
}
