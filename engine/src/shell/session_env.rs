//! The working directory and the exported environment that carry over from job to job. A trap on the
//! shell's exit captures them; the capture becomes the session's file.
//!
//! Invariant: an incomplete file is never used.

use super::job_user::{CAPTURE_PATHS, JobUser};
use rejoin_core::{JobId, SessionId};
use rustix::process::{Resource, getrlimit};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The working directory and environment of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShellEnv {
    /// Empty: the directory in which sessions start.
    pub(super) directory: PathBuf,
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl ShellEnv {
    /// That of a new session: the server's environment, or that of the user as whom jobs run.
    fn start(user: Option<&JobUser>) -> Self {
        if let Some(user) = user {
            return Self {
                directory: PathBuf::new(),
                environment: user.environment(),
            };
        }
        Self {
            directory: PathBuf::new(),
            environment: std::env::vars_os()
                .filter(|(name, _)| carries_over(name))
                .collect(),
        }
    }

    /// Falls back to another directory if the session's can't be entered. Returns a message for people
    /// in that case.
    pub(super) fn check_dir(&mut self, start: &Path) -> Option<String> {
        if self.directory.as_os_str().is_empty() {
            self.directory = start.into();
        }
        let Err(error) = check_dir(&self.directory) else {
            return None;
        };
        let lost = std::mem::replace(&mut self.directory, start.into());
        if check_dir(start).is_err() {
            self.directory = "/".into();
        }
        let (lost, directory) = (lost.display(), self.directory.display());
        Some(format!(
            "rejoin: cannot go on in {lost}: {error}; this job starts in {directory}\n"
        ))
    }

    /// Leaves the environment out if no program could be started with it. Returns a message for people
    /// in that case.
    pub(super) fn check_size(&mut self, user: Option<&JobUser>) -> Option<String> {
        let reason = too_large(&self.environment)?;
        self.environment = Self::start(user).environment;
        Some(format!(
            "rejoin: the environment of this session is left out: {reason}\n"
        ))
    }

    /// Decodes what [`encode`](Self::encode) wrote. None if it is incomplete.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let lines = bytes.strip_suffix(b"\0\0")?;
        let mut lines = lines.split(|byte| *byte == 0);
        let directory = Path::new(OsStr::from_bytes(lines.next()?));
        Some(Self {
            directory: directory.is_absolute().then(|| directory.into())?,
            environment: lines.map(variable).collect::<Option<_>>()?,
        })
    }

    /// The directory and each variable, each followed by a NUL, and a last NUL that marks the end.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.directory.as_os_str().as_bytes().to_vec();
        bytes.push(0);
        for (name, value) in &self.environment {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b'=');
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }
}

/// What a job passes on to the next one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Carried {
    All,
    /// The directory alone, and why not the environment.
    Directory(String),
    /// There is no capture.
    Nothing,
}

/// The files of all sessions.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    /// As whom jobs run, if not as the server's own user.
    user: Option<JobUser>,
}

impl Store {
    /// Creates the directory, which other users can't read.
    pub(super) fn open(directory: &Path, user: Option<JobUser>) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        let directory = directory.canonicalize()?;
        Ok(Self { directory, user })
    }

    /// Where it is, without links and relative parts.
    #[cfg(target_os = "linux")]
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The environment of a session; that of a new session if there is no complete file.
    pub(super) fn load(&self, session: SessionId) -> ShellEnv {
        let bytes = match fs::read(self.file(session)) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%session, %error, "cannot read the session's directory and environment");
                }
                return ShellEnv::start(self.user.as_ref());
            }
        };
        ShellEnv::decode(&bytes).unwrap_or_else(|| {
            tracing::warn!(%session, "the file of the session's directory and environment is invalid");
            ShellEnv::start(self.user.as_ref())
        })
    }

    /// The files into which a job saves its directory and environment.
    ///
    /// # Errors
    ///
    /// When the files for another user can't be created.
    pub(super) fn capture(&self, session: SessionId, job: JobId) -> io::Result<Capture> {
        let capture = self.running_capture(session, job);
        if capture.is_of_user {
            // The directory is closed to the user, who gets the files open.
            for (path, content) in [(&capture.file, ""), (&capture.whole, PENDING)] {
                fs::write(path, content)?;
                fs::set_permissions(path, fs::Permissions::from_mode(0o622))?;
            }
        }
        Ok(capture)
    }

    /// The files of a job that runs already.
    pub(super) fn running_capture(&self, session: SessionId, job: JobId) -> Capture {
        Capture {
            file: self.directory.join(format!("{session}.{job}")),
            whole: self.directory.join(format!("{session}.{job}.whole")),
            is_of_user: self.user.is_some(),
        }
    }

    /// Writes the directory and the environment of a job for its launcher, which removes the file.
    pub(super) fn write_start(
        &self,
        session: SessionId,
        job: JobId,
        env: &ShellEnv,
    ) -> io::Result<StartFile> {
        let path = self.directory.join(format!("{session}.{job}.start"));
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?
            .write_all(&env.encode())?;
        Ok(StartFile(path))
    }

    /// Makes a capture the session's environment. If there is no capture, the session keeps the one
    /// that it has: the statement replaced the shell or its trap, or a signal ended the shell. If no
    /// program could be started with the environment, only the directory is taken over.
    ///
    /// # Errors
    ///
    /// When the capture is incomplete, or cannot be saved.
    pub(super) fn commit(
        &self,
        session: SessionId,
        capture: &Capture,
        before: &ShellEnv,
    ) -> io::Result<Carried> {
        let Some(mut env) = capture.read()? else {
            return Ok(Carried::Nothing);
        };
        let mut carried = Carried::All;
        if let Some(reason) = too_large(&env.environment) {
            env.environment.clone_from(&before.environment);
            carried = Carried::Directory(reason);
        }
        // A statement may have set PWD to anything.
        if !env.directory.is_absolute() {
            env.directory.clone_from(&before.directory);
        }
        let new = self.directory.join(format!("{session}.new"));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&env.encode())?;
        fs::rename(&new, self.file(session))?;
        Ok(carried)
    }

    pub(super) fn user(&self) -> Option<&JobUser> {
        self.user.as_ref()
    }

    /// Removes the file of a session.
    pub(super) fn remove(&self, session: SessionId) {
        remove(&self.file(session));
    }

    /// Removes every file that is not a session's: captures of jobs that did not end, but not of
    /// those that go on.
    pub(super) fn remove_unfinished(&self, goes_on: impl Fn(JobId) -> bool) {
        self.remove_where(|name| {
            let Some((session, rest)) = name.split_once('.') else {
                return false;
            };
            let job = rest.split('.').next().and_then(|job| job.parse().ok());
            session.parse::<SessionId>().is_ok() && !job.is_some_and(|job| goes_on(JobId(job)))
        });
    }

    /// Removes the files of all sessions but those to keep.
    pub(super) fn retain(&self, keep: impl Fn(SessionId) -> bool) {
        self.remove_where(|name| name.parse().is_ok_and(|session| !keep(session)));
    }

    fn remove_where(&self, goes: impl Fn(&str) -> bool) {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_str().is_some_and(&goes) {
                remove(&entry.path());
            }
        }
    }

    fn file(&self, session: SessionId) -> PathBuf {
        self.directory.join(session.to_string())
    }
}

/// The directory and environment for a launcher. Dropping it removes the file, if it is still there.
#[derive(Debug)]
pub(super) struct StartFile(PathBuf);

impl StartFile {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for StartFile {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// The files that a job writes when its shell exits. Dropping it removes them.
#[derive(Debug)]
pub(super) struct Capture {
    file: PathBuf,
    /// Created once `file` is complete; emptied, if it is of another user.
    whole: PathBuf,
    /// Whether both exist from the start, and the shell has them open.
    is_of_user: bool,
}

impl Capture {
    /// A script that runs a statement and saves its directory and environment.
    ///
    /// The traps are in the first line of the statement, so that its line numbers stay correct. They
    /// use nothing that the statement could have redefined and no variable that may be unset, and
    /// are silent under `set -x`. The second trap makes an interrupted shell exit, which runs the
    /// first one: after `cd logs; tail -f x` is interrupted, the session is in `logs`, as in a
    /// terminal.
    pub(super) fn script(&self, env: &Path, statement: &str) -> OsString {
        let (file, whole) = match self.is_of_user {
            true => (Path::new(CAPTURE_PATHS.0), Path::new(CAPTURE_PATHS.1)),
            false => (&*self.file, &*self.whole),
        };
        let mut record = b"{ set +x; ".to_vec();
        record.extend(quoted(env.as_os_str().as_bytes()));
        record.extend(b" -0 ");
        record.extend(DIRECTORY.as_bytes());
        record.extend(b"=\"${PWD-}\" >");
        record.extend(quoted(file.as_os_str().as_bytes()));
        record.extend(b" && >");
        record.extend(quoted(whole.as_os_str().as_bytes()));
        record.extend(b"; } 2>/dev/null");

        let mut script = b"trap ".to_vec();
        script.extend(quoted(&record));
        script.extend(b" EXIT; trap 'exit 130' INT; ");
        script.extend(statement.as_bytes());
        OsString::from_vec(script)
    }

    /// Leaves the files, which the job may have written already.
    #[cfg(target_os = "linux")]
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }

    /// The paths of both files.
    pub(super) fn files(&self) -> [&Path; 2] {
        [&self.file, &self.whole]
    }

    fn read(&self) -> io::Result<Option<ShellEnv>> {
        let bytes = match fs::File::open(&self.file) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(CAPTURE_BYTES).read_to_end(&mut bytes)?;
                bytes
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_whole = match self.is_of_user {
            true => fs::metadata(&self.whole)?.len() == 0,
            false => self.whole.exists(),
        };
        if self.is_of_user && !is_whole && bytes.is_empty() {
            return Ok(None);
        }
        if !is_whole {
            return Err(io::Error::other(
                "they could not be written down; the environment may be larger than a program can \
                 be started with",
            ));
        }
        let mut env = ShellEnv {
            directory: PathBuf::new(),
            environment: Vec::new(),
        };
        let lines = bytes.split(|byte| *byte == 0);
        for (name, value) in lines.filter_map(variable) {
            if name == DIRECTORY {
                env.directory = value.into();
            } else if carries_over(&name) {
                env.environment.push((name, value));
            }
        }
        Ok(Some(env))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        remove(&self.file);
        remove(&self.whole);
    }
}

/// Checks that a directory can be entered, which needs more than that it exists.
pub(super) fn check_dir(directory: &Path) -> io::Result<()> {
    fs::metadata(directory.join(".")).map(drop)
}

/// Whether a variable carries over. Those that identify a process, and those that a shell manages
/// itself, do not.
fn carries_over(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let of_the_server = name.starts_with(b"REJOIN_") || name == b"NOTIFY_SOCKET";
    !of_the_server && !matches!(name, b"_" | b"SHLVL" | b"PWD")
}

/// Why no program could be started with this environment, if that is so: the system limits each
/// variable, and all of them together with the arguments (execve(2)).
fn too_large(environment: &[(OsString, OsString)]) -> Option<String> {
    let mut all = 0;
    for (name, value) in environment {
        // With `=` and NUL.
        let bytes = name.len() + value.len() + 2;
        if bytes > VARIABLE_BYTES {
            let name = name.display();
            return Some(format!(
                "{name} has {bytes} bytes, and a variable may have {VARIABLE_BYTES}"
            ));
        }
        all += bytes + size_of::<usize>();
    }
    let most = environment_bytes();
    (all > most).then(|| format!("it has {all} bytes, and {most} are allowed"))
}

/// Bytes that the environment of a session may have, so that a program with the longest statement can
/// be started: a quarter of the stack, within the kernel's own bounds.
fn environment_bytes() -> usize {
    let stack = getrlimit(Resource::Stack).current;
    let stack = stack.and_then(|bytes| usize::try_from(bytes).ok());
    let all = stack.unwrap_or(usize::MAX) / 4;
    let all = all.clamp(ARGUMENT_BYTES.0, ARGUMENT_BYTES.1);
    all.saturating_sub(RESERVED_BYTES).max(all / 2)
}

/// Whether a statement has a word that changes the shell's directory or environment. Only then is it
/// worth a message that nothing carries over.
pub(super) fn may_change(statement: &str) -> bool {
    let words = statement.split(|c: char| !(c.is_alphanumeric() || "_.=-/".contains(c)));
    let mut words = words.filter(|word| !word.is_empty());
    words.any(|word| CHANGES.contains(&word))
}

/// The content of the second file of another user's capture, until the first is complete.
const PENDING: &str = "pending";

/// Bytes of a capture that are read: more than any environment has.
const CAPTURE_BYTES: u64 = 16 * 1024 * 1024;

/// Commands that change the directory or the environment of a shell.
const CHANGES: [&str; 11] = [
    ".", "cd", "chdir", "declare", "export", "popd", "pushd", "set", "source", "typeset", "unset",
];

/// Bytes of a variable, or of an argument, on Linux: `MAX_ARG_STRLEN`.
const VARIABLE_BYTES: usize = 128 * 1024;

/// The least and the most bytes of all arguments and variables on Linux: `ARG_MAX`, and three quarters
/// of the default stack.
const ARGUMENT_BYTES: (usize, usize) = (128 * 1024, 6 * 1024 * 1024);

/// Bytes for the statement, the variables of the mark, and the shell's own.
const RESERVED_BYTES: usize = 256 * 1024;

/// Splits `NAME=value`.
fn variable(line: &[u8]) -> Option<(OsString, OsString)> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let (name, value) = (line.get(..equals)?, line.get(equals + 1..)?);
    let is_named = !name.is_empty();
    is_named.then(|| {
        (
            OsStr::from_bytes(name).into(),
            OsStr::from_bytes(value).into(),
        )
    })
}

/// Quotes bytes as one word of a shell script.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut quoted = b"'".to_vec();
    for &byte in word {
        match byte {
            b'\'' => quoted.extend(br"'\''"),
            _ => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

fn remove(file: &Path) {
    if let Err(error) = fs::remove_file(file)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(file = %file.display(), %error, "cannot remove a file");
    }
}

/// The variable of a capture that has the working directory.
const DIRECTORY: &str = "REJOIN_DIRECTORY";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incomplete_file_is_ignored() {
        let env = ShellEnv {
            directory: "/a b".into(),
            environment: vec![("A".into(), "".into()), ("B".into(), "x\ny='\"=".into())],
        };
        let bytes = env.encode();
        assert_eq!(ShellEnv::decode(&bytes), Some(env));
        for end in 0..bytes.len() {
            assert_eq!(ShellEnv::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(ShellEnv::decode(b"relative\0A=b\0\0"), None);
        assert_eq!(ShellEnv::decode(b"/\0nothing\0\0"), None);
    }

    #[test]
    fn a_quoted_word_stays_one_word() {
        assert_eq!(quoted(b"it's $HOME"), br"'it'\''s $HOME'");
    }
}
