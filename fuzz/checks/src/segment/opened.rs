//! A log that was opened, whatever it was: it agrees with itself, and goes on.

use rejoin_core::{Record, Sequence, SessionId};
use rejoin_log::segment::{
    Durability, LogId, OpenError, OpenOptions, OpenReport, Options, SegmentLog,
};
use rejoin_log::testing::{SimulatedDisk, record, session};
use rejoin_log::{Log, ReadLimit};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Segments that hold a few batches; nothing on other threads, so that each run is the same.
pub(super) const SMALL: Options = Options {
    durability: Durability::Sync,
    segment_bytes: 700,
    zero_ahead: false,
    ..Options::DEFAULT
};

/// One segment that holds everything.
pub(super) const LARGE: Options = Options {
    segment_bytes: 1_000_000,
    ..SMALL
};

const ID: LogId = LogId::from_bytes([0xa5; 16]);

#[derive(Debug)]
pub(super) struct Opened {
    pub(super) log: SegmentLog,
    /// What was replayed.
    pub(super) records: Vec<Record>,
    pub(super) recovery: OpenReport,
    disk: SimulatedDisk,
}

pub(super) fn open(disk: &SimulatedDisk) -> Result<Opened, OpenError> {
    open_with(disk, LARGE)
}

pub(super) fn open_with(disk: &SimulatedDisk, options: Options) -> Result<Opened, OpenError> {
    let mut records = Vec::new();
    let opened = OpenOptions::disk(Arc::new(disk.clone()), ID)
        .options(options)
        .observe(&mut |record| records.push(record.clone()))
        .open_unfolded();
    let (log, recovery) = opened?;
    Ok(Opened {
        log,
        records,
        recovery,
        disk: disk.clone(),
    })
}

impl Opened {
    /// What was replayed of each session.
    pub(super) fn sessions(&self) -> BTreeMap<SessionId, Vec<Record>> {
        let mut sessions: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for record in &self.records {
            let session = sessions.entry(record.session).or_default();
            session.push(record.clone());
        }
        sessions
    }

    /// Every session reads what was replayed of it; the log takes another record; and whoever
    /// opens it anew finds all of that, and nothing torn.
    pub(super) fn check(mut self) {
        assert_eq!(self.recovery.records, self.records.len() as u64);
        let reader = self.log.reader();
        let sessions = self.sessions();
        for (session, records) in &sessions {
            let read = reader
                .read(*session, Sequence::START, ReadLimit::NONE)
                .unwrap_or_else(|error| panic!("what was replayed cannot be read: {error}"));
            let read = read.iter().map(|record| &**record);
            assert!(read.eq(records), "{session} reads other records");
            let sequences = records.iter().map(|record| record.sequence.0);
            assert!(sequences.eq(1..=records.len() as u64), "a gap");
        }

        let last = sessions.get(&session(0)).map_or(0, Vec::len);
        let more = record(0, last as u64 + 1);
        self.log
            .append(&[Arc::clone(&more)])
            .unwrap_or_else(|error| panic!("a record that follows was not taken: {error}"));
        self.records.push((*more).clone());
        drop(self.log);

        let again = open(&self.disk)
            .unwrap_or_else(|error| panic!("what was repaired is refused: {error}"));
        assert_eq!(again.recovery.torn, None);
        assert_eq!(again.records, self.records, "another log was opened");
    }
}
