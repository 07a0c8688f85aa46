//! The keeper itself: one thread, one loop over its pipes, its processes and its server.
//!
//! Invariants: no signal is sent to a group whose number may have been reused, because a leader is not
//! reaped before its group has ended. Output is dropped only when a server says that it is settled.

use super::protocol::{Frames, HeldJob, ToKeeper, ToServer, VERSION, put_output};
use super::terminal::{self, Terminal};
use crate::limits::{KEEPER_ANSWER, KEEPER_INPUT, KEEPER_JOBS, KEEPER_PATIENCE, KEEPER_SPOOL};
use crate::shell::inheritance;
use crate::shell::job::Program;
use crate::shell::process_group::PATIENCE;
use rejoin_core::{
    JobId, JobOutput, OutputOffsets, OutputPosition, OutputStream, SessionId, Submission,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, setsid, test_kill_process_group,
};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Runs a keeper: holds jobs for one server after another, until it has none and no server needs it.
/// The program that [`ShellRunner::with_keeper`](crate::ShellRunner::with_keeper) names calls this
/// at the beginning of its `main`, before it starts a thread.
///
/// Its standard input is the socket at which it listens, and `socket` is where that is.
///
/// # Errors
///
/// When its standard input is no such socket, or it can't wait for its jobs.
pub fn run_keeper(socket: &Path) -> io::Result<()> {
    // Away from the server's terminal and process group. Fails if it leads a group already.
    let _ = setsid();
    let _ = std::env::set_current_dir("/");
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    let mut keeper = Keeper::new(Some(listener), Place::of(socket), None);
    let ran = keeper.run();
    drop(keeper);
    let _ = std::fs::remove_file(socket);
    ran
}

/// Holds jobs for the server at the other end, in a thread of its own. Ends with the connection.
///
/// # Errors
///
/// When it can't wait for its jobs.
pub(super) fn run_inside(server: UnixStream) -> io::Result<()> {
    server.set_nonblocking(true)?;
    Keeper::new(None, None, Some(Connection::new(server))).run()
}

struct Keeper {
    /// Where servers come. None inside of a server.
    listener: Option<UnixListener>,
    /// None if it can't be known.
    place: Option<Place>,
    /// When it was last looked whether the socket is still there.
    looked_at: Instant,
    server: Option<Connection>,
    /// Whose jobs these are, as the first server said.
    owner: Option<Vec<u8>>,
    patience: Duration,
    /// When the last server left.
    alone_since: Instant,
    /// When the jobs were asked to end because no server came.
    ending: Option<Instant>,
    jobs: BTreeMap<JobId, Job>,
    /// The job whose output is sent next, so that none waits for ever.
    next_served: JobId,
    chunk: Box<[u8]>,
}

/// Where a keeper's socket is, also after its directory was moved.
struct Place {
    directory: File,
    name: OsString,
    inode: u64,
}

struct Connection {
    stream: UnixStream,
    frames: Frames,
    out: Vec<u8>,
    written: usize,
    is_greeted: bool,
}

struct Job {
    session: SessionId,
    submission: Option<Submission>,
    child: Child,
    leader: Pid,
    exit: OwnedFd,
    has_exited: bool,
    output: Vec<Output>,
    /// The pipe to the job, or its terminal.
    stdin: Option<File>,
    terminal: Option<Terminal>,
    input: VecDeque<u8>,
    /// How many of these bytes are not logged.
    hidden: usize,
    /// Bytes of input that it was given, whether written or not.
    given: u64,
    input_ended: bool,
    /// Whether what was typed last has ended a line.
    is_at_line_start: bool,
    interrupts: u32,
    signal: i32,
    phase: Phase,
    is_forgotten: bool,
    /// Whether the server has asked for its output.
    is_attended: bool,
    /// Whether the server knows that its output is still open.
    is_held_reported: bool,
}

struct Output {
    stream: OutputStream,
    pipe: Option<OwnedFd>,
    /// Where `bytes` begin.
    settled: u64,
    bytes: VecDeque<u8>,
    /// How far it was sent to this server.
    sent: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// It is over, and its leader is reaped as soon as it has ended.
    Ending {
        until: Instant,
    },
    Ended {
        status: Option<i32>,
        /// Whether something was left in its group.
        has_left: bool,
        is_reported: bool,
    },
}

/// What a descriptor that `poll` waits for belongs to.
#[derive(Clone, Copy)]
enum Source {
    Listener,
    Server,
    Exit(JobId),
    Output(JobId, usize),
    Input(JobId),
}

impl Keeper {
    fn new(
        listener: Option<UnixListener>,
        place: Option<Place>,
        server: Option<Connection>,
    ) -> Self {
        Self {
            listener,
            place,
            looked_at: now(),
            server,
            owner: None,
            patience: KEEPER_PATIENCE,
            alone_since: now(),
            ending: None,
            jobs: BTreeMap::new(),
            next_served: JobId(0),
            chunk: vec![0; CHUNK].into_boxed_slice(),
        }
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            self.advance();
            if self.server.is_none() && self.jobs.is_empty() && !self.awaits_first() {
                return Ok(());
            }
            self.fill();
            let (sources, ready) = self.wait()?;
            for (source, flags) in sources.into_iter().zip(ready) {
                if !flags.is_empty() {
                    self.handle(source);
                }
            }
            self.write();
            if self.is_over() {
                return Ok(());
            }
        }
    }

    /// Whether the server that started it has not come yet.
    fn awaits_first(&self) -> bool {
        self.owner.is_none() && self.alone_since.elapsed() < KEEPER_ANSWER
    }

    /// Waits until something can be done.
    fn wait(&self) -> io::Result<(Vec<Source>, Vec<PollFlags>)> {
        let mut sources = Vec::with_capacity(2 + 4 * self.jobs.len());
        let mut fds = Vec::with_capacity(2 + 4 * self.jobs.len());
        match &self.server {
            None => {
                if let Some(listener) = &self.listener {
                    sources.push(Source::Listener);
                    fds.push(PollFd::new(listener, PollFlags::IN));
                }
            }
            Some(server) => {
                let out = if server.is_written() {
                    PollFlags::empty()
                } else {
                    PollFlags::OUT
                };
                sources.push(Source::Server);
                fds.push(PollFd::new(&server.stream, PollFlags::IN | out));
            }
        }
        let mut until: Option<Instant> = None;
        let mut wake = |at: Instant| until = Some(until.map_or(at, |until| until.min(at)));
        for (&id, job) in &self.jobs {
            if !job.has_exited {
                sources.push(Source::Exit(id));
                fds.push(PollFd::new(&job.exit, PollFlags::IN));
            }
            if let Phase::Ending { until } = job.phase {
                wake(until);
            }
            for (number, output) in job.output.iter().enumerate() {
                if let Some(pipe) = output.pipe.as_ref().filter(|_| output.has_room()) {
                    sources.push(Source::Output(id, number));
                    fds.push(PollFd::new(pipe, PollFlags::IN));
                }
            }
            if let Some(stdin) = &job.stdin {
                let flags = match job.input.is_empty() {
                    // Then only whether the job has closed it.
                    true => PollFlags::empty(),
                    false => PollFlags::OUT,
                };
                sources.push(Source::Input(id));
                fds.push(PollFd::new(stdin, flags));
            }
        }
        if self.server.is_none() {
            wake(match self.ending {
                None if self.owner.is_none() => self.alone_since + KEEPER_ANSWER,
                None => self.alone_since + self.patience,
                Some(since) => since + PATIENCE,
            });
            if self.place.is_some() && self.ending.is_none() {
                wake(self.looked_at + LOOK);
            }
        }
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(now());
            Timespec::try_from(left).unwrap_or(LONGEST)
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = fds.iter().map(PollFd::revents).collect();
        Ok((sources, ready))
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Listener => {
                if let Some(listener) = &self.listener
                    && let Ok((stream, _)) = listener.accept()
                    && stream.set_nonblocking(true).is_ok()
                {
                    self.server = Some(Connection::new(stream));
                }
            }
            Source::Server => self.read_frames(),
            Source::Exit(job) => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.has_exited = true;
                }
            }
            Source::Output(job, number) => {
                if let Some(job) = self.jobs.get_mut(&job)
                    && let Some(output) = job.output.get_mut(number)
                {
                    output.read(&mut self.chunk);
                }
            }
            Source::Input(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    let progress = job.write_input(id);
                    if let (Some(progress), Some(server)) = (progress, &mut self.server) {
                        progress.encode(&mut server.out);
                    }
                }
            }
        }
    }

    fn read_frames(&mut self) {
        let Some(server) = &mut self.server else {
            return;
        };
        let Ok(frames) = server.read(&mut self.chunk) else {
            return self.leave();
        };
        for frame in frames {
            if self.server.is_some() {
                self.obey(frame);
            }
        }
    }

    /// The server is gone: waits for the next one.
    fn leave(&mut self) {
        self.server = None;
        self.alone_since = now();
        for job in self.jobs.values_mut() {
            job.is_attended = false;
            job.is_held_reported = false;
            if let Phase::Ended { is_reported, .. } = &mut job.phase {
                *is_reported = false;
            }
        }
    }

    fn obey(&mut self, frame: ToKeeper) {
        let is_hello = matches!(frame, ToKeeper::Hello { .. });
        let Some(server) = self.server.as_mut().filter(|it| it.is_greeted != is_hello) else {
            return self.leave();
        };
        match frame {
            ToKeeper::Hello {
                version: _,
                owner,
                patience,
            } => {
                if *self.owner.get_or_insert_with(|| owner.clone()) != owner {
                    return self.leave();
                }
                server.is_greeted = true;
                self.patience = Duration::from_millis(patience);
                self.ending = None;
                let jobs = self.jobs.iter().filter(|(_, job)| !job.is_forgotten);
                let jobs = jobs.map(|(id, job)| job.held(*id)).collect();
                let version = VERSION;
                ToServer::Welcome { version, jobs }.encode(&mut server.out);
            }
            ToKeeper::Start {
                job,
                session,
                program,
                has_input,
                output,
                submission,
            } => {
                let started = match self.jobs.len() < KEEPER_JOBS && !self.jobs.contains_key(&job) {
                    true => Job::start(session, program, has_input, output),
                    false => Err(Errno::AGAIN.into()),
                };
                match started {
                    Ok(mut started) => {
                        started.submission = submission;
                        ToServer::Started { job }.encode(&mut server.out);
                        self.jobs.insert(job, started);
                    }
                    Err(error) => {
                        let error = error.raw_os_error().unwrap_or_default();
                        ToServer::NotStarted { job, error }.encode(&mut server.out);
                    }
                }
            }
            ToKeeper::Resume { job, from } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.is_attended = true;
                    for output in &mut job.output {
                        output.sent = from.of(output.stream).max(output.settled);
                    }
                }
            }
            ToKeeper::Input { job, offset, bytes } => {
                if let Some(it) = self.jobs.get_mut(&job)
                    && !it.take_input(offset, &bytes)
                {
                    ToServer::InputClosed { job }.encode(&mut server.out);
                }
            }
            ToKeeper::HiddenInput { job, bytes } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.take_hidden(&bytes);
                }
            }
            ToKeeper::Resize { job, size } => {
                let job = self.jobs.get(&job);
                if let Some(terminal) = job.and_then(|job| job.terminal.as_ref()) {
                    terminal.resize(size);
                }
            }
            ToKeeper::AskMode { job, question } => {
                let job = self.jobs.get(&job);
                let terminal = job.and_then(|job| job.terminal.as_ref());
                let mode = terminal.and_then(Terminal::mode);
                ToServer::Mode { question, mode }.encode(&mut server.out);
            }
            ToKeeper::EndInput { job } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.end_input();
                }
            }
            ToKeeper::HangUp {
                job,
                interrupts,
                signal,
            } => {
                let job = self.jobs.get_mut(&job);
                if let Some((job, signal)) = job.and_then(|it| it.interrupt(interrupts, signal)) {
                    job.hang_up(signal);
                }
            }
            ToKeeper::Signal {
                job,
                interrupts,
                signal,
            } => {
                let job = self.jobs.get_mut(&job);
                if let Some((job, signal)) = job.and_then(|it| it.interrupt(interrupts, signal)) {
                    job.send(signal);
                }
            }
            ToKeeper::Settled { job, offsets } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    for output in &mut job.output {
                        output.settle(offsets.of(output.stream));
                    }
                }
            }
            ToKeeper::Cut { job } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.cut();
                }
            }
            ToKeeper::Forget { job } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.is_forgotten = true;
                    job.cut();
                }
            }
            ToKeeper::Quit => {
                for job in self.jobs.values_mut() {
                    job.is_forgotten = true;
                    job.cut();
                }
            }
        }
    }

    /// Ends jobs that are over, and all of them if no server comes.
    fn advance(&mut self) {
        let now = now();
        let is_alone = self.server.is_none() && self.ending.is_none();
        let is_late = now >= self.alone_since + self.patience;
        if is_alone && (is_late || self.is_unreachable(now)) {
            self.ending = Some(now);
            self.jobs.values().for_each(Job::ask_to_end);
        }
        for job in self.jobs.values_mut() {
            job.advance(now);
        }
        let is_over = |job: &Job| matches!(job.phase, Phase::Ended { .. });
        self.jobs
            .retain(|_, job| !(job.is_forgotten && is_over(job)));
    }

    /// Whether no server can come any more, because the data directory was removed. Looks now and then.
    fn is_unreachable(&mut self, now: Instant) -> bool {
        let Some(place) = self.place.as_ref().filter(|_| now >= self.looked_at + LOOK) else {
            return false;
        };
        self.looked_at = now;
        place.is_gone()
    }

    /// Whether no server came and the jobs had their time to end.
    fn is_over(&mut self) -> bool {
        let is_over = self.ending.is_some_and(|since| {
            let all_ended = self.jobs.values().all(|job| job.has_exited);
            all_ended || since.elapsed() >= PATIENCE
        });
        if is_over {
            self.jobs.values_mut().for_each(Job::cut);
        }
        is_over
    }

    /// Adds output and ends of jobs to what the server is sent, a bounded amount.
    fn fill(&mut self) {
        let Some(server) = self.server.as_mut().filter(|it| it.is_greeted) else {
            return;
        };
        let (before, from): (Vec<_>, Vec<_>) = self
            .jobs
            .iter_mut()
            .filter(|(_, job)| job.is_attended)
            .partition(|(id, _)| **id < self.next_served);
        for (id, job) in from.into_iter().chain(before) {
            for output in &mut job.output {
                while server.has_room() && output.send(*id, &mut server.out) {}
            }
            if !server.has_room() {
                self.next_served = JobId(id.0 + 1);
                return;
            }
            let all_sent = job.output.iter().all(Output::is_sent);
            if job.has_exited && !job.is_held_reported && !all_read(&job.output) {
                job.is_held_reported = true;
                let pipes = match &job.terminal {
                    Some(terminal) => terminal.name().into_iter().collect(),
                    None => job.output.iter().filter_map(Output::pipe_name).collect(),
                };
                let (job, reader) = (*id, std::process::id());
                ToServer::OutputHeld { job, reader, pipes }.encode(&mut server.out);
            }
            if let Phase::Ended {
                status,
                has_left,
                is_reported: reported @ false,
            } = &mut job.phase
                && all_sent
            {
                *reported = true;
                let group = has_left.then_some(job.leader.as_raw_nonzero().get());
                let (job, status) = (*id, *status);
                ToServer::Exited { job, status, group }.encode(&mut server.out);
            }
        }
    }

    fn write(&mut self) {
        if let Some(server) = &mut self.server
            && server.write().is_err()
        {
            self.leave();
        }
    }
}

impl Place {
    fn of(socket: &Path) -> Option<Self> {
        let mut place = Self {
            directory: File::open(socket.parent()?).ok()?,
            name: socket.file_name()?.to_owned(),
            inode: 0,
        };
        place.inode = std::fs::symlink_metadata(place.path()).ok()?.ino();
        Some(place)
    }

    /// Its path as this process has the directory open.
    fn path(&self) -> PathBuf {
        let directory = self.directory.as_raw_fd().to_string();
        Path::new("/proc/self/fd").join(directory).join(&self.name)
    }

    fn is_gone(&self) -> bool {
        match std::fs::symlink_metadata(self.path()) {
            Ok(found) => found.ino() != self.inode,
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
    }
}

impl Connection {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            frames: Frames::default(),
            out: Vec::new(),
            written: 0,
            is_greeted: false,
        }
    }

    /// All whole frames that have come.
    fn read(&mut self, chunk: &mut [u8]) -> io::Result<Vec<ToKeeper>> {
        match (&self.stream).read(chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.frames.extend(chunk.get(..count).unwrap_or_default()),
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        let mut frames = Vec::new();
        while let Some(frame) = self.frames.next()? {
            frames.extend(ToKeeper::decode(frame)?);
        }
        Ok(frames)
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.is_written() {
            let rest = self.out.get(self.written..).unwrap_or_default();
            match (&self.stream).write(rest) {
                Ok(count) => self.written += count,
                Err(error) if is_passing(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    fn is_written(&self) -> bool {
        self.written == self.out.len()
    }

    fn has_room(&self) -> bool {
        self.out.len() < UNSENT
    }
}

impl Job {
    fn start(
        session: SessionId,
        program: Program,
        has_input: bool,
        output: JobOutput,
    ) -> io::Result<Self> {
        let mut started = match output {
            JobOutput::Terminal(size) => terminal::start(program.command(), size)?,
            JobOutput::Merged | JobOutput::Separate => Started::start(program, has_input, output)?,
        };
        let terminal = started.terminal.take();
        let held = Self::hold(&started.child, started.output);
        let (mut child, stdin) = (started.child, started.stdin);
        match held {
            Ok((leader, exit, output)) => Ok(Self {
                session,
                submission: None,
                leader,
                exit,
                has_exited: false,
                output,
                stdin,
                terminal,
                child,
                input: VecDeque::new(),
                hidden: 0,
                given: 0,
                input_ended: false,
                is_at_line_start: true,
                interrupts: 0,
                signal: 0,
                phase: Phase::Running,
                is_forgotten: false,
                is_attended: true,
                is_held_reported: false,
            }),
            Err(error) => {
                // Its group has its number, and it is not reaped.
                if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn hold(
        child: &Child,
        output: Vec<(OutputStream, OwnedFd)>,
    ) -> io::Result<(Pid, OwnedFd, Vec<Output>)> {
        let missing = || io::Error::other("it has no number");
        let leader = Pid::from_raw(child.id().cast_signed()).ok_or_else(missing)?;
        let exit = pidfd_open(leader, PidfdFlags::empty())?;
        let output = output.into_iter();
        let output = output.map(|(stream, pipe)| Output::new(stream, pipe));
        Ok((leader, exit, output.collect::<io::Result<_>>()?))
    }

    fn held(&self, job: JobId) -> HeldJob {
        let (mut settled, mut read) = (OutputOffsets::default(), OutputOffsets::default());
        for output in &self.output {
            let stream = output.stream;
            settled.advance(OutputPosition {
                stream,
                bytes: output.settled,
            });
            read.advance(OutputPosition {
                stream,
                bytes: output.end(),
            });
        }
        HeldJob {
            job,
            session: self.session,
            settled,
            read,
            input: self.given,
            input_ended: self.input_ended,
            interrupts: self.interrupts,
            signal: self.signal,
            has_ended: matches!(self.phase, Phase::Ended { .. }),
            submission: self.submission,
        }
    }

    /// Asks it to end: as when somebody closes the window of its terminal, or as at a shutdown.
    fn ask_to_end(&self) {
        match self.terminal {
            Some(_) => self.hang_up(Signal::HUP),
            None => self.send(Signal::TERM),
        }
    }

    /// Notes an interrupt. Returns the signal for it, if there is one of this number.
    fn interrupt(&mut self, interrupts: u32, signal: i32) -> Option<(&mut Self, Signal)> {
        self.interrupts = self.interrupts.max(interrupts);
        self.signal = signal;
        Signal::from_named_raw(signal).map(|signal| (self, signal))
    }

    /// Sends a signal to everything in the session of its terminal.
    fn hang_up(&self, signal: Signal) {
        // Its leader is not reaped, so its number is its own.
        if self.terminal.is_some() && !matches!(self.phase, Phase::Ended { .. }) {
            terminal::signal_session(self.leader, signal);
        }
    }

    /// Sends a signal to the group, or to the one in the foreground of the terminal, and continues stopped processes so that they handle it.
    fn send(&self, signal: Signal) {
        // Once it is reaped, the number may be reused.
        if !matches!(self.phase, Phase::Ended { .. }) {
            let terminal = self.terminal.as_ref();
            let group = terminal.and_then(Terminal::foreground);
            for signal in [signal, Signal::CONT] {
                let _ = kill_process_group(group.unwrap_or(self.leader), signal);
            }
        }
    }

    /// Takes input that is not logged. What a terminal that shows nothing would cut is dropped.
    fn take_hidden(&mut self, bytes: &[u8]) {
        let has_room = self.hidden + bytes.len() <= KEEPER_INPUT;
        if self.terminal.is_some() && self.stdin.is_some() && has_room {
            self.hidden += bytes.len();
            self.input.extend(bytes);
        }
    }

    fn end_input(&mut self) {
        self.input_ended = true;
        if self.terminal.is_some() {
            // A terminal stays open. The key ends the input at the beginning of a line, and the line
            // elsewhere.
            if !self.is_at_line_start {
                self.input.push_back(END_KEY);
            }
            self.input.push_back(END_KEY);
            self.hidden += 2;
        } else if self.input.is_empty() {
            self.stdin = None;
        }
    }

    /// Takes input. False: the job reads none any more.
    fn take_input(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let known = self.given.saturating_sub(offset);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let bytes = bytes.get(known..).unwrap_or_default();
        self.given += bytes.len() as u64;
        if let Some(last) = bytes.last() {
            self.is_at_line_start = matches!(last, b'\n' | b'\r');
        }
        if self.stdin.is_some() {
            self.input.extend(bytes);
        }
        self.stdin.is_some()
    }

    /// Writes as much input as the job's pipe takes.
    fn write_input(&mut self, job: JobId) -> Option<ToServer> {
        let stdin = self.stdin.as_mut()?;
        if self.input.is_empty() {
            // Woken without anything to write: the job has closed its end.
            self.stdin = None;
            return Some(ToServer::InputClosed { job });
        }
        let (first, _) = self.input.as_slices();
        match stdin.write(first) {
            Ok(count) => {
                self.input.drain(..count);
                if self.input.is_empty() {
                    self.hidden = 0;
                    if self.input_ended && self.terminal.is_none() {
                        self.stdin = None;
                    }
                }
                let waits = self.input.len().saturating_sub(self.hidden) as u64;
                let written = self.given.saturating_sub(waits);
                Some(ToServer::InputWritten { job, written })
            }
            Err(error) if is_passing(&error) => None,
            Err(_) => {
                self.stdin = None;
                self.input = VecDeque::new();
                Some(ToServer::InputClosed { job })
            }
        }
    }

    /// Kills the group, and reads no more output.
    fn cut(&mut self) {
        for output in &mut self.output {
            output.pipe = None;
        }
        match self.terminal {
            Some(_) => self.hang_up(Signal::KILL),
            None => self.send(Signal::KILL),
        }
        if self.phase == Phase::Running {
            self.begin_end();
        }
    }

    fn begin_end(&mut self) {
        self.phase = Phase::Ending {
            until: now() + PATIENCE,
        };
    }

    fn advance(&mut self, now: Instant) {
        if self.phase == Phase::Running && self.has_exited && all_read(&self.output) {
            // What an interrupted job leaves in its group is killed with it. What others leave is
            // the server's to end or to keep.
            if self.signal != 0 && self.terminal.is_none() {
                self.send(Signal::KILL);
            }
            self.begin_end();
        }
        if let Phase::Ending { until } = self.phase {
            let status = match self.has_exited {
                true => self.child.try_wait().ok().flatten(),
                false => None,
            };
            if status.is_some() || now >= until {
                self.stdin = None;
                self.terminal = None;
                self.phase = Phase::Ended {
                    status: status.map(ExitStatus::into_raw),
                    has_left: test_kill_process_group(self.leader).is_ok(),
                    is_reported: false,
                };
            }
        }
    }
}

/// A job that was just started, without a terminal or with one.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) stdin: Option<File>,
    pub(super) output: Vec<(OutputStream, OwnedFd)>,
    pub(super) terminal: Option<Terminal>,
}

impl Started {
    /// Starts a program with pipes, as the leader of a process group.
    fn start(program: Program, has_input: bool, output: JobOutput) -> io::Result<Self> {
        let mut command = program.command();
        command.process_group(0).stdin(match has_input {
            true => Stdio::piped(),
            false => Stdio::null(),
        });
        let merged = match output {
            JobOutput::Merged => {
                let (reader, writer) = io::pipe()?;
                command.stdout(writer.try_clone()?).stderr(writer);
                Some(reader)
            }
            JobOutput::Separate | JobOutput::Terminal(_) => {
                command.stdout(Stdio::piped()).stderr(Stdio::piped());
                None
            }
        };
        let mut child = inheritance::starting(|| command.spawn())?;
        // It has the end of the pipe that the job writes to.
        drop(command);
        let stdin = child.stdin.take().map(|it| File::from(OwnedFd::from(it)));
        if let Some(stdin) = &stdin {
            ioctl_fionbio(stdin, true)?;
        }
        let mut output = Vec::new();
        output.extend(merged.map(|it| (OutputStream::Stdout, OwnedFd::from(it))));
        let stdout = child.stdout.take();
        output.extend(stdout.map(|it| (OutputStream::Stdout, OwnedFd::from(it))));
        let stderr = child.stderr.take();
        output.extend(stderr.map(|it| (OutputStream::Stderr, OwnedFd::from(it))));
        Ok(Self {
            child,
            stdin,
            output,
            terminal: None,
        })
    }
}

impl Output {
    fn new(stream: OutputStream, pipe: OwnedFd) -> io::Result<Self> {
        ioctl_fionbio(&pipe, true)?;
        Ok(Self {
            stream,
            pipe: Some(pipe),
            settled: 0,
            bytes: VecDeque::new(),
            sent: 0,
        })
    }

    /// The pipe, as /proc names it.
    fn pipe_name(&self) -> Option<OsString> {
        let pipe = self.pipe.as_ref()?.as_raw_fd();
        let name = std::fs::read_link(format!("/proc/self/fd/{pipe}")).ok()?;
        Some(name.into_os_string())
    }

    fn has_room(&self) -> bool {
        self.bytes.len() < KEEPER_SPOOL
    }

    fn end(&self) -> u64 {
        self.settled + self.bytes.len() as u64
    }

    fn is_sent(&self) -> bool {
        self.sent >= self.end()
    }

    fn read(&mut self, chunk: &mut [u8]) {
        let Some(pipe) = &self.pipe else {
            return;
        };
        let room = KEEPER_SPOOL - self.bytes.len().min(KEEPER_SPOOL);
        let length = chunk.len().min(room);
        match rustix::io::read(pipe, chunk.get_mut(..length).unwrap_or_default()) {
            Ok(0) if length > 0 => self.pipe = None,
            Ok(count) => self.bytes.extend(chunk.get(..count).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.pipe = None,
        }
    }

    /// Appends a frame with output that was not sent. False: there is none.
    fn send(&mut self, job: JobId, out: &mut Vec<u8>) -> bool {
        let begin = usize::try_from(self.sent - self.settled.min(self.sent)).unwrap_or(usize::MAX);
        let count = self.bytes.len().saturating_sub(begin).min(CHUNK);
        if count == 0 {
            return false;
        }
        let end = begin + count;
        let (first, second) = self.bytes.as_slices();
        let middle = first.len();
        let parts = (
            first
                .get(begin.min(middle)..end.min(middle))
                .unwrap_or_default(),
            second
                .get(begin.max(middle) - middle..end.max(middle) - middle)
                .unwrap_or_default(),
        );
        put_output(out, job, self.stream, self.sent, parts);
        self.sent += count as u64;
        true
    }

    fn settle(&mut self, to: u64) {
        let count = usize::try_from(to.saturating_sub(self.settled)).unwrap_or(usize::MAX);
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        self.settled += count as u64;
        if self.bytes.is_empty() && self.bytes.capacity() > CHUNK {
            self.bytes = VecDeque::new();
        }
    }
}

/// A keeper has no runtime: it is a process of its own.
#[expect(clippy::disallowed_methods, reason = "a keeper has no runtime")]
fn now() -> Instant {
    Instant::now()
}

fn all_read(output: &[Output]) -> bool {
    output.iter().all(|output| output.pipe.is_none())
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The key that ends the input of a terminal: Ctrl-D.
const END_KEY: u8 = 4;

/// Bytes that are read at once: the capacity of a pipe on Linux. The longest output in a frame.
const CHUNK: usize = 64 * 1024;

/// Bytes that wait to be sent to the server before more output is added.
const UNSENT: usize = 2 * CHUNK;

/// How often a keeper without a server looks whether its socket is still there.
const LOOK: Duration = Duration::from_secs(5);

const LONGEST: Timespec = Timespec {
    tv_sec: 3_600,
    tv_nsec: 0,
};
