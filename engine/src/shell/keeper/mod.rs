//! Keepers: small processes that hold jobs, so that these outlive the server.
//!
//! A keeper holds the pipes of its jobs, the output that the log does not have yet, and how each job
//! ended until that is logged. It listens at a socket in the shell's directory, and speaks to one
//! server at a time. What a server and a keeper say is in `protocol`; `process` is the keeper, `job`
//! runs a job on one, and this file is the server's end of all of them.

pub(super) mod job;
mod process;
mod protocol;
mod terminal;
#[cfg(all(test, feature = "smol"))]
mod tests;

pub use process::run_keeper;
pub(in crate::shell) use protocol::HeldJob;

use crate::Runtime;
use crate::jobs::runner::{RunnerJob, TerminalMode};
use crate::limits::{IDLE_KEEPERS, KEEPER_ANSWER, KEEPERS};
use crate::shell::job::Program;
use crate::shell::keeper_settings::{KeeperSettings, KeeperStatus};
use async_channel::{Receiver, Sender};
use async_io::Async;
use futures::future::{Either, select};
use futures::{AsyncReadExt, AsyncWriteExt};
use protocol::{Frames, ToKeeper, ToServer, VERSION, WITH_OUTPUT};
use rejoin_core::{JobId, JobOutput, OutputStream};
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The keepers of this server, and the jobs that they hold for it.
#[derive(Debug)]
pub(super) struct Keepers {
    directory: PathBuf,
    /// Whose jobs these are: the mark of the data directory.
    owner: String,
    runtime: Arc<dyn Runtime>,
    /// None: the jobs of an earlier server are ended, and no keeper is started. Jobs with terminals have
    /// one inside of this process.
    settings: Option<KeeperSettings>,
    entries: Mutex<Entries>,
    lost: Arc<AtomicU64>,
    unknown_jobs: AtomicU64,
}

#[derive(Debug, Default)]
struct Entries {
    keepers: Vec<Arc<Keeper>>,
    jobs: BTreeMap<JobId, JobEntry>,
}

#[derive(Debug)]
struct JobEntry {
    keeper: Arc<Keeper>,
    /// Whether a task of this server attends to it.
    is_attended: bool,
    /// Whether its end is logged.
    is_forgotten: bool,
    /// What an earlier server left.
    taken_over: Option<TakenOver>,
}

/// A job that an earlier server started.
#[derive(Debug)]
pub(super) struct TakenOver {
    pub(super) held: HeldJob,
    events: JobEvents,
}

/// A connection to a keeper.
#[derive(Debug)]
struct Keeper {
    stream: Arc<Async<UnixStream>>,
    frames: Sender<ToKeeper>,
    jobs: Mutex<BTreeMap<JobId, JobSenders>>,
    welcome: Receiver<Vec<HeldJob>>,
    /// The numbers of jobs that it had when it was taken over and that could not go on. They may take a
    /// while to end, and it can't start another job of such a number before.
    refused: Mutex<BTreeSet<JobId>>,
    /// What it speaks, at least.
    version: AtomicU32,
    /// Questions about terminals that it has not answered.
    questions: Mutex<BTreeMap<u64, Sender<Option<TerminalMode>>>>,
    last_question: AtomicU64,
    is_greeted: AtomicBool,
    is_gone: AtomicBool,
    /// Ready when the connection has ended: nothing is ever sent.
    gone: Receiver<()>,
}

#[derive(Debug)]
struct JobSenders {
    output: [Sender<Vec<u8>>; 2],
    input: Sender<InputEvent>,
    /// The process that reads the job's output, and the pipes that are still open after the end of
    /// its shell.
    held: Sender<(u32, Vec<PathBuf>)>,
    events: Sender<JobEvent>,
    /// Bytes of output that came and that are not settled.
    unsettled: u64,
}

/// What a keeper says about one job. Bounded by what it sends before that is settled.
#[derive(Debug)]
struct JobEvents {
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    input: Receiver<InputEvent>,
    held: Receiver<(u32, Vec<PathBuf>)>,
    events: Receiver<JobEvent>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InputEvent {
    Written(u64),
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum JobEvent {
    Started,
    NotStarted(i32),
    /// With its status and the process group in which something was left.
    Exited(Option<i32>, Option<i32>),
}

impl Keepers {
    /// Creates the directory, which other users can't read.
    pub(super) fn open(
        directory: PathBuf,
        owner: String,
        runtime: Arc<dyn Runtime>,
        settings: Option<KeeperSettings>,
    ) -> io::Result<Self> {
        let settings = settings.filter(|_| {
            let can_watch = pidfd_open(getpid(), PidfdFlags::empty());
            if let Err(error) = can_watch {
                tracing::warn!(%error, "jobs will not outlive the server: this system has no pidfd");
            }
            can_watch.is_ok()
        });
        if settings.is_some() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(&directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self {
            directory,
            owner,
            runtime,
            settings,
            entries: Mutex::default(),
            lost: Arc::default(),
            unknown_jobs: AtomicU64::new(0),
        })
    }

    pub(super) const fn are_used(&self) -> bool {
        self.settings.is_some()
    }

    pub(super) fn status(&self) -> KeeperStatus {
        let entries = self.entries();
        let keepers = entries.keepers.iter().filter(|it| !it.is_gone());
        KeeperStatus {
            keepers: keepers.clone().count(),
            limit: self.settings.as_ref().map_or(0, |_| KEEPERS),
            jobs: entries.jobs.len(),
            unsettled_bytes: keepers.map(|keeper| keeper.unsettled()).sum(),
            lost: self.lost.load(Ordering::Relaxed),
            unknown_jobs: self.unknown_jobs.load(Ordering::Relaxed),
        }
    }

    /// A job of an earlier server is ended because the log does not know it.
    pub(super) fn count_unknown(&self) {
        self.unknown_jobs.fetch_add(1, Ordering::Relaxed);
    }

    /// Connects to the keepers of earlier servers, and takes the jobs over that are not refused. The
    /// others are ended. Returns those that go on.
    pub(super) async fn take_over(
        &self,
        mut refuses: impl FnMut(&HeldJob) -> bool + Send,
    ) -> Vec<HeldJob> {
        let mut kept = BTreeMap::new();
        let Ok(listed) = fs::read_dir(&self.directory) else {
            return Vec::new();
        };
        for file in listed.flatten() {
            let path = file.path();
            match self.greet(&file.file_name(), &path).await {
                Ok(Some((keeper, jobs))) => {
                    // Two keepers can have a job of the same number, if that was used again.
                    let (refused, going_on): (Vec<_>, Vec<_>) = jobs
                        .into_iter()
                        .partition(|held| refuses(held) || kept.contains_key(&held.job));
                    for held in &refused {
                        // Fails if the keeper is gone.
                        let _ = keeper.frames.try_send(ToKeeper::Forget { job: held.job });
                    }
                    keeper.refused().extend(refused.iter().map(|held| held.job));
                    let mut entries = self.entries();
                    entries.keepers.push(keeper.clone());
                    for held in going_on {
                        let events = keeper.attend(held.job);
                        let taken_over = Some(TakenOver { held, events });
                        let entry = JobEntry {
                            keeper: keeper.clone(),
                            is_attended: false,
                            is_forgotten: false,
                            taken_over,
                        };
                        entries.jobs.insert(held.job, entry);
                        kept.insert(held.job, held);
                    }
                }
                Ok(None) => {
                    // Its keeper has ended.
                    let _ = fs::remove_file(&path);
                }
                Err(error) => {
                    let path = path.display();
                    tracing::warn!(%path, %error, "a keeper does not answer: its jobs are lost");
                }
            }
        }
        kept.into_values().collect()
    }

    /// Connects to a keeper that runs. None if there is none at this socket.
    async fn greet(
        &self,
        name: &std::ffi::OsStr,
        path: &Path,
    ) -> io::Result<Option<(Arc<Keeper>, Vec<HeldJob>)>> {
        let (_directory, path) = short(&self.directory, name, path)?;
        let stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Ok(None),
            Err(error) => return Err(error),
        };
        let keeper = self.connect(stream, 1)?;
        let answer = keeper.welcome.recv();
        match select(pin!(answer), self.runtime.timer(KEEPER_ANSWER)).await {
            Either::Left((Ok(jobs), _)) => Ok(Some((keeper, jobs))),
            Either::Left((Err(_), _)) => Err(io::Error::other("it is another directory's")),
            Either::Right(_) => Err(ErrorKind::TimedOut.into()),
        }
    }

    /// Greets the process at the other end, and begins to read what it says.
    /// `version` is what it speaks as far as is known before it answers.
    fn connect(&self, stream: UnixStream, version: u32) -> io::Result<Arc<Keeper>> {
        let stream = Arc::new(Async::new(stream)?);
        // Bounded by what a keeper can hold: output before it is settled, and input before it is
        // written.
        let (frames, to_write) = async_channel::unbounded();
        let (welcomed, welcome) = async_channel::bounded(1);
        let (ended, gone) = async_channel::bounded(1);
        let keeper = Arc::new(Keeper {
            stream: stream.clone(),
            frames,
            jobs: Mutex::default(),
            welcome,
            refused: Mutex::default(),
            version: AtomicU32::new(version),
            questions: Mutex::default(),
            last_question: AtomicU64::new(0),
            is_greeted: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
            gone,
        });
        let patience = match &self.settings {
            Some(settings) => settings.patience,
            None => Duration::ZERO,
        };
        let hello = ToKeeper::Hello {
            version: VERSION,
            owner: self.owner.clone().into_bytes(),
            patience: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        };
        let _ = keeper.frames.try_send(hello);
        self.runtime
            .spawn(Box::pin(write(stream.clone(), to_write)));
        let reader = Arc::downgrade(&keeper);
        let lost = self.lost.clone();
        self.runtime.spawn(Box::pin(async move {
            let error = read(&stream, &reader, welcomed).await;
            if let Some(keeper) = reader.upgrade() {
                keeper.is_gone.store(true, Ordering::SeqCst);
                let jobs = std::mem::take(&mut *keeper.jobs()).len();
                keeper.questions().clear();
                // Otherwise it was asked to end, or is another directory's.
                if keeper.is_greeted.load(Ordering::SeqCst) && !keeper.frames.is_closed() {
                    lost.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(jobs, %error, "a keeper has ended, and its jobs are lost");
                }
            }
            drop(ended);
        }));
        Ok(keeper)
    }

    /// Starts a job on a keeper.
    ///
    /// # Errors
    ///
    /// When no keeper can be started.
    async fn start(
        &self,
        job: &RunnerJob,
        program: Program,
        has_input: bool,
    ) -> io::Result<(Arc<Keeper>, JobEvents)> {
        let RunnerJob {
            session,
            job,
            submission,
            output,
            ..
        } = *job;
        let version = match output {
            JobOutput::Separate => 1,
            JobOutput::Merged | JobOutput::Terminal(_) => WITH_OUTPUT,
        };
        let (keeper, events) = {
            let mut entries = self.entries();
            entries.keepers.retain(|it| !it.is_gone());
            let most = match self.settings {
                Some(_) => KEEPERS,
                None => 1,
            };
            let is_able = |it: &&Arc<Keeper>| {
                it.version.load(Ordering::SeqCst) >= version && !it.refused().contains(&job)
            };
            let able = || entries.keepers.iter().filter(is_able);
            let least = able().min_by_key(|it| it.jobs().len());
            let least = least.filter(|it| it.jobs().is_empty() || able().count() >= most);
            let keeper = match least {
                Some(keeper) => keeper.clone(),
                None => {
                    let keeper = self.spawn()?;
                    entries.keepers.push(keeper.clone());
                    keeper
                }
            };
            let events = keeper.attend(job);
            let entry = JobEntry {
                keeper: keeper.clone(),
                is_attended: true,
                is_forgotten: false,
                taken_over: None,
            };
            entries.jobs.insert(job, entry);
            (keeper, events)
        };
        let start = ToKeeper::Start {
            job,
            session,
            program,
            has_input,
            output,
            submission: Some(submission),
        };
        keeper.send(start).await;
        Ok((keeper, events))
    }

    /// Starts a keeper, and connects to it.
    fn spawn(&self) -> io::Result<Arc<Keeper>> {
        let Some(settings) = &self.settings else {
            return self.spawn_inside();
        };
        let random = u64::from_le_bytes(*self.runtime.random().first_chunk().unwrap_or(&[0; 8]));
        let name = OsString::from(format!("{random:016x}"));
        let path = self.directory.join(&name);
        let (_directory, bound) = short(&self.directory, &name, &path)?;
        let listener = UnixListener::bind(&bound)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let stream = UnixStream::connect(&bound)?;
        let mut command = Command::new(&settings.program);
        if let Ok(program) = std::env::current_exe()
            && let Some(name) = program.file_name()
        {
            command.arg0(name);
        }
        command.args(&settings.arguments).arg(&path).env_clear();
        let spawned = async_process::Command::from(command)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Err(error) = spawned {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        self.connect(stream, VERSION)
    }

    /// Starts a keeper that ends with this process, in a thread.
    fn spawn_inside(&self) -> io::Result<Arc<Keeper>> {
        let (ours, its) = UnixStream::pair()?;
        let ran = async move {
            if let Err(error) = process::run_inside(its) {
                tracing::error!(%error, "the thread that holds terminals has failed");
            }
        };
        self.runtime
            .spawn_dedicated("rejoin-terminals", Box::pin(ran));
        self.connect(ours, VERSION)
    }

    /// How the terminal of a job takes input now. None: it has none, or has ended. If there is no
    /// answer, it is taken for one that hides what is typed.
    pub(super) async fn terminal_mode(&self, job: JobId) -> Option<TerminalMode> {
        let keeper = self.entries().jobs.get(&job)?.keeper.clone();
        let question = keeper.last_question.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = async_channel::bounded(1);
        keeper.questions().insert(question, answer);
        keeper.send(ToKeeper::AskMode { job, question }).await;
        let limit = self.runtime.timer(KEEPER_ANSWER);
        let mode = match select(pin!(answered.recv()), limit).await {
            Either::Left((mode, _)) => mode.ok()?,
            Either::Right(_) => Some(TerminalMode {
                echoes: false,
                collects_lines: true,
            }),
        };
        keeper.questions().remove(&question);
        mode
    }

    /// A job of an earlier server, to attend to it. None if there is none, or a task attends to it
    /// already.
    fn resume(&self, job: JobId) -> Option<(Arc<Keeper>, TakenOver)> {
        let mut entries = self.entries();
        let entry = entries.jobs.get_mut(&job)?;
        let taken_over = entry.taken_over.take()?;
        entry.is_attended = true;
        Some((entry.keeper.clone(), taken_over))
    }

    /// Lets the keeper forget a job, now or when no task attends to it any more.
    pub(super) fn forget(&self, job: JobId) {
        self.update(job, |entry| entry.is_forgotten = true);
    }

    /// No task attends to the job any more.
    fn leave(&self, job: JobId) {
        self.update(job, |entry| entry.is_attended = false);
    }

    fn update(&self, job: JobId, change: impl FnOnce(&mut JobEntry)) {
        let mut entries = self.entries();
        let Some(entry) = entries.jobs.get_mut(&job) else {
            return;
        };
        change(entry);
        if !entry.is_forgotten || entry.is_attended {
            return;
        }
        if let Some(JobEntry { keeper, .. }) = entries.jobs.remove(&job) {
            keeper.jobs().remove(&job);
            // Fails if the keeper is gone.
            let _ = keeper.frames.try_send(ToKeeper::Forget { job });
        }
        let mut idle = 0;
        entries.keepers.retain(|keeper| {
            let is_idle = keeper.jobs().is_empty();
            idle += usize::from(is_idle);
            !keeper.is_gone() && (!is_idle || idle <= IDLE_KEEPERS)
        });
    }

    /// Kills all jobs, and ends all keepers. Waits until they are gone, a few seconds at most.
    pub(super) async fn quit(&self) {
        let keepers = {
            let mut entries = self.entries();
            entries.jobs.clear();
            std::mem::take(&mut entries.keepers)
        };
        for keeper in keepers {
            keeper.jobs().clear();
            keeper.send(ToKeeper::Quit).await;
            self.disconnect(&keeper).await;
        }
    }

    /// Leaves all keepers to the next server, a few seconds at most. Jobs that they may forget are
    /// forgotten, whether or not a task still attends to them.
    pub(super) async fn detach(&self) {
        let keepers = {
            let mut entries = self.entries();
            for (&job, entry) in &entries.jobs {
                if entry.is_forgotten {
                    // Fails if the keeper is gone.
                    let _ = entry.keeper.frames.try_send(ToKeeper::Forget { job });
                }
            }
            entries.jobs.clear();
            std::mem::take(&mut entries.keepers)
        };
        for keeper in keepers {
            self.disconnect(&keeper).await;
        }
    }

    /// Waits until a keeper has read all that was written to it, and the connection has ended.
    async fn disconnect(&self, keeper: &Keeper) {
        keeper.frames.close();
        select(pin!(keeper.gone.recv()), self.runtime.timer(KEEPER_ANSWER)).await;
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    async fn send(&self, frame: ToKeeper) {
        // Fails if the keeper is gone, which the tasks of its jobs see.
        let _ = self.frames.send(frame).await;
    }

    fn attend(&self, job: JobId) -> JobEvents {
        let (stdout, from_stdout) = async_channel::unbounded();
        let (stderr, from_stderr) = async_channel::unbounded();
        let (input, input_events) = async_channel::unbounded();
        let (held, held_events) = async_channel::bounded(1);
        let (events, job_events) = async_channel::unbounded();
        let senders = JobSenders {
            output: [stdout, stderr],
            input,
            held,
            events,
            unsettled: 0,
        };
        let mut jobs = self.jobs();
        // Otherwise they are dropped, and the job is lost.
        if !self.is_gone() {
            jobs.insert(job, senders);
        }
        JobEvents {
            stdout: from_stdout,
            stderr: from_stderr,
            input: input_events,
            held: held_events,
            events: job_events,
        }
    }

    fn take(&self, frame: ToServer) {
        let mut jobs = self.jobs();
        match frame {
            ToServer::Welcome { .. } => {}
            ToServer::Started { job } => pass_on(&jobs, job, JobEvent::Started),
            ToServer::NotStarted { job, error } => pass_on(&jobs, job, JobEvent::NotStarted(error)),
            ToServer::Output {
                job, stream, bytes, ..
            } => {
                if let Some(senders) = jobs.get_mut(&job) {
                    senders.unsettled += bytes.len() as u64;
                    let [stdout, stderr] = &senders.output;
                    let sender = match stream {
                        OutputStream::Stdout => stdout,
                        OutputStream::Stderr => stderr,
                    };
                    let _ = sender.try_send(bytes);
                }
            }
            ToServer::InputWritten { job, written } => {
                if let Some(senders) = jobs.get(&job) {
                    let _ = senders.input.try_send(InputEvent::Written(written));
                }
            }
            ToServer::InputClosed { job } => {
                if let Some(senders) = jobs.get(&job) {
                    let _ = senders.input.try_send(InputEvent::Closed);
                }
            }
            ToServer::OutputHeld { job, reader, pipes } => {
                let pipes = pipes.into_iter().map(PathBuf::from).collect();
                if let Some(senders) = jobs.get(&job) {
                    let _ = senders.held.try_send((reader, pipes));
                }
            }
            ToServer::Mode { question, mode } => {
                if let Some(asked) = self.questions().remove(&question) {
                    let _ = asked.try_send(mode);
                }
            }
            ToServer::Exited { job, status, group } => {
                pass_on(&jobs, job, JobEvent::Exited(status, group));
                // Stays, so that the keeper counts as busy until it may forget the job.
                if let Some(senders) = jobs.get_mut(&job) {
                    senders.output.iter().for_each(|output| {
                        output.close();
                    });
                }
            }
        }
    }

    fn questions(&self) -> MutexGuard<'_, BTreeMap<u64, Sender<Option<TerminalMode>>>> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes of a job's output are settled.
    fn settle(&self, job: JobId, bytes: u64) {
        if let Some(senders) = self.jobs().get_mut(&job) {
            senders.unsettled = senders.unsettled.saturating_sub(bytes);
        }
    }

    /// Bytes of output that are not settled, of all its jobs.
    fn unsettled(&self) -> u64 {
        self.jobs().values().map(|senders| senders.unsettled).sum()
    }

    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::SeqCst)
    }

    fn refused(&self) -> MutexGuard<'_, BTreeSet<JobId>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, JobSenders>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keeper may stay: it waits for the next server.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.frames.close();
        let _ = self.stream.get_ref().shutdown(Shutdown::Read);
    }
}

fn pass_on(jobs: &BTreeMap<JobId, JobSenders>, job: JobId, event: JobEvent) {
    if let Some(senders) = jobs.get(&job) {
        let _ = senders.events.try_send(event);
    }
}

/// Reads what a keeper says, until the connection ends.
async fn read(
    stream: &Async<UnixStream>,
    keeper: &std::sync::Weak<Keeper>,
    welcomed: Sender<Vec<HeldJob>>,
) -> io::Error {
    let mut stream = stream;
    let mut frames = Frames::default();
    let mut chunk = vec![0; CHUNK].into_boxed_slice();
    loop {
        let count = match stream.read(&mut chunk).await {
            Ok(0) => return ErrorKind::UnexpectedEof.into(),
            Ok(count) => count,
            Err(error) => return error,
        };
        frames.extend(chunk.get(..count).unwrap_or_default());
        loop {
            let frame = match frames.next() {
                Ok(Some(frame)) => ToServer::decode(frame),
                Ok(None) => break,
                Err(error) => return error,
            };
            match frame {
                Ok(Some(ToServer::Welcome { version, jobs })) => {
                    if let Some(keeper) = keeper.upgrade() {
                        keeper.version.store(version, Ordering::SeqCst);
                        keeper.is_greeted.store(true, Ordering::SeqCst);
                    }
                    drop(welcomed.try_send(jobs));
                }
                Ok(Some(frame)) => match keeper.upgrade() {
                    Some(keeper) => keeper.take(frame),
                    None => return ErrorKind::UnexpectedEof.into(),
                },
                Ok(None) => {}
                Err(error) => return error,
            }
        }
    }
}

/// Writes frames until there are no more; then closes the connection for writing.
async fn write(stream: Arc<Async<UnixStream>>, frames: Receiver<ToKeeper>) {
    let mut out = Vec::new();
    while let Ok(frame) = frames.recv().await {
        frame.encode(&mut out);
        while out.len() < CHUNK
            && let Ok(frame) = frames.try_recv()
        {
            frame.encode(&mut out);
        }
        if (&*stream).write_all(&out).await.is_err() {
            break;
        }
        out.clear();
        out.shrink_to(CHUNK);
    }
    let _ = stream.get_ref().shutdown(Shutdown::Write);
}

/// A path of a socket that is short enough for one, and what keeps it valid.
fn short(
    directory: &Path,
    name: &std::ffi::OsStr,
    path: &Path,
) -> io::Result<(Option<File>, PathBuf)> {
    if path.as_os_str().len() <= SOCKET_PATH {
        return Ok((None, path.into()));
    }
    let opened = File::open(directory)?;
    let path = Path::new("/proc/self/fd").join(opened.as_raw_fd().to_string());
    Ok((Some(opened), path.join(name)))
}

/// The longest path that a socket can be bound to on every system.
const SOCKET_PATH: usize = 100;

/// Bytes that are read from a keeper at once.
const CHUNK: usize = 64 * 1024;
