//! Durable appends: throughput and latency when many sessions write at once, each waiting for its
//! previous record.

use super::Bench;
use super::logs::session;
use crate::Outcome;
use crate::figures::{REJOIN, Section, quantile};
use crate::stores::{Committer, Fjall, Nats, Plain, Segments, Sqlite, Store};
use futures::future::BoxFuture;
use rejoin_core::{Event, Limits, Record, Sequence, SessionId, Timestamp};
use rejoin_engine::{Config, Engine, NewSession, Runner, RunnerJob};
use rejoin_log::segment::{Durability, Options};
use smol::LocalExecutor;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const WRITERS: [usize; 4] = [1, 8, 64, 512];

pub(super) fn appends(bench: &mut Bench<'_>) -> Outcome<Section> {
    let mut section = Section::new(
        "Durable appends",
        "The given number of sessions write records of about 305 bytes, each waiting until its \
         previous record is durable. All stores are used by the same thread, which writes all \
         waiting records as one batch. *file and fdatasync* is one write and one sync per batch, \
         the limit of group commit on this machine. **Rejoin** is the whole engine (decide, fold, \
         log, views, wake), *Rejoin's log* is its log alone. Stores that do not sync are compared \
         with each other.",
    );
    let probe = bench.scratch.join("probe");
    if let Err(why) = Nats::start(&probe, true) {
        bench
            .missing
            .push(format!("NATS with sync_interval always: {why}"));
    }
    let names: Vec<_> = CONTESTANTS
        .iter()
        .filter(|(name, _)| {
            !name.starts_with("NATS") || Nats::start(&probe, *name == NATS_SYNC).is_ok()
        })
        .collect();
    for round in 0..bench.options.rounds(5) {
        for writers in WRITERS {
            for (name, open) in &names {
                let directory = bench.scratch.join(format!("{round}-{writers}"));
                std::fs::create_dir_all(&directory)?;
                let done = open(&directory, writers)?;
                let (who, what) = match name.split_once(", not synced") {
                    Some((who, _)) => (who, format!("{writers} sessions, not synced")),
                    None => (*name, format!("{writers} sessions")),
                };
                let per_second = done.len() as f64 / SPAN.as_secs_f64();
                section.note(&what, who, "records/s", per_second);
                section.note(&what, who, "µs, p50", quantile(&done, 0.5));
                section.note(&what, who, "µs, p99", quantile(&done, 0.99));
                std::fs::remove_dir_all(&directory)?;
            }
        }
    }
    Ok(section)
}

type Contestant = fn(&Path, usize) -> Outcome<Vec<f64>>;

const NATS_SYNC: &str = "NATS JetStream";

const CONTESTANTS: [(&str, Contestant); 8] = [
    (REJOIN, |directory, writers| {
        engine(directory, writers, Durability::Sync)
    }),
    ("Rejoin's log", |directory, writers| {
        through(Segments::open(directory, Options::default())?, writers)
    }),
    ("file and fdatasync", |directory, writers| {
        through(Plain::create(&directory.join("file"))?, writers)
    }),
    ("SQLite", |directory, writers| {
        through(Sqlite::create(&directory.join("records.db"))?, writers)
    }),
    ("fjall", |directory, writers| {
        through(Fjall::create(directory)?, writers)
    }),
    (NATS_SYNC, |directory, writers| {
        through(Nats::start(directory, true)?, writers)
    }),
    ("Rejoin, not synced", |directory, writers| {
        engine(directory, writers, Durability::Flush)
    }),
    ("NATS JetStream, not synced", |directory, writers| {
        through(Nats::start(directory, false)?, writers)
    }),
];

/// Measures a store with a committer. Returns each wait in microseconds.
fn through(store: impl Store, writers: usize) -> Outcome<Vec<f64>> {
    let (committer, thread) = Committer::start(store);
    let waits = write(writers, |number| {
        let (committer, session) = (committer.clone(), session(number));
        let mut sequence = Sequence::START;
        move || {
            sequence = sequence.next();
            let record = Arc::new(record(session, sequence));
            let committer = committer.clone();
            async move { committer.append(record).await }
        }
    });
    drop(committer);
    thread.join().map_err(|_| "the committer panicked")??;
    waits
}

fn engine(directory: &Path, writers: usize, durability: Durability) -> Outcome<Vec<f64>> {
    let config = Config {
        limits: Limits::DEFAULT,
        ..Config::default()
    };
    let options = Options {
        durability,
        ..Options::default()
    };
    let opening = Engine::builder(directory)
        .config(config)
        .log_options(options)
        .service("none", Nothing)
        .open();
    let engine = smol::block_on(opening)?;
    let mut sessions = Vec::new();
    for _ in 0..writers {
        let new = NewSession::default();
        sessions.push(smol::block_on(engine.create_session(new))?.id());
    }
    let reason: Arc<str> = REASON.into();
    let waits = write(writers, |number| {
        let engine = engine.clone();
        let (session, reason) = (sessions[number as usize], reason.clone());
        move || {
            let (engine, reason) = (engine.clone(), reason.clone());
            async move { Ok(engine.refuse_statement(session, None, reason).await?) }
        }
    });
    smol::block_on(engine.shut_down(Duration::from_secs(1)));
    waits
}

/// Runs `writers` writers at once for a while. Returns each wait in microseconds.
fn write<Append, Appended>(writers: usize, writer: impl Fn(u64) -> Append) -> Outcome<Vec<f64>>
where
    Append: FnMut() -> Appended,
    Appended: Future<Output = Outcome<()>>,
{
    let executor = LocalExecutor::new();
    let begin = Instant::now() + WARM_UP;
    let end = begin + SPAN;
    let writing: Vec<_> = (0..writers as u64)
        .map(|number| {
            let mut append = writer(number);
            executor.spawn(async move {
                let mut waits = Vec::new();
                loop {
                    let began = Instant::now();
                    append().await?;
                    let now = Instant::now();
                    if now > end {
                        return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(waits);
                    }
                    if now >= begin {
                        waits.push((now - began).as_secs_f64() * 1e6);
                    }
                }
            })
        })
        .collect();
    smol::block_on(executor.run(async {
        let mut all = Vec::new();
        for waits in writing {
            all.extend(waits.await?);
        }
        Ok(all)
    }))
}

fn record(session: SessionId, sequence: Sequence) -> Record {
    Record {
        session,
        sequence,
        at: Timestamp::from_millis(1_700_000_000_000),
        clock: Timestamp::from_millis(1_700_000_000_000).into(),
        actor: None, redacted: None,
        event: Event::StatementRefused {
            statement: None,
            reason: REASON.into(),
        },
    }
}

/// A runner that is never used.
#[derive(Debug)]
struct Nothing;

impl Runner for Nothing {
    fn run(&self, _: RunnerJob) -> BoxFuture<'static, rejoin_engine::Exit> {
        Box::pin(async { rejoin_engine::Exit::default() })
    }
}

const WARM_UP: Duration = Duration::from_millis(200);
const SPAN: Duration = Duration::from_millis(500);
const REASON: &str = "a reason that is as long as a record of about three hundred bytes has to be, \
    so that it can be compared with what was measured of other logs before; it goes on and on, as \
    reasons do when somebody has to fill a number of bytes with them, and it ends here, at last, \
    after so many words of so little use.";
