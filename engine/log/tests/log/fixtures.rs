//! Logs that earlier versions have written still open. `fixtures/` is never written again for a
//! version that has been released; a new version of the format adds a directory.

use crate::common::{LARGE, batches, disk_with, flat, open};
use rejoin_log::testing::SimulatedDisk;
use std::path::{Path, PathBuf};

const CLOSED: &str = "00000000000000000001.sealed";
const OPEN: &str = "00000000000000000001.active";

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

    assert_eq!(Some(closed), disk(CLOSED).bytes(CLOSED));
    assert_eq!(Some(torn), disk(OPEN).bytes(OPEN));
}
