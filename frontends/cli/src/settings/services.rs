//! `[services.NAME]` in a settings file: what runs the commands of sessions. Without such a table
//! there is one service, `shell`.

use super::Wait;
use rejoin_accounts::{Role, ServiceAccess, ServiceRule};
use rejoin_engine::{OpenShellError, Runner, Services, ShellRunner};
use rejoin_runner_arthas::{ArthasCredentials, ArthasOptions, ArthasRunner, OptionsError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tables, by name.
pub(super) type ServiceTables = BTreeMap<String, ServiceTable>;

/// The options of a service.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum ServiceTable {
    /// Runs commands with `sh`.
    Shell(ShellTable),
    /// Runs commands in an Arthas.
    Arthas(ArthasTable),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShellTable {
    shell: Option<PathBuf>,
    accounts: Option<Vec<String>>,
    role: Option<Role>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ArthasTable {
    url: String,
    user: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    /// Only to refuse it with a reason.
    password: Option<String>,
    queue: Option<usize>,
    #[serde(default)]
    allow_stop: bool,
    timeout: Option<Wait>,
    jobs: Option<usize>,
    accounts: Option<Vec<String>>,
    role: Option<Role>,
}

/// Why a service can't be used.
#[derive(Debug, thiserror::Error)]
#[error("[services.{name}]: {problem}")]
pub(crate) struct ServiceError {
    name: String,
    #[source]
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("a name has 1 to 64 characters of a-z, 0-9 and -")]
    Name,
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Shell(#[from] OpenShellError),
    #[error(
        "this file must not contain a password: write it to another file that only the server can \
         read, and set `password-file`; or set `password-env` to the name of an environment variable"
    )]
    Password,
    #[error("set `password-file` or `password-env` with `user`, and only one of them")]
    Credentials,
    #[error("cannot read the password in {}: {}", .0.display(), .1)]
    PasswordFile(PathBuf, #[source] io::Error),
    #[error("the password file {} can be read by others: `chmod 600` it", .0.display())]
    ReadableByOthers(PathBuf),
    #[error("the environment variable {0} is not set")]
    PasswordVariable(String),
    #[error("`jobs` must be at least 1")]
    NoJobs,
}

/// The runners of all services, by name; the shell runner is the server's.
pub(super) fn runners(
    tables: &ServiceTables,
    shell: &ShellRunner,
) -> Result<Services, ServiceError> {
    let mut runners = Services::new();
    for (name, table) in tables {
        let failed = |problem| ServiceError {
            name: name.clone(),
            problem,
        };
        if !is_name(name) {
            return Err(failed(Problem::Name));
        }
        let runner: Arc<dyn Runner> = match table {
            ServiceTable::Shell(ShellTable {
                shell: Some(login), ..
            }) => {
                let shell = shell.clone().with_login_shell(login);
                Arc::new(shell.map_err(|error| failed(error.into()))?)
            }
            ServiceTable::Shell(_) => Arc::new(shell.clone()),
            ServiceTable::Arthas(table) => {
                Arc::new(ArthasRunner::new(arthas_options(table).map_err(failed)?))
            }
        };
        runners.insert(name.as_str().into(), runner);
    }
    if runners.is_empty() {
        runners.insert("shell".into(), Arc::new(shell.clone()));
    }
    Ok(runners)
}

/// The services that only some accounts may run commands on.
pub(super) fn access(tables: &ServiceTables) -> ServiceAccess {
    let mut access = ServiceAccess::default();
    for (name, table) in tables {
        let rule = table.rule();
        if rule != ServiceRule::default() {
            access.limit(name, rule);
        }
    }
    access
}

impl ServiceTable {
    /// Who may run commands on it: all whose role lets them, unless the table says less.
    fn rule(&self) -> ServiceRule {
        match self {
            Self::Shell(ShellTable { accounts, role, .. })
            | Self::Arthas(ArthasTable { accounts, role, .. }) => ServiceRule {
                accounts: accounts.clone(),
                role: *role,
            },
        }
    }
}

/// Names are parts of paths, of lists and of messages.
pub(super) fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

fn arthas_options(table: &ArthasTable) -> Result<ArthasOptions, Problem> {
    let mut options = ArthasOptions::new(table.url.clone())?;
    options.credentials = credentials(table)?;
    options.allow_stop = table.allow_stop;
    options.queue = table.queue.unwrap_or(options.queue);
    options.timeout = table.timeout.map_or(options.timeout, |Wait(wait)| wait);
    options.jobs = table.jobs.unwrap_or(options.jobs);
    match options.jobs {
        0 => Err(Problem::NoJobs),
        _ => Ok(options),
    }
}

fn credentials(table: &ArthasTable) -> Result<Option<ArthasCredentials>, Problem> {
    if table.password.is_some() {
        return Err(Problem::Password);
    }
    let password = match (&table.user, &table.password_file, &table.password_env) {
        (None, None, None) => return Ok(None),
        (Some(_), Some(file), None) => password_in(file)?,
        (Some(_), None, Some(variable)) => {
            std::env::var(variable).map_err(|_| Problem::PasswordVariable(variable.clone()))?
        }
        _ => return Err(Problem::Credentials),
    };
    Ok(Some(ArthasCredentials {
        user: table.user.clone().unwrap_or_default(),
        password,
    }))
}

/// The first line of a file that only its owner can read.
fn password_in(file: &Path) -> Result<String, Problem> {
    use std::os::unix::fs::PermissionsExt;
    let unreadable = |error| Problem::PasswordFile(file.into(), error);
    let mode = std::fs::metadata(file)
        .map_err(unreadable)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(Problem::ReadableByOthers(file.into()));
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn names(text: &str) -> Result<Vec<String>, String> {
        let settings: Settings = toml::from_str(text).map_err(|error| error.to_string())?;
        let runners = runners(&settings.services, &ShellRunner::default());
        let runners = runners.map_err(|error| error.to_string())?;
        Ok(runners.keys().map(ToString::to_string).collect())
    }

    #[test]
    fn without_a_table_there_is_the_shell() {
        assert_eq!(names(""), Ok(vec!["shell".to_owned()]));
    }

    #[test]
    fn the_tables_name_all_services_and_several_may_be_of_a_kind() {
        let two = "[services.orders]\nkind = 'arthas'\nurl = 'http://127.0.0.1:8563'\n\
                   [services.stock]\nkind = 'arthas'\nurl = 'http://127.0.0.1:8564'\nqueue = 0\n";
        assert_eq!(
            names(two),
            Ok(vec!["orders".to_owned(), "stock".to_owned()])
        );
        let with_shell = format!("{two}[services.shell]\nkind = 'shell'\n");
        assert_eq!(names(&with_shell).unwrap().len(), 3);
        let own_shell = "[services.a]\nkind = 'shell'\nshell = 'sh'\n";
        assert_eq!(names(own_shell), Ok(vec!["a".to_owned()]));
        let wrong = names("[services.a]\nkind = 'shell'\nshell = '/no/such'\n").unwrap_err();
        assert!(wrong.contains("no shell called /no/such"), "{wrong}");
    }

    #[test]
    fn what_can_not_be_used_is_named() {
        let arthas = "[services.a]\nkind = 'arthas'\nurl = 'http://h'\n";
        let own = |line: &str| format!("{arthas}{line}\n");
        for (text, part) in [
            (
                "[services.a]\nkind = 'sql'\n".to_owned(),
                "unknown variant `sql`",
            ),
            (
                "[services.a]\nurl = 'http://h'\n".to_owned(),
                "missing field `kind`",
            ),
            (own("colour = 'red'"), "unknown field `colour`"),
            (
                "[services.A_B]\nkind = 'shell'\n".to_owned(),
                "[services.A_B]: a name has",
            ),
            (arthas.replace("http:", "https:"), "must begin with http://"),
            (
                arthas.replace("http://h", "http://u:p@h"),
                "must not have a user",
            ),
            (own("password = 'geheim'"), "password-file"),
            (own("user = 'u'"), "set `password-file` or `password-env`"),
            (
                own("user = 'u'\npassword-env = 'REJOIN_NO_SUCH_VARIABLE'"),
                "REJOIN_NO_SUCH_VARIABLE is not set",
            ),
            (
                own("user = 'u'\npassword-file = '/nowhere'"),
                "cannot read the password in /nowhere",
            ),
            (own("jobs = 0"), "`jobs` must be at least 1"),
        ] {
            let error = names(&text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
            assert!(
                !error.contains("geheim") || part != "password-file",
                "{error}"
            );
        }
    }

    #[test]
    fn a_password_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\nmore").unwrap();
        let allow = |mode| {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        allow(0o644);
        let error = password_in(file.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        allow(0o600);
        assert_eq!(password_in(file.path()).unwrap(), "secret");
    }
}
