//! Viewers: fast, slow, two pulls at once, or gone without leaving. Each answer is checked on arrival.

use crate::oracle::filter_of;
use crate::world::{MIN_PAUSE, Random, World};
use futures::future::{Either, join, select};
use rejoin_core::{ConsumerId, Event, Record, Sequence, SessionId};
use rejoin_engine::{Engine, Gather, Pull, PullError};
use rejoin_log::ReadLimit;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

type Key = (SessionId, ConsumerId);

/// How a pull ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullOutcome {
    Records,
    Nothing,
    /// The consumer or its session is gone.
    Refused,
    /// It failed; another pull may succeed.
    Failed,
    EngineEnded,
}

/// One viewer, until its consumer or the engine is gone or the run is drained.
pub(crate) async fn view(world: Arc<World>, engine: Engine, key: Key, mut random: Random) {
    let pause = random.pick([0, 0, 300, 4_000, 25_000]);
    let loyalty = if random.once_in(3) {
        random.below(10)
    } else {
        u64::MAX
    };
    let mut pulls = 0;
    while pulls < loyalty && !world.is_draining() {
        pulls += 1;
        if !pull_once(&world, &engine, key, &mut random).await {
            return;
        }
        world.pause(MIN_PAUSE + random.millis(pause)).await;
    }
}

/// One pull, or two at once, with random options. Returns whether to go on.
pub(crate) async fn pull_once(
    world: &World,
    engine: &Engine,
    key: Key,
    random: &mut Random,
) -> bool {
    let wait = random.pick([0, 50, 2_000, 20_000, 100_000]);
    let wait = Duration::from_millis(wait);
    let limit = ReadLimit {
        records: 1 + random.index(40),
        bytes: random.index(4_000),
    };
    let gather = random.once_in(3).then(|| {
        world.count("client: gathers what it pulls");
        Gather {
            quiet: random.millis(400),
            records: 1 + random.index(30),
            until: |record| matches!(record.event, Event::JobFinished { .. }),
        }
    });
    if random.once_in(10) {
        world.count("client: two pulls at once");
        let (first, second) = join(
            pull(world, engine, key, wait, limit, gather),
            pull(world, engine, key, wait, limit, gather),
        )
        .await;
        return goes_on(first) && goes_on(second);
    }
    if random.once_in(8) {
        let patience = random.millis(1_500);
        let pulled = pin!(pull(world, engine, key, wait, limit, gather));
        return match select(pulled, world.clock.timer(patience)).await {
            Either::Left((got, _)) => goes_on(got),
            Either::Right(_) => {
                world.count("client: gives up on a pull");
                true
            }
        };
    }
    goes_on(pull(world, engine, key, wait, limit, gather).await)
}

fn goes_on(got: PullOutcome) -> bool {
    !matches!(got, PullOutcome::Refused | PullOutcome::EngineEnded)
}

/// A pull whose answer is checked.
pub(crate) async fn pull(
    world: &World,
    engine: &Engine,
    key: Key,
    wait: Duration,
    limit: ReadLimit,
    gather: Option<Gather>,
) -> PullOutcome {
    let (session, consumer) = key;
    let wait = wait.min(engine.config().max_pull_wait);
    let ticket = {
        let since = world.clock.elapsed();
        let mut checker = world.checker();
        let checker = &mut *checker;
        checker
            .readers
            .begin_pull(key, since, wait, gather, &checker.model)
    };
    let open = OpenRequest { world, ticket };
    let select = filter_of(consumer);
    let pulled = engine
        .pull(Pull {
            session,
            consumer,
            wait,
            limit,
            select,
            gather,
        })
        .await;
    let (elapsed, step) = (world.clock.elapsed(), world.steps());
    let got = {
        let mut checker = world.checker();
        let checker = &mut *checker;
        let (judged, got) = match &pulled {
            Ok(pulled) => {
                let pull_lock_timeout = engine.config().pull_lock_timeout;
                let closing = checker.is_closing;
                let got = if pulled.records.is_empty() {
                    PullOutcome::Nothing
                } else {
                    PullOutcome::Records
                };
                let readers = &mut checker.readers;
                let judged = readers.answer(
                    ticket,
                    pulled,
                    elapsed,
                    closing,
                    pull_lock_timeout,
                    &checker.model,
                );
                let read = checker.kept.read(key, &pulled.records, &checker.model);
                let judged = judged.and_then(|name| read.map(|()| name));
                let sequences: Vec<_> = pulled
                    .records
                    .iter()
                    .map(|record| record.sequence.0)
                    .collect();
                checker.trace.note(
                    step,
                    format_args!("{consumer} after {} got {sequences:?}", pulled.after),
                );
                (judged, got)
            }
            Err(error) => {
                checker
                    .trace
                    .note(step, format_args!("{consumer} got none: {error}"));
                let got = match error {
                    PullError::ConsumerNotFound | PullError::SessionNotFound => {
                        PullOutcome::Refused
                    }
                    PullError::CursorUnknown { .. } | PullError::Overloaded | PullError::Log(_) => {
                        PullOutcome::Failed
                    }
                    PullError::Unavailable(_) => PullOutcome::EngineEnded,
                };
                (checker.readers.refuse(ticket, error, &checker.model), got)
            }
        };
        match judged {
            Ok(name) => checker.coverage.count(name),
            Err(what) => checker.fail(what),
        }
        got
    };
    drop(open);
    got
}

/// A read after a given sequence whose answer is checked. Returns the last sequence that it got.
pub(crate) async fn read_along(
    world: &World,
    engine: &Engine,
    session: SessionId,
    after: Sequence,
    limit: ReadLimit,
    wait: Duration,
) -> Result<Sequence, PullError> {
    let since = world.clock.elapsed();
    let (ticket, end) = {
        let mut checker = world.checker();
        let checker = &mut *checker;
        let ticket = checker
            .readers
            .begin_read(session, after, since, wait, &checker.model);
        (ticket, checker.model.last(session))
    };
    let open = OpenRequest { world, ticket };
    let read = engine.read(session, after, limit, wait).await;
    let (elapsed, step) = (world.clock.elapsed(), world.steps());
    let last = {
        let mut checker = world.checker();
        let checker = &mut *checker;
        let records = read.as_ref().ok().map(Vec::as_slice);
        let judged = checker
            .readers
            .end_read(ticket, records, elapsed, &checker.model);
        checker.report(judged);
        if let Err(PullError::SessionNotFound) = &read {
            let refused = checker.readers.refuse_read(session, &checker.model);
            checker.report(refused);
            if end > Sequence::START {
                checker.coverage.count("read: of a forgotten session");
            }
        }
        if let Err(PullError::CursorUnknown { last }) = &read {
            checker.coverage.count("read: of a place that is not known");
            let is_forgotten = *last == Sequence::START && checker.model.is_forgettable(session);
            if end >= after && !is_forgotten {
                checker.report(Err(format!(
                    "promise 2: a reader of {session} asked for what follows {after} of {end}, and was told that {last} is the end"
                )));
            }
        }
        let is_removal = |record: &Arc<Record>| matches!(record.event, Event::RecordsLost { .. });
        if records.is_some_and(|records| records.iter().any(is_removal)) {
            checker.coverage.count("read: of a removed session");
        }
        let last = records
            .and_then(<[_]>::last)
            .map_or(after, |record| record.sequence);
        checker
            .trace
            .note(step, format_args!("read {session} after {after} to {last}"));
        if last > after {
            checker.coverage.count("read: with records");
        }
        last
    };
    drop(open);
    read.map(|_| last)
}

/// An open pull or read. Dropping it ends the wait.
struct OpenRequest<'a> {
    world: &'a World,
    ticket: u64,
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        let elapsed = self.world.clock.elapsed();
        let mut checker = self.world.checker();
        let checker = &mut *checker;
        checker.readers.end_pull(self.ticket, elapsed);
        let gone = checker
            .readers
            .end_read(self.ticket, None, elapsed, &checker.model);
        checker.report(gone);
    }
}
