//! Jobs that run as another user than the server.
//!
//! A program with the server's rights would run the environment of a job, if it were started with it:
//! `LD_PRELOAD` alone is enough. So the server starts the launcher, which is the server's own program
//! in another mode, with an empty environment. The launcher opens the files of the capture, which the
//! user can't reach by their paths, becomes the user, and then the shell, with the environment that it
//! reads from a file.

use super::session_env::{Capture, ShellEnv};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user as whom the jobs of a [`ShellRunner`](super::ShellRunner) run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobUser {
    name: String,
    uid: u32,
    gid: u32,
    /// The supplementary groups.
    groups: Vec<u32>,
    home: PathBuf,
    shell: PathBuf,
    launcher: Vec<OsString>,
}

impl JobUser {
    /// Looks up a user and its groups with the programs `getent` and `id`. `launcher` is a program and
    /// its first arguments; it passes all further ones to [`start_as_job_user`].
    ///
    /// # Errors
    ///
    /// When there is no such user, it is root, the server does not run as root or has not its right to
    /// become another user, or the system is not Linux.
    pub fn look_up(name: &str, launcher: Vec<OsString>) -> io::Result<Self> {
        if !cfg!(target_os = "linux") {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if !rustix::process::geteuid().is_root() {
            return Err(io::Error::other("the server does not run as root"));
        }
        let missing = missing_rights(&BECOME_USER);
        if !missing.is_empty() {
            let missing = missing.join(" and ");
            let error = format!("the server needs the capabilities {missing}");
            return Err(io::Error::other(error));
        }
        let unknown = || io::Error::other("there is no such user");
        // `name:password:uid:gid:comment:home:shell`
        let entry = output(Command::new("getent").args(["passwd", "--", name]))?;
        let fields: Vec<_> = entry.trim_end().split(':').collect();
        let &[name, _, uid, gid, _, home, shell] = &fields[..] else {
            return Err(unknown());
        };
        let groups = output(Command::new("id").args(["-G", "--", name]))?;
        let groups = groups
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>();
        let user = Self {
            name: name.into(),
            uid: uid.parse().map_err(|_| unknown())?,
            gid: gid.parse().map_err(|_| unknown())?,
            groups: groups.map_err(|_| unknown())?,
            home: home.into(),
            shell: if shell.is_empty() { "/bin/sh" } else { shell }.into(),
            launcher,
        };
        match user.uid {
            0 => Err(io::Error::other(
                "it is root, who can do all that the server can",
            )),
            _ => Ok(user),
        }
    }

    /// Warns of what the server can't do to the user's processes, and says how it could.
    pub(super) fn warn_of_missing_rights(&self) {
        let missing = missing_rights(&RULE_PROCESSES);
        if !missing.is_empty() {
            tracing::warn!(
                user = %self.name,
                missing = %missing.join(" and "),
                "cannot end all processes of commands: those that leave their command's process group \
                 may run on after it, after their session and after a crash; give the server these \
                 capabilities, in a container with --cap-add"
            );
        }
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// What a login sets, and of the server's environment only where programs are, the language and the
    /// time zone: the rest may hold secrets.
    pub(super) fn environment(&self) -> Vec<(OsString, OsString)> {
        let kept = std::env::vars_os().filter(|(name, _)| {
            let name = name.as_bytes();
            matches!(name, b"PATH" | b"LANG" | b"TZ") || name.starts_with(b"LC_")
        });
        let of_the_user = [
            ("HOME", self.home.as_os_str()),
            ("USER", OsStr::new(&self.name)),
            ("LOGNAME", OsStr::new(&self.name)),
            ("SHELL", self.shell.as_os_str()),
        ];
        let of_the_user = of_the_user.map(|(name, value)| (name.into(), value.into()));
        kept.chain(of_the_user).collect()
    }

    /// The command that becomes `program` with the arguments. `start` is a file with its directory and
    /// environment.
    pub(super) fn command(
        &self,
        start: &Path,
        capture: Option<&Capture>,
        program: &Path,
        arguments: &[OsString],
    ) -> Command {
        let groups: Vec<_> = self.groups.iter().map(u32::to_string).collect();
        let [file, whole] = capture.map_or_else(|| [Path::new(""); 2], Capture::files);
        let mut command = Command::new(&self.launcher[0]);
        command
            .args(&self.launcher[1..])
            .args([self.uid.to_string(), self.gid.to_string(), groups.join(",")])
            .args([start, file, whole, program])
            .args(arguments)
            .env_clear()
            .current_dir("/");
        command
    }
}

#[cfg(target_os = "linux")]
type Right = (&'static str, rustix::thread::CapabilitySet);

#[cfg(target_os = "linux")]
const BECOME_USER: [Right; 2] = {
    use rustix::thread::CapabilitySet as Set;
    [("CAP_SETUID", Set::SETUID), ("CAP_SETGID", Set::SETGID)]
};

/// To end the processes of another user, and to see in their environment to which command they belong.
#[cfg(target_os = "linux")]
const RULE_PROCESSES: [Right; 2] = {
    use rustix::thread::CapabilitySet as Set;
    [("CAP_KILL", Set::KILL), ("CAP_SYS_PTRACE", Set::SYS_PTRACE)]
};

/// The names of those of the rights that this process does not have. None if that can't be known.
#[cfg(target_os = "linux")]
fn missing_rights(rights: &[Right]) -> Vec<&'static str> {
    let Ok(sets) = rustix::thread::capabilities(None) else {
        return Vec::new();
    };
    let missing = rights
        .iter()
        .filter(|(_, right)| !sets.effective.contains(*right));
    missing.map(|(name, _)| *name).collect()
}

/// Jobs run as another user on Linux only.
#[cfg(not(target_os = "linux"))]
fn missing_rights(_: &[(); 0]) -> Vec<&'static str> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
const BECOME_USER: [(); 0] = [];
#[cfg(not(target_os = "linux"))]
const RULE_PROCESSES: [(); 0] = [];

fn output(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    String::from_utf8(output.stdout).map_err(io::Error::other)
}

/// Becomes the user of a job, and then its shell. The arguments are those that the launcher of a
/// [`JobUser`] was called with. Call it before anything else: it changes the calling thread.
///
/// Returns only when that fails.
#[cfg(target_os = "linux")]
pub fn start_as_job_user(arguments: impl Iterator<Item = OsString>) -> io::Error {
    match launch(&arguments.collect::<Vec<_>>()) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// Jobs run as another user on Linux only.
#[cfg(not(target_os = "linux"))]
pub fn start_as_job_user(_: impl Iterator<Item = OsString>) -> io::Error {
    io::ErrorKind::Unsupported.into()
}

#[cfg(target_os = "linux")]
fn launch(arguments: &[OsString]) -> io::Result<std::convert::Infallible> {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    use std::os::unix::process::CommandExt;

    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let [
        uid,
        gid,
        groups,
        start,
        file,
        whole,
        program,
        arg0,
        arguments @ ..,
    ] = arguments
    else {
        return Err(invalid());
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| invalid());
    let text = |argument: &OsString| argument.to_str().map(str::to_owned).ok_or_else(invalid);
    let (uid, gid, groups) = (text(uid)?, text(gid)?, text(groups)?);
    let (uid, gid) = (Uid::from_raw(number(&uid)?), Gid::from_raw(number(&gid)?));
    let groups = groups.split(',').filter(|group| !group.is_empty());
    let groups = groups.map(|group| number(group).map(Gid::from_raw));
    let groups = groups.collect::<io::Result<Vec<_>>>()?;

    let bytes = std::fs::read(start)?;
    std::fs::remove_file(start)?;
    let env = ShellEnv::decode(&bytes).ok_or_else(invalid)?;
    for (path, number) in [(file, CAPTURE.0), (whole, CAPTURE.1)] {
        if !path.is_empty() {
            keep_open(path.as_ref(), number)?;
        }
    }
    own_terminal(uid);
    // This process has one thread.
    set_thread_groups(&groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    if let Err(error) = std::env::set_current_dir(&env.directory) {
        let directory = env.directory.display();
        let _ = io::Write::write_all(
            &mut io::stderr(),
            format!("rejoin: cannot go on in {directory}: {error}; this job starts in /\n")
                .as_bytes(),
        );
    }
    let error = Command::new(program)
        .arg0(arg0)
        .args(arguments)
        .env_clear()
        .envs(env.environment)
        .exec();
    Err(error)
}

/// Makes the user the owner of its terminal, as a login does: programs such as tmux, screen and `mesg`
/// open it by its path. It works without where the server may not do that.
#[cfg(target_os = "linux")]
fn own_terminal(uid: rustix::process::Uid) {
    use rustix::fs::{Mode, fchmod, fchown};

    let terminal = io::stdin();
    if rustix::termios::isatty(&terminal) && fchown(&terminal, Some(uid), None).is_ok() {
        // Its group, `tty` on most systems, may write to it.
        let _ = fchmod(&terminal, Mode::from_raw_mode(0o620));
    }
}

/// Opens a file for the shell, under this number.
#[cfg(target_os = "linux")]
fn keep_open(path: &Path, number: i32) -> io::Result<()> {
    use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
    use std::os::fd::{AsRawFd, IntoRawFd};

    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    let file = fcntl_dupfd_cloexec(file, number)?;
    if file.as_raw_fd() != number {
        return Err(io::Error::other(
            "a file descriptor of the capture is taken",
        ));
    }
    fcntl_setfd(&file, FdFlags::empty())?;
    // It stays open for the shell.
    let _ = file.into_raw_fd();
    Ok(())
}

/// The path of the capture's file and of its end, for the shell: numbers that hardly a script uses.
pub(super) const CAPTURE_PATHS: (&str, &str) = ("/proc/self/fd/200", "/proc/self/fd/201");
const CAPTURE: (i32, i32) = (200, 201);
