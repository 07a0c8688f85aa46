//! A log that is only read: everything is there, and not a byte of the directory changes.

use crate::common::{Batch, ID, batches, flat, read_all};
use rejoin_core::Record;
use rejoin_log::segment::{Durability, OpenError, OpenOptions, OpenReport, Options};
use rejoin_log::testing::{record, session};
use rejoin_log::{Log, SegmentLog};
use std::path::Path;
use std::time::SystemTime;

const OPTIONS: Options = Options {
    durability: Durability::Sync,
    segment_bytes: 20_000,
    zero_ahead: false,
    ..Options::DEFAULT
};

/// Every file with its bytes, and when it and the directory were changed.
fn all(directory: &Path) -> Vec<(String, Vec<u8>, SystemTime)> {
    let changed = |path: &Path| path.metadata().unwrap().modified().unwrap();
    let mut all = vec![(String::new(), vec![], changed(directory))];
    for found in directory.read_dir().unwrap() {
        let path = found.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        all.push((name, std::fs::read(&path).unwrap(), changed(&path)));
    }
    all.sort();
    all
}

fn write(directory: &Path, batches: &[Batch]) -> SegmentLog {
    let (mut log, _) = OpenOptions::directory(directory, ID)
        .options(OPTIONS)
        .open_unfolded()
        .unwrap();
    batches.iter().for_each(|batch| log.append(batch).unwrap());
    log
}

fn open(directory: &Path) -> (SegmentLog, OpenReport, Vec<Record>) {
    let mut records = Vec::new();
    let (log, recovery) = OpenOptions::read_only(directory)
        .observe(&mut |record| records.push(record.clone()))
        .open_unfolded()
        .unwrap();
    (log, recovery, records)
}

#[test]
fn a_log_that_was_not_closed_is_read_and_appended_to_and_nothing_of_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let batches = batches(600);
    drop(write(directory, &batches));
    // As an append leaves it that a crash cut short.
    let active = std::fs::read_dir(directory)
        .unwrap()
        .map(|found| found.unwrap().path())
        .find(|path| path.extension().is_some_and(|it| it == "active"))
        .unwrap();
    let mut bytes = std::fs::read(&active).unwrap();
    bytes.extend([0x5a; 70]);
    std::fs::write(&active, bytes).unwrap();
    let before = all(directory);

    for _ in 0..2 {
        let (mut log, recovery, records) = open(directory);
        assert_eq!(records, flat(&batches));
        assert_eq!(recovery.torn.unwrap().bytes, 70);
        assert!(recovery.segments > 2, "{}", recovery.segments);
        let new = session(0xaa);
        let more: Batch = (1..=500).map(|sequence| record(0xaa, sequence)).collect();
        more.chunks(7).for_each(|batch| log.append(batch).unwrap());
        let reader = log.reader();
        assert_eq!(read_all(&*reader, new), more);
        let old = records[0].session;
        let of_old: Vec<_> = records.iter().filter(|it| it.session == old).collect();
        let read = read_all(&*reader, old);
        assert!(read.iter().map(|record| &**record).eq(of_old));
        log.close().unwrap();
        drop(log);
        assert_eq!(all(directory), before);
    }
}

#[test]
fn several_may_read_at_once_and_nobody_while_it_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let batches = batches(20);
    let log = write(directory, &batches);
    let refused = OpenOptions::read_only(directory)
        .open_unfolded()
        .unwrap_err();
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    drop(log);
    let (_one, _, records) = open(directory);
    let (_other, _, same) = open(directory);
    assert_eq!(records, same);
}
