//! The archive: what is sealed is put in order and summed up, and nobody sees a difference, even
//! when it is interrupted anywhere.

use crate::common::{Batch, SMALL, copy, flat, fold, open, open_only, read_all, resume, story};
use rejoin_core::Record;
use rejoin_log::segment::{OpenError, verify};
use rejoin_log::testing::{Fault, SimulatedDisk, Survival};
use rejoin_log::{AppendError, Log, ReadError, ReadLimit};

const ENOSPC: i32 = 28;

/// So many batches are appended between two rounds.
const BETWEEN_ROUNDS: usize = 25;

/// What became of a workload.
#[derive(Debug, Default)]
struct Outcome {
    acknowledged: Vec<Batch>,
    doubtful: Option<Batch>,
    rounds: usize,
    failed_rounds: usize,
}

/// Appends, and lets the archive work now and then; stops where the log does.
fn run(disk: &SimulatedDisk, batches: &[Batch]) -> Outcome {
    let mut outcome = Outcome::default();
    let Ok(mut opened) = open_only(disk, SMALL) else {
        return outcome;
    };
    let archive = opened.log.compactor();
    for (place, batch) in batches.iter().enumerate() {
        // What is refused for want of room is tried again.
        let appended = match opened.log.append(batch) {
            Err(AppendError::Refused(_)) => opened.log.append(batch),
            done => done,
        };
        if appended.is_err() {
            outcome.doubtful = Some(batch.clone());
            return outcome;
        }
        outcome.acknowledged.push(batch.clone());
        if place % BETWEEN_ROUNDS == BETWEEN_ROUNDS - 1 {
            match archive.run_once() {
                Ok(_) => outcome.rounds += 1,
                Err(OpenError::Io { .. } | OpenError::Unsynced { .. }) => {
                    outcome.failed_rounds += 1
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    let _ = opened.log.close();
    outcome
}

impl Outcome {
    /// Whether a log on this disk has lost nothing and invented nothing, however it is opened.
    fn check(&self, disk: &SimulatedDisk) {
        let records = open(disk, SMALL).unwrap().records;
        self.check_records(&records);
        let (_, _, resumed) = resume(disk, SMALL).unwrap();
        assert_eq!(resumed.folded, fold(&records));
    }

    fn check_records(&self, records: &[Record]) {
        let acknowledged = flat(&self.acknowledged);
        let mut with_doubtful = acknowledged.clone();
        with_doubtful.extend(flat(self.doubtful.as_slice()));
        assert!(
            records == acknowledged || records == with_doubtful,
            "{} records of {} acknowledged",
            records.len(),
            acknowledged.len()
        );
    }
}

#[test]
fn what_is_put_in_order_reads_and_replays_as_before() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new();
        let batches = story(seed, 160);
        let outcome = run(&disk, &batches);
        assert_eq!((outcome.rounds, outcome.failed_rounds), (6, 0));
        let names = disk.file_names();
        assert!(names.iter().any(|it| it.ends_with(".history")), "{names:?}");
        let snapshots = names.iter().filter(|it| it.ends_with(".snapshot"));
        assert_eq!(snapshots.count(), 2, "{names:?}");
        outcome.check(&disk);

        let (_, recovery, resumed) = resume(&disk, SMALL).unwrap();
        let records = flat(&batches).len();
        let snapshot = recovery.snapshot.unwrap();
        assert_eq!(resumed.replayed as u64, recovery.records - snapshot);
        assert!(
            resumed.replayed < records / 3,
            "{} replayed",
            resumed.replayed
        );
    }
}

#[test]
fn a_reader_goes_on_while_the_archive_works() {
    let disk = SimulatedDisk::new();
    let batches = story(7, 120);
    let mut log = open_only(&disk, SMALL).unwrap().log;
    for batch in &batches {
        log.append(batch).unwrap();
    }
    let reader = log.reader();
    let session = batches[0][0].session;
    let before = read_all(&*reader, session);
    let limit = ReadLimit {
        records: 3,
        bytes: usize::MAX,
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                let mut read = Vec::new();
                while read.len() < before.len() {
                    let after = rejoin_core::Sequence(read.len() as u64);
                    read.extend(reader.read(session, after, limit).unwrap());
                }
                assert_eq!(read, before);
            }
        });
        let archive = log.compactor();
        for _ in 0..5 {
            archive.run_once().unwrap();
        }
    });
    assert_eq!(read_all(&*log.reader(), session), before);
}

#[test]
fn a_round_on_its_own_thread_ends_with_the_log() {
    let disk = SimulatedDisk::new();
    let mut log = open_only(&disk, SMALL).unwrap().log;
    let archive = log.compactor();
    let (outcomes, rounds) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        archive.run(0, |outcome| outcomes.send(outcome.unwrap()).unwrap());
    });
    // The one at the beginning finds nothing.
    assert_eq!(rounds.recv().unwrap().snapshot, None);
    for batch in story(3, 40) {
        log.append(&batch).unwrap();
    }
    let positions = rounds.iter().find_map(|round| round.snapshot);
    assert!(positions.is_some());
    log.close().unwrap();
    thread.join().unwrap();
}

#[test]
fn whichever_operation_fails_nothing_is_lost_or_doubled() {
    let batches = story(1, 52);
    let count = operations(&batches);
    let mut failed = 0;
    for operation in 0..count {
        for fault in [Fault::IO, Fault::NO_SPACE, Fault::Short(40, ENOSPC)] {
            let disk = SimulatedDisk::new();
            disk.fail(operation, fault);
            let outcome = run(&disk, &batches);
            failed += outcome.failed_rounds;
            disk.heal();
            outcome.check(&disk);
            // What was found is durable.
            disk.power_cut(Survival::nothing());
            outcome.check(&disk);
        }
    }
    assert!(failed > 20, "{failed} rounds failed");
}

#[test]
fn whenever_the_power_goes_nothing_is_lost_or_doubled() {
    let batches = story(2, 52);
    for operation in 0..operations(&batches) {
        for survival in [
            Survival::nothing(),
            Survival::everything(),
            Survival::seeded(operation),
        ] {
            let disk = SimulatedDisk::new();
            disk.die(operation);
            let outcome = run(&disk, &batches);
            disk.power_cut(survival);
            outcome.check(&disk);
            // And again while the next round goes on.
            let before = disk.operations();
            disk.die(before + operation % 60);
            if let Ok((log, _, _)) = resume(&disk, SMALL) {
                let _ = log.compactor().run_once();
            }
            disk.power_cut(Survival::seeded(operation + 1));
            outcome.check(&disk);
        }
    }
}

#[test]
fn a_failed_sync_of_the_directory_takes_no_name_away_that_is_relied_on() {
    let batches = story(4, 80);
    let faults = |operation| {
        [
            Fault::IO,
            Fault::Partly(operation),
            Fault::Partly(!operation),
        ]
    };
    let all = (0..operations(&batches)).flat_map(|it| faults(it).map(|fault| (it, fault)));
    for (operation, fault) in all {
        let disk = SimulatedDisk::new();
        disk.fail(operation, fault);
        let mut outcome = run(&disk, &batches);
        disk.heal();
        // Another process goes on with names that may be in memory only.
        let (log, _, _) = resume(&disk, SMALL).unwrap_or_else(|error| {
            panic!("operation {operation}: {error}; {:?}", disk.file_names())
        });
        let _ = log.compactor().run_once();
        let _ = log.compactor().run_once();
        drop(log);
        let records = open(&disk, SMALL).unwrap().records;
        outcome.check_records(&records);
        outcome.acknowledged = vec![records.into_iter().map(Into::into).collect()];
        outcome.doubtful = None;
        disk.power_cut(Survival::nothing());
        outcome.check(&disk);
    }
}

#[test]
fn after_a_failed_sync_of_the_directory_a_log_changes_no_name_until_it_is_opened_again() {
    let batches = story(4, 80);
    let (later, batches) = batches.split_last().unwrap();
    let mut ended = 0;
    for operation in 0.. {
        let disk = SimulatedDisk::new();
        let mut log = open_only(&disk, SMALL).unwrap().log;
        for batch in batches {
            log.append(batch).unwrap();
        }
        disk.fail(disk.operations() + operation, Fault::IO);
        let round = log.compactor().run_once();
        disk.heal();
        if round.is_ok() {
            assert!(ended > 3, "{ended}");
            break;
        }
        let names = disk.file_names();
        match log.append(later) {
            // Another operation failed.
            Ok(()) => assert!(log.compactor().run_once().is_ok()),
            Err(error) => {
                ended += 1;
                assert!(error.to_string().contains("open the log again"), "{error}");
                let round = log.compactor().run_once();
                assert!(
                    matches!(round, Err(OpenError::Unsynced { .. })),
                    "{round:?}"
                );
                assert!(matches!(log.close(), Err(AppendError::Poisoned(_))));
                assert_eq!(disk.file_names(), names);
            }
        }
        drop(log);
        let records = open(&disk, SMALL).unwrap().records;
        assert!(records.starts_with(&flat(batches)));
    }
}

#[test]
fn a_file_that_is_being_renamed_when_the_power_goes_is_part_of_the_log() {
    let disk = SimulatedDisk::new();
    let outcome = run(&disk, &story(4, 80));
    let whole = copy(&disk);
    let count = {
        let before = disk.operations();
        open_only(&disk, SMALL).unwrap();
        disk.operations() - before
    };
    let mut between = 0;
    for operation in 0..count {
        for survival in [Survival::everything(), Survival::seeded(operation)] {
            let disk = copy(&whole);
            disk.die(operation);
            open_only(&disk, SMALL).unwrap_err();
            disk.power_cut(survival);
            let names = disk.file_names();
            between += names.iter().filter(|it| it.ends_with(".renaming")).count();
            let mut reported = Vec::new();
            let found = verify(&disk, &mut |record| reported.push(record), &mut |_, _| {}).unwrap();
            assert!(found.is_sound(), "{names:?}: {found:?}");
            outcome.check_records(&reported);
            assert_eq!(disk.file_names(), names);
            outcome.check(&disk);
            let names = disk.file_names();
            assert!(
                !names.iter().any(|it| it.ends_with(".renaming")),
                "{names:?}"
            );
        }
    }
    assert!(between > 4, "{between}");
}

fn operations(batches: &[Batch]) -> u64 {
    let disk = SimulatedDisk::new();
    let outcome = run(&disk, batches);
    assert!(outcome.rounds >= 2);
    disk.operations()
}

#[test]
fn a_damaged_snapshot_is_passed_over_and_the_one_before_it_is_taken() {
    let disk = SimulatedDisk::new();
    let batches = story(5, 120);
    run(&disk, &batches);
    let expected = fold(&flat(&batches));
    let mut snapshots = disk.file_names();
    snapshots.retain(|name| name.ends_with(".snapshot"));
    let [older, newer] = &snapshots[..] else {
        panic!("{snapshots:?}");
    };
    let bytes = disk.bytes(newer).unwrap();
    for byte in 0..bytes.len() {
        let damaged = copy(&disk);
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1 << (byte % 8);
        damaged.put(newer, &flipped);
        let (_, recovery, resumed) = resume(&damaged, SMALL).unwrap();
        assert_eq!(resumed.folded, expected, "byte {byte}");
        assert_eq!(recovery.skipped_snapshots.len(), 1);
        assert!(recovery.skipped_snapshots[0].file.ends_with(newer));
        assert!(older.starts_with(&format!("{:020}", recovery.snapshot.unwrap())));
    }
    // Where nothing was removed, the records say it all.
    let damaged = copy(&disk);
    for name in [older, newer] {
        damaged.put(name, b"nonsense");
    }
    let (_, recovery, resumed) = resume(&damaged, SMALL).unwrap();
    assert_eq!(
        (recovery.snapshot, recovery.skipped_snapshots.len()),
        (None, 2)
    );
    assert_eq!(resumed.folded, expected);
}

#[test]
fn a_flipped_bit_in_a_history_segment_is_found_and_never_served() {
    let disk = SimulatedDisk::new();
    let batches = story(6, 60);
    run(&disk, &batches);
    let records = flat(&batches);
    let name = disk.file_names();
    let name = name.iter().find(|it| it.ends_with(".history")).unwrap();
    let bytes = disk.bytes(name).unwrap();
    for byte in 0..bytes.len() {
        let damaged = copy(&disk);
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1 << (byte % 8);
        damaged.put(name, &flipped);
        // Opening from a snapshot reads no record of it: then a reader finds out.
        let found = match resume(&damaged, SMALL) {
            Err(OpenError::Damaged(damage)) => {
                assert!(damage.file.ends_with(name), "{damage}");
                true
            }
            Err(OpenError::UnknownFormat { .. }) => panic!("byte {byte} is taken for a version"),
            Err(error) => panic!("byte {byte}: {error}"),
            Ok((log, _, _)) => reads_damage(&log, &records, byte),
        };
        // But for the order in which they were logged, which a full replay needs.
        let full = open_only(&damaged, SMALL);
        check_verified(&damaged, &records, name, byte);
        assert!(found || full.is_err(), "byte {byte} is not found");
        assert!(full.is_err(), "byte {byte} is not found by a full replay");
    }
}

/// Verifying names the file, and reports nothing that was not appended, nothing twice.
fn check_verified(disk: &SimulatedDisk, records: &[Record], name: &str, byte: usize) {
    let mut reported = Vec::new();
    let found = verify(disk, &mut |record| reported.push(record), &mut |_, _| {}).unwrap();
    assert!(!found.is_sound(), "byte {byte}");
    for place in &found.damaged {
        assert!(place.file.ends_with(name), "byte {byte}: {place:?}");
    }
    assert_eq!(found.records, reported.len() as u64);
    assert_eq!(
        found.records + found.lost(),
        records.len() as u64,
        "byte {byte}: {found:?}"
    );
    let mut left: Vec<_> = records.iter().collect();
    for record in &reported {
        let place = left.iter().position(|it| *it == record);
        left.remove(place.unwrap_or_else(|| panic!("byte {byte}: it was not appended")));
    }
}

/// Whether a reader gets an error for damage; what it is given is what was appended.
fn reads_damage(log: &impl Log, records: &[Record], byte: usize) -> bool {
    let mut sessions: Vec<_> = records.iter().map(|record| record.session).collect();
    sessions.sort_unstable();
    sessions.dedup();
    let reader = log.reader();
    let mut is_found = false;
    for session in sessions {
        let own = records.iter().filter(|record| record.session == session);
        let own: Vec<_> = own.collect();
        let mut read = 0;
        while read < own.len() {
            let after = rejoin_core::Sequence(read as u64);
            match reader.read(session, after, ReadLimit::NONE) {
                Ok(found) => {
                    for record in found {
                        assert_eq!(&*record, own[read], "byte {byte}");
                        read += 1;
                    }
                }
                Err(ReadError::Damaged { .. }) => {
                    is_found = true;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    is_found
}

#[test]
fn segments_that_a_snapshot_knows_of_and_that_are_gone_are_missed() {
    let disk = SimulatedDisk::new();
    run(&disk, &story(8, 100));
    let damaged = SimulatedDisk::new();
    for name in disk.file_names() {
        if name.ends_with(".snapshot") {
            damaged.put(&name, &disk.bytes(&name).unwrap());
        }
    }
    let Err(OpenError::Damaged(damage)) = resume(&damaged, SMALL) else {
        panic!("it was opened");
    };
    assert!(damage.reason.contains("segments are missing"), "{damage}");
}
