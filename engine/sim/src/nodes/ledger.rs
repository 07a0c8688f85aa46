//! All that is known of a run from outside the nodes, and what must be true of it.

use super::coverage::EXPECTED;
use super::cursors::Cursors;
use super::truth::{Stored, Truth, Writer};
use crate::oracle::{Coverage, Trace, ensure};
use rejoin_cluster::testing::Model;
use rejoin_core::{
    Event, JobId, Limits, Numbering, Outcome, Record, Sequence, SessionId, SessionNumber, Views,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What is known, and the first promise that was broken.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) logs: Vec<Truth>,
    /// The fold of all logs.
    pub(super) views: Views,
    pub(super) cursors: Cursors,
    /// Sessions that clients know of.
    sessions: BTreeSet<SessionId>,
    /// How often each unique text is in a log.
    marks: BTreeMap<Arc<str>, u32>,
    /// When each process was last away: dead, stopped, or cut off.
    processes: Vec<Process>,
    /// The log that is the home of each node.
    homes: BTreeMap<usize, u8>,
    /// How often each log changed hands, or a question about it was lost.
    disturbed: Vec<u64>,
    /// When each log changed hands last, or a process woke up that may think that it has it.
    moved: Vec<Duration>,
    /// Logs of which a replica has lost a message. Their writers may end when they meet that.
    damaged: BTreeSet<usize>,
    job_numbers: BTreeSet<JobId>,
    session_numbers: BTreeSet<SessionNumber>,
    /// Jobs that runners have been given.
    runs: BTreeSet<JobId>,
    pub(super) takeovers: u64,
    /// Those among them from a process whose beats had got lost for long, while the servers were there.
    pub(super) unlucky: u64,
    /// Jobs that were lost although no process's beats had got lost before.
    pub(super) unexplained_losses: u64,
    pub(super) coverage: Coverage,
    pub(super) trace: Trace,
    pub(super) failure: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Process {
    is_away: bool,
    was_away: Option<Duration>,
    /// When its beats had got lost for long.
    lost_beats: Option<Duration>,
}

impl Ledger {
    pub(super) fn new(nodes: usize, limits: Limits) -> Self {
        let number = |node| u8::try_from(node).unwrap_or(u8::MAX);
        Self {
            logs: (0..nodes)
                .map(|node| Truth::new(number(node), limits))
                .collect(),
            views: Views::default(),
            cursors: Cursors::default(),
            sessions: BTreeSet::new(),
            marks: BTreeMap::new(),
            processes: vec![],
            homes: BTreeMap::new(),
            disturbed: vec![1; nodes],
            moved: vec![Duration::ZERO; nodes],
            damaged: BTreeSet::new(),
            job_numbers: BTreeSet::new(),
            session_numbers: BTreeSet::new(),
            runs: BTreeSet::new(),
            takeovers: 0,
            unlucky: 0,
            unexplained_losses: 0,
            coverage: Coverage::expecting(EXPECTED),
            trace: Trace::default(),
            failure: None,
        }
    }

    /// Records a broken promise. Only the first one is kept.
    pub(super) fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    pub(super) fn report(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.fail(what);
        }
    }

    /// Whether the beats of a process had got lost for long a moment ago, while the servers were there.
    fn has_lost_beats(&self, now: Duration) -> bool {
        let mut lost = self.processes.iter().filter_map(|it| it.lost_beats);
        lost.any(|then| now.saturating_sub(then) < MEMORY)
    }

    /// A process begins. Its number is also that of its client of the servers.
    pub(super) fn begin_process(&mut self) -> usize {
        self.processes.push(Process {
            is_away: false,
            was_away: None,
            lost_beats: None,
        });
        self.processes.len() - 1
    }

    /// A node has found its home: always the same.
    pub(super) fn join(&mut self, node: usize, log: u8) -> Result<(), String> {
        let home = *self.homes.entry(node).or_insert(log);
        let mut others = self.homes.iter().filter(|(_, other)| **other == log);
        ensure!(
            home == log && others.all(|(other, _)| *other == node),
            "ownership: node {node} has log {log} as its home: {:?}",
            self.homes
        );
        Ok(())
    }

    /// The home of a node, once it has one.
    pub(super) fn home(&self, node: usize) -> Option<u8> {
        self.homes.get(&node).copied()
    }

    /// A process is away from now on, or not any more.
    pub(super) fn set_away(&mut self, process: usize, is_away: bool, now: Duration) {
        if let Some(process) = self.processes.get_mut(process) {
            process.is_away = is_away;
            process.was_away = Some(now);
        }
    }

    /// A process's beats got lost for long, although the servers are there.
    pub(super) fn lose_beats(&mut self, process: usize, now: Duration) {
        if let Some(process) = self.processes.get_mut(process) {
            process.lost_beats = Some(now);
        }
    }

    pub(super) fn disturb(&mut self, log: u8) {
        if let Some(disturbed) = self.disturbed.get_mut(usize::from(log)) {
            *disturbed += 1;
        }
    }

    /// A replica has lost a message of a log.
    pub(super) fn damage(&mut self, log: u8) {
        self.damaged.insert(usize::from(log));
    }

    /// How often a log was disturbed, and whether it may be moving.
    pub(super) fn disturbed(&self, log: u8, now: Duration) -> (u64, bool) {
        let log = usize::from(log);
        let disturbed = self.disturbed.get(log).copied().unwrap_or(0);
        let moved = self.moved.get(log).copied().unwrap_or_default();
        (disturbed, now.saturating_sub(moved) < MOVING)
    }

    /// A process is there again, and may think that it has logs which others have taken.
    pub(super) fn return_process(&mut self, now: Duration) {
        self.disturbed.iter_mut().for_each(|it| *it += 1);
        self.moved.fill(now);
    }

    pub(super) fn truth(&self, session: SessionId) -> &Truth {
        &self.logs[usize::from(log_of(session)).min(self.logs.len() - 1)]
    }

    /// Takes what the servers have stored since the last time.
    pub(super) fn catch_up(&mut self, model: &Model, now: Duration) {
        for log in 0..self.logs.len() {
            let number = u8::try_from(log).unwrap_or(u8::MAX);
            let from = self.logs[log].taken();
            for (encoded, process) in &model.messages(number)[from..] {
                let stored = self.logs[log].take(encoded, *process);
                let checked = stored.and_then(|stored| self.take(log, stored, now));
                if let Err(what) = checked {
                    self.fail(what);
                    return;
                }
            }
        }
    }

    fn take(&mut self, log: usize, stored: Stored, now: Duration) -> Result<(), String> {
        match stored {
            Stored::Part => {
                self.coverage.count("log: a batch in several messages");
                Ok(())
            }
            Stored::LetGo => {
                self.coverage.count("owner: let a log go");
                self.trace.note(0, format_args!("log {log} is let go"));
                Ok(())
            }
            Stored::Owner {
                before,
                was_let_go,
                now: owner,
            } => {
                self.disturbed[log] += 1;
                self.moved[log] = now;
                self.trace
                    .note(0, format_args!("log {log}: {owner:?} after {before:?}"));
                self.check_owner(log, before.filter(|_| !was_let_go), &owner, now)
            }
            Stored::Batch(records, is_first) => {
                for record in &records {
                    self.trace
                        .note(0, format_args!("log {log} stores {record:?}"));
                    self.add(log, record)?;
                }
                let lost = records.iter().filter(|it| is_lost(it)).count();
                if lost > 0 && !self.has_lost_beats(now) {
                    self.unexplained_losses += lost as u64;
                }
                if is_first {
                    if lost > 0 {
                        self.coverage.count("job: lost, as another process goes on");
                    }
                    if records
                        .iter()
                        .any(|it| matches!(it.event, Event::SessionTakenOver { .. }))
                    {
                        self.coverage
                            .count("session: taken over, with node and term");
                    }
                }
                Ok(())
            }
        }
    }

    /// A log is taken only from a process that is, or was a moment ago, away.
    fn check_owner(
        &mut self,
        log: usize,
        before: Option<Writer>,
        owner: &Writer,
        now: Duration,
    ) -> Result<(), String> {
        let is_home = self.logs[log].home() == Some(&owner.node);
        let Some(before) = before else {
            self.coverage.count(match is_home {
                true => "owner: took its home",
                false => "owner: took a log that was let go",
            });
            return Ok(());
        };
        if before.node == owner.node {
            self.coverage.count("owner: went on after a restart");
        } else {
            self.takeovers += 1;
            let process = self.processes.get(before.process);
            let lost = process.and_then(|it| it.lost_beats);
            let is_unlucky = lost.is_some_and(|then| now.saturating_sub(then) < MEMORY);
            self.unlucky += u64::from(is_unlucky);
            self.coverage.count(match is_home {
                true => "owner: took its home from another node",
                false => "owner: took the log of a silent node",
            });
        }
        let process = self.processes.get(before.process);
        let is_away = process.is_some_and(|process| {
            let since = process.was_away.map(|then| now.saturating_sub(then));
            process.is_away || since.is_some_and(|since| since < MEMORY)
        });
        let is_damaged = before.process == owner.process && self.damaged.contains(&log);
        if is_damaged {
            self.coverage
                .count("owner: took its log again, as a replica was damaged");
        }
        ensure!(
            is_away || is_damaged,
            "takeover: {owner:?} took log {log} from {before:?}, which was never away"
        );
        Ok(())
    }

    fn add(&mut self, log: usize, record: &Arc<Record>) -> Result<(), String> {
        self.views.apply(record);
        let own = log_of(record.session);
        ensure!(
            usize::from(own) == log,
            "numbers: log {log} has a record of a session of log {own}: {record:?}"
        );
        let mark = match &record.event {
            Event::SessionCreated { user, number, .. } => {
                ensure!(
                    self.session_numbers.insert(*number),
                    "numbers: session {number} is there twice"
                );
                user.clone()
            }
            Event::JobSubmitted { statement, job, .. } => {
                ensure!(
                    self.job_numbers.insert(*job),
                    "numbers: job {job} is there twice"
                );
                ensure!(
                    usize::from(numbering().log_of_number(job.0)) == log,
                    "numbers: job {job} is in log {log}"
                );
                Some(statement.clone())
            }
            Event::SessionDescribed { description } => description.title.clone(),
            Event::InputWritten { bytes, .. } => Some(String::from_utf8_lossy(bytes).into()),
            _ => None,
        };
        if let Some(mark) = mark.filter(|mark| mark.contains('#')) {
            let times = self.marks.entry(mark.clone()).or_default();
            *times += 1;
            ensure!(
                *times == 1,
                "promise 7: {mark} was sent once and is there twice: {record:?}"
            );
        }
        self.coverage.count(event(record));
        Ok(())
    }

    /// Whether a text was stored.
    pub(super) fn has(&self, mark: &str) -> bool {
        self.marks.contains_key(mark)
    }

    /// Clients know a session.
    pub(super) fn know(&mut self, session: SessionId) {
        self.sessions.insert(session);
    }

    /// A session that clients know, most often an open one, if `draw` picks one of that number.
    pub(super) fn any_session(
        &self,
        is_open: bool,
        draw: impl FnOnce(usize) -> usize,
    ) -> Option<SessionId> {
        let all = self.sessions.iter().copied();
        let all: Vec<_> = all
            .filter(|it| !is_open || self.truth(*it).is_open(*it))
            .collect();
        all.get(draw(all.len())).copied()
    }

    /// An acknowledged command: its record is stored.
    pub(super) fn check_acknowledged(
        &self,
        session: SessionId,
        sequence: Sequence,
        is_it: impl Fn(&Event) -> bool,
    ) -> Result<(), String> {
        let mut own = self.truth(session).of(session);
        let record = own.find(|record| record.sequence == sequence);
        ensure!(
            record.is_some_and(|record| is_it(&record.event)),
            "promise 3: {sequence} of session {session} was acknowledged, and {record:?} is stored"
        );
        Ok(())
    }

    /// A client was answered that a session is not open, which was.
    pub(super) fn check_not_open(&self, session: SessionId) -> Result<(), String> {
        ensure!(
            !self.truth(session).is_open(session),
            "negatives: a client was answered that session {session} is not open"
        );
        Ok(())
    }

    /// A runner is given a job: once, and when it is stored.
    pub(super) fn run(&mut self, session: SessionId, job: JobId) -> Result<(), String> {
        let is_stored = self
            .truth(session)
            .of(session)
            .any(|it| matches!(it.event, Event::JobSubmitted { job: other, .. } if other == job));
        ensure!(is_stored, "promise 3: job {job} is run before it is stored");
        ensure!(self.runs.insert(job), "promise 7: job {job} is run twice");
        Ok(())
    }

    /// A runner goes on with a job after a restart: the log must say that it runs.
    pub(super) fn resume(&mut self, session: SessionId, job: JobId) -> Result<(), String> {
        self.coverage.count("keeper: a job went on");
        ensure!(
            self.is_running(session, job),
            "takeover: a node goes on with job {job}, which is over"
        );
        Ok(())
    }

    /// Whether the log says that a job runs.
    pub(super) fn is_running(&self, session: SessionId, job: JobId) -> bool {
        let open = self.truth(session).state.session(session);
        open.is_some_and(|open| open.jobs().any(|(running, _)| running == job))
    }

    /// How many jobs run.
    pub(super) fn running(&self) -> usize {
        let logs = self.logs.iter();
        logs.flat_map(|log| log.state.sessions())
            .map(|(_, open)| open.jobs().count())
            .sum()
    }
}

pub(super) fn numbering() -> Numbering {
    Numbering::new(0, rejoin_node::limits::LOGS).unwrap_or_default()
}

pub(super) fn log_of(session: SessionId) -> u8 {
    numbering().log_of(session)
}

fn is_lost(record: &Record) -> bool {
    matches!(
        record.event,
        Event::JobFinished {
            outcome: Outcome::Lost,
            ..
        }
    )
}

fn event(record: &Record) -> &'static str {
    match &record.event {
        Event::SessionCreated { .. } => "event: session created",
        Event::SessionClosed { .. } => "event: session closed",
        Event::SessionResumed => "event: session resumed",
        Event::SessionTakenOver { .. } => "event: session taken over",
        Event::SessionDescribed { .. } => "event: session described",
        Event::ConsumerJoined { .. } => "event: consumer joined",
        Event::ConsumerLeft { .. } => "event: consumer left",
        Event::CursorAdvanced { .. } => "event: cursor advanced",
        Event::InputWritten { .. } => "event: input written",
        Event::InterruptRequested { .. } => "event: interrupt",
        Event::JobSubmitted { .. } => "event: job submitted",
        Event::JobStarted { .. } => "event: job started",
        Event::ResultEmitted { .. } => "event: result emitted",
        Event::JobFinished { outcome, .. } => match outcome {
            Outcome::Completed => "event: job completed",
            Outcome::Failed => "event: job failed",
            Outcome::Interrupted => "event: job interrupted",
            Outcome::TimedOut => "event: job timed out",
            Outcome::Lost => "event: job lost",
        },
        _ => "event: another one",
    }
}

/// A node may be held for dead for so long after it was: its beats have to be seen again, and a claim that
/// was made then may be carried out late.
const MEMORY: Duration = Duration::from_secs(40);

/// How long it takes until all know that a log has changed hands.
const MOVING: Duration = Duration::from_secs(25);
