//! Logs that earlier versions have written still open. `fixtures/` is never written again for a
//! version that has been released; a new version of the format adds a directory.

use crate::common::{LARGE, batches, disk_with, flat, open};
use rejoin_core::{Event, JobId, LossCause, Record, Sequence, SessionNumber, Timestamp};
use rejoin_log::segment::{Findings, OpenError, verify};
use rejoin_log::testing::{SimulatedDisk, record, session};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CLOSED: &str = "00000000000000000001.sealed";
const OPEN: &str = "00000000000000000001.active";

/// In the closed log in `damaged`, the lowest bit of this byte is flipped: it stands in the text of
/// the result that is sequence 2 of session 0.
const FLIPPED: usize = 248;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1")
}

fn disk(file: &str) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    disk.put(file, &std::fs::read(fixtures().join(file)).unwrap());
    disk
}

#[test]
fn a_closed_log_of_format_1_opens() {
    let opened = open(&disk(CLOSED), LARGE).unwrap();
    assert_eq!(opened.records, flat(&batches(8)));
    assert_eq!(opened.log.id(), crate::common::ID);
    assert_eq!(opened.recovery.torn, None);
}

#[test]
fn a_torn_log_of_format_1_opens_up_to_the_torn_batch() {
    let opened = open(&disk(OPEN), LARGE).unwrap();
    assert_eq!(opened.records, flat(&batches(7)));
    assert_eq!(opened.recovery.torn.and_then(|torn| torn.records), Some(4));
}

#[test]
fn a_log_of_format_1_with_declared_gaps_opens_and_says_what_is_gone() {
    let disk = with_gaps();
    assert_eq!(open(&disk, LARGE).unwrap().records, gaps());
    let (found, told) = verified(&disk);
    assert!(found.is_sound() && found.missing.is_empty());
    assert_eq!(told, gaps());
    let declared: Vec<_> = found
        .declared
        .iter()
        .map(|gap| (gap.session, gap.first, gap.last))
        .collect();
    let expected = [
        (session(0), Sequence(3), Sequence(300)),
        (session(1), Sequence(1), Sequence(2)),
    ];
    assert_eq!(declared, expected);
}

/// Two records of each of two sessions; one lacks what follows, and goes on; one is removed.
fn gaps() -> Vec<Record> {
    let lost = |number, sequence, event| Record {
        sequence: Sequence(sequence),
        at: Timestamp::from_millis(2_000),
        event,
        ..(*record(number, sequence)).clone()
    };
    let damage = Event::RecordsLost {
        first: Sequence(3),
        last: Sequence(300),
        cause: LossCause::Damage,
    };
    let removal = Event::RecordsLost {
        first: Sequence(1),
        last: Sequence(2),
        cause: LossCause::Retention {
            last_number: SessionNumber(2),
            last_job: JobId(300),
        },
    };
    let records = [record(0, 1), record(1, 1), record(0, 2), record(1, 2)];
    let mut records: Vec<_> = records.iter().map(|record| (**record).clone()).collect();
    records.push(lost(0, 300, damage));
    records.push((*record(0, 301)).clone());
    records.push(lost(1, 3, removal));
    records
}

fn with_gaps() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let file = fixtures().join("gaps").join(CLOSED);
    disk.put(CLOSED, &std::fs::read(file).unwrap());
    disk
}

#[test]
fn a_damaged_log_of_format_1_is_refused_by_place_and_record() {
    let disk = damaged();
    let Err(OpenError::Damaged(damage)) = open(&disk, LARGE) else {
        panic!("it was opened");
    };
    assert!(damage.file.ends_with(CLOSED), "{damage}");
    assert_eq!(damage.byte, 192);
    assert_eq!(damage.record, Some((session(0), Sequence(2))));
}

#[test]
fn the_logs_of_format_1_are_verified_sound_torn_and_damaged() {
    let (closed, told) = verified(&disk(CLOSED));
    assert!(closed.is_sound() && closed.torn.is_none());
    assert_eq!(told, flat(&batches(8)));

    let (torn, told) = verified(&disk(OPEN));
    assert!(torn.is_sound());
    assert_eq!(torn.torn.and_then(|torn| torn.records), Some(4));
    assert_eq!(told, flat(&batches(7)));

    let (found, told) = verified(&damaged());
    let [place] = &found.damaged[..] else {
        panic!("{found:?}");
    };
    assert_eq!(place.bytes, 192..278);
    assert!(place.bytes.contains(&(FLIPPED as u64)));
    assert_eq!(place.reason, "the record's checksum is wrong");
    let [missing] = &found.missing[..] else {
        panic!("{found:?}");
    };
    let named = (missing.session, missing.first, missing.last);
    assert_eq!(named, (session(0), Sequence(2), Sequence(2)));
    let mut expected = flat(&batches(8));
    expected.retain(|record| (record.session, record.sequence) != (session(0), Sequence(2)));
    assert_eq!(told, expected);
}

fn verified(disk: &SimulatedDisk) -> (Findings, Vec<Record>) {
    let mut told = Vec::new();
    let found = verify(disk, &mut |record| told.push(record), &mut |_, _| {});
    (found.unwrap(), told)
}

fn damaged() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let file = fixtures().join("damaged").join(CLOSED);
    disk.put(CLOSED, &std::fs::read(file).unwrap());
    disk
}

/// What is written today lies in the target directory afterwards: for a new version of the format
/// it is the fixture to add.
#[test]
fn this_version_writes_format_1_byte_by_byte() {
    let today = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let closed = disk_with(&batches(8), LARGE, true).bytes(CLOSED).unwrap();
    std::fs::write(today.join(CLOSED), &closed).unwrap();
    let mut torn = disk_with(&batches(8), LARGE, false).bytes(OPEN).unwrap();
    torn.truncate(torn.len() - 1);
    std::fs::write(today.join(OPEN), &torn).unwrap();

    let batch: Vec<_> = gaps().into_iter().map(Arc::new).collect();
    let gaps = disk_with(&[batch], LARGE, true).bytes(CLOSED).unwrap();
    std::fs::create_dir_all(today.join("gaps")).unwrap();
    std::fs::write(today.join("gaps").join(CLOSED), &gaps).unwrap();

    let mut flipped = closed.clone();
    flipped[FLIPPED] ^= 1;
    assert_eq!(Some(closed), disk(CLOSED).bytes(CLOSED));
    assert_eq!(Some(gaps), with_gaps().bytes(CLOSED));
    assert_eq!(Some(flipped), damaged().bytes(CLOSED));
    assert_eq!(Some(torn), disk(OPEN).bytes(OPEN));
}
