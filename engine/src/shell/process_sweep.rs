//! Finds and kills processes by a mark in their environment.
//!
//! Invariant: no process without the complete mark is killed, nor is the calling process.

use crate::Runtime;
use rejoin_core::{JobId, SessionId};
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

/// Whether a process of this session and this job is left alone.
pub(super) type Spares = Arc<dyn Fn(SessionId, JobId) -> bool + Send + Sync>;

/// Kills all processes with the mark, and waits until they are gone. Returns how many it found:
/// always none on systems without `/proc`.
pub(super) async fn end_all(mark: &Mark, runtime: &Arc<dyn Runtime>) -> usize {
    end_others(mark, runtime, Arc::new(|_, _| false)).await
}

/// As [`end_all`], but leaves some processes alone.
#[cfg(not(target_os = "linux"))]
pub(super) async fn end_others(_: &Mark, _: &Arc<dyn Runtime>, _: Spares) -> usize {
    0
}

/// As [`end_all`], but leaves some processes alone.
#[cfg(target_os = "linux")]
pub(super) async fn end_others(mark: &Mark, runtime: &Arc<dyn Runtime>, spares: Spares) -> usize {
    let (sender, ended) = async_channel::bounded(1);
    let (mark, timers) = (mark.clone(), runtime.clone());
    // On its own thread, because reading /proc blocks.
    let search = async move {
        let ended = linux::end_all(&mark, &*timers, &spares).await;
        // The work is done even if the caller was dropped.
        sender.send(ended).await.ok();
    };
    runtime.spawn_dedicated("rejoin-marked", Box::pin(search));
    ended.recv().await.unwrap_or_default()
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{Mark, Spares};
    use crate::Runtime;
    use async_io::Async;
    use futures::future::{join_all, select};
    use rejoin_core::JobId;
    use rustix::io::Errno;
    use rustix::process::{
        Pid, PidfdFlags, Signal, getpid, kill_process, pidfd_open, pidfd_send_signal,
    };
    use std::collections::BTreeSet;
    use std::fs;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    /// Searches until a search finds nothing: a found process may just have started another.
    pub(super) async fn end_all(mark: &Mark, runtime: &dyn Runtime, spares: &Spares) -> usize {
        let lines: Vec<_> = mark
            .variables()
            .map(|(name, value)| format!("{name}={value}").into_bytes())
            .collect();
        let mut ended = BTreeSet::new();
        let mut looks = 0;
        for _ in 0..SEARCHES {
            let Search { found, blank } = search(&lines, spares);
            if found.is_empty() {
                // A process has no environment at the moment in which it becomes another program.
                // Some programs never have one, so only a few more searches are made.
                looks += 1;
                if !blank || looks > LOOKS {
                    return ended.len();
                }
                runtime.timer(LOOK_AGAIN).await;
                continue;
            }
            ended.extend(found.iter().map(|(number, _)| *number));
            let gone = join_all(found.into_iter().map(|(_, opened)| gone(opened)));
            select(gone, runtime.timer(PATIENCE)).await;
        }
        tracing::warn!(
            found = ended.len(),
            "some processes did not end after SIGKILL"
        );
        ended.len()
    }

    struct Search {
        /// Processes that were sent SIGKILL: the number, and the pidfd if the system has those.
        found: Vec<(i32, Option<OwnedFd>)>,
        /// Whether a program without any environment was found.
        blank: bool,
    }

    fn search(lines: &[Vec<u8>], spares: &Spares) -> Search {
        let mut search = Search {
            found: Vec::new(),
            blank: false,
        };
        let listed = match fs::read_dir("/proc") {
            Ok(listed) => listed,
            Err(error) => {
                tracing::warn!(%error, "cannot list processes");
                return search;
            }
        };
        for entry in listed.flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.parse().ok());
            let process = number.and_then(Pid::from_raw);
            let (Some(number), Some(process)) = (number, process) else {
                continue;
            };
            if process == getpid() {
                continue;
            }
            match carries(number, lines, spares) {
                Carries::All => {
                    if let Ok(opened) = end(number, process, lines, spares) {
                        search.found.push((number, opened));
                    }
                }
                Carries::Nothing => search.blank = true,
                Carries::Others => {}
            }
        }
        search
    }

    fn end(
        number: i32,
        process: Pid,
        lines: &[Vec<u8>],
        spares: &Spares,
    ) -> Result<Option<OwnedFd>, Errno> {
        match pidfd_open(process, PidfdFlags::empty()) {
            Ok(opened) => {
                // Read again, because the number may have been reused before it was opened. From
                // here on, the signal reaches the opened process or none.
                if carries(number, lines, spares) != Carries::All {
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
