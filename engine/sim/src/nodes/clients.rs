//! Clients of a node: they use sessions of all nodes through it, and check each answer.

use super::cursors::Key;
use super::ledger::{Ledger, log_of};
use super::mutants::NodesMutant;
use super::net::{Net, ProcessCell};
use crate::oracle::filter_of;
use crate::world::Random;
use rejoin_core::{DescribeSession, Event, JobId, JobMode, Record, Rejection, Sequence, SessionId};
use rejoin_engine::{
    CommandError, Engine, JobAck, NewJob, NewSession, Pull, PullError, Unavailable,
};
use rejoin_log::ReadLimit;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One client, until its process ends.
pub(super) struct Client {
    pub(super) net: Arc<Net>,
    pub(super) cell: Arc<ProcessCell>,
    pub(super) engine: Engine,
    pub(super) random: Random,
}

/// What became of a command.
enum Outcome {
    Refused(Rejection),
    /// It is unknown, or was not carried out.
    Unavailable,
}

impl Client {
    pub(super) async fn run(mut self) {
        while !self.net.is_draining() {
            let think = self.random.millis(3_000);
            self.net.pause(think + Duration::from_millis(1)).await;
            if self.net.is_draining() || self.net.has_failed() {
                return;
            }
            self.act().await;
        }
    }

    async fn act(&mut self) {
        let is_open = !self.random.once_in(8);
        let session = {
            let ledger = self.net.ledger();
            ledger.any_session(is_open, |all| self.random.index(all))
        };
        let Some(session) = session.filter(|_| !self.random.once_in(9)) else {
            return self.create().await;
        };
        match self.random.below(100) {
            0..=29 => self.submit(session).await,
            30..=36 => self.join(session).await,
            37..=42 => self.describe(session).await,
            43..=50 => self.interrupt(session).await,
            51..=54 => self.close(session).await,
            55..=60 => self.write(session).await,
            61..=68 => self.look(session).await,
            69..=74 => self.read(session).await,
            75..=77 => self.engine.touch(session),
            _ => self.pull_any().await,
        }
    }

    /// A text that is sent once.
    fn mark(&mut self) -> String {
        format!("#{}", self.random.bits())
    }

    async fn create(&mut self) {
        let mark: Arc<str> = self.mark().into();
        let service = self.random.pick(["plain", "kept", "kept"]);
        let new = NewSession {
            service: Some(service.into()),
            user: Some(mark),
            remote: None,
            reads: true,
        };
        let begun = self.net.clock.elapsed();
        let created = self.engine.create_session(new).await;
        let took = self.net.clock.elapsed().saturating_sub(begun);
        let home = self.engine.config().numbering.log();
        let is_known = created.as_ref().ok().map(|created| {
            let id = created.id();
            (
                id,
                created.consumer(),
                self.engine.session_view(id).is_some(),
            )
        });
        let mut ledger = self.net.ledger();
        if let Some((session, consumer, is_seen)) = is_known {
            ledger.coverage.count("answer: accepted");
            let acknowledged = ledger.check_acknowledged(session, Sequence(1), |event| {
                matches!(event, Event::SessionCreated { .. })
            });
            ledger.report(acknowledged);
            if log_of(session) != home {
                ledger.fail(format!("numbers: session {session} is not in log {home}"));
            }
            if let Some(consumer) = consumer {
                ledger.cursors.join((session, consumer));
            }
            ledger.know(session);
            self.see(&mut ledger, session, is_seen, took);
        }
        drop(ledger);
        if let Err(error) = created {
            self.refused(&error);
        }
    }

    /// What was done is visible at once, unless following it took too long.
    fn see(&self, ledger: &mut Ledger, session: SessionId, is_seen: bool, took: Duration) {
        if is_seen {
            ledger.coverage.count("own write: seen at once");
        } else if took < PATIENCE {
            let node = self.cell.node;
            ledger.fail(format!(
                "own writes: node {node} does not show what it has just done to session {session}"
            ));
        } else {
            ledger.coverage.count("own write: not seen in time");
        }
    }

    async fn submit(&mut self, session: SessionId) {
        let mark = self.mark();
        let script = match self.random.below(5) {
            0 => format!("wait {}; say 2; {mark}", self.random.below(9_000)),
            1 => format!("say {}; exit 3; {mark}", self.random.below(9)),
            2 => format!("wait 20000; say 1; {mark}"),
            _ => format!(
                "say {}; wait {}; say 1; {mark}",
                self.random.below(4),
                self.random.below(3_000)
            ),
        };
        let statement: Arc<str> = script.into();
        let request = self.random.once_in(3).then(|| Arc::from(mark));
        let mut job = NewJob::new(session, statement.clone(), self.random.pick(JobMode::ALL));
        job.request = request.clone();
        job.input = self.random.once_in(2);
        if self.random.once_in(4) {
            job.timeout = Some(Duration::from_secs(1 + self.random.below(6)));
        }
        let begun = self.net.clock.elapsed();
        let mut answer = self.engine.submit_job(job.clone()).await;
        // A request with a name is repeated until its outcome is known.
        if request.is_some() && matches!(answer, Err(CommandError::Unavailable(_))) {
            answer = self.engine.submit_job(job).await;
        }
        if let Ok(JobAck { job, sequence }) = answer {
            let is_it = |event: &Event| {
                matches!(event, Event::JobSubmitted { job: other, statement: said, .. }
                    if *other == job && *said == statement)
            };
            self.acknowledged(session, sequence, begun, is_it);
        }
        if let Err(error) = answer
            && let Outcome::Refused(Rejection::SessionNotFound(_)) = self.refused(&error)
        {
            self.not_open(session);
        }
    }

    /// A command was acknowledged: its record is stored, and visible here.
    fn acknowledged(
        &self,
        session: SessionId,
        sequence: Sequence,
        begun: Duration,
        is_it: impl Fn(&Event) -> bool,
    ) {
        let view = self.engine.session_view(session);
        let is_seen = view.is_some_and(|view| view.last_sequence >= sequence);
        let mut ledger = self.net.ledger();
        ledger.coverage.count("answer: accepted");
        let checked = ledger.check_acknowledged(session, sequence, is_it);
        ledger.report(checked);
        let took = self.net.clock.elapsed().saturating_sub(begun);
        self.see(&mut ledger, session, is_seen, took);
    }

    /// As [`Self::acknowledged`], for a command that is known by its text.
    fn acknowledged_text(&self, mark: &str) {
        let mut ledger = self.net.ledger();
        ledger.coverage.count("answer: accepted");
        if !ledger.has(mark) {
            ledger.fail(format!(
                "promise 3: {mark} was acknowledged and is not stored"
            ));
        }
    }

    fn not_open(&self, session: SessionId) {
        let mut ledger = self.net.ledger();
        let checked = ledger.check_not_open(session);
        ledger.report(checked);
        ledger.coverage.count("negative: confirmed");
    }

    /// Counts why a command was not done.
    fn refused(&self, error: &CommandError) -> Outcome {
        self.net
            .note(format_args!("node {}: {error}", self.cell.node));
        let (name, outcome) = match error {
            CommandError::Rejected(rejection) => ("answer: rejected", Outcome::Refused(*rejection)),
            CommandError::Unavailable(Unavailable::Moved) => {
                ("answer: moved", Outcome::Unavailable)
            }
            CommandError::Unavailable(Unavailable::Unanswered) => {
                ("answer: not answered", Outcome::Unavailable)
            }
            CommandError::Unavailable(Unavailable::Behind) => {
                ("answer: behind", Outcome::Unavailable)
            }
            CommandError::Unavailable(Unavailable::Broken) => {
                let broken = "promise 9: an engine broke an assertion".to_owned();
                self.net.ledger().fail(broken);
                ("answer: broken", Outcome::Unavailable)
            }
            _ => ("answer: another one", Outcome::Unavailable),
        };
        self.net.count(name);
        outcome
    }

    /// Checks the answer to a command that is known by its text.
    fn answered(&self, session: SessionId, mark: &str, answer: Result<(), CommandError>) {
        match answer.map_err(|error| self.refused(&error)) {
            Ok(()) => self.acknowledged_text(mark),
            Err(Outcome::Refused(Rejection::SessionNotFound(_))) => self.not_open(session),
            Err(Outcome::Refused(_) | Outcome::Unavailable) => {}
        }
    }

    async fn describe(&mut self, session: SessionId) {
        let mark = self.mark();
        let describe = DescribeSession {
            session,
            title: Some(mark.as_str().into()),
            labels: BTreeMap::new(),
        };
        let answer = self.engine.describe_session(describe).await;
        self.answered(session, &mark, answer);
    }

    /// A job that runs, according to the log.
    fn job(&mut self, session: SessionId) -> Option<JobId> {
        let ledger = self.net.ledger();
        let jobs = ledger.truth(session).state.session(session)?.jobs();
        let jobs: Vec<_> = jobs.map(|(job, _)| job).collect();
        jobs.get(self.random.index(jobs.len())).copied()
    }

    async fn write(&mut self, session: SessionId) {
        let Some(job) = self.job(session) else {
            return;
        };
        let mark = self.mark();
        let bytes = mark.as_bytes();
        let answer = self
            .engine
            .write_input(session, job, bytes.into(), false)
            .await;
        self.answered(session, &mark, answer);
    }

    async fn interrupt(&mut self, session: SessionId) {
        let Some(job) = self.job(session) else {
            return;
        };
        let begun = self.net.clock.elapsed();
        let answer = self.engine.interrupt_job(session, Some(job)).await;
        match answer {
            Ok(ack) => self.acknowledged(session, ack.sequence, begun, |event| {
                matches!(event, Event::InterruptRequested { job: other, .. } if *other == job)
            }),
            Err(error) => match self.refused(&error) {
                Outcome::Refused(Rejection::SessionNotFound(_)) => self.not_open(session),
                Outcome::Refused(Rejection::JobNotFound(_)) => {
                    let mut ledger = self.net.ledger();
                    if ledger.is_running(session, job) {
                        ledger.fail(format!(
                            "negatives: a client was answered that job {job} is not there, which runs"
                        ));
                    }
                }
                _ => {}
            },
        }
    }

    async fn close(&mut self, session: SessionId) {
        let answer = self.engine.close_session(session).await;
        match answer.map_err(|error| self.refused(&error)) {
            Ok(()) | Err(Outcome::Refused(Rejection::SessionNotFound(_))) => self.not_open(session),
            _ => {}
        }
    }

    async fn join(&mut self, session: SessionId) {
        match self.engine.join_session(session).await {
            Ok(consumer) => {
                let mut ledger = self.net.ledger();
                ledger.coverage.count("answer: accepted");
                let is_stored = ledger.truth(session).of(session).any(|it| {
                    matches!(it.event, Event::ConsumerJoined { consumer: other, .. } if other == consumer)
                });
                if !is_stored {
                    ledger.fail(format!(
                        "promise 3: {consumer} joined {session}, and that is not stored"
                    ));
                }
                ledger.cursors.join((session, consumer));
            }
            Err(error) => {
                if let Outcome::Refused(Rejection::SessionNotFound(_)) = self.refused(&error) {
                    self.not_open(session);
                }
            }
        }
    }

    /// Looks whether a session is there, as a frontend does before it answers "not found".
    async fn look(&mut self, session: SessionId) {
        if self.net.has(NodesMutant::AnswersNegatives) {
            // A frontend that does not ask.
        } else if self.engine.know(session).await.is_err() {
            self.net.count("answer: behind");
            return;
        }
        let view = self.engine.session_view(session);
        let mut ledger = self.net.ledger();
        match view {
            None => {
                let checked = ledger.check_not_open(session);
                ledger.report(checked);
                ledger.coverage.count("negative: confirmed");
            }
            Some(view) => {
                let last = ledger.truth(session).last(session);
                if view.last_sequence > last {
                    let node = self.cell.node;
                    ledger.fail(format!(
                        "promise 3: node {node} shows {session} up to {}, and {last} is stored",
                        view.last_sequence
                    ));
                }
            }
        }
    }

    /// Reads by sequence.
    async fn read(&mut self, session: SessionId) {
        let after = Sequence(self.random.below(12));
        let limit = ReadLimit {
            records: 1 + self.random.index(20),
            bytes: 4_000,
        };
        let wait = self.random.millis(2_000);
        let Ok(records) = self.engine.read(session, after, limit, wait).await else {
            return;
        };
        let mut ledger = self.net.ledger();
        let own = ledger.truth(session).of(session);
        let expected: Vec<&Arc<Record>> = own
            .filter(|it| it.sequence > after)
            .take(records.len())
            .collect();
        let is_same = expected.iter().copied().eq(records.iter());
        if !is_same {
            let what = format!(
                "promises 2, 3: a reader of {session} got {records:?} of what is stored as {expected:?}"
            );
            ledger.fail(what);
        }
        if !records.is_empty() {
            ledger.coverage.count("read: with records");
        }
    }

    async fn pull_any(&mut self) {
        let free = {
            let ledger = self.net.ledger();
            ledger.cursors.free(|all| self.random.index(all))
        };
        if let Some(key) = free {
            let wait = self.random.millis(3_000);
            let limit = 1 + self.random.index(20);
            pull(&self.net, &self.cell, &self.engine, key, wait, limit).await;
        }
    }
}

/// How a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PullEnd {
    Records,
    Nothing,
    Gone,
    Failed,
}

/// A pull whose answer is checked.
pub(super) async fn pull(
    net: &Arc<Net>,
    cell: &ProcessCell,
    engine: &Engine,
    key: Key,
    wait: Duration,
    records: usize,
) -> PullEnd {
    let (session, consumer) = key;
    net.ledger().cursors.begin(key, cell.id);
    let limit = ReadLimit {
        records,
        bytes: 4_000,
    };
    let pull = Pull {
        session,
        consumer,
        wait,
        limit,
        select: filter_of(consumer),
        gather: None,
    };
    let pulled = engine.pull(pull).await;
    net.note(format_args!(
        "node {}: {consumer} of {session} got {pulled:?}",
        cell.node
    ));
    let mut ledger = net.ledger();
    ledger.cursors.end(key);
    let disturbed = ledger.disturbed(log_of(session), net.clock.elapsed());
    match pulled {
        Ok(pulled) => {
            let ledger = &mut *ledger;
            let truth = &ledger.logs[usize::from(log_of(session))];
            let given = ledger.cursors.give(key, &pulled, disturbed, truth);
            match given {
                Ok(true) => ledger
                    .coverage
                    .count("pull: after an own node's restart or a loss"),
                Ok(false) => {}
                Err(what) => ledger.fail(what),
            }
            if pulled.records.is_empty() {
                return PullEnd::Nothing;
            }
            ledger.coverage.count("pull: with records");
            PullEnd::Records
        }
        Err(error @ (PullError::SessionNotFound | PullError::ConsumerNotFound)) => {
            ledger.coverage.count("pull: refused");
            let open = ledger.truth(session).state.session(session);
            if open.is_some_and(|open| open.consumer(consumer).is_some()) {
                ledger.fail(format!(
                    "negatives: a pull of {consumer} of session {session} was refused: {error}"
                ));
            }
            ledger.cursors.remove(key);
            PullEnd::Gone
        }
        Err(PullError::CursorUnknown { last }) => {
            ledger.fail(format!(
                "promise 2: {consumer} was answered that {last} is the end"
            ));
            PullEnd::Gone
        }
        Err(_) => {
            ledger.coverage.count("pull: failed");
            PullEnd::Failed
        }
    }
}

/// How long a node waits at most until it shows what it did at another one.
const PATIENCE: Duration = rejoin_engine::limits::TAIL_PATIENCE;
