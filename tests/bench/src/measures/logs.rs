//! Creates logs with a long history quickly, using the core directly. They are the same as those of
//! an engine.

use crate::Outcome;
use rejoin_core::{
    Command, CreateSession, Event, JobId, JobMode, JobSlot, Limits, Record, Server, SessionId,
    State, SubmitJob, Timestamp, Visibility,
};
use rejoin_log::segment::{Durability, LogId, OpenOptions, Options};
use rejoin_log::{Log, SegmentLog};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A state and its history.
#[derive(Debug)]
pub(super) struct History {
    pub(super) state: State,
    clock: u64,
}

impl History {
    pub(super) fn new() -> Self {
        let limits = Limits {
            sessions: usize::MAX,
            ..Limits::DEFAULT
        };
        Self {
            state: State::new(limits),
            // Recent, because the next start closes sessions that have timed out.
            clock: crate::machine::nanoseconds() / 1_000_000 - 60_000,
        }
    }

    /// Decides and applies.
    pub(super) fn step(&mut self, command: Command) -> Outcome<Vec<Arc<Record>>> {
        let now = Timestamp::from_millis(self.clock);
        let steps = self.state.step(now, command)?;
        Ok(steps.into_iter().map(|it| Arc::new(it.record)).collect())
    }

    /// Creates a session with one consumer.
    pub(super) fn create(&mut self, number: u64) -> Outcome<Vec<Arc<Record>>> {
        self.step(Command::CreateSession(CreateSession {
            session: session(number),
            service: "shell".into(),
            user: None,
            remote: Some("127.0.0.1:40000".into()),
            server: Server {
                process: 1,
                version: "0.1.0".into(),
                node: None,
            },
            timeout: Duration::from_secs(3 * 60 * 60),
            consumer: Some((session(number).to_bytes(), Duration::from_secs(60 * 60))),
        }))
    }

    /// Starts a job. Returns its ID.
    pub(super) fn begin_job(&mut self, number: u64) -> Outcome<(JobId, Vec<Arc<Record>>)> {
        let session = session(number);
        let mut records = self.step(Command::SubmitJob(SubmitJob {
            session,
            statement: "flood".into(),
            request: None,
            input: false,
            output: rejoin_core::JobOutput::Separate,
            controller: None,
            keeps_leftovers: None,
            mode: JobMode {
                slot: JobSlot::Foreground,
                visibility: Visibility::Session,
            },
            timeout: Duration::from_secs(24 * 60 * 60),
            output_limit: u64::MAX,
        }))?;
        let job = records
            .iter()
            .find_map(|record| match record.event {
                Event::JobSubmitted { job, .. } => Some(job),
                _ => None,
            })
            .ok_or("no job")?;
        records.extend(self.step(Command::ReportStarted { session, job })?);
        Ok((job, records))
    }

    pub(super) fn result(&mut self, number: u64, job: JobId) -> Outcome<Vec<Arc<Record>>> {
        self.step(Command::ReportResult {
            session: session(number),
            job,
            result: RESULT.into(), position: None, })
    }

    pub(super) fn finish(&mut self, number: u64, job: JobId) -> Outcome<Vec<Arc<Record>>> {
        self.step(Command::ReportFinished {
            session: session(number),
            job,
            status: 0,
            message: None, lost: false, })
    }
}

/// Writes and closes a log of `sessions` sessions, each with a finished job of `results` results of
/// 200 bytes; the results of all sessions are interleaved. Returns the number of records.
pub(super) fn write(directory: &Path, sessions: u64, results: u64) -> Outcome<u64> {
    let options = Options {
        durability: Durability::Flush,
        zero_ahead: false,
        ..Options::default()
    };
    let id = LogId::from_bytes([7; 16]);
    let (mut log, _) = OpenOptions::directory(directory, id)
        .options(options)
        .open_unfolded()?;
    let mut history = History::new();
    let mut count = 0;
    let mut batch = Vec::new();
    let mut note = |log: &mut SegmentLog, records: Vec<Arc<Record>>, end: bool| {
        batch.extend(records);
        if batch.len() >= BATCH || end {
            count += batch.len() as u64;
            log.append(&batch)?;
            batch.clear();
        }
        Ok::<_, rejoin_log::AppendError>(count)
    };
    let mut jobs = Vec::new();
    for number in 0..sessions {
        note(&mut log, history.create(number)?, false)?;
        if results > 0 {
            let (job, records) = history.begin_job(number)?;
            jobs.push((number, job));
            note(&mut log, records, false)?;
        }
    }
    for _ in 0..results {
        for (number, job) in &jobs {
            note(&mut log, history.result(*number, *job)?, false)?;
        }
    }
    for (number, job) in jobs {
        note(&mut log, history.finish(number, job)?, false)?;
    }
    let count = note(&mut log, Vec::new(), true)?;
    log.close()?;
    Ok(count)
}

/// The session with this number. IDs are scattered like random ones.
pub(super) fn session(number: u64) -> SessionId {
    let spread = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&spread.to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    SessionId::from_bytes(bytes)
}

/// 200 bytes.
pub(super) const RESULT: &str = concat!(
    r#"{"content":""#,
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    r#"","type":"flood"}"#
);

const _: () = assert!(RESULT.len() == 200);

const BATCH: usize = 1_000;
