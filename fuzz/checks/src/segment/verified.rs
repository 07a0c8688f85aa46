//! Verifying a log, and opening it: two ways to read the same bytes, which must agree.

use super::opened::{Opened, open};
use rejoin_core::Record;
use rejoin_log::segment::{OpenError, VerifyReport, verify};
use rejoin_log::testing::SimulatedDisk;

/// What verifying found.
pub(super) struct Verified {
    pub(super) findings: VerifyReport,
    /// What it reported.
    pub(super) records: Vec<Record>,
}

/// Verifies the log, and opens it. Verifying changes nothing, and so does opening what it refuses;
/// what is sound is opened, and what is not is refused.
///
/// `None` where the log holds what only a newer version could judge.
pub(super) fn verify_and_open(
    disk: &SimulatedDisk,
) -> (Option<Verified>, Result<Opened, OpenError>) {
    let before = files(disk);
    let mut records = Vec::new();
    let found = verify(disk, &mut |record| records.push(record), &mut |_, _| {});
    assert_eq!(files(disk), before, "verifying has changed something");
    let verified = match found {
        Ok(findings) => {
            assert_eq!(findings.records, records.len() as u64);
            Some(Verified { findings, records })
        }
        Err(error) if is_newer(&error) => None,
        Err(error) => panic!("nothing is wrong with the disk: {error}"),
    };
    let opened = open(disk);
    match &opened {
        Ok(opened) => {
            let Some(Verified { findings, records }) = &verified else {
                panic!("what cannot be judged was opened");
            };
            assert!(findings.is_sound(), "opened: {findings:?}");
            assert_eq!(records, &opened.records, "verifying reports another log");
            assert_eq!(findings.torn, opened.recovery.torn);
        }
        Err(error) => {
            assert_eq!(files(disk), before, "refused, and changed: {error}");
            if let OpenError::Damaged(_) = error {
                let is_sound = |it: &Verified| it.findings.is_sound();
                assert!(!verified.as_ref().is_some_and(is_sound), "sound: {error}");
            } else {
                assert!(is_newer(error), "nothing is wrong with the disk: {error}");
            }
        }
    }
    (verified, opened)
}

fn is_newer(error: &OpenError) -> bool {
    matches!(
        error,
        OpenError::UnknownFormat { .. } | OpenError::UnknownRecord { .. }
    )
}

fn files(disk: &SimulatedDisk) -> Vec<(String, Option<Vec<u8>>)> {
    let names = disk.file_names().into_iter();
    names
        .map(|name| (name.clone(), disk.bytes(&name)))
        .collect()
}
