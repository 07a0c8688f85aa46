//! Measures how long opening a log takes, compared with reading and checksumming the same files:
//! with every record replayed, and from a snapshot.
//!
//! `cargo run --release -p rejoin-engine --example startup -- 1000000`
//!
//! Writes a log of this many records in 1,000 sessions to a temporary directory: sessions are
//! created; jobs are submitted, started, emit lines of about 200 bytes, and finish. Then it takes
//! each measurement three times, in turn. The files are in the page cache.
#![expect(clippy::print_stdout, reason = "it is a program that measures")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]

use rejoin_core::{
    Command, CreateSession, JobMode, JobSlot, Limits, Server, SessionId, State, SubmitJob,
    Timestamp, Visibility,
};
use rejoin_log::Log;
use rejoin_log::segment::{Durability, LogId, OpenOptions, Options};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SESSIONS: u64 = 1_000;
const ROUNDS: usize = 3;
const BATCH: usize = 64;
/// Results of one job.
const RESULTS: u64 = 20;

const OPTIONS: Options = Options {
    durability: Durability::Flush,
    segment_bytes: 64 * 1024 * 1024,
    zero_ahead: false,
    ..Options::DEFAULT
};

fn main() -> Result<(), Box<dyn Error>> {
    let records = std::env::args().nth(1).unwrap_or_else(|| "1000000".into());
    let records: usize = records.replace('_', "").parse()?;
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    write(directory, records)?;
    let bytes = size(directory)?;
    println!("{records} records in {bytes} bytes");

    for _ in 0..ROUNDS {
        let checked = check(directory)?;
        let (replayed, records) = open(directory, false)?;
        let ratio = checked.as_secs_f64() / replayed.as_secs_f64();
        println!("checksum {checked:?}, full replay {replayed:?} of {records}: {ratio:.2}");
    }

    let start = Instant::now();
    let (log, _) = OpenOptions::directory(directory, ID)
        .options(OPTIONS)
        .open_unfolded()?;
    let opened = start.elapsed();
    let archive = log.compactor();
    let start = Instant::now();
    let round = archive.run_once()?;
    println!("opened in {opened:?}; {round:?} took {:?}", start.elapsed());
    drop(log);
    println!("{} bytes in order", size(directory)?);
    for _ in 0..ROUNDS {
        let checked = check(directory)?;
        let (resumed, records) = open(directory, true)?;
        let (whole, all) = open(directory, false)?;
        println!(
            "checksum {checked:?}, from the snapshot {resumed:?} with {records} records, \
             from history in log order {whole:?} of {all}"
        );
    }
    Ok(())
}

const ID: LogId = LogId::from_bytes([1; 16]);

fn open(directory: &Path, use_snapshot: bool) -> Result<(Duration, u64), Box<dyn Error>> {
    let mut opening = OpenOptions::directory(directory, ID).options(OPTIONS);
    if !use_snapshot {
        opening = opening.ignore_snapshots();
    }
    let start = Instant::now();
    let opened = opening.open()?;
    Ok((start.elapsed(), opened.report().replayed))
}

/// Reads every file through a buffer, and sums it up.
fn check(directory: &Path) -> Result<Duration, Box<dyn Error>> {
    use std::io::Read;
    let start = Instant::now();
    let mut buffer = vec![0; 256 * 1024];
    let mut sum = 0_u32;
    for found in directory.read_dir()? {
        let mut file = std::fs::File::open(found?.path())?;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            sum = rejoin_log::testing::checksum(sum, &buffer[..count]);
        }
    }
    std::hint::black_box(sum);
    Ok(start.elapsed())
}

fn size(directory: &Path) -> Result<u64, Box<dyn Error>> {
    let mut bytes = 0;
    for found in directory.read_dir()? {
        bytes += found?.metadata()?.len();
    }
    Ok(bytes)
}

/// What sessions do, step by step, through the core.
fn write(directory: &Path, count: usize) -> Result<(), Box<dyn Error>> {
    let (mut log, _) = OpenOptions::directory(directory, ID)
        .options(OPTIONS)
        .open_unfolded()?;
    let mut state = State::new(Limits::DEFAULT);
    let mut batch = Vec::new();
    let mut written = 0;
    let mut clock = 1_700_000_000_000;
    let mut round = 0_u64;
    while written < count {
        let number = round % SESSIONS;
        for command in commands(number, round / SESSIONS, &state) {
            clock += 1;
            let now = Timestamp::from_millis(clock);
            for step in state.step(now, command).map_err(|it| it.to_string())? {
                batch.push(Arc::new(step.record));
                written += 1;
            }
            if batch.len() >= BATCH {
                log.append(&batch)?;
                batch.clear();
            }
        }
        round += 1;
    }
    log.append(&batch)?;
    log.close()?;
    Ok(())
}

/// One step of a session: it is created, or its job begins, says a line, or ends.
fn commands(number: u64, step: u64, state: &State) -> Vec<Command> {
    let mut bytes = [0; 16];
    // Spread, as random identities are.
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let session = SessionId::from_bytes(bytes);
    if step == 0 {
        return vec![Command::CreateSession(CreateSession {
            session,
            service: "shell".into(),
            user: Some("somebody".into()),
            remote: Some("127.0.0.1:40000".into()),
            server: Server {
                process: 1,
                version: "0.1.0".into(),
                node: None,
            },
            timeout: Duration::from_secs(u64::from(u32::MAX)),
            consumer: Some(([7; 16], Duration::from_secs(u64::from(u32::MAX)))),
        })];
    }
    let job = state
        .session(session)
        .and_then(|open| open.jobs().next().map(|(id, _)| id));
    match (job, (step - 1) % (RESULTS + 1)) {
        (Some(job), RESULTS) => vec![Command::ReportFinished {
            session,
            job,
            status: 0,
            message: None,
            lost: false,
        }],
        (Some(job), step) => vec![Command::ReportResult {
            session,
            job,
            result: format!(
                r#"{{"content":"{step:0>150}","jobId":{job},"stream":"stdout","type":"shell"}}"#
            )
            .into(),
            position: None,
        }],
        (None, _) => vec![Command::SubmitJob(SubmitJob {
            session,
            statement: "tail -f /var/log/messages | grep error".into(),
            mode: JobMode {
                slot: JobSlot::Foreground,
                visibility: Visibility::Session,
            },
            timeout: Duration::from_secs(u64::from(u32::MAX)),
            output_limit: u64::MAX,
            input: false,
            output: rejoin_core::JobOutput::Separate,
            controller: None,
            keeps_leftovers: None,
            request: None,
        })],
    }
}
