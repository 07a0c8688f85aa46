//! Races for a log on real servers, and how long an append takes beside the same bytes without this crate.
//! `tests/nodes/race.py` starts the servers and runs it; see the README there.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "measures real servers, and says what it has measured"
)]

use async_nats::{Client, HeaderMap, Request};
use rejoin_cluster::{Appended, Link, LogServer, Message, MessageKind, NodeName, Process};
use rejoin_core::{Event, Record, Sequence, SessionId, Timestamp};
use rejoin_log::segment::{Durability, LogId, OpenOptions, Options, SegmentLog, encode_frames};
use rejoin_log::{AppendError, Log};
use rejoin_log_jetstream::{
    Connection, ConnectionSettings, JetStream, JetStreamSettings, StreamLog, StreamOptions,
    SyncProof,
};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "stream race|takers|beside SERVERS MONITORING DIRECTORY COUNT";

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, servers, monitoring, directory, count] = &words[..] else {
        return Err(USAGE.into());
    };
    let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
    let place = Place {
        servers: list(servers),
        monitoring: list(monitoring),
    };
    let (directory, count) = (Path::new(directory), count.parse()?);
    match what.as_str() {
        "race" => race(&place, count),
        "takers" => takers(&place, directory, Duration::from_secs(count)),
        "beside" => beside(&place, directory, count),
        _ => Err(USAGE.into()),
    }
}

/// Where the servers are.
struct Place {
    servers: Vec<String>,
    monitoring: Vec<String>,
}

impl Place {
    fn connection(&self) -> Outcome<Connection> {
        Ok(Connection::open(&ConnectionSettings {
            servers: self.servers.clone(),
            ..ConnectionSettings::default()
        })?)
    }

    fn stream(&self, cluster: &str, new: u8) -> Outcome<JetStream> {
        let settings = JetStreamSettings {
            servers: self.servers.clone(),
            cluster: cluster.parse()?,
            number: 0,
            replicas: self.servers.len(),
            sync: SyncProof::Monitoring(self.monitoring.clone()),
        };
        let new = LogId::from_bytes([new; 16]);
        Ok(JetStream::on(&self.connection()?, &settings, new, || {
            false
        })?)
    }

    fn log(
        &self,
        cluster: &str,
        directory: &Path,
        number: u8,
        run: u32,
    ) -> Outcome<StreamLog<JetStream>> {
        let stream = self.stream(cluster, number)?;
        let copy = copy(directory, stream.log())?;
        Ok(options(stream.log(), number, run)?.open_unfolded(stream, copy)?)
    }
}

fn options(log: LogId, number: u8, run: u32) -> Outcome<StreamOptions> {
    let node: NodeName = format!("n{number}").parse()?;
    let mut process = [number; 16];
    process[..4].copy_from_slice(&run.to_le_bytes());
    Ok(StreamOptions {
        number: 0,
        log,
        node,
        process: Process(process),
        version: "measured".to_owned(),
        take: true,
    })
}

fn copy(directory: &Path, log: LogId) -> Outcome<SegmentLog> {
    std::fs::create_dir_all(directory)?;
    let options = Options {
        durability: Durability::Flush,
        zero_ahead: false,
        ..Options::default()
    };
    let opened = OpenOptions::directory(directory, log).options(options);
    Ok(opened.open_unfolded()?.0)
}

fn session(number: u8, run: u32) -> SessionId {
    let mut bytes = [number; 16];
    bytes[..4].copy_from_slice(&run.to_le_bytes());
    SessionId::from_bytes(bytes)
}

/// About 200 bytes in the log.
fn record(session: SessionId, sequence: u64) -> Arc<Record> {
    let at = Timestamp::from_millis(1_700_000_000_000);
    let reason = format!("{sequence:0>140}");
    Arc::new(Record {
        session,
        sequence: Sequence(sequence),
        at,
        clock: at.into(),
        actor: None,
        redacted: None,
        event: Event::StatementRefused {
            statement: None,
            reason: reason.into(),
        },
    })
}

/// Two writers append after the same message, at the same moment, again and again.
fn race(place: &Place, rounds: u64) -> Outcome<()> {
    let barrier = Arc::new(Barrier::new(3));
    let link = Arc::new(Mutex::new(Link::START));
    let mut writers = Vec::new();
    for number in [1_u8, 2] {
        let mut stream = place.stream("race", 1)?;
        let (barrier, link) = (barrier.clone(), link.clone());
        writers.push(std::thread::spawn(move || {
            let mut outcomes = Vec::new();
            for round in 0..rounds {
                barrier.wait();
                let before = *lock(&link);
                let bytes = message(stream.log(), before, number, round).unwrap_or_default();
                let outcome = stream.append(before.number, std::slice::from_ref(&bytes));
                outcomes.push((outcome, bytes));
                barrier.wait();
                // The referee reads.
                barrier.wait();
            }
            outcomes
        }));
    }
    let mut referee = place.stream("race", 1)?;
    let log = referee.log();
    let begun = Instant::now();
    let mut winners = Vec::new();
    for round in 0..rounds {
        barrier.wait();
        barrier.wait();
        let sequence = round + 1;
        let bytes = loop {
            match referee.get(sequence) {
                rejoin_cluster::Got::Message(bytes) => break bytes,
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let mut chain = rejoin_cluster::Chain::new(log, *lock(&link));
        chain.follow(sequence, &bytes)?;
        *lock(&link) = chain.link();
        winners.push(bytes);
        barrier.wait();
    }
    let all: Vec<_> = writers
        .into_iter()
        .map(|writer| writer.join().map_err(|_| "a writer panicked"))
        .collect::<Result<_, _>>()?;
    let mut counts = BTreeMap::new();
    let mut wins = [0_u64; 2];
    for (round, winner) in winners.iter().enumerate() {
        let stored = |writer: usize| matches!(all[writer][round].0, Appended::Stored(_));
        let is_unknown = |writer: usize| all[writer][round].0 == Appended::Unknown;
        let said = usize::from(stored(0)) + usize::from(stored(1));
        let unknown = usize::from(is_unknown(0)) + usize::from(is_unknown(1));
        *counts
            .entry(format!("{said} stored, {unknown} unknown"))
            .or_insert(0_u64) += 1;
        for writer in 0..2 {
            let is_there = all[writer][round].1 == *winner;
            wins[writer] += u64::from(is_there);
            if stored(writer) && !is_there {
                return Err(format!(
                    "round {round}: {writer} learnt that it was stored, and another is there"
                )
                .into());
            }
        }
    }
    println!(
        "{rounds} rounds in {:.0} s: {counts:?}; won {} and {}; the chain is whole",
        begun.elapsed().as_secs_f64(),
        wins[0],
        wins[1]
    );
    if wins[0] + wins[1] != rounds {
        return Err("some rounds were won by nobody".into());
    }
    Ok(())
}

/// One message with one record after `link`; the first announces an owner.
fn message(log: LogId, link: Link, number: u8, round: u64) -> Option<Vec<u8>> {
    let mut frames = Vec::new();
    encode_frames(&[record(session(number, 0), round + 1)], &mut frames)?;
    let is_first = link.number == 0;
    let message = Message {
        kind: if is_first {
            MessageKind::Owner
        } else {
            MessageKind::Batch
        },
        more: false,
        log,
        term: 1,
        number: link.number + 1,
        position: link.position,
        records: u32::from(!is_first),
        previous: link.checksum,
        body: frames,
    };
    Some(message.encode())
}

/// Ten writers take one log from each other, as often as they can.
fn takers(place: &Place, directory: &Path, time: Duration) -> Outcome<()> {
    let until = Instant::now() + time;
    let (mut acknowledged, mut tenures, mut fenced, mut failed) =
        (BTreeMap::new(), 0, 0, BTreeMap::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=10_u8)
            .map(|number| scope.spawn(move || taker(place, directory, number, until)))
            .collect();
        for thread in threads {
            let Ok(taken) = thread.join() else { continue };
            acknowledged.extend(taken.acknowledged);
            tenures += taken.tenures;
            fenced += taken.fenced;
            for (why, times) in taken.failed {
                *failed.entry(why).or_insert(0_u64) += times;
            }
        }
    });
    // All of it is read again, from the first message on.
    let stream = place.stream("takers", 1)?;
    let copied = copy(&directory.join("check"), stream.log())?;
    let mut follower = options(stream.log(), 100, 0)?.follow_unfolded(stream, copied)?;
    while follower.read()?.is_none_or(|records| !records.is_empty()) {}
    let reader = follower.reader();
    let (mut records, mut missing) = (0_u64, 0_u64);
    for (of, acknowledged) in &acknowledged {
        let found = reader.read(*of, Sequence::START, rejoin_log::ReadLimit::NONE)?;
        for (expected, found) in (1..).zip(&found) {
            if **found != *record(*of, expected) {
                return Err(format!("a record of {of} is not the one that was written").into());
            }
        }
        records += found.len() as u64;
        missing += acknowledged.saturating_sub(found.len() as u64);
    }
    let records_acknowledged: u64 = acknowledged.values().sum();
    println!(
        "{tenures} tenures, {fenced} ended by another writer, {} messages, term {}, {records} records, {records_acknowledged} \
         acknowledged, {missing} of them missing; the chain is whole; not opened: {failed:?}",
        follower.sequence(),
        follower.owner().0,
    );
    if missing > 0 || records != follower.position() {
        return Err(format!("{} records are there", follower.position()).into());
    }
    Ok(())
}

#[derive(Default)]
struct Tenures {
    /// How many records of each session were acknowledged.
    acknowledged: BTreeMap<SessionId, u64>,
    tenures: u64,
    fenced: u64,
    failed: BTreeMap<String, u64>,
}

fn taker(place: &Place, directory: &Path, number: u8, until: Instant) -> Tenures {
    let mut all = Tenures::default();
    let directory = directory.join(number.to_string());
    let mut run = 0;
    while Instant::now() < until {
        run += 1;
        let mut log = match place.log("takers", &directory, number, run) {
            Ok(log) => log,
            Err(error) => {
                let why: String = error.to_string().chars().take(60).collect();
                *all.failed.entry(why).or_insert(0) += 1;
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        all.tenures += 1;
        let session = session(number, run);
        let mut written = 0;
        all.acknowledged.insert(session, 0);
        // Another may have it before long: a tenure without an end would be no race.
        while Instant::now() < until && written < 8 * 200 {
            let batch: Vec<_> = (1..=8)
                .map(|next| record(session, written + next))
                .collect();
            match log.append(&batch) {
                Ok(()) => {
                    written += 8;
                    all.acknowledged.insert(session, written);
                }
                Err(error) => {
                    all.fenced += u64::from(matches!(error, AppendError::Fenced(_)));
                    break;
                }
            }
        }
    }
    all
}

/// Appends of batches through this crate, in turns with the same bytes published without it.
fn beside(place: &Place, directory: &Path, rounds: u64) -> Outcome<()> {
    const SPAN: Duration = Duration::from_secs(2);
    let mut log = place.log("adapter", &directory.join("adapter"), 1, 1)?;
    let mut bare = Bare::new(place)?;
    let of = session(1, 1);
    let mut sequence = 0;
    println!(
        "| records in a batch | bytes | bare p50 / p99 ms, batches/s | append p50 / p99 ms, batches/s | ratio p50, p99, batches/s |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for records in [1_u64, 8, 64, 512] {
        let (mut adapter, mut plain, mut ratios, mut size) =
            (vec![], vec![], [vec![], vec![], vec![]], 0);
        for _ in 0..rounds {
            let mut waits = vec![];
            let end = Instant::now() + SPAN;
            let mut frames = vec![];
            while Instant::now() < end {
                let batch: Vec<_> = (1..=records)
                    .map(|next| record(of, sequence + next))
                    .collect();
                if waits.is_empty() {
                    encode_frames(&batch, &mut frames).ok_or("too long")?;
                }
                let begun = Instant::now();
                log.append(&batch)?;
                waits.push(begun.elapsed().as_secs_f64() * 1e3);
                sequence += records;
            }
            size = frames.len() + 60;
            let payload = vec![7_u8; size];
            let mut bare_waits = vec![];
            let end = Instant::now() + SPAN;
            while Instant::now() < end {
                let begun = Instant::now();
                bare.publish(&payload)?;
                bare_waits.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            for (which, at) in [(0, 0.5), (1, 0.99)] {
                ratios[which].push(quantile(&waits, at) / quantile(&bare_waits, at));
            }
            ratios[2].push(waits.len() as f64 / bare_waits.len() as f64);
            adapter.extend(waits);
            plain.extend(bare_waits);
        }
        let rate = |waits: &[f64]| waits.len() as f64 / (SPAN.as_secs_f64() * rounds as f64);
        println!(
            "| {records} | {size} | {:.2} / {:.1}, {:.0} | {:.2} / {:.1}, {:.0} | {:.2}, {:.2}, {:.2} |",
            quantile(&plain, 0.5),
            quantile(&plain, 0.99),
            rate(&plain),
            quantile(&adapter, 0.5),
            quantile(&adapter, 0.99),
            rate(&adapter),
            quantile(&ratios[0], 0.5),
            quantile(&ratios[1], 0.5),
            quantile(&ratios[2], 0.5),
        );
    }
    let (total, messages) = (sequence, log.sequence());
    log.close()?;
    drop(log);
    let stream = place.stream("adapter", 1)?;
    let copied = copy(&directory.join("again"), stream.log())?;
    let begun = Instant::now();
    let follower = options(stream.log(), 2, 0)?.follow_unfolded(stream, copied)?;
    let took = begun.elapsed().as_secs_f64();
    println!(
        "\nread back, checked and copied: {} of {total} records in {messages} messages in {took:.2} s, {:.0} records/s",
        follower.position(),
        follower.position() as f64 / took
    );
    Ok(())
}

/// A client that publishes with the expected sequence, and does nothing else.
struct Bare {
    client: Client,
    runtime: tokio::runtime::Runtime,
    last: u64,
}

impl Bare {
    fn new(place: &Place) -> Outcome<Self> {
        // The stream is made as this crate makes it.
        let mut stream = place.stream("bare", 2)?;
        let last = loop {
            if let Some(bounds) = stream.bounds() {
                break bounds.last;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = runtime.block_on(async_nats::connect(place.servers.clone()))?;
        Ok(Self {
            client,
            runtime,
            last,
        })
    }

    fn publish(&mut self, payload: &[u8]) -> Outcome<()> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Stream", "REJOIN-bare-0");
        headers.insert("Nats-Expected-Last-Sequence", self.last.to_string());
        let request = Request::new()
            .headers(headers)
            .payload(payload.to_vec().into());
        let sent = self
            .client
            .send_request("rejoin.bare.log.0".to_owned(), request);
        let answer = self.runtime.block_on(sent)?;
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload)?;
        let stored = answer["seq"].as_u64().filter(|_| answer["error"].is_null());
        self.last = stored.ok_or_else(|| answer.to_string())?;
        Ok(())
    }
}

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (part * sorted.len() as f64) as usize;
    sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
