//! Any sequence of appends, refusals, crashes, power cuts and openings, against the dumbest
//! model: a vector of records.

use crate::common::{Batch, Opened, SMALL, open, read_all};
use proptest::prelude::*;
use rejoin_core::{Record, Sequence};
use rejoin_log::segment::{Durability, Options};
use rejoin_log::testing::{Fault, SimulatedDisk, Survival, record, session};
use rejoin_log::{AppendError, Log, MemoryLog, ReadLimit};
use std::sync::Arc;

const SESSIONS: u8 = 4;

#[derive(Clone, Debug)]
enum Step {
    /// A batch with a record for each of these sessions.
    Append(Vec<u8>),
    /// A batch whose write fails after so many bytes.
    Refuse(Vec<u8>, usize),
    /// Closes the log, and opens it anew.
    Close,
    /// Opens it anew without closing it: the process has died.
    Crash,
    /// The power goes, and some of what was not synced with it.
    PowerCut(u64),
    /// Reads a session with a limit.
    Read(u8, u64, usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let sessions = || prop::collection::vec(0..SESSIONS, 1..8);
    prop_oneof![
        8 => sessions().prop_map(Step::Append),
        2 => (sessions(), 1..200_usize).prop_map(|(batch, bytes)| Step::Refuse(batch, bytes)),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
        1 => any::<u64>().prop_map(Step::PowerCut),
        4 => (0..=SESSIONS, 0..20_u64, 0..6_usize, 0..300_usize)
            .prop_map(|(session, after, records, bytes)| Step::Read(session, after, records, bytes)),
    ]
}

struct Run {
    disk: SimulatedDisk,
    options: Options,
    opened: Option<Opened>,
    model: Vec<Arc<Record>>,
    memory: MemoryLog,
}

impl Run {
    fn new(options: Options) -> Self {
        let disk = SimulatedDisk::new();
        let opened = Some(open(&disk, options).unwrap());
        Self {
            disk,
            options,
            opened,
            model: Vec::new(),
            memory: MemoryLog::new(),
        }
    }

    fn log(&mut self) -> &mut dyn Log {
        &mut self.opened.as_mut().unwrap().log
    }

    fn batch(&self, sessions: &[u8]) -> Batch {
        let mut batch: Batch = Vec::new();
        for &number in sessions {
            let before = self.model.iter().chain(&batch);
            let count = before
                .filter(|record| record.session == session(number))
                .count();
            batch.push(record(number, count as u64 + 1));
        }
        batch
    }

    fn reopen(&mut self) {
        self.opened = None;
        self.opened = Some(open(&self.disk, self.options).unwrap());
        let opened = self.opened.as_ref().unwrap();
        let expected: Vec<Record> = self.model.iter().map(|record| (**record).clone()).collect();
        assert_eq!(opened.records, expected);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Append(sessions) => {
                let batch = self.batch(&sessions);
                self.log().append(&batch).unwrap();
                self.memory.append(&batch).unwrap();
                self.model.extend(batch);
            }
            Step::Refuse(sessions, bytes) => {
                let batch = self.batch(&sessions);
                self.disk
                    .fail(self.disk.operations(), Fault::Short(bytes, 28));
                // The fault can hit a sync instead of a write: then the log is poisoned.
                match self.log().append(&batch) {
                    Err(AppendError::Refused(_)) => self.disk.heal(),
                    Err(AppendError::Poisoned(_) | AppendError::Fenced(_)) => {
                        self.disk.heal();
                        self.opened = None;
                        let records = open(&self.disk, self.options).unwrap().records;
                        // It may be there; what counts is that the log agrees with itself.
                        if records.len() > self.model.len() {
                            self.memory.append(&batch).unwrap();
                            self.model.extend(batch);
                        }
                        self.reopen();
                    }
                    Ok(()) => {
                        self.disk.heal();
                        self.memory.append(&batch).unwrap();
                        self.model.extend(batch);
                    }
                }
            }
            Step::Close => {
                self.log().close().unwrap();
                self.reopen();
                assert_eq!(self.opened.as_ref().unwrap().recovery.torn, None);
            }
            Step::Crash => {
                self.reopen();
                assert_eq!(self.opened.as_ref().unwrap().recovery.torn, None);
            }
            Step::PowerCut(seed) if self.options.durability == Durability::Sync => {
                self.opened = None;
                self.disk.power_cut(Survival::seeded(seed));
                self.reopen();
            }
            Step::PowerCut(_) => {}
            Step::Read(number, after, records, bytes) => {
                let limit = ReadLimit { records, bytes };
                let read = |log: &dyn Log| {
                    let reader = log.reader();
                    reader
                        .read(session(number), Sequence(after), limit)
                        .unwrap()
                };
                let expected = read(&self.memory);
                assert_eq!(read(self.log()), expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_log_is_what_was_appended_to_it_whatever_happens_between(
        segment_bytes in 1..3_000_u64,
        sync: bool,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let durability = if sync { Durability::Sync } else { Durability::Flush };
        let mut run = Run::new(Options { segment_bytes, durability, ..SMALL });
        for step in steps {
            run.take(step);
        }
        run.reopen();
        for number in 0..SESSIONS {
            let expected: Vec<_> = run
                .model
                .iter()
                .filter(|record| record.session == session(number))
                .cloned()
                .collect();
            let reader = run.log().reader();
            assert_eq!(read_all(&*reader, session(number)), expected);
        }
    }
}
