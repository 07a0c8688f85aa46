//! Measures how fast a log appends and replays on this machine, compared with the raw speed of disk
//! and memory.
//!
//! `cargo run --release -p rejoin-log --example throughput -- <an empty directory>`
//!
//! One million records of 305 bytes over 10,000 interleaved sessions are appended without syncing
//! and replayed; then batches of 64 are synced one by one, with and without zeroing ahead, and
//! compared with plain syncs of the same number of bytes.
#![expect(clippy::print_stdout, reason = "a program that prints")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use rejoin_core::{
    Event, JobId, JobMode, JobSlot, Record, Sequence, SessionId, Timestamp, Visibility,
};
use rejoin_log::segment::{Durability, LogId, OpenOptions, Options};
use rejoin_log::{Log, ReadLimit, SegmentLog};
use std::error::Error;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RECORDS: u64 = 1_000_000;
const SESSIONS: u64 = 10_000;
const BATCH: usize = 64;
const SYNCED_BATCHES: usize = 3_000;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args()
        .nth(1)
        .ok_or("usage: throughput <an empty directory>")?;
    let directory = Path::new(&directory);
    let records: Vec<_> = (0..RECORDS).map(record).collect();
    unsynced(&directory.join("unsynced"), &records)?;
    for zero_ahead in [false, true, false, true] {
        bare(&directory.join("bare"))?;
        let name = format!("synced-{zero_ahead}");
        synced(&directory.join(name), &records, zero_ahead)?;
    }
    Ok(())
}

fn record(number: u64) -> Arc<Record> {
    let mut bytes = [0; 16];
    // Scattered like random IDs.
    let spread = (number % SESSIONS).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[..8].copy_from_slice(&spread.to_be_bytes());
    Arc::new(Record {
        session: SessionId::from_bytes(bytes),
        sequence: Sequence(number / SESSIONS + 1),
        at: Timestamp::from_millis(1_700_000_000_000 + number),
        clock: Timestamp::from_millis(1_700_000_000_000 + number).into(),
        actor: None,
        redacted: None,
        event: Event::ResultEmitted {
            job: JobId(number),
            mode: JobMode {
                slot: JobSlot::Foreground,
                visibility: Visibility::Session,
            },
            result: format!("{{\"content\":\"{number:0>270}\",\"type\":\"shell\"}}").into(),
            position: None,
        },
    })
}

fn open(
    directory: &Path,
    options: Options,
    visit: &mut dyn FnMut(Record),
) -> Result<SegmentLog, Box<dyn Error>> {
    let id = LogId::from_bytes([1; 16]);
    let mut observer = |record: &Record| visit(record.clone());
    let opening = OpenOptions::directory(directory, id).options(options);
    Ok(opening.observe(&mut observer).open_unfolded()?.0)
}

fn unsynced(directory: &Path, records: &[Arc<Record>]) -> Result<(), Box<dyn Error>> {
    let options = Options {
        durability: Durability::Flush,
        zero_ahead: false,
        ..Options::default()
    };
    let mut log = open(directory, options, &mut |_| {})?;
    let start = Instant::now();
    for batch in records.chunks(BATCH) {
        log.append(batch)?;
    }
    let append = start.elapsed();
    log.close()?;
    drop(log);
    let mut best = (Duration::MAX, Duration::MAX, Duration::MAX);
    let mut bytes = 0;
    for _ in 0..7 {
        let start = Instant::now();
        bytes = checksum_all(directory)?;
        best.0 = best.0.min(start.elapsed());
        let start = Instant::now();
        let mut count = 0;
        let log = open(directory, options, &mut |_| count += 1)?;
        best.1 = best.1.min(start.elapsed());
        assert_eq!(count, RECORDS);
        let reader = log.reader();
        let start = Instant::now();
        for number in 0..100 {
            let session = record(number * 17).session;
            let read = reader.read(session, Sequence::START, ReadLimit::NONE)?;
            assert_eq!(read.len() as u64, RECORDS / SESSIONS);
        }
        best.2 = best.2.min(start.elapsed());
    }
    let (checksum, replay, read) = best;
    println!(
        "best of seven: replay of {RECORDS} records, {} MB: {} ms; reading and checksumming the \
         files: {} ms, {:.2} of it; a session's 100 records: {} µs",
        bytes / 1_000_000,
        replay.as_millis(),
        checksum.as_millis(),
        checksum.as_secs_f64() / replay.as_secs_f64(),
        read.as_micros() / 100
    );
    println!(
        "append, not synced: {:.0} thousand/s",
        rate(records.len(), append)
    );
    Ok(())
}

fn checksum_all(directory: &Path) -> Result<u64, Box<dyn Error>> {
    let mut total = 0;
    let mut buffer = vec![0; 256 * 1024];
    for found in directory.read_dir()? {
        let file = std::fs::File::open(found?.path())?;
        let mut at = 0;
        loop {
            let count = file.read_at(&mut buffer, at)?;
            if count == 0 {
                break;
            }
            std::hint::black_box(crc32c::crc32c(&buffer[..count]));
            at += count as u64;
        }
        total += at;
    }
    Ok(total)
}

fn synced(
    directory: &Path,
    records: &[Arc<Record>],
    zero_ahead: bool,
) -> Result<(), Box<dyn Error>> {
    let options = Options {
        zero_ahead,
        ..Options::default()
    };
    let mut log = open(directory, options, &mut |_| {})?;
    if zero_ahead {
        // Wait until the spare exists, so that the first batches are measured like the later ones.
        while !directory.join("spare").exists() {
            std::thread::yield_now();
        }
    }
    let mut times = Vec::new();
    let start = Instant::now();
    for batch in records.chunks(BATCH).take(SYNCED_BATCHES) {
        let start = Instant::now();
        log.append(batch)?;
        times.push(start.elapsed());
    }
    let took = start.elapsed();
    report(
        &format!("append synced, zero_ahead {zero_ahead}"),
        &mut times,
        took,
    );
    log.close()?;
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

/// The speed of the disk: the same number of bytes, written and synced to a growing file.
fn bare(path: &Path) -> Result<(), Box<dyn Error>> {
    let file = std::fs::File::create(path)?;
    let bytes = vec![1; BATCH * 342];
    let mut times = Vec::new();
    let start = Instant::now();
    for batch in 0..SYNCED_BATCHES {
        let start = Instant::now();
        file.write_all_at(&bytes, (batch * bytes.len()) as u64)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    report("plain write and fdatasync", &mut times, start.elapsed());
    std::fs::remove_file(path)?;
    Ok(())
}

fn report(what: &str, times: &mut [Duration], took: Duration) {
    times.sort_unstable();
    println!(
        "{what}: {:.0} thousand records/s, p50 {} µs, p99 {} µs, max {} ms",
        rate(times.len() * BATCH, took),
        times[times.len() / 2].as_micros(),
        times[times.len() * 99 / 100].as_micros(),
        times[times.len() - 1].as_millis()
    );
}

fn rate(records: usize, took: Duration) -> f64 {
    records as f64 / took.as_secs_f64() / 1_000.0
}
