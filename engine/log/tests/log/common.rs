//! Opening a log on a simulated disk, and looking at all that it holds.
#![allow(dead_code, reason = "every test uses another part of it")]

use rejoin_core::{Limits, Projection, Record, Retention, Sequence, SessionId};
use rejoin_log::disk::Disk;
use rejoin_log::segment::{
    Durability, LogId, OpenError, OpenOptions, OpenReport, Options, SegmentLog,
};
use rejoin_log::testing::{self, SimulatedDisk, record};
use rejoin_log::{Log, LogReader, ReadLimit};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const ID: LogId = LogId::from_bytes([0xa5; 16]);

/// Segments that hold three or four batches; nothing on other threads, so that each run is the
/// same.
pub(crate) const SMALL: Options = Options {
    durability: Durability::Sync,
    segment_bytes: 700,
    zero_ahead: false,
    ..Options::DEFAULT
};

/// One segment that holds everything.
pub(crate) const LARGE: Options = Options {
    segment_bytes: 1_000_000,
    ..SMALL
};

pub(crate) type Batch = Vec<Arc<Record>>;

#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) log: SegmentLog,
    pub(crate) recovery: OpenReport,
    /// What was replayed.
    pub(crate) records: Vec<Record>,
}

pub(crate) fn open(disk: &SimulatedDisk, options: Options) -> Result<Opened, OpenError> {
    let opened = open_only(disk, options)?;
    opened.check_reads();
    Ok(opened)
}

/// As `open`, without reading anything once it is open.
pub(crate) fn open_only(disk: &SimulatedDisk, options: Options) -> Result<Opened, OpenError> {
    let mut records = Vec::new();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, recovery) = OpenOptions::disk(disk, ID)
        .options(options)
        .observe(&mut |record| records.push(record.clone()))
        .open_unfolded()?;
    assert_eq!(recovery.records, records.len() as u64);
    Ok(Opened {
        log,
        recovery,
        records,
    })
}

impl Opened {
    /// Every session reads what was replayed of it.
    pub(crate) fn check_reads(&self) {
        let mut sessions: BTreeMap<SessionId, Vec<Arc<Record>>> = BTreeMap::new();
        for record in &self.records {
            let session = sessions.entry(record.session).or_default();
            session.push(Arc::new(record.clone()));
        }
        let reader = self.log.reader();
        for (session, records) in sessions {
            assert_eq!(read_all(&*reader, session), records);
        }
    }
}

pub(crate) fn read_all(reader: &dyn LogReader, session: SessionId) -> Vec<Arc<Record>> {
    reader
        .read(session, Sequence::START, ReadLimit::NONE)
        .unwrap()
}

/// Batches of one to four records of two sessions, together as many as asked for.
pub(crate) fn batches(count: u64) -> Vec<Batch> {
    let mut next = [0, 0];
    (0..count)
        .map(|batch| {
            (0..=batch % 4)
                .map(|place| {
                    let number = usize::from((batch + place) % 3 == 0);
                    next[number] += 1;
                    record(u8::try_from(number).unwrap(), next[number])
                })
                .collect()
        })
        .collect()
}

pub(crate) fn flat(batches: &[Batch]) -> Vec<Record> {
    batches
        .iter()
        .flatten()
        .map(|record| (**record).clone())
        .collect()
}

/// A disk with a log of these batches, closed or as a crash leaves it.
pub(crate) fn disk_with(batches: &[Batch], options: Options, closed: bool) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, options).unwrap().log;
    for batch in batches {
        log.append(batch).unwrap();
    }
    if closed {
        log.close().unwrap();
    }
    drop(log);
    disk
}

/// A disk of its own with the same files.
pub(crate) fn copy(disk: &SimulatedDisk) -> SimulatedDisk {
    let copy = SimulatedDisk::new();
    for name in disk.file_names() {
        copy.put(&name, &disk.bytes(&name).unwrap());
    }
    copy
}

/// The segment that is last in the log.
pub(crate) fn last_segment(disk: &SimulatedDisk) -> String {
    segments(disk).pop().unwrap()
}

/// The segments, first to last.
pub(crate) fn segments(disk: &SimulatedDisk) -> Vec<String> {
    let mut names = disk.file_names();
    names.retain(|name| name.ends_with(".active") || name.ends_with(".sealed"));
    names
}

/// What sessions really do, all of it kept.
pub(crate) fn story(seed: u64, count: usize) -> Vec<Batch> {
    testing::story(seed, count, Retention::ALL)
}

/// What records add up to.
pub(crate) fn fold(records: &[Record]) -> Projection {
    let mut folded = Projection::new(Limits::DEFAULT);
    for record in records {
        folded.add(record).unwrap();
    }
    folded
}

/// Adds up what a log holds, from its newest snapshot on.
pub(crate) struct Resuming {
    pub(crate) folded: Projection,
    /// How many records were replayed.
    pub(crate) replayed: usize,
}

/// Opens a log from its newest snapshot on.
pub(crate) fn resume(
    disk: &SimulatedDisk,
    options: Options,
) -> Result<(SegmentLog, OpenReport, Resuming), OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, folded, recovery) = OpenOptions::disk(disk, ID)
        .options(options)
        .open()?
        .into_parts();
    let replayed = usize::try_from(recovery.replayed).unwrap();
    let resuming = Resuming { folded, replayed };
    Ok((log, recovery, resuming))
}
