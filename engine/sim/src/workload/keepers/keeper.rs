//! One keeper, its jobs, and what it and a server say to each other.

use super::program::Program;
use super::{INPUT_WINDOW, mutated};
use crate::mutants::Mutant;
use crate::oracle::{Checker, ensure};
use crate::world::{Random, World};
use futures::channel::mpsc::UnboundedSender;
use rejoin_core::{Event, JobId, OutputOffsets, OutputStream, SessionId, Submission};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) owner: u64,
    /// The log is used on another machine just now, whose servers can't reach it.
    pub(super) is_out_of_reach: bool,
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// Since when no server is there.
    pub(super) alone_since: Option<Duration>,
    /// Frames of the server that are under way.
    pub(super) inbox: VecDeque<ToKeeper>,
    /// Whether a task of the current process lets it do something.
    pub(super) is_served: bool,
    /// It is slow just now.
    pub(super) is_pausing: bool,
    pub(super) waker: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) session: SessionId,
    pub(super) submission: Submission,
    pub(super) statement: Arc<str>,
    pub(super) program: Program,
    pub(super) interrupts: u32,
    pub(super) servers: u32,
    pub(super) is_told: bool,
    pub(super) told_taken: u64,
    /// What it was given last that is not logged.
    last_hidden: Option<Arc<[u8]>>,
    /// To the server, if it wants to know.
    pub(super) events: Option<UnboundedSender<ToServer>>,
}

/// A frame to a keeper.
#[derive(Debug)]
pub(super) enum ToKeeper {
    Start {
        job: JobId,
        session: SessionId,
        submission: Submission,
        statement: Arc<str>,
        has_input: bool,
        events: UnboundedSender<ToServer>,
    },
    Resume {
        job: JobId,
        from: OutputOffsets,
        events: UnboundedSender<ToServer>,
    },
    Input {
        job: JobId,
        offset: u64,
        bytes: Vec<u8>,
    },
    HiddenInput {
        job: JobId,
        bytes: Arc<[u8]>,
    },
    EndInput(JobId),
    Signal {
        job: JobId,
        interrupts: u32,
    },
    Settled {
        job: JobId,
        offsets: OutputOffsets,
    },
    Forget(JobId),
}

/// A frame to the server, about one job.
#[derive(Debug)]
pub(super) enum ToServer {
    Started,
    /// The keeper could not start it.
    NotStarted,
    Output {
        /// What it consists of follows from this and its place.
        statement: Arc<str>,
        stream: OutputStream,
        offset: u64,
        count: u64,
    },
    /// How many bytes of its input were read.
    Taken(u64),
    Exited(i32),
    /// The runner is to panic.
    Panicked,
}

impl Keeper {
    pub(super) fn advance(&mut self, world: &World) {
        let now = world.clock.elapsed();
        for job in self.jobs.values_mut() {
            job.program.advance(now);
            job.publish(world);
        }
    }

    /// Whether it has waited for a server in vain. Its programs had a last chance to end by then.
    pub(super) fn has_given_up(&self, now: Duration, patience: Duration) -> bool {
        self.alone_since
            .is_some_and(|since| now >= since + patience)
    }

    pub(super) fn die(&mut self, world: &World) {
        for job in self.jobs.values_mut() {
            job.program.kill();
            job.publish(world);
        }
        self.jobs.clear();
    }

    pub(super) fn obey(&mut self, frame: ToKeeper, world: &World, mutant: Option<Mutant>) {
        let now = world.clock.elapsed();
        match frame {
            ToKeeper::Start {
                job,
                session,
                submission,
                statement,
                has_input,
                events,
            } => {
                if self.jobs.contains_key(&job) {
                    let _ = events.unbounded_send(ToServer::NotStarted);
                    return;
                }
                let _ = events.unbounded_send(ToServer::Started);
                let started = Job {
                    session,
                    submission,
                    program: Program::start(&statement, has_input, now),
                    statement,
                    interrupts: 0,
                    servers: 1,
                    is_told: false,
                    told_taken: 0,
                    last_hidden: None,
                    events: Some(events),
                };
                started.publish(world);
                self.jobs.insert(job, started);
            }
            ToKeeper::Resume {
                job: id,
                from,
                events,
            } => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    if let Some(hidden) = job.last_hidden.clone() {
                        world.count("keeper: a job went on after hidden input");
                        if mutated(mutant, Mutant::RepeatsHiddenInput) {
                            job.take_hidden(id, hidden, world);
                        }
                    }
                    if job.program.resume(from) {
                        world.count("keeper: output came again");
                    }
                    let _ = events.unbounded_send(ToServer::Taken(job.program.taken()));
                    job.events = Some(events);
                    job.servers += 1;
                    job.is_told = false;
                }
            }
            ToKeeper::Input { job, offset, bytes } => {
                if let Some(it) = self.jobs.get_mut(&job) {
                    let offset = match mutated(mutant, Mutant::RepeatsInput) {
                        true => it.program.given,
                        false => offset,
                    };
                    it.program.take_input(offset, &bytes, now);
                    let mut checker = world.checker();
                    let (logged, _) = it.logged_input(job, &checker);
                    let given = &it.program.facts().given;
                    if !logged.starts_with(given) {
                        checker.fail(format!(
                            "promise 7: job {job} is given the input {given:?}, and {logged:?} is logged"
                        ));
                    }
                }
            }
            ToKeeper::HiddenInput { job, bytes } => {
                if let Some(it) = self.jobs.get_mut(&job) {
                    world.count("keeper: input hidden");
                    it.take_hidden(job, bytes, world);
                }
            }
            ToKeeper::EndInput(job) => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.program.end_input(now);
                }
            }
            ToKeeper::Signal {
                job: id,
                interrupts,
            } => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    let last = std::mem::replace(&mut job.interrupts, interrupts);
                    let mut checker = world.checker();
                    // At the end of an engine, one comes that is not logged.
                    let is_end = checker.is_closing && interrupts == last;
                    if interrupts <= last && !is_end {
                        checker.fail(format!(
                            "promise 7: interrupt {interrupts} of job {id} comes after {last}"
                        ));
                    }
                    drop(checker);
                    job.program.interrupt(now);
                }
            }
            ToKeeper::Settled { job, offsets } => {
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.program.settle(offsets, now);
                }
            }
            ToKeeper::Forget(job) => {
                if !mutated(mutant, Mutant::NeverForgets)
                    && let Some(mut it) = self.jobs.remove(&job)
                {
                    {
                        let mut checker = world.checker();
                        let checker = &mut *checker;
                        let forgotten = checker.kept.forget(job, &it.statement, &checker.model);
                        checker.report(forgotten);
                    }
                    it.program.kill();
                    it.publish(world);
                }
            }
        }
        self.advance(world);
    }

    /// Sends something to the server. Returns whether there was something to send.
    pub(super) fn report(
        &mut self,
        world: &World,
        random: &mut Random,
        mutant: Option<Mutant>,
    ) -> bool {
        let mut forgotten = None;
        let mut has_sent = false;
        for (id, job) in &mut self.jobs {
            let Some(events) = &job.events else {
                continue;
            };
            let bound = if random.once_in(20) { 400 } else { 120 };
            let most = 1 + random.below(bound);
            if let Some((stream, offset, count)) = job.program.send(most) {
                let output = ToServer::Output {
                    statement: job.statement.clone(),
                    stream,
                    offset,
                    count,
                };
                let _ = events.unbounded_send(output);
                has_sent = true;
            }
            if job.told_taken < job.program.taken() {
                job.told_taken = job.program.taken();
                let _ = events.unbounded_send(ToServer::Taken(job.told_taken));
            }
            let is_early = mutated(mutant, Mutant::TellsTheEndEarly);
            if job.is_told || !(job.program.is_sent() || is_early) {
                continue;
            }
            let facts = job.program.facts();
            if let Some(status) = facts.exit {
                job.is_told = true;
                let _ = events.unbounded_send(ToServer::Exited(status));
                if mutated(mutant, Mutant::ForgetsTheEnd) {
                    forgotten = Some(*id);
                }
            } else if facts.panics {
                job.is_told = true;
                let _ = events.unbounded_send(ToServer::Panicked);
            }
        }
        if let Some(job) = forgotten {
            self.jobs.remove(&job);
        }
        let waits: u64 = self
            .jobs
            .values_mut()
            .map(|job| std::mem::take(&mut job.program.waits))
            .sum();
        if waits > 0 {
            world.count("keeper: a program waited for room or input");
        }
        has_sent
    }
}

impl Job {
    pub(super) fn publish(&self, world: &World) {
        world
            .checker()
            .programs
            .update(&self.statement, self.program.facts());
    }

    /// Takes input that is not logged: not more than the log says that there was.
    fn take_hidden(&mut self, id: JobId, bytes: Arc<[u8]>, world: &World) {
        let mut checker = world.checker();
        let checker = &mut *checker;
        let session = self.session;
        let taken = checker
            .runs
            .read_hidden(session, id, &bytes, &checker.model);
        checker.report(taken.map_err(|what| format!("promise 7: {what}")));
        self.last_hidden = Some(bytes);
    }

    /// No message between the server and the keeper is on its way.
    pub(super) fn check(&self, id: JobId, checker: &Checker) -> Result<(), String> {
        let model = &checker.model;
        let running = model.state.session(self.session).and_then(|session| {
            let mut jobs = session.jobs();
            jobs.find(|(job, _)| *job == id).map(|(_, job)| job)
        });
        let Some(running) = running else {
            return Err(format!(
                "promise 7: job {id} is over in the log, and its keeper still has it"
            ));
        };
        let (input, has_end) = self.logged_input(id, checker);
        let room = self.program.taken() + INPUT_WINDOW;
        let given = self.program.facts().given.len();
        ensure!(
            given == input.len() || self.program.given >= room,
            "promise 7: of {} bytes of input of job {id}, it was given {given}",
            input.len()
        );
        ensure!(
            self.program.input_ended() == has_end || self.program.given >= room,
            "promise 7: the end of the input of job {id} was not told"
        );
        ensure!(
            self.interrupts > 0 || running.interrupts() == 0,
            "promise 7: job {id} was not interrupted"
        );
        let (settled, logged) = (self.program.settled(), running.offsets());
        ensure!(
            settled == logged || running.is_truncated(),
            "promise 7: {logged:?} of job {id} is logged, and its keeper knows of {settled:?}"
        );
        ensure!(
            !self.is_told,
            "promise 7: job {id} has told its end, and runs in the log"
        );
        Ok(())
    }

    /// The input in the log, and whether it has ended.
    pub(super) fn logged_input(&self, id: JobId, checker: &Checker) -> (Vec<u8>, bool) {
        let (mut input, mut has_end) = (vec![], false);
        for (_, record) in checker.model.records(self.session) {
            if let Event::InputWritten {
                job, bytes, end, ..
            } = &record.event
                && *job == id
            {
                input.extend_from_slice(bytes);
                has_end |= end;
            }
        }
        (input, has_end)
    }

    /// Whether the log and the keeper fit together.
    pub(super) fn goes_on(
        &self,
        id: JobId,
        is_served: impl Fn(&str) -> bool,
        checker: &Checker,
    ) -> bool {
        let model = &checker.model;
        let Some(session) = model.state.session(self.session) else {
            return false;
        };
        let mut jobs = session.jobs();
        let Some((_, running)) = jobs.find(|(job, _)| *job == id) else {
            return false;
        };
        let is_same = checker.kept.statement(id) == Some(&*self.statement);
        let (settled, end) = (self.program.settled(), self.program.end_of_output());
        let fits = OutputStream::ALL.into_iter().all(|stream| {
            let logged = running.offsets().of(stream);
            (settled.of(stream)..=end.of(stream)).contains(&logged)
        });
        let (input, has_end) = self.logged_input(id, checker);
        is_same
            && is_served(session.service())
            && (fits || running.is_truncated())
            && input.starts_with(&self.program.facts().given)
            && (has_end || !self.program.input_ended())
            && self.interrupts <= running.interrupts()
    }
}
