//! A job on a keeper, from its start or from where an earlier server left it, to its exit.

use super::protocol::ToKeeper;
use super::{HeldJob, InputEvent, JobEvent, JobEvents, Keeper, Keepers, TakenOver};
use crate::jobs::runner::{EngineEnded, Exit, LOST, RunnerJob};
use crate::limits::KEEPER_INPUT;
use crate::shell::escalate::{Escalated, Escalation, Target, escalate, escalate_terminal};
use crate::shell::job::{
    Ended, HELD, Program, Setting, closed, could_not_start, describe_holders, left_of,
};
use crate::shell::output::{self, Counted};
use crate::shell::process_group::LeftoverEnd;
use crate::shell::process_sweep;
use crate::shell::{SessionGuard, Shell, WAIT_FOR_OUTPUT};
use crate::{Input, InputBytes};
use async_channel::Receiver;
use futures::AsyncRead;
use futures::future::{Either, pending, select, try_join};
use rejoin_core::{JobId, OutputOffsets, OutputStream};
use rustix::process::{Pid, Signal};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::{Pin, pin};
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Runs a job from its beginning.
pub(in crate::shell) async fn run(
    shell: Arc<Shell>,
    job: RunnerJob,
    guard: SessionGuard,
    setting: Setting,
    program: Program,
) -> Exit {
    let keepers = &shell.keepers;
    let has_input = job.input.is_some();
    let started = keepers.start(&job, program, has_input).await;
    let (keeper, events) = match started {
        Ok(started) => started,
        Err(error) => {
            let reason = io::Error::other(format!("its keeper could not be started: {error}"));
            return could_not_start(&shell.program, &reason);
        }
    };
    let attended = Attended {
        keepers,
        keeper,
        job: job.job,
    };
    match events.events.recv().await {
        Ok(JobEvent::NotStarted(error)) => {
            keepers.forget(job.job);
            let error = io::Error::from_raw_os_error(error);
            return could_not_start(&shell.program, &error);
        }
        Ok(JobEvent::Started | JobEvent::Exited(..)) => {}
        Err(_) => return lost(&shell, &setting).await,
    }
    // Checked again: a release first closes the session and then looks for processes. Either it
    // finds this process, or this check finds the session closed.
    if guard.is_released() {
        keepers.forget(job.job);
        return closed();
    }
    let from = Place::default();
    attend(&shell, job, &guard, setting, &attended, events, from).await
}

/// Goes on with a job of an earlier server.
pub(in crate::shell) async fn resume(
    shell: Arc<Shell>,
    job: RunnerJob,
    guard: SessionGuard,
    setting: Setting,
    from: OutputOffsets,
) -> Exit {
    let keepers = &shell.keepers;
    let Some((keeper, TakenOver { held, events })) = keepers.resume(job.job) else {
        return lost(&shell, &setting).await;
    };
    let attended = Attended {
        keepers,
        keeper,
        job: job.job,
    };
    // Output of a job that wrote too much is not logged: what is missing was dropped on purpose.
    let from = OutputOffsets {
        stdout: from.stdout.max(held.settled.stdout),
        stderr: from.stderr.max(held.settled.stderr),
    };
    let resume = ToKeeper::Resume { job: job.job, from };
    attended.keeper.send(resume).await;
    // The server before may have died before it said this. A keeper that is full would wait for it.
    let settled = ToKeeper::Settled {
        job: job.job,
        offsets: from,
    };
    attended.keeper.send(settled).await;
    let from = Place {
        offsets: from,
        held: Some(held),
    };
    attend(&shell, job, &guard, setting, &attended, events, from).await
}

/// Where a task begins to attend to a job.
#[derive(Default)]
struct Place {
    offsets: OutputOffsets,
    held: Option<HeldJob>,
}

/// Notes that no task attends to the job any more, also if its future is dropped.
struct Attended<'a> {
    keepers: &'a Keepers,
    keeper: Arc<Keeper>,
    job: JobId,
}

impl Drop for Attended<'_> {
    fn drop(&mut self) {
        self.keepers.leave(self.job);
    }
}

impl Target for Attended<'_> {
    fn signal(&self, signal: Signal, interrupts: u32) {
        let frame = ToKeeper::Signal {
            job: self.job,
            interrupts,
            signal: signal.as_raw(),
        };
        // Fails if the keeper is gone.
        let _ = self.keeper.frames.try_send(frame);
    }

    fn hang_up(&self, signal: Signal, interrupts: u32) {
        let frame = ToKeeper::HangUp {
            job: self.job,
            interrupts,
            signal: signal.as_raw(),
        };
        let _ = self.keeper.frames.try_send(frame);
    }
}

async fn attend(
    shell: &Arc<Shell>,
    mut job: RunnerJob,
    guard: &SessionGuard,
    mut setting: Setting,
    attended: &Attended<'_>,
    events: JobEvents,
    Place { offsets, held }: Place,
) -> Exit {
    let keeper = &attended.keeper;
    let JobEvents {
        stdout,
        stderr,
        input: input_events,
        held: held_events,
        events,
    } = events;
    let reporter = job.reporter.clone();
    let changed = std::mem::take(&mut setting.changed);
    let has_terminal = job.output.terminal().is_some();
    let reported = async {
        reporter.started().await?;
        for changed in changed.iter().filter(|_| held.is_none()) {
            output::report_notice(changed, has_terminal, &reporter).await?;
        }
        let pump = |parts, stream| {
            let counted = match has_terminal {
                true => Counted::terminal(offsets.of(stream)),
                false => Counted::from(stream, offsets.of(stream)),
            };
            output::pump(Parts::from(parts), counted, &reporter, &*shell.runtime)
        };
        let stdout = pump(stdout, OutputStream::Stdout);
        let pumped = try_join(stdout, pump(stderr, OutputStream::Stderr));
        let still_held = async {
            // An earlier server has said it.
            let Some((reader, pipes)) = held_events.recv().await.ok().filter(|_| held.is_none())
            else {
                return pending().await;
            };
            shell.runtime.timer(HELD).await;
            let holders = process_sweep::holders_besides(reader, pipes, &shell.runtime).await;
            if let Some(words) = describe_holders(&holders) {
                output::report_notice(&words, has_terminal, &reporter).await?;
            }
            pending().await
        };
        match select(pin!(pumped), pin!(still_held)).await {
            Either::Left((ended, _)) => ended.map(drop),
            Either::Right((ended, _)) => ended,
        }
    };
    let ended = async {
        if let Err(EngineEnded) = reported.await {
            return End::Detached;
        }
        loop {
            match events.recv().await {
                Ok(JobEvent::Exited(status, group)) => return End::Exited(status, group),
                Ok(JobEvent::Started | JobEvent::NotStarted(_)) => {}
                Err(_) => return End::Lost,
            }
        }
    };
    let settling = async {
        let mut sent = offsets;
        loop {
            reporter.settled().changed().await;
            let offsets = reporter.settled().offsets();
            let settled = |of: OutputOffsets| of.stdout + of.stderr;
            let job = attended.job;
            keeper.settle(job, settled(offsets).saturating_sub(settled(sent)));
            sent = offsets;
            keeper.send(ToKeeper::Settled { job, offsets }).await;
        }
    };
    let given = held.map_or(0, |held| held.input);
    let input = job.input.take();
    let fed = async {
        if let Some(input) = input {
            feed(attended, input, input_events, given).await;
        }
        pending::<()>().await;
    };
    let sized = async {
        // It may have changed while no server was there.
        let size = job.output.terminal().filter(|_| held.is_some());
        let mut next = size;
        loop {
            if let Some(size) = next {
                let job = attended.job;
                keeper.send(ToKeeper::Resize { job, size }).await;
            }
            match job.sizes.next().await {
                Some(size) => next = Some(size),
                None => pending().await,
            }
        }
    };
    let helped = async { futures::future::join3(fed, settling, sized).await.1 };
    // The job's end does not wait for its input.
    let ended = async {
        match select(pin!(helped), pin!(ended)).await {
            Either::Left((never, _)) => never,
            Either::Right((end, _)) => end,
        }
    };
    let mut ended = pin!(ended);
    let last = held.and_then(|held| Signal::from_named_raw(held.signal));
    // What was sent to the program in the foreground says nothing about the job.
    let last = last.filter(|last| !has_terminal || matches!(*last, Signal::HUP | Signal::KILL));
    let escalation = Escalation::after(last, held.map_or(0, |held| held.interrupts));
    let mut cut = false;
    let escalated = async {
        let (mark, interrupts) = (&setting.mark, &job.interrupts);
        match has_terminal {
            true => escalate_terminal(shell, attended, mark, interrupts, &escalation).await,
            false => escalate(shell, attended, mark, interrupts, &escalation).await,
        }
    };
    let end = match select(ended.as_mut(), pin!(escalated)).await {
        Either::Left((end, _)) => end,
        Either::Right((Escalated::EngineEnded, _)) => End::Detached,
        Either::Right((Escalated::Killed, _)) => {
            cut = true;
            keeper.send(ToKeeper::Cut { job: attended.job }).await;
            match select(ended, shell.runtime.timer(LAST_OUTPUT)).await {
                Either::Left((end, _)) => end,
                Either::Right(_) => End::Exited(None, None),
            }
        }
    };
    let (status, group) = match end {
        End::Exited(Some(status), group) => (Ok(ExitStatus::from_raw(status)), group),
        End::Exited(None, group) => (Err(io::ErrorKind::TimedOut.into()), group),
        // The engine ended, and does not take this any more: the job goes on without it.
        End::Detached => {
            setting.leave();
            return Exit::default();
        }
        End::Lost => return lost(shell, &setting).await,
    };
    if guard.is_released() {
        attended.keepers.forget(job.job);
    }
    let was_interrupted = escalation.was_interrupted();
    // Only right after the end of the shell: later its number may be another group's.
    let group = group
        .and_then(Pid::from_raw)
        .filter(|_| !held.is_some_and(|it| it.has_ended));
    let left = match group {
        Some(group)
            if was_interrupted || cut || shell.leftovers_of(&job.leftovers) == LeftoverEnd::End =>
        {
            process_sweep::end_group(group, &shell.runtime).await
        }
        _ => Vec::new(),
    };
    let ended = Ended {
        status,
        left: left_of(&left).filter(|_| !was_interrupted && !cut),
        was_interrupted,
        was_cut: cut,
    };
    setting.exit(shell, &job, guard, ended)
}

enum End {
    /// With the status that `wait` gave, if its end was seen, and the process group in which something
    /// was left.
    Exited(Option<i32>, Option<i32>),
    /// The engine has ended, and the job goes on.
    Detached,
    /// The keeper is gone.
    Lost,
}

/// Ends what is left of a job without a keeper.
async fn lost(shell: &Shell, setting: &Setting) -> Exit {
    process_sweep::end_all(&setting.mark, &shell.runtime).await;
    Exit {
        status: LOST,
        message: Some("its keeper ended: the process that held it was killed".into()),
        is_lost: true,
    }
}

/// Passes input on as fast as the job reads, until the input ends or the job closes its end.
async fn feed(
    attended: &Attended<'_>,
    mut input: Input,
    events: Receiver<InputEvent>,
    mut given: u64,
) {
    let job = attended.job;
    let mut written = given;
    while let Some(InputBytes { bytes, is_hidden }) = input.next_bytes().await {
        if is_hidden {
            let bytes = bytes.to_vec();
            attended
                .keeper
                .send(ToKeeper::HiddenInput { job, bytes })
                .await;
            continue;
        }
        for part in bytes.chunks(KEEPER_INPUT / 2) {
            let length = part.len() as u64;
            loop {
                let event = match given + length > written + KEEPER_INPUT as u64 {
                    true => events.recv().await.ok(),
                    false => match events.try_recv() {
                        Ok(event) => Some(event),
                        Err(async_channel::TryRecvError::Empty) => break,
                        Err(async_channel::TryRecvError::Closed) => None,
                    },
                };
                match event {
                    Some(InputEvent::Written(bytes)) => written = written.max(bytes),
                    // A job is free to close its input.
                    Some(InputEvent::Closed) | None => return,
                }
            }
            let frame = ToKeeper::Input {
                job,
                offset: given,
                bytes: part.into(),
            };
            attended.keeper.send(frame).await;
            given += length;
        }
    }
    attended.keeper.send(ToKeeper::EndInput { job }).await;
}

/// Output that comes in parts, as a stream of bytes.
struct Parts {
    parts: Pin<Box<Receiver<Vec<u8>>>>,
    part: Vec<u8>,
    read: usize,
}

impl From<Receiver<Vec<u8>>> for Parts {
    fn from(parts: Receiver<Vec<u8>>) -> Self {
        Self {
            parts: Box::pin(parts),
            part: Vec::new(),
            read: 0,
        }
    }
}

impl AsyncRead for Parts {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        use futures::Stream;
        while self.read == self.part.len() {
            match ready!(self.parts.as_mut().poll_next(context)) {
                Some(part) => {
                    self.part = part;
                    self.read = 0;
                }
                None => return Poll::Ready(Ok(0)),
            }
        }
        let rest = self.part.get(self.read..).unwrap_or_default();
        let count = rest.len().min(into.len());
        if let (Some(into), Some(rest)) = (into.get_mut(..count), rest.get(..count)) {
            into.copy_from_slice(rest);
        }
        self.read += count;
        Poll::Ready(Ok(count))
    }
}

/// How long a job that was killed may take to give its last output.
const LAST_OUTPUT: Duration = Duration::from_secs(2 + WAIT_FOR_OUTPUT.as_secs());
