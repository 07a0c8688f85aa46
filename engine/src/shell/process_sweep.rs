//! Finds and kills processes by a mark in their environment, or by their process group.
//!
//! Invariant: no process without the complete mark is killed, unless it is in the process group; nor
//! is the calling process.

use crate::Runtime;
use rejoin_core::{JobId, SessionId};
use rustix::process::Pid;
use std::path::PathBuf;
use std::sync::Arc;

/// The variables that mark all processes of a runner, or those of one session or one job.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    server: Arc<str>,
    session: Option<SessionId>,
    job: Option<JobId>,
}

impl Mark {
    pub(super) const fn server(mark: Arc<str>) -> Self {
        Self {
            server: mark,
            session: None,
            job: None,
        }
    }

    pub(super) fn of_session(self, session: SessionId) -> Self {
        let session = Some(session);
        Self { session, ..self }
    }

    pub(super) fn of_job(self, job: JobId) -> Self {
        let job = Some(job);
        Self { job, ..self }
    }

    /// The variables of the mark, as in an environment.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        let session = self.session.map(|id| ("REJOIN_SESSION", id.to_string()));
        let job = self.job.map(|id| ("REJOIN_JOB", id.to_string()));
        let server = ("REJOIN_MARK", self.server.to_string());
        std::iter::once(server).chain(session).chain(job)
    }
}

/// Kills all processes with the mark, and waits until they are gone. Returns how many it found:
/// always none on systems without `/proc`.
#[cfg(not(target_os = "linux"))]
pub(super) async fn end_all(_mark: &Mark, _runtime: &Arc<dyn Runtime>) -> usize {
    0
}

/// Which processes a group has is not known here: it was killed before its leader was reaped.
#[cfg(not(target_os = "linux"))]
pub(super) async fn end_group(_group: Pid, _runtime: &Arc<dyn Runtime>) -> Vec<String> {
    Vec::new()
}

/// Which processes have a pipe open is not known here.
#[cfg(not(target_os = "linux"))]
pub(super) async fn holders(_pipes: Vec<PathBuf>, _runtime: &Arc<dyn Runtime>) -> Vec<String> {
    Vec::new()
}

/// Whether a process of this session and this job is left alone.
pub(super) type Spares = Arc<dyn Fn(SessionId, JobId) -> bool + Send + Sync>;

/// Kills all processes with the mark, and waits until they are gone. Returns how many it found.
#[cfg(target_os = "linux")]
pub(super) async fn end_all(mark: &Mark, runtime: &Arc<dyn Runtime>) -> usize {
    end_others(mark, runtime, Arc::new(|_, _| false)).await
}

/// As [`end_all`], but leaves some processes alone.
#[cfg(target_os = "linux")]
pub(super) async fn end_others(mark: &Mark, runtime: &Arc<dyn Runtime>, spares: Spares) -> usize {
    let lines = mark
        .variables()
        .map(|(name, value)| format!("{name}={value}").into_bytes());
    let target = linux::Target::Marked(lines.collect(), spares);
    let timers = runtime.clone();
    let search = async move { linux::end_all(&target, &*timers).await };
    on_thread(runtime, search).await.len()
}

/// Kills all processes of a group whose leader was reaped, and waits until they are gone. Returns the
/// names of their programs.
#[cfg(target_os = "linux")]
pub(super) async fn end_group(group: Pid, runtime: &Arc<dyn Runtime>) -> Vec<String> {
    let target = linux::Target::Group(group);
    let timers = runtime.clone();
    let search = async move { linux::end_all(&target, &*timers).await };
    on_thread(runtime, search).await
}

/// The names of the programs that have one of these pipes open, without this process.
#[cfg(target_os = "linux")]
pub(super) async fn holders(pipes: Vec<PathBuf>, runtime: &Arc<dyn Runtime>) -> Vec<String> {
    holders_besides(std::process::id(), pipes, runtime).await
}

/// The names of the programs that have one of these pipes open, without the process that reads them.
#[cfg(target_os = "linux")]
pub(super) async fn holders_besides(
    reader: u32,
    pipes: Vec<PathBuf>,
    runtime: &Arc<dyn Runtime>,
) -> Vec<String> {
    on_thread(runtime, async move { linux::holders(reader, &pipes) }).await
}

/// Runs a search on its own thread, because reading /proc blocks. It is completed even if the caller
/// is dropped.
#[cfg(target_os = "linux")]
async fn on_thread(
    runtime: &Arc<dyn Runtime>,
    search: impl Future<Output = Vec<String>> + Send + 'static,
) -> Vec<String> {
    let (sender, found) = async_channel::bounded(1);
    let search = async move {
        sender.send(search.await).await.ok();
    };
    runtime.spawn_dedicated("rejoin-search", Box::pin(search));
    found.recv().await.unwrap_or_default()
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Spares;
    use crate::Runtime;
    use async_io::Async;
    use futures::future::{join_all, select};
    use rejoin_core::JobId;
    use rustix::io::Errno;
    use rustix::process::{
        Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal,
    };
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    /// What to look for.
    pub(super) enum Target {
        /// All of these variables in the environment, and not those of a job that is spared.
        Marked(Vec<Vec<u8>>, Spares),
        /// This process group.
        Group(Pid),
    }

    /// Searches until a search finds nothing: a found process may just have started another. Returns
    /// the names of the programs.
    pub(super) async fn end_all(target: &Target, runtime: &dyn Runtime) -> Vec<String> {
        let mut ended = BTreeMap::new();
        let mut looks = 0;
        for _ in 0..SEARCHES {
            let Search { found, blank } = search(target);
            if found.is_empty() {
                // A process has no environment at the moment in which it becomes another program.
                // Some programs never have one, so only a few more searches are made.
                looks += 1;
                if !blank || looks > LOOKS {
                    return ended.into_values().collect();
                }
                runtime.timer(LOOK_AGAIN).await;
                continue;
            }
            let gone = found.into_iter().map(|found| {
                ended.entry(found.number).or_insert(found.name);
                gone(found.opened)
            });
            let gone = join_all(gone);
            select(gone, runtime.timer(PATIENCE)).await;
        }
        tracing::warn!(
            found = ended.len(),
            "some processes did not end after SIGKILL"
        );
        ended.into_values().collect()
    }

    /// The names of the programs that have one of these pipes open, without this process.
    pub(super) fn holders(reader: u32, pipes: &[PathBuf]) -> Vec<String> {
        let holds = |number: &i32| {
            let open = fs::read_dir(format!("/proc/{number}/fd"));
            let open = open.into_iter().flatten().flatten();
            open.map(|open| fs::read_link(open.path()))
                .any(|open| open.is_ok_and(|open| pipes.contains(&open)))
        };
        let all = numbers().filter(|(number, _)| u32::try_from(*number) != Ok(reader));
        all.map(|(number, _)| number)
            .filter(holds)
            .map(name)
            .collect()
    }

    struct Search {
        /// Processes that were sent SIGKILL.
        found: Vec<Found>,
        /// Whether a program without any environment was found.
        blank: bool,
    }

    struct Found {
        number: i32,
        name: String,
        /// None if the system has no pidfd.
        opened: Option<OwnedFd>,
    }

    fn search(target: &Target) -> Search {
        let mut search = Search {
            found: Vec::new(),
            blank: false,
        };
        if let Target::Group(group) = target
            && Path::new(&format!("/proc/{}", group.as_raw_nonzero())).exists()
        {
            // The leader was reaped: this is another process, and perhaps a group of its own.
            return search;
        }
        for (number, process) in numbers() {
            if process == getpid() {
                continue;
            }
            match target.is_met_by(number) {
                Carries::All => {
                    let name = name(number);
                    if let Ok(opened) = end(number, process, target) {
                        search.found.push(Found {
                            number,
                            name,
                            opened,
                        });
                    }
                }
                Carries::Nothing => search.blank = true,
                Carries::Others => {}
            }
        }
        search
    }

    /// All processes.
    fn numbers() -> impl Iterator<Item = (i32, Pid)> {
        let listed = fs::read_dir("/proc")
            .inspect_err(|error| tracing::warn!(%error, "cannot list processes"));
        listed.into_iter().flatten().flatten().filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, Pid::from_raw(number)?))
        })
    }

    /// The name of a program, at most 15 bytes.
    fn name(number: i32) -> String {
        let name = fs::read(format!("/proc/{number}/comm")).unwrap_or_default();
        let name = String::from_utf8_lossy(&name);
        name.trim_end()
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect()
    }

    fn end(number: i32, process: Pid, target: &Target) -> Result<Option<OwnedFd>, Errno> {
        match pidfd_open(process, PidfdFlags::empty()) {
            Ok(opened) => {
                // Read again, because the number may have been reused before it was opened. From
                // here on, the signal reaches the opened process or none.
                if target.is_met_by(number) != Carries::All {
                    return Err(Errno::SRCH);
                }
                pidfd_send_signal(&opened, Signal::KILL)?;
                Ok(Some(opened))
            }
            // The kernel has no pidfd, or a sandbox forbids it.
            Err(Errno::NOSYS | Errno::PERM) => {
                kill_process(process, Signal::KILL)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until a process has ended; forever without a pidfd.
    async fn gone(process: Option<OwnedFd>) {
        match process.map(Async::new) {
            Some(Ok(process)) => process.readable().await.unwrap_or_default(),
            Some(Err(_)) | None => std::future::pending().await,
        }
    }

    #[derive(PartialEq, Eq)]
    enum Carries {
        All,
        Others,
        /// It is a program without any variable.
        Nothing,
    }

    impl Target {
        fn is_met_by(&self, number: i32) -> Carries {
            match self {
                Self::Marked(lines, spares) => carries(number, lines, spares),
                Self::Group(group) if is_in(number, *group) => Carries::All,
                Self::Group(_) => Carries::Others,
            }
        }
    }

    /// Whether a process lives and is in the group. A zombie has ended: it is not known when it is
    /// reaped.
    fn is_in(number: i32, group: Pid) -> bool {
        // `12 (name, of anything) S 1 34 …`: the state, the parent, and the group.
        let stat = fs::read(format!("/proc/{number}/stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        let Some((_, stat)) = stat.rsplit_once(") ") else {
            return false;
        };
        let mut stat = stat.split(' ');
        let has_ended = matches!(stat.next(), Some("Z" | "X"));
        let of = stat.nth(1).and_then(|of| of.parse().ok());
        !has_ended && of == Some(group.as_raw_nonzero().get())
    }

    fn carries(number: i32, lines: &[Vec<u8>], spares: &Spares) -> Carries {
        // It belongs to another user and could not be killed either, or it is gone.
        let Ok(environment) = fs::read(format!("/proc/{number}/environ")) else {
            return Carries::Others;
        };
        if environment.is_empty() {
            // Kernel threads and zombies are not programs.
            return match fs::read_link(format!("/proc/{number}/exe")) {
                Ok(_) => Carries::Nothing,
                Err(_) => Carries::Others,
            };
        }
        let variables: Vec<_> = environment.split(|byte| *byte == 0).collect();
        let value = |name: &str| {
            let mut values = variables.iter();
            let value = values.find_map(|variable| variable.strip_prefix(name.as_bytes()))?;
            std::str::from_utf8(value).ok()
        };
        let is_spared = || {
            let session = value("REJOIN_SESSION=")?.parse().ok()?;
            let job = value("REJOIN_JOB=")?.parse().ok()?;
            Some(spares(session, JobId(job)))
        };
        match lines.iter().all(|line| variables.contains(&&**line)) {
            true if !is_spared().unwrap_or(false) => Carries::All,
            _ => Carries::Others,
        }
    }

    /// How often to search before giving up on processes that do not end.
    const SEARCHES: u32 = 40;

    /// How long to wait for killed processes before the next search.
    const PATIENCE: Duration = Duration::from_millis(50);

    /// How often to search again for processes that may be about to become another program.
    const LOOKS: u32 = 3;

    const LOOK_AGAIN: Duration = Duration::from_millis(2);
}
