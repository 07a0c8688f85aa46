//! Runs each operation on an engine and on its model, and compares what clients see, and then the
//! complete state.

use super::operation::Operation;
use super::storage::{Storage, Tape};
use crate::world::{Host, Puppet, World, content, results};
use futures::future::poll_immediate;
use rejoin_core::{
    ConsumerId, Event, Instant, JobId, JobState, Outcome, Record, Sequence, SessionId, Views,
};
use rejoin_engine::{CommandError, NewJob, NewSession, Pull, PullError};
use rejoin_log::ReadLimit;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// As the harness configures it.
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(100);

/// The model of a session.
struct SessionModel {
    id: SessionId,
    is_open: bool,
    /// The results of its jobs.
    said: Vec<String>,
    consumers: Vec<Reader>,
    jobs: Vec<(JobId, Option<(Outcome, i32)>)>,
    /// Its last job, while that is running.
    running: Option<Puppet>,
    is_interrupted: bool,
}

struct Reader {
    id: ConsumerId,
    is_here: bool,
    /// How many results it has received.
    given: usize,
    /// When it was last active.
    seen: Instant,
}

pub(super) struct Run {
    world: World,
    storage: Storage,
    recent_bytes: usize,
    tape: Tape,
    sessions: Vec<SessionModel>,
    lines: u32,
}

impl Run {
    pub(super) fn begin(host: Host, storage: Storage, recent_bytes: usize) -> Self {
        let tape = Tape::default();
        let (config, log, replayed) = storage.open(&tape, recent_bytes);
        Self {
            world: World::with(&host, config, Box::new(log), replayed),
            storage,
            recent_bytes,
            tape,
            sessions: Vec::new(),
            lines: 0,
        }
    }

    pub(super) async fn end(self) {
        self.world.engine.shut_down(Duration::ZERO).await;
    }

    pub(super) async fn take(&mut self, operation: &Operation) {
        match *operation {
            Operation::Create { reads } => self.create(reads).await,
            Operation::Pass(seconds) => {
                self.world.pass(seconds.into()).await;
                self.expire();
            }
            Operation::SetBack(seconds) => {
                self.world
                    .clock
                    .set_back(Duration::from_secs(seconds.into()));
            }
            Operation::SetAhead(hours) => {
                let by = Duration::from_secs(3_600 * u64::from(hours));
                self.world.clock.set_ahead(by);
            }
            Operation::Restart => self.restart(true).await,
            Operation::Crash => self.restart(false).await,
            Operation::Join(session)
            | Operation::Leave(session, _)
            | Operation::Close(session)
            | Operation::Submit(session)
            | Operation::Say(session, _)
            | Operation::Finish(session, _)
            | Operation::Interrupt(session)
            | Operation::Pull(session, ..)
            | Operation::DropPull(session, _)
            | Operation::Read(session, ..) => {
                if let Some(count) = self.sessions.len().checked_sub(1) {
                    self.take_in(usize::from(session) % (count + 1), operation)
                        .await;
                }
            }
        }
    }

    async fn create(&mut self, reads: bool) {
        let new = NewSession {
            reads,
            ..NewSession::default()
        };
        let created = self.world.engine.create_session(new).await.unwrap();
        assert_eq!(created.number().0, self.sessions.len() as u64 + 1);
        let mut model = SessionModel {
            id: created.id(),
            is_open: true,
            said: Vec::new(),
            consumers: Vec::new(),
            jobs: Vec::new(),
            running: None,
            is_interrupted: false,
        };
        assert_eq!(created.consumer().is_some(), reads);
        model
            .consumers
            .extend(created.consumer().map(|it| self.reader(it)));
        self.sessions.push(model);
    }

    async fn take_in(&mut self, place: usize, operation: &Operation) {
        let now = self.now();
        let joiner = |id| Reader {
            id,
            is_here: true,
            given: 0,
            seen: now,
        };
        let (world, model) = (&self.world, &mut self.sessions[place]);
        let engine = &world.engine;
        let is_busy = model.running.is_some();
        match *operation {
            Operation::Join(_) => {
                let joined = engine.join_session(model.id).await;
                expect(&joined, model.is_open);
                model.consumers.extend(joined.ok().map(joiner));
            }
            Operation::Leave(_, who) => {
                let Some(reader) = pick(&mut model.consumers, who) else {
                    return;
                };
                let left = engine.leave_session(model.id, reader.id).await;
                expect(&left, model.is_open && reader.is_here);
                reader.is_here = false;
            }
            Operation::Close(_) => {
                expect(&engine.close_session(model.id).await, model.is_open);
                model.close();
            }
            Operation::Submit(_) => {
                let new = NewJob::new(model.id, "puppet", crate::world::FOREGROUND);
                let noted = engine.submit_job(new).await;
                expect(&noted, model.is_open && !is_busy);
                if let Ok(noted) = noted {
                    model.jobs.push((noted.job, None));
                    model.running = Some(world.puppets.recv().await.unwrap());
                    model.is_interrupted = false;
                }
            }
            Operation::Say(_, count) => {
                let Some(puppet) = &model.running else { return };
                for _ in 0..count {
                    self.lines += 1;
                    let line = format!("line {}", self.lines);
                    puppet.emit(&line).await;
                    model.said.push(line);
                }
            }
            Operation::Finish(_, status) => {
                let Some(puppet) = model.running.take() else {
                    return;
                };
                let job = puppet.job.job;
                puppet.exit(status.into());
                let finished = |it: &Record| matches!(it.event, Event::JobFinished { job: it, .. } if it == job);
                world.wait_for(model.id, finished).await;
                let outcome = match (model.is_interrupted, status) {
                    (true, _) => Outcome::Interrupted,
                    (false, 0) => Outcome::Completed,
                    (false, _) => Outcome::Failed,
                };
                model.finish(outcome, status.into());
            }
            Operation::Interrupt(_) => {
                expect(&engine.interrupt_job(model.id, None).await, is_busy);
                model.is_interrupted |= is_busy;
            }
            Operation::Pull(_, who, most) => pull(world, model, who, most, now).await,
            Operation::DropPull(_, who) => {
                let Some(reader) = pick(&mut model.consumers, who) else {
                    return;
                };
                let mut open = pin!(engine.pull(results(model.id, reader.id)));
                // Only a pull that has to wait can be dropped in the middle.
                if reader.given == model.said.len() && reader.is_here {
                    assert!(poll_immediate(&mut open).await.is_none());
                    reader.seen = reader.seen.max(now);
                }
            }
            Operation::Read(_, after, most) => {
                let after = Sequence(after.into());
                let limit = ReadLimit {
                    records: most.into(),
                    bytes: usize::MAX,
                };
                world.settle().await;
                let read = engine.read(model.id, after, limit, Duration::ZERO).await;
                let tape = self.tape.lock().unwrap();
                let of_session = tape.iter().filter(|it| it.session == model.id);
                let last = of_session.map(|it| it.sequence).max().unwrap();
                if after > last {
                    let is_refused = matches!(read, Err(PullError::CursorUnknown { last: reported }) if reported == last);
                    assert!(is_refused, "{read:?} after {after}, and {last} is the last");
                    return;
                }
                let read = read.unwrap();
                let expected = tape
                    .iter()
                    .filter(|it| it.session == model.id && it.sequence > after);
                let expected: Vec<_> = expected.take(limit.records).cloned().collect();
                assert!(expected.starts_with(&read), "{read:?} of {expected:?}");
                assert_eq!(read.is_empty(), expected.is_empty(), "{expected:?}");
            }
            Operation::Create { .. }
            | Operation::Pass(_)
            | Operation::SetBack(_)
            | Operation::SetAhead(_)
            | Operation::Restart
            | Operation::Crash => unreachable!("it names no session"),
        }
        self.world.settle().await;
    }

    async fn restart(&mut self, is_clean: bool) {
        self.world.settle().await;
        let kept = self.tape.lock().unwrap().clone();
        let copy = self.storage.copy();
        self.world.engine.shut_down(Duration::ZERO).await;
        if !is_clean {
            self.storage = copy;
            *self.tape.lock().unwrap() = kept;
        }
        let (config, log, replayed) = self.storage.open(&self.tape, self.recent_bytes);
        self.world = World::with(&self.world.host, config, Box::new(log), replayed);
        let now = self.now();
        for model in &mut self.sessions {
            if model.running.take().is_some() {
                model.finish(Outcome::Lost, -1);
            }
            let tape = self.tape.lock().unwrap();
            for reader in model.consumers.iter_mut().filter(|it| it.is_here) {
                // The harness starts at the last record, perhaps before a pull that left none.
                reader.seen = now;
                let logged = given(&tape, model.id, reader.id);
                // After a crash a consumer may get records again, after a clean end it does not.
                assert!(logged <= reader.given && (!is_clean || logged == reader.given));
                reader.given = logged;
            }
        }
    }

    /// Consumers that were inactive for too long have left, and no others.
    fn expire(&mut self) {
        let now = self.now();
        for model in self.sessions.iter_mut().filter(|it| it.is_open) {
            for reader in &mut model.consumers {
                reader.is_here &= reader.seen + CONSUMER_TIMEOUT > now;
            }
        }
    }

    fn now(&self) -> Instant {
        self.world.engine.now().clock
    }

    fn reader(&self, id: ConsumerId) -> Reader {
        Reader {
            id,
            is_here: true,
            given: 0,
            seen: self.now(),
        }
    }

    /// Checks that the log, the views and the model are equal.
    pub(super) fn check(&self) {
        let tape = self.tape.lock().unwrap();
        let mut fold = Views::default();
        tape.iter().for_each(|record| fold.apply(record));
        assert_eq!(
            self.world.engine.view(Views::clone),
            fold,
            "the views are the fold of the log"
        );
        for model in &self.sessions {
            let records = || tape.iter().filter(|record| record.session == model.id);
            assert!(
                records()
                    .map(|it| it.sequence.0)
                    .eq(1..=records().count() as u64)
            );
            let said = records().filter(|it| matches!(it.event, Event::ResultEmitted { .. }));
            assert!(
                said.map(content).eq(model.said.iter().cloned()),
                "the results are in the log"
            );
            let view = fold.session(model.id).unwrap();
            assert_eq!(view.closed.is_none(), model.is_open);
            assert_eq!(view.is_busy(), model.running.is_some());
            let here: Vec<_> = model
                .consumers
                .iter()
                .filter(|it| it.is_here)
                .map(|it| it.id)
                .collect();
            let mut listed: Vec<_> = view.consumers().map(|(id, _)| id).collect();
            listed.sort_by_key(|id| id.ordinal);
            assert_eq!(listed, here, "consumers of session {}", view.number);
            for (job, ended) in &model.jobs {
                let state = &view.job(*job).unwrap().state;
                match (ended, state) {
                    (None, state) => assert!(!matches!(state, JobState::Finished { .. })),
                    (
                        Some((outcome, status)),
                        JobState::Finished {
                            outcome: found,
                            status: code,
                            ..
                        },
                    ) => {
                        assert_eq!(outcome, found);
                        assert!(*outcome == Outcome::Lost || !model.is_open || status == code);
                    }
                    (Some(_), state) => panic!("{job} has ended: {state:?}"),
                }
            }
        }
    }
}

impl SessionModel {
    fn finish(&mut self, outcome: Outcome, status: i32) {
        self.jobs.last_mut().unwrap().1 = Some((outcome, status));
    }

    fn close(&mut self) {
        if let Some(puppet) = self.running.take() {
            puppet.exit(0);
            self.finish(Outcome::Interrupted, 0);
        }
        self.is_open = false;
        self.consumers
            .iter_mut()
            .for_each(|reader| reader.is_here = false);
    }
}

/// Pulls once, and checks that the answer has the next results, at least one if there are any.
async fn pull(world: &World, model: &mut SessionModel, who: u8, most: u8, now: Instant) {
    let (id, is_open) = (model.id, model.is_open);
    let Some(reader) = pick(&mut model.consumers, who) else {
        return;
    };
    // The job may still be emitting it.
    world.settle().await;
    let pulled = world
        .engine
        .pull(Pull {
            wait: Duration::ZERO,
            limit: ReadLimit {
                records: most.into(),
                bytes: usize::MAX,
            },
            ..results(id, reader.id)
        })
        .await;
    match pulled {
        Ok(pulled) => {
            assert!(
                is_open && reader.is_here,
                "a consumer that has left gets nothing"
            );
            let got: Vec<_> = pulled.records.iter().map(content).collect();
            let rest = &model.said[reader.given..];
            assert!(
                rest.starts_with(&got) && got.len() <= usize::from(most),
                "{got:?} of {rest:?}"
            );
            assert_eq!(got.is_empty(), rest.is_empty(), "of {rest:?}");
            reader.given += got.len();
            reader.seen = reader.seen.max(now);
        }
        Err(PullError::ConsumerNotFound) => assert!(is_open && !reader.is_here),
        Err(PullError::SessionNotFound) => assert!(!is_open),
        Err(other) => panic!("{other:?}"),
    }
}

fn expect<T: std::fmt::Debug>(answer: &Result<T, CommandError>, is_accepted: bool) {
    let is_rejected = matches!(answer, Err(CommandError::Rejected(_)));
    assert!(answer.is_ok() || is_rejected, "{answer:?}");
    assert_eq!(answer.is_ok(), is_accepted, "{answer:?}");
}

fn pick(consumers: &mut [Reader], who: u8) -> Option<&mut Reader> {
    let count = consumers.len().max(1);
    consumers.get_mut(usize::from(who) % count)
}

/// How many results the consumer has received according to the log.
fn given(tape: &[Arc<Record>], session: SessionId, reader: ConsumerId) -> usize {
    let records = || tape.iter().filter(|record| record.session == session);
    let model = records().filter_map(|record| match &record.event {
        Event::CursorAdvanced { consumer, to, .. } if *consumer == reader => Some(*to),
        _ => None,
    });
    let cursor = model.max().unwrap_or_default();
    let results = records().filter(|it| matches!(it.event, Event::ResultEmitted { .. }));
    results.filter(|it| it.sequence <= cursor).count()
}
