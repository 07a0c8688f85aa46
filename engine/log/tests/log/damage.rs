//! TornTail or damaged? Every byte of small logs is cut off, flipped and zeroed in turn.

use crate::common::{
    Batch, LARGE, SMALL, batches, copy, disk_with, flat, last_segment, open, segments,
};
use rejoin_core::Sequence;
use rejoin_log::disk::Disk;
use rejoin_log::segment::{Damage, Durability, OpenError, OpenOptions, Options};
use rejoin_log::testing::{SimulatedDisk, record, session};
use rejoin_log::{Log, ReadError, ReadLimit};

const HEADER: usize = 48;
const HEAD: usize = 36;

/// The byte at which each batch of a log in one segment begins, and the byte after the last.
fn starts(batches: &[Batch]) -> Vec<usize> {
    let mut starts = vec![HEADER];
    for count in 1..=batches.len() {
        let disk = disk_with(&batches[..count], LARGE, false);
        starts.push(disk.bytes(&last_segment(&disk)).unwrap().len());
    }
    starts
}

fn damage(disk: &SimulatedDisk, options: Options) -> Damage {
    match open(disk, options) {
        Err(OpenError::Damaged(damage)) => damage,
        other => panic!("not damaged: {other:?}"),
    }
}

#[test]
fn a_batch_torn_at_any_byte_is_cut_as_a_whole() {
    let batches = batches(8);
    let starts = starts(&batches);
    let whole = disk_with(&batches, LARGE, false);
    let name = last_segment(&whole);
    let bytes = whole.bytes(&name).unwrap();
    let (start, end) = (starts[7], starts[8]);
    assert_eq!(end, bytes.len());
    for length in start..=end {
        // What is missing was not written, or is still zeros.
        for filled in [length, end, end + 700] {
            let disk = copy(&whole);
            let mut torn = bytes[..length].to_vec();
            torn.resize(filled.max(length), 0);
            disk.put(&name, &torn);
            let mut opened = open(&disk, LARGE).unwrap();
            let expected = if length == end { 8 } else { 7 };
            assert_eq!(
                opened.records,
                flat(&batches[..expected]),
                "cut at {length}"
            );
            match opened.recovery.torn.clone() {
                None => assert!(length == start || length == end, "cut at {length}"),
                Some(torn) => {
                    assert_eq!(torn.byte, start as u64);
                    let used = bytes[..length].iter().rposition(|&byte| byte != 0).unwrap() + 1;
                    assert_eq!(torn.bytes, (used - start) as u64, "cut at {length}");
                    let is_head_whole = used >= start + HEAD;
                    assert_eq!(torn.records, is_head_whole.then_some(4), "cut at {length}");
                }
            }
            // It goes on where it was cut, and the cut is not seen again.
            if length < end {
                opened.log.append(&batches[7]).unwrap();
            }
            drop(opened);
            let opened = open(&disk, LARGE).unwrap();
            assert_eq!(opened.records, flat(&batches), "cut at {length}");
            assert_eq!(opened.recovery.torn, None);
        }
    }
}

#[test]
fn a_flipped_bit_in_a_closed_log_is_named_and_never_cut() {
    let batches = batches(8);
    let whole = disk_with(&batches, SMALL, true);
    let names = segments(&whole);
    assert!(names.len() > 2, "{names:?}");
    for name in &names {
        let bytes = whole.bytes(name).unwrap();
        for bit in 0..bytes.len() * 8 {
            let disk = copy(&whole);
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.put(name, &flipped);
            let damage = damage(&disk, SMALL);
            assert!(damage.file.ends_with(name), "bit {bit} of {name}: {damage}");
            let byte = bit as u64 / 8;
            assert!(damage.byte <= byte, "bit {bit} of {name}: {damage}");
            assert_eq!(disk.bytes(name).as_ref(), Some(&flipped), "it was changed");
        }
    }
}

#[test]
fn a_closed_log_that_is_cut_anywhere_is_named_and_never_cut_further() {
    let whole = disk_with(&batches(8), SMALL, true);
    for name in whole.file_names() {
        let bytes = whole.bytes(&name).unwrap();
        for length in 0..bytes.len() {
            let disk = copy(&whole);
            disk.put(&name, &bytes[..length]);
            assert!(damage(&disk, SMALL).file.ends_with(&name));
            disk.put(
                &name,
                &[&bytes[..length], &vec![0; bytes.len() - length]].concat(),
            );
            if bytes[length..].iter().any(|&byte| byte != 0) {
                assert!(damage(&disk, SMALL).file.ends_with(&name));
            }
        }
        for more in [1, 36, 1_000] {
            let disk = copy(&whole);
            disk.put(&name, &[&bytes[..], &vec![0; more]].concat());
            assert!(damage(&disk, SMALL).file.ends_with(&name));
        }
    }
}

#[test]
fn a_flipped_bit_in_an_open_log_is_damage_unless_it_is_in_the_last_batch() {
    let batches = batches(8);
    let starts = starts(&batches);
    for zeros in [0, 600] {
        let whole = disk_with(&batches, LARGE, false);
        let name = last_segment(&whole);
        let end = whole.bytes(&name).unwrap().len();
        let bytes = [whole.bytes(&name).unwrap(), vec![0; zeros]].concat();
        for bit in 0..bytes.len() * 8 {
            let disk = copy(&whole);
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.put(&name, &flipped);
            if bit / 8 < starts[7] {
                let damage = damage(&disk, LARGE);
                assert!(damage.file.ends_with(&name));
                assert!(damage.byte <= bit as u64 / 8, "bit {bit}: {damage}");
                assert_eq!(disk.bytes(&name), Some(flipped), "it was changed");
            } else {
                // Nobody can tell: the batch is not there, or all of it is.
                let opened = open(&disk, LARGE).unwrap();
                let torn = opened.recovery.torn.expect("something is torn");
                let expected = if bit / 8 < end { 7 } else { 8 };
                assert_eq!(opened.records, flat(&batches[..expected]), "bit {bit}");
                assert_eq!(torn.byte, starts[expected] as u64);
            }
        }
    }
}

#[test]
fn damage_names_the_record_where_its_head_is_sound() {
    let batches = batches(8);
    let starts = starts(&batches);
    let disk = disk_with(&batches, LARGE, false);
    let name = last_segment(&disk);
    let mut bytes = disk.bytes(&name).unwrap();
    // The last byte of the fourth batch is in the last record of it.
    bytes[starts[4] - 1] ^= 0x10;
    disk.put(&name, &bytes);
    let damage = damage(&disk, LARGE);
    let record = batches[3].last().unwrap();
    assert_eq!(damage.record, Some((record.session, record.sequence)));
    let message = OpenError::Damaged(damage.clone()).to_string();
    assert!(
        message.starts_with("the log is damaged: simulated/00000000000000000001.active, byte ")
    );
    assert!(
        damage.reason.contains("the record's checksum is wrong"),
        "{message}"
    );
    assert!(
        damage.reason.contains("was durable up to position"),
        "{message}"
    );
    assert!(
        message.contains(&format!("it is sequence {}", record.sequence)),
        "{message}"
    );
}

#[test]
fn a_lost_page_before_a_batch_that_nobody_vouched_for_is_torn() {
    let options = Options {
        durability: Durability::Flush,
        ..LARGE
    };
    let batches = batches(8);
    let starts = starts(&batches);
    let whole = disk_with(&batches, options, false);
    let name = last_segment(&whole);
    let bytes = whole.bytes(&name).unwrap();
    for lost in 0..8 {
        let disk = copy(&whole);
        let mut torn = bytes.clone();
        torn[starts[lost]..starts[lost + 1]].fill(0);
        disk.put(&name, &torn);
        let opened = open(&disk, options).unwrap();
        assert_eq!(opened.records, flat(&batches[..lost]));
        let report = opened.recovery.torn;
        if lost == 7 {
            assert_eq!(report, None);
        } else {
            let report = report.expect("something is torn");
            assert_eq!(report.byte, starts[lost] as u64);
            assert_eq!(report.bytes, (bytes.len() - starts[lost]) as u64);
            let records: usize = batches[lost..].iter().map(Vec::len).sum();
            assert_eq!(report.records, Some(records as u64));
        }
    }
}

#[test]
fn a_lost_page_before_a_batch_that_vouches_for_it_is_damage() {
    let batches = batches(8);
    let starts = starts(&batches);
    let whole = disk_with(&batches, LARGE, false);
    let name = last_segment(&whole);
    let bytes = whole.bytes(&name).unwrap();
    for lost in 0..7 {
        let disk = copy(&whole);
        let mut torn = bytes.clone();
        torn[starts[lost]..starts[lost + 1]].fill(0);
        // Even if the one that vouches is torn itself: its head is enough.
        torn.truncate(starts[lost + 1] + HEAD);
        disk.put(&name, &torn);
        assert_eq!(damage(&disk, LARGE).byte, starts[lost] as u64);
    }
}

#[test]
fn a_missing_segment_is_damage() {
    let whole = disk_with(&batches(30), SMALL, true);
    let names = segments(&whole);
    assert!(names.len() > 4);
    // Without its last segment, a closed log looks like an older one: nothing can tell.
    for name in &names[..names.len() - 1] {
        let disk = SimulatedDisk::new();
        for other in names.iter().filter(|other| *other != name) {
            disk.put(other, &whole.bytes(other).unwrap());
        }
        let damage = damage(&disk, SMALL);
        assert!(damage.reason.contains("a segment is missing"), "{damage}");
    }
}

/// A failed sync of the directory can leave an old name; a repair of the file system can leave zeros.
#[test]
fn zeros_behind_the_seal_of_a_segment_with_its_old_name_are_cut_before_it_is_renamed() {
    let batches = batches(30);
    let disk = disk_with(&batches, SMALL, true);
    let sealed = &segments(&disk)[0];
    let mut bytes = disk.bytes(sealed).unwrap();
    bytes.resize(bytes.len() + 111, 0);
    disk.remove(sealed).unwrap();
    disk.put(&sealed.replace(".sealed", ".active"), &bytes);
    for opening in ["first", "second"] {
        let opened = open(&disk, SMALL).unwrap_or_else(|error| panic!("{opening}: {error}"));
        assert_eq!(opened.records, flat(&batches));
    }
}

#[test]
fn a_segment_of_another_log_is_damage() {
    let disk = disk_with(&batches(30), SMALL, true);
    let other = SimulatedDisk::new();
    let id = rejoin_log::segment::LogId::from_bytes([1; 16]);
    let boxed = std::sync::Arc::new(other.clone());
    let (mut log, _) = OpenOptions::disk(boxed, id)
        .options(SMALL)
        .open_unfolded()
        .unwrap();
    for batch in batches(30) {
        log.append(&batch).unwrap();
    }
    log.close().unwrap();
    let name = last_segment(&disk);
    disk.put(&name, &other.bytes(&name).unwrap());
    let damage = damage(&disk, SMALL);
    assert!(damage.reason.contains("belongs to log 0101"), "{damage}");
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let disk = disk_with(&batches(4), LARGE, true);
    let name = last_segment(&disk);
    let mut bytes = disk.bytes(&name).unwrap();
    bytes[8..12].copy_from_slice(&7_u32.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..44]);
    bytes[44..48].copy_from_slice(&checksum.to_le_bytes());
    disk.put(&name, &bytes);
    let error = open(&disk, LARGE).unwrap_err();
    let OpenError::UnknownFormat { found: 7, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(
        error.to_string(),
        "simulated/00000000000000000001.sealed is in format 7; \
         this version reads no format newer than 1"
    );
}

#[test]
fn a_batch_copied_to_another_place_is_not_a_batch() {
    let batches = batches(8);
    let starts = starts(&batches);
    let disk = disk_with(&batches, LARGE, false);
    let name = last_segment(&disk);
    let bytes = disk.bytes(&name).unwrap();
    // The log was set back to six batches, and a result that prints what it once was is torn. What
    // stands in it says that the log was durable much further, but not from its own place.
    let printed = [&bytes[..starts[6]], b"printed", &bytes[starts[7]..]].concat();
    disk.put(&name, &printed);
    let opened = open(&disk, LARGE).unwrap();
    assert_eq!(opened.records, flat(&batches[..6]));
    let torn = opened.recovery.torn.clone();
    assert_eq!(torn.expect("something is torn").byte, starts[6] as u64);
    drop(opened);
    // From its own place, it is believed.
    let mut lost = bytes.clone();
    lost[starts[6]..starts[7]].fill(b'x');
    disk.remove(&name.replace("active", "sealed")).unwrap();
    disk.put(&name, &lost);
    assert_eq!(damage(&disk, LARGE).byte, starts[6] as u64);
}

#[test]
fn sound_records_in_the_wrong_order_are_damage() {
    let batch = vec![record(1, 1), record(2, 1)];
    let disk = disk_with(&[batch], LARGE, true);
    let name = last_segment(&disk);
    let bytes = disk.bytes(&name).unwrap();
    let (start, end) = (HEADER + HEAD, bytes.len() - HEAD);
    let middle = usize::midpoint(start, end);
    let swapped = [
        &bytes[..start],
        &bytes[middle..end],
        &bytes[start..middle],
        &bytes[end..],
    ];
    disk.put(&name, &swapped.concat());
    let damage = damage(&disk, LARGE);
    assert!(
        damage
            .reason
            .starts_with("the records do not match the batch's head"),
        "{damage}"
    );
}

#[test]
fn a_reader_returns_what_is_sound_before_the_damage_and_then_names_it() {
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, LARGE).unwrap().log;
    let records: Vec<_> = (1..=6).map(|sequence| record(1, sequence)).collect();
    for batch in records.chunks(2) {
        log.append(batch).unwrap();
    }
    let name = last_segment(&disk);
    let bytes = disk.bytes(&name).unwrap();
    let reader = log.reader();
    let read = |after, records| {
        let limit = ReadLimit {
            records,
            bytes: usize::MAX,
        };
        reader.read(session(1), Sequence(after), limit)
    };
    let file = disk.open_writable(&name).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        file.write_at(&flipped, 0).unwrap();
        for after in 0..6 {
            match read(after, 1) {
                Ok(read) => assert_eq!(read, records[after as usize..][..1], "bit {bit}"),
                Err(ReadError::Damaged { place, .. }) => {
                    assert!(place.contains(&name), "{place}");
                    // The sound records before are returned by a longer read.
                    if after > 0
                        && let Ok(before) = read(after - 1, 6)
                    {
                        assert_eq!(before, records[after as usize - 1..][..1]);
                    }
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    file.write_at(&bytes, 0).unwrap();
    assert_eq!(read(0, 6).unwrap(), records);
}

#[test]
fn a_reader_never_returns_a_sound_record_from_another_place() {
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, LARGE).unwrap().log;
    log.append(&[record(1, 1), record(2, 1)]).unwrap();
    let name = last_segment(&disk);
    let bytes = disk.bytes(&name).unwrap();
    let (start, end) = (HEADER + HEAD, bytes.len());
    let middle = usize::midpoint(start, end);
    let file = disk.open_writable(&name).unwrap();
    file.write_at(&bytes[middle..], start as u64).unwrap();
    let reader = log.reader();
    let read = |number| reader.read(session(number), Sequence::START, ReadLimit::NONE);
    let Err(ReadError::Damaged { place, reason }) = read(1) else {
        panic!("another session's record was returned");
    };
    assert_eq!(place, format!("simulated/{name}, byte {start}"));
    assert_eq!(reason, "a different record is stored here");
    assert_eq!(read(2).unwrap(), [record(2, 1)]);
}

#[test]
fn arbitrary_bytes_are_never_a_log_and_never_a_panic() {
    let whole = disk_with(&batches(3), LARGE, false);
    let name = last_segment(&whole);
    let header = whole.bytes(&name).unwrap()[..HEADER].to_vec();
    let mut state: u32 = 1;
    for length in 0..400 {
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        let noise: Vec<u8> = noise.take(length).collect();
        let disk = SimulatedDisk::new();
        disk.put(&name, &[&header[..], &noise].concat());
        let opened = open(&disk, LARGE).unwrap();
        assert_eq!(opened.records, []);
        disk.put(&name, &noise);
        drop(opened);
        damage(&disk, LARGE);
    }
}
