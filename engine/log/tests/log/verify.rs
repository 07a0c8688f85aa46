//! What verifying finds: nothing in a sound log, and in a damaged one the place, what is missing,
//! and everything that is still readable.

use crate::common::{
    Batch, ID, LARGE, SMALL, batches, copy, disk_with, flat, last_segment, open_only, segments,
};
use rejoin_core::{Record, Sequence};
use rejoin_log::segment::{OpenError, OpenOptions, VerifyReport, verify};
use rejoin_log::testing::{SimulatedDisk, record, session};
use rejoin_log::{Log, disk::Directory};
use std::collections::BTreeSet;

/// What verifying finds, and the records that it reports.
fn verified(disk: &SimulatedDisk) -> (VerifyReport, Vec<Record>) {
    let before = copy(disk);
    let mut reported = Vec::new();
    let mut last = (0, 0);
    let found = verify(
        disk,
        &mut |record| reported.push(record),
        &mut |done, total| {
            assert!(done >= last.0 && done <= total, "{done} of {total}");
            last = (done, total);
        },
    );
    let found = found.unwrap();
    assert_eq!(last.0, last.1, "progress stops at the end");
    assert_eq!(last.1, found.bytes);
    assert_eq!(found.records, reported.len() as u64);
    for name in before.file_names() {
        assert_eq!(disk.bytes(&name), before.bytes(&name), "{name} was changed");
    }
    assert_eq!(disk.file_names(), before.file_names());
    (found, reported)
}

fn flipped(whole: &SimulatedDisk, name: &str, bits: &[usize]) -> SimulatedDisk {
    let disk = copy(whole);
    let mut bytes = disk.bytes(name).unwrap();
    for bit in bits {
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    disk.put(name, &bytes);
    disk
}

/// What is reported is what was written, in order, and what is missing is named exactly.
///
/// How many are missing is known of a closed log only: what is torn off another was never there.
fn check(found: &VerifyReport, reported: &[Record], batches: &[Batch], closed: bool) {
    let all = flat(batches);
    let mut rest = all.iter();
    for record in reported {
        assert!(rest.any(|it| it == record), "{record:?} was not written");
    }
    let readable: BTreeSet<_> = reported
        .iter()
        .map(|it| (it.session, it.sequence))
        .collect();
    assert_eq!(readable.len(), reported.len());
    for gap in &found.missing {
        assert!(gap.first <= gap.last && !gap.places.is_empty(), "{gap:?}");
        assert!(gap.places.end <= found.damaged.len(), "{gap:?}");
        for sequence in gap.first.0..=gap.last.0 {
            let is_readable = readable.contains(&(gap.session, Sequence(sequence)));
            assert!(!is_readable, "{gap:?} is not missing");
        }
    }
    let named: u64 = found.missing.iter().map(|gap| gap.count()).sum();
    if closed && found.damaged.iter().all(|place| place.lost.is_some()) {
        assert_eq!(found.lost() + reported.len() as u64, all.len() as u64);
        assert_eq!(found.lost_unnamed() + named, found.lost());
    }
}

/// The byte behind the last of these batches, in a log of one segment.
fn end_of(batches: &[Batch]) -> usize {
    let disk = disk_with(batches, LARGE, false);
    let name = segments(&disk).pop();
    name.map_or(48, |name| disk.bytes(&name).unwrap().len())
}

#[test]
fn a_sound_log_is_found_sound_and_reported_as_a_whole() {
    let batches = batches(30);
    for (options, closed) in [(SMALL, true), (SMALL, false), (LARGE, true), (LARGE, false)] {
        let disk = disk_with(&batches, options, closed);
        let (found, reported) = verified(&disk);
        assert!(found.is_sound());
        assert_eq!(reported, flat(&batches));
        let names = segments(&disk);
        let expected = VerifyReport {
            log: Some(ID),
            segments: names.len(),
            bytes: names
                .iter()
                .map(|name| disk.bytes(name).unwrap().len() as u64)
                .sum(),
            batches: 30,
            records: reported.len() as u64,
            sessions: 2,
            ..VerifyReport::default()
        };
        assert_eq!(found, expected);
    }
    let (found, reported) = verified(&SimulatedDisk::new());
    assert_eq!((found, reported), (VerifyReport::default(), vec![]));
}

#[test]
fn a_torn_end_is_not_damage_and_is_reported_as_opening_reports_it() {
    let batches = batches(8);
    let whole = disk_with(&batches, LARGE, false);
    let name = last_segment(&whole);
    let bytes = whole.bytes(&name).unwrap();
    let seven = disk_with(&batches[..7], LARGE, false).bytes(&name).unwrap();
    for length in seven.len()..=bytes.len() {
        for zeros in [0, 700] {
            let disk = copy(&whole);
            disk.put(&name, &[&bytes[..length], &vec![0; zeros]].concat());
            let (found, reported) = verified(&disk);
            assert!(found.is_sound(), "cut at {length}: {found:?}");
            let opened = open_only(&disk, LARGE).unwrap();
            assert_eq!(reported, opened.records, "cut at {length}");
            assert_eq!(found.torn, opened.recovery.torn, "cut at {length}");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_closed_log_costs_one_record_at_most_and_is_placed() {
    let batches = batches(12);
    let whole = disk_with(&batches, SMALL, true);
    let names = segments(&whole);
    assert!(names.len() > 2, "{names:?}");
    for name in &names {
        for bit in 0..whole.bytes(name).unwrap().len() * 8 {
            let disk = flipped(&whole, name, &[bit]);
            let (found, reported) = verified(&disk);
            let [place] = &found.damaged[..] else {
                panic!("bit {bit} of {name}: {found:?}");
            };
            assert!(place.file.ends_with(name));
            let byte = bit as u64 / 8;
            assert!(
                place.bytes.contains(&byte),
                "bit {bit} of {name}: {place:?}"
            );
            assert!(found.lost() <= 1, "bit {bit} of {name}: {found:?}");
            check(&found, &reported, &batches, true);
            let Err(OpenError::Damaged(_)) = open_only(&disk, SMALL) else {
                panic!("opening does not refuse what verifying finds");
            };
        }
    }
}

#[test]
fn a_damaged_record_is_named_with_the_sessions_and_sequences_that_are_missing() {
    let batches = [
        vec![record(1, 1), record(2, 1), record(1, 2)],
        vec![record(2, 2), record(1, 3)],
        vec![record(3, 1)],
    ];
    let whole = disk_with(&batches, LARGE, true);
    let name = last_segment(&whole);
    let bytes = whole.bytes(&name).unwrap();
    // A byte in the text of the first batch's last record.
    let second = end_of(&batches[..1]);
    let disk = flipped(&whole, &name, &[(second - 3) * 8]);
    let (found, reported) = verified(&disk);
    let [place] = &found.damaged[..] else {
        panic!("{found:?}");
    };
    assert_eq!(place.bytes.end, second as u64);
    assert_eq!(place.reason, "the record's checksum is wrong");
    assert_eq!(place.record, Some((session(1), Sequence(2))));
    assert_eq!(place.lost, Some(1));
    let [gap] = &found.missing[..] else {
        panic!("{found:?}");
    };
    assert_eq!(
        (gap.session, gap.first, gap.last),
        (session(1), Sequence(2), Sequence(2))
    );
    assert_eq!(gap.places, 0..1);
    assert_eq!(reported.len(), 5);

    // Nothing follows the last record of session 2: only the damaged record itself can tell.
    let end = second;
    let disk = flipped(&whole, &name, &[(end + 36 + 32 + 2) * 8]);
    let (found, _) = verified(&disk);
    let gaps: Vec<_> = found
        .missing
        .iter()
        .map(|gap| (gap.session, gap.first, gap.last))
        .collect();
    assert_eq!(gaps, [(session(2), Sequence(2), Sequence(2))]);

    // Of a session of a single record, nothing is known but what the record says.
    let disk = flipped(&whole, &name, &[(bytes.len() - 36 - 2) * 8]);
    let (found, _) = verified(&disk);
    assert_eq!(found.missing, []);
    assert_eq!(found.lost_unnamed(), 1);
    assert_eq!(found.damaged[0].record, Some((session(3), Sequence(1))));
}

#[test]
fn damage_in_an_open_log_is_distinguished_from_its_torn_end() {
    let batches = batches(8);
    let whole = disk_with(&batches, LARGE, false);
    let name = last_segment(&whole);
    let length = whole.bytes(&name).unwrap().len();
    for bit in 0..length * 8 {
        let disk = flipped(&whole, &name, &[bit]);
        let (found, reported) = verified(&disk);
        match open_only(&disk, LARGE) {
            Ok(opened) => {
                assert!(found.is_sound(), "bit {bit}: {found:?}");
                assert_eq!(found.torn, opened.recovery.torn);
                assert_eq!(reported, opened.records);
            }
            Err(OpenError::Damaged(_)) => {
                assert!(!found.is_sound() && found.torn.is_none(), "bit {bit}");
                check(&found, &reported, &batches, false);
                assert!(found.lost() <= 1);
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_missing_segment_is_named_by_its_positions() {
    let batches = batches(30);
    let whole = disk_with(&batches, SMALL, true);
    let names = segments(&whole);
    for name in &names[..names.len() - 1] {
        let disk = SimulatedDisk::new();
        for other in names.iter().filter(|other| *other != name) {
            disk.put(other, &whole.bytes(other).unwrap());
        }
        let (found, reported) = verified(&disk);
        let [place] = &found.damaged[..] else {
            panic!("{found:?}");
        };
        assert!(
            place.reason.contains("a segment before this one is gone"),
            "{place:?}"
        );
        check(&found, &reported, &batches, true);
        assert_eq!(
            found.lost_unnamed(),
            0,
            "later records tell what is missing"
        );
    }
}

#[test]
fn a_batch_that_is_zeroed_cut_or_overwritten_costs_no_more_than_itself() {
    let batches = batches(30);
    let whole = disk_with(&batches, LARGE, true);
    let name = last_segment(&whole);
    let bytes = whole.bytes(&name).unwrap();
    let start = |count: usize| end_of(&batches[..count]);
    for count in 0..29 {
        for fill in [0, b'x'] {
            let disk = copy(&whole);
            let mut lost = bytes.clone();
            lost[start(count)..start(count + 1)].fill(fill);
            disk.put(&name, &lost);
            let (found, reported) = verified(&disk);
            check(&found, &reported, &batches, true);
            assert_eq!(found.lost(), batches[count].len() as u64);
            assert_eq!(found.damaged.len(), 1);
            let range = start(count) as u64..start(count + 1) as u64;
            assert_eq!(found.damaged[0].bytes, range);
        }
    }
}

#[test]
fn whatever_is_damaged_nothing_is_reported_that_was_not_written() {
    let batches = batches(24);
    let mut state: u32 = 7;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for round in 0..3_000 {
        let closed = round % 2 == 0;
        let disk = disk_with_cached(&batches, closed);
        for _ in 0..=draw(6) {
            let names = disk.file_names();
            let name = &names[draw(names.len())];
            let mut bytes = disk.bytes(name).unwrap();
            let at = draw(bytes.len().max(1));
            let length = draw(120).min(bytes.len() - at);
            match draw(5) {
                0 => bytes.truncate(at),
                1 => bytes[at..at + length].fill(0),
                2 => drop(bytes.drain(at..at + length)),
                3 => bytes.extend_from_within(at..at + length),
                _ if !bytes.is_empty() => bytes[at] ^= 1 << draw(8),
                _ => {}
            }
            disk.put(name, &bytes);
        }
        let (found, reported) = verified(&disk);
        check(&found, &reported, &batches, closed);
        let opened = open_only(&disk, SMALL);
        assert_eq!(opened.is_ok(), found.is_sound(), "{found:?}\n{opened:?}");
        if let Ok(opened) = opened {
            assert_eq!(reported, opened.records);
            assert_eq!(found.torn, opened.recovery.torn);
        }
    }
}

fn disk_with_cached(batches: &[Batch], closed: bool) -> SimulatedDisk {
    use std::sync::OnceLock;
    static DISKS: [OnceLock<SimulatedDisk>; 2] = [OnceLock::new(), OnceLock::new()];
    copy(DISKS[usize::from(closed)].get_or_init(|| disk_with(batches, SMALL, closed)))
}

#[test]
fn a_log_that_somebody_writes_to_is_not_verified_and_a_read_only_one_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let (mut log, _) = OpenOptions::directory(&path, ID)
        .options(SMALL)
        .open_unfolded()
        .unwrap();
    log.append(&[record(1, 1)]).unwrap();
    let disk = Directory::open_to_read(&path).unwrap();
    let Err(OpenError::Locked { .. }) = verify(&disk, &mut |_| {}, &mut |_, _| {}) else {
        panic!("a log was verified while it was written to");
    };
    log.close().unwrap();
    let found = verify(&disk, &mut |_| {}, &mut |_, _| {}).unwrap();
    assert!(found.is_sound());
    // A copy has no lock, and gets none.
    std::fs::remove_file(path.join("lock")).unwrap();
    assert_eq!(verify(&disk, &mut |_| {}, &mut |_, _| {}).unwrap(), found);
    assert!(!path.join("lock").exists());
    let Err(_) = Directory::open_to_read(&directory.path().join("nowhere")) else {
        panic!("a directory was created");
    };
}

#[test]
fn a_batch_that_vouches_for_itself_is_refused_and_found() {
    let batches = batches(3);
    let whole = disk_with(&batches, LARGE, false);
    let name = last_segment(&whole);
    let mut bytes = whole.bytes(&name).unwrap();
    let start = end_of(&batches[..2]);
    let head = &mut bytes[start..start + 36];
    let first: [u8; 8] = head[16..24].try_into().unwrap();
    head[24..32].copy_from_slice(&first);
    let mut sum = crc32c::crc32c(&head[..32]);
    for place in [
        &ID.to_bytes()[..],
        &1_u64.to_le_bytes(),
        &(start as u64).to_le_bytes(),
    ] {
        sum = crc32c::crc32c_append(sum, place);
    }
    head[32..].copy_from_slice(&sum.to_le_bytes());
    let disk = copy(&whole);
    disk.put(&name, &bytes);

    let (found, reported) = verified(&disk);
    let reason = "the batch says that its own records were durable before it was written";
    let [place] = &found.damaged[..] else {
        panic!("{found:?}");
    };
    assert_eq!(place.reason, reason);
    assert_eq!(place.bytes, start as u64..start as u64 + 36);
    assert_eq!((place.lost, reported), (Some(0), flat(&batches)));
    let Err(OpenError::Damaged(damage)) = open_only(&disk, LARGE) else {
        panic!("it was opened");
    };
    assert_eq!((damage.byte, &damage.reason[..]), (start as u64, reason));
}
