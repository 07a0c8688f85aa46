//! The paths without an engine: decide, fold, append, replay, and the memory of idle sessions.

use crate::{Outcome, Path};
use rejoin_core::{
    Command, CreateSession, JobId, JobMode, JobSlot, Limits, Numbering, Record, Sequence, Server,
    SessionId, State, SubmitJob, Timestamp, Views, Visibility,
};
use rejoin_engine::{Config, Projection};
use rejoin_log::segment::{Durability, LogId, OpenOptions, Options};
use rejoin_log::{Log, SegmentLog};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const PATHS: [Path; 8] = [
    Path {
        name: "a result, decided",
        units: RESULTS,
        run: |passes| {
            let mut history = History::busy(SESSIONS)?;
            for pass in 0..passes {
                black_box(history.results(pass)?);
            }
            Ok(())
        },
        holds: false,
    },
    Path {
        name: "a result, replayed",
        units: RESULTS,
        run: |passes| {
            let mut history = History::busy(SESSIONS)?;
            let results = [history.results(0)?, history.results(1)?].concat();
            let mut replayed = Projection::new(Config::default().limits);
            for record in &history.begun {
                replayed.add(record)?;
            }
            let most = usize::try_from(passes * RESULTS)?;
            for record in results.iter().take(most) {
                replayed.add(record)?;
            }
            Ok(())
        },
        holds: false,
    },
    Path {
        name: "a result, appended in a batch of 64",
        units: RESULTS,
        run: |passes| {
            let mut history = History::busy(SESSIONS)?;
            let records = [
                history.begun.clone(),
                history.results(0)?,
                history.results(1)?,
            ];
            let directory = tempfile::tempdir()?;
            let mut log = open(directory.path(), &mut |_| {})?;
            let most = records[0].len() + usize::try_from(passes * RESULTS)?;
            for batch in records.concat()[..most].chunks(64) {
                log.append(batch)?;
            }
            Ok(log.close()?)
        },
        holds: false,
    },
    Path {
        name: "a record of a log, opened",
        units: RESULTS,
        run: |passes| {
            let mut history = History::busy(0)?;
            let directory = tempfile::tempdir()?;
            let mut log = open(directory.path(), &mut |_| {})?;
            let (job, begun) = history.begin(0)?;
            log.append(&begun)?;
            for _ in 0..RESULTS {
                log.append(&history.result(0, job)?)?;
            }
            log.close()?;
            drop(log);
            for _ in 0..passes {
                drop(open(directory.path(), &mut |record| {
                    black_box(record);
                })?);
            }
            Ok(())
        },
        holds: false,
    },
    Path {
        name: "a consumer among ten thousand: come, moved on, and another gone",
        units: MOVES,
        run: |passes| {
            let mut history = History::busy(0)?;
            let mut views = Views::default();
            let mut fold = |records: Vec<Arc<Record>>| {
                records.iter().for_each(|record| views.apply(record));
            };
            fold(history.create(0)?);
            for number in 0..TEN_THOUSAND {
                fold(history.join(0, number)?);
            }
            // Scattered over the session, not in the order of the consumers.
            let open = history.state.session(session(0)).ok_or("no session")?;
            let mut before: Vec<_> = open.consumers().map(|(consumer, _)| consumer).collect();
            before.sort_by_key(|consumer| consumer.token);
            let most = usize::try_from(passes * MOVES)?;
            let (movers, leavers) = before.split_at(most);
            for (number, (&mover, &leaver)) in (TEN_THOUSAND..).zip(movers.iter().zip(leavers)) {
                fold(history.join(0, number)?);
                fold(history.step(Command::AdvanceCursor {
                    session: session(0),
                    consumer: mover,
                    to: Sequence(number),
                    seen: NOW.into(),
                })?);
                fold(history.step(Command::LeaveSession {
                    session: session(0),
                    consumer: leaver,
                })?);
            }
            Ok(())
        },
        holds: false,
    },
    Path {
        name: "an idle session with its consumer",
        units: SESSIONS,
        run: |passes| idle_sessions(passes, Numbering::ALONE),
        holds: true,
    },
    Path {
        name: "an idle session with its consumer in one log of sixteen",
        units: SESSIONS,
        run: |passes| idle_sessions(passes, Numbering::new(5, 16).ok_or("no such log")?),
        holds: true,
    },
    Path {
        name: "an idle cursor",
        units: SESSIONS,
        run: |passes| {
            let mut history = History::busy(0)?;
            let mut views = Views::default();
            for session in 0..10 {
                let records = history.create(session)?;
                records.iter().for_each(|record| views.apply(record));
            }
            for number in 0..passes * SESSIONS {
                let records = history.join(number % 10, number)?;
                records.iter().for_each(|record| views.apply(record));
            }
            black_box((&history.state, &views));
            Ok(())
        },
        holds: true,
    },
];

fn idle_sessions(passes: u64, numbering: Numbering) -> Outcome<()> {
    let mut history = History::busy(0)?;
    history.state = history.state.numbered(numbering);
    let mut views = Views::default();
    for number in 0..passes * SESSIONS {
        let records = history.create(number)?;
        records.iter().for_each(|record| views.apply(record));
    }
    black_box((&history.state, &views));
    Ok(())
}

/// A state and its history.
struct History {
    state: State,
    jobs: Vec<JobId>,
    begun: Vec<Arc<Record>>,
}

impl History {
    /// Creates `sessions` sessions, each with a consumer and a started job.
    fn busy(sessions: u64) -> Outcome<Self> {
        let limits = Limits {
            consumers: usize::MAX,
            ..Limits::DEFAULT
        };
        let mut history = Self {
            state: State::new(limits),
            jobs: Vec::new(),
            begun: Vec::new(),
        };
        for number in 0..sessions {
            let (job, begun) = history.begin(number)?;
            history.jobs.push(job);
            history.begun.extend(begun);
        }
        Ok(history)
    }

    fn step(&mut self, command: Command) -> Outcome<Vec<Arc<Record>>> {
        let steps = self.state.step(NOW, command)?;
        Ok(steps.into_iter().map(|it| Arc::new(it.record)).collect())
    }

    fn create(&mut self, number: u64) -> Outcome<Vec<Arc<Record>>> {
        self.step(Command::CreateSession(CreateSession {
            session: session(number),
            service: "shell".into(),
            user: None,
            remote: Some("127.0.0.1:40000".into()),
            server: Server {
                process: 1,
                version: "1".into(),
                node: None,
            },
            timeout: HOUR,
            consumer: Some((session(number).to_bytes(), HOUR)),
        }))
    }

    fn join(&mut self, to: u64, number: u64) -> Outcome<Vec<Arc<Record>>> {
        self.step(Command::JoinSession {
            session: session(to),
            token: session(number).to_bytes(),
            timeout: HOUR,
        })
    }

    fn begin(&mut self, number: u64) -> Outcome<(JobId, Vec<Arc<Record>>)> {
        let mut records = self.create(number)?;
        let session = session(number);
        records.extend(self.step(Command::SubmitJob(SubmitJob {
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
            timeout: HOUR,
            output_limit: u64::MAX,
        }))?);
        let open = self.state.session(session).ok_or("no session")?;
        let job = open.foreground().ok_or("no job")?;
        records.extend(self.step(Command::ReportStarted { session, job })?);
        Ok((job, records))
    }

    fn result(&mut self, number: u64, job: JobId) -> Outcome<Vec<Arc<Record>>> {
        self.step(Command::ReportResult {
            session: session(number),
            job,
            result: format!("{{\"content\":\"{}\",\"type\":\"guard\"}}", "x".repeat(170)).into(),
            position: None,
        })
    }

    /// Emits the results of one pass, in all sessions in turn.
    fn results(&mut self, pass: u64) -> Outcome<Vec<Arc<Record>>> {
        let mut records = Vec::new();
        for number in 0..RESULTS {
            let number = (pass * RESULTS + number) % self.jobs.len() as u64;
            let job = self.jobs[usize::try_from(number)?];
            records.extend(self.result(number, job)?);
        }
        Ok(records)
    }
}

fn open(directory: &std::path::Path, visit: &mut dyn FnMut(Record)) -> Outcome<SegmentLog> {
    let options = Options {
        durability: Durability::Flush,
        zero_ahead: false,
        ..Options::default()
    };
    let id = LogId::from_bytes([1; 16]);
    let mut observer = |record: &Record| visit(record.clone());
    let opening = OpenOptions::directory(directory, id).options(options);
    Ok(opening.observe(&mut observer).open_unfolded()?.0)
}

/// Scattered like random IDs.
fn session(number: u64) -> SessionId {
    let spread = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&spread.to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    SessionId::from_bytes(bytes)
}

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const HOUR: Duration = Duration::from_secs(60 * 60);
const SESSIONS: u64 = 1_000;
const RESULTS: u64 = 2_000;
const TEN_THOUSAND: u64 = 10_000;
const MOVES: u64 = 1_000;
