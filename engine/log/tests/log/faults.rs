//! Every operation on the disk fails in turn, in every way; the power goes before each of them.

use crate::common::{
    Batch, LARGE, Opened, SMALL, batches, copy, disk_with, flat, last_segment, open, open_only,
    segments, story,
};
use rejoin_core::Record;
use rejoin_log::segment::{Durability, OpenError, Options};
use rejoin_log::testing::{Fault, SimulatedDisk, Survival, record};
use rejoin_log::{AppendError, Log};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// What became of a workload.
#[derive(Debug, Default)]
struct Outcome {
    /// What was acknowledged.
    acknowledged: Vec<Batch>,
    /// What was neither acknowledged nor refused.
    doubtful: Option<Batch>,
    refusals: usize,
}

/// Appends `batches`, each once more when it is refused, and closes; stops where the log does.
fn run(disk: &SimulatedDisk, options: Options, batches: &[Batch]) -> Outcome {
    let mut outcome = Outcome::default();
    let Ok(Opened { mut log, .. }) = open_only(disk, options) else {
        return outcome;
    };
    for batch in batches {
        loop {
            match log.append(batch) {
                Ok(()) => break outcome.acknowledged.push(batch.clone()),
                Err(AppendError::Refused(_)) => {
                    outcome.refusals += 1;
                    assert!(outcome.refusals < 10, "it is refused for ever");
                }
                Err(AppendError::Poisoned(_) | AppendError::Fenced(_)) => {
                    outcome.doubtful = Some(batch.clone());
                    for later in batches {
                        let Err(AppendError::Poisoned(_)) = log.append(later) else {
                            panic!("a poisoned log took a batch");
                        };
                    }
                    let Err(AppendError::Poisoned(_)) = log.close() else {
                        panic!("a poisoned log was closed");
                    };
                    return outcome;
                }
            }
        }
    }
    // A close that is refused can be tried again.
    if let Err(AppendError::Refused(_)) = log.close() {
        outcome.refusals += 1;
        let _ = log.close();
    }
    outcome
}

impl Outcome {
    /// Whether a log with these records has lost nothing and invented nothing.
    fn check(&self, records: &[Record], of: &[Batch]) {
        let acknowledged = flat(&self.acknowledged);
        let mut with_doubtful = acknowledged.clone();
        with_doubtful.extend(flat(self.doubtful.as_slice()));
        assert!(
            records == acknowledged || records == with_doubtful,
            "{} records of {} acknowledged, {} in doubt, of {} in all",
            records.len(),
            acknowledged.len(),
            with_doubtful.len() - acknowledged.len(),
            flat(of).len()
        );
    }
}

/// How many operations the workload takes where nothing fails.
fn operations(options: Options, batches: &[Batch]) -> u64 {
    let disk = SimulatedDisk::new();
    let outcome = run(&disk, options, batches);
    assert_eq!(outcome.acknowledged.len(), batches.len());
    disk.operations()
}

#[test]
fn whichever_operation_fails_nothing_acknowledged_is_lost_and_nothing_refused_is_kept() {
    let batches = batches(12);
    let count = operations(SMALL, &batches);
    let (mut refused, mut poisoned) = (0, 0);
    for operation in 0..count {
        for fault in [
            Fault::IO,
            Fault::NO_SPACE,
            Fault::Short(0, ENOSPC),
            Fault::Short(1, ENOSPC),
            Fault::Short(36, EIO),
            Fault::Short(60, ENOSPC),
        ] {
            let disk = SimulatedDisk::new();
            disk.fail(operation, fault);
            let outcome = run(&disk, SMALL, &batches);
            refused += outcome.refusals;
            poisoned += usize::from(outcome.doubtful.is_some());
            disk.heal();
            let opened = open(&disk, SMALL).unwrap();
            outcome.check(&opened.records, &batches);
            // What was acknowledged is durable.
            drop(opened);
            disk.power_cut(Survival::nothing());
            let again = open(&disk, SMALL).unwrap();
            outcome.check(&again.records, &batches);
        }
    }
    assert!(
        refused > 20 && poisoned > 20,
        "{refused} refused, {poisoned} poisoned"
    );
}

#[test]
fn whichever_operation_fails_a_log_that_goes_on_is_found_again() {
    let batches = batches(12);
    for operation in 0..operations(SMALL, &batches) {
        let disk = SimulatedDisk::new();
        disk.fail(operation, Fault::IO);
        run(&disk, SMALL, &batches);
        disk.heal();
        let mut opened = open(&disk, SMALL).unwrap();
        opened.log.append(&[record(9, 1)]).unwrap();
        opened.records.push((*record(9, 1)).clone());
        drop(opened.log);
        // A name that the failed operation was for may be the old one again.
        disk.power_cut(Survival::nothing());
        assert_eq!(open(&disk, SMALL).unwrap().records, opened.records);
    }
}

#[test]
fn a_refused_batch_is_not_in_the_log_and_the_log_goes_on() {
    let batches = batches(6);
    for bytes in [1, 35, 36, 37, 68, 90] {
        let disk = SimulatedDisk::new();
        let mut log = open(&disk, LARGE).unwrap().log;
        log.append(&batches[0]).unwrap();
        disk.fail(disk.operations(), Fault::Short(bytes, ENOSPC));
        let Err(AppendError::Refused(error)) = log.append(&batches[1]) else {
            panic!("it was not refused");
        };
        assert_eq!(error.raw_os_error(), Some(ENOSPC));
        disk.heal();
        drop(log);
        let mut opened = open(&disk, LARGE).unwrap();
        assert_eq!(opened.records, flat(&batches[..1]));
        assert_eq!(
            opened.recovery.torn, None,
            "the rest of it was not cut back"
        );
        opened.log.append(&batches[1]).unwrap();
    }
}

#[test]
fn a_log_whose_cut_fails_is_poisoned() {
    let batches = batches(3);
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, LARGE).unwrap().log;
    log.append(&batches[0]).unwrap();
    let next = disk.operations();
    disk.fail(next, Fault::Short(50, ENOSPC));
    disk.fail(next + 2, Fault::NO_SPACE);
    for _ in 0..2 {
        let Err(AppendError::Poisoned(_)) = log.append(&batches[1]) else {
            panic!("it is not poisoned");
        };
    }
    drop(log);
    let opened = open(&disk, LARGE).unwrap();
    assert_eq!(opened.records, flat(&batches[..1]));
    assert!(opened.recovery.torn.is_some());
}

#[test]
fn a_failed_sync_poisons_and_what_is_replayed_afterwards_is_durable() {
    let batches = batches(3);
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, LARGE).unwrap().log;
    log.append(&batches[0]).unwrap();
    disk.fail(disk.operations() + 1, Fault::IO);
    let reader = log.reader();
    let Err(AppendError::Poisoned(_)) = log.append(&batches[1]) else {
        panic!("it is not poisoned");
    };
    let session = batches[0][0].session;
    assert_eq!(
        crate::common::read_all(&*reader, session).len(),
        1,
        "it was shown"
    );
    drop(log);
    // The operating system shows the batch, believes it to be on the disk, and is wrong.
    let opened = open(&disk, LARGE).unwrap();
    assert_eq!(opened.records, flat(&batches[..2]));
    drop(opened);
    disk.power_cut(Survival::nothing());
    assert_eq!(open(&disk, LARGE).unwrap().records, flat(&batches[..2]));
}

#[test]
fn a_log_that_only_flushes_replays_nothing_that_a_failed_sync_has_lost() {
    let options = Options {
        durability: Durability::Flush,
        ..LARGE
    };
    let batches = batches(4);
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, options).unwrap().log;
    for batch in &batches {
        log.append(batch).unwrap();
    }
    // Closing cuts, writes the seal, and syncs.
    disk.fail(disk.operations() + 2, Fault::IO);
    let Err(AppendError::Poisoned(_)) = log.close() else {
        panic!("it was closed");
    };
    drop(log);
    let opened = open(&disk, options).unwrap();
    assert_eq!(opened.records, flat(&batches));
    drop(opened);
    disk.power_cut(Survival::nothing());
    assert_eq!(open(&disk, options).unwrap().records, flat(&batches));
}

#[test]
fn a_full_disk_takes_the_room_of_the_spare_before_a_batch_is_refused() {
    let options = Options {
        zero_ahead: true,
        ..LARGE
    };
    let disk = SimulatedDisk::new();
    disk.put("spare", &vec![0; 1_000_000]);
    let mut log = open(&disk, options).unwrap().log;
    // The spare becomes the first segment, and another one is made.
    log.append(&batches(1)[0]).unwrap();
    while !disk.file_names().contains(&"spare".to_owned()) {
        std::thread::yield_now();
    }
    let next = batches(2).remove(1);
    disk.fail(disk.operations(), Fault::NO_SPACE);
    log.append(&next).unwrap();
    assert!(!disk.file_names().contains(&"spare".to_owned()));
    disk.fail(disk.operations(), Fault::NO_SPACE);
    let third = batches(3).remove(2);
    let Err(AppendError::Refused(_)) = log.append(&third) else {
        panic!("there was nothing left to give back");
    };
    log.append(&third).unwrap();
    drop(log);
    assert_eq!(open(&disk, options).unwrap().records, flat(&batches(3)));
}

#[test]
fn an_append_on_a_small_disk_never_fails_for_want_of_what_is_zeroed_ahead() {
    let options = Options {
        segment_bytes: 64 * 1024 * 1024,
        zero_ahead: true,
        ..LARGE
    };
    let batches = batches(40);
    // From no room for a spare to room for one that leaves little.
    for mebibytes in [1, 5, 20, 64, 65, 100] {
        let disk = SimulatedDisk::new();
        disk.set_capacity(Some(mebibytes * 1024 * 1024));
        // What an earlier process was making when it died.
        disk.put("zeroing", &vec![0; 1_000_000]);
        let mut log = open(&disk, options).unwrap().log;
        for batch in &batches {
            log.append(batch).unwrap();
        }
        log.close().unwrap();
        assert_eq!(open(&disk, options).unwrap().records, flat(&batches));
    }
}

#[test]
fn a_spare_that_is_being_made_gives_its_room_to_an_append() {
    let options = Options {
        zero_ahead: true,
        segment_bytes: 8 * 1024 * 1024,
        ..LARGE
    };
    let batches = batches(40);
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, options).unwrap().log;
    log.append(&batches[0]).unwrap();
    // Something else takes all the other room while the next spare is made, or when it is ready.
    let bytes = |name: &String| disk.bytes(name).map_or(0, |bytes| bytes.len() as u64);
    let zeroed = || bytes(&"zeroing".to_owned()).max(bytes(&"spare".to_owned()));
    while zeroed() < 1024 * 1024 {
        std::thread::yield_now();
    }
    disk.set_capacity(Some(disk.file_names().iter().map(bytes).sum()));
    for batch in &batches[1..] {
        log.append(batch).unwrap();
    }
    drop(log);
    assert_eq!(open(&disk, options).unwrap().records, flat(&batches));
}

#[test]
fn a_log_is_opened_on_a_full_disk_and_goes_on_when_there_is_room() {
    let batches = batches(6);
    let options = Options {
        zero_ahead: true,
        ..LARGE
    };
    for with_spare in [false, true] {
        let disk = disk_with(&batches[..3], LARGE, false);
        if with_spare {
            disk.put("spare", &vec![0; 1_000_000]);
        }
        let bytes = |name: &String| disk.bytes(name).unwrap().len() as u64;
        disk.set_capacity(Some(disk.file_names().iter().map(bytes).sum()));
        let mut log = match open(&disk, options) {
            // The room of the spare was enough.
            Ok(opened) => opened.log,
            Err(OpenError::Io { source, .. }) => {
                assert_eq!(source.raw_os_error(), Some(ENOSPC));
                assert!(!with_spare, "its room was not used");
                disk.set_capacity(None);
                open(&disk, options).unwrap().log
            }
            Err(error) => panic!("{error}"),
        };
        log.append(&batches[3]).unwrap();
        drop(log);
        assert_eq!(open(&disk, LARGE).unwrap().records, flat(&batches[..4]));
    }
}

#[test]
fn a_round_of_the_compactor_that_finds_the_disk_full_gets_the_room_of_the_spare() {
    let batches = story(4, 30);
    let disk = disk_with(&batches[..20], SMALL, true);
    let options = Options {
        zero_ahead: true,
        segment_bytes: 1_000_000,
        ..SMALL
    };
    disk.put("spare", &vec![0; 1_000_000]);
    let mut log = open(&disk, options).unwrap().log;
    let compactor = log.compactor();
    let bytes = |name: &String| disk.bytes(name).unwrap().len() as u64;
    disk.set_capacity(Some(disk.file_names().iter().map(bytes).sum()));
    let Err(OpenError::Io { source, .. }) = compactor.run_once() else {
        panic!("there was room");
    };
    assert_eq!(source.raw_os_error(), Some(ENOSPC));
    log.append(&batches[20]).unwrap();
    assert!(compactor.run_once().unwrap().rewritten > 0);
    drop(log);
    assert_eq!(open(&disk, SMALL).unwrap().records, flat(&batches[..21]));
}

#[test]
fn without_a_file_descriptor_the_log_goes_on_in_the_segment_that_it_has() {
    let batches = batches(30);
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, SMALL).unwrap().log;
    disk.set_out_of_descriptors(true);
    for batch in &batches[..20] {
        log.append(batch).unwrap();
    }
    // The file that was open ahead of time is in use, and no other could be opened.
    assert_eq!(segments(&disk).len(), 1, "{:?}", disk.file_names());
    disk.set_out_of_descriptors(false);
    for batch in &batches[20..] {
        log.append(batch).unwrap();
    }
    assert!(segments(&disk).len() > 4, "{:?}", disk.file_names());
    disk.set_out_of_descriptors(true);
    log.close().unwrap();
    disk.set_out_of_descriptors(false);
    assert!(!disk.file_names().contains(&"beginning".to_owned()));
    assert_eq!(open(&disk, SMALL).unwrap().records, flat(&batches));
}

#[test]
fn whenever_the_power_goes_everything_acknowledged_is_there() {
    let batches = batches(12);
    for operation in 0..operations(SMALL, &batches) {
        for survival in survivals(operation) {
            let disk = SimulatedDisk::new();
            disk.die(operation);
            let outcome = run(&disk, SMALL, &batches);
            disk.power_cut(survival);
            let opened = open(&disk, SMALL).unwrap();
            outcome.check(&opened.records, &batches);
        }
    }
}

#[test]
fn whenever_the_power_goes_again_in_recovery_nothing_more_is_lost() {
    let batches = batches(7);
    for operation in 0..operations(SMALL, &batches) {
        for survival in [Survival::everything(), Survival::seeded(operation)] {
            // How many operations this recovery takes.
            let recovered = |die_at: Option<u64>| {
                let disk = SimulatedDisk::new();
                disk.die(operation);
                let outcome = run(&disk, SMALL, &batches);
                disk.power_cut(survival.clone());
                let before = disk.operations();
                if let Some(die_at) = die_at {
                    disk.die(before + die_at);
                }
                let first = open_only(&disk, SMALL).map(|opened| opened.records);
                let count = disk.operations() - before;
                disk.power_cut(Survival::seeded(operation + 1));
                let second = open(&disk, SMALL).unwrap().records;
                outcome.check(&second, &batches);
                if let Ok(first) = first {
                    assert_eq!(first, second, "what was replayed once is lost");
                }
                count
            };
            for die_at in 0..recovered(None) {
                recovered(Some(die_at));
            }
        }
    }
}

#[test]
fn a_torn_end_is_gone_before_the_seal_is_there() {
    let batches = batches(3);
    let sound = disk_with(&batches, LARGE, false);
    let name = last_segment(&sound);
    let mut torn = sound.bytes(&name).unwrap();
    torn.extend([0xab; 3_000]);
    let put = || {
        let disk = copy(&sound);
        disk.put(&name, &torn);
        disk
    };
    let whole = put();
    open_only(&whole, LARGE).unwrap();
    for operation in 0..whole.operations() {
        for survival in (0..50).map(Survival::seeded) {
            let disk = put();
            disk.die(operation);
            open_only(&disk, LARGE).unwrap_err();
            disk.power_cut(survival);
            assert_eq!(open(&disk, LARGE).unwrap().records, flat(&batches));
        }
    }
}

#[test]
fn a_log_that_only_flushes_loses_whole_batches_from_its_end() {
    let batches = batches(12);
    let options = Options {
        durability: Durability::Flush,
        ..SMALL
    };
    let prefixes: Vec<_> = (0..=batches.len())
        .map(|count| flat(&batches[..count]))
        .collect();
    let mut lost = 0;
    for operation in 0..operations(options, &batches) {
        for survival in survivals(operation) {
            let disk = SimulatedDisk::new();
            disk.die(operation);
            let outcome = run(&disk, options, &batches);
            disk.power_cut(survival);
            let records = open(&disk, options).unwrap().records;
            let kept = prefixes.iter().position(|prefix| *prefix == records);
            let kept = kept.expect("a part of a batch, or a batch from the middle, is lost");
            assert!(kept <= outcome.acknowledged.len() + 1);
            lost += outcome.acknowledged.len().saturating_sub(kept);
        }
    }
    assert!(lost > 0, "the power cuts were harmless");
}

#[test]
fn a_process_that_dies_loses_nothing_even_of_a_log_that_only_flushes() {
    let batches = batches(12);
    let options = Options {
        durability: Durability::Flush,
        ..SMALL
    };
    let disk = disk_with(&batches, options, false);
    assert_eq!(open(&disk, options).unwrap().records, flat(&batches));
    disk.power_cut(Survival::nothing());
    assert_eq!(open(&disk, options).unwrap().records, flat(&batches));
}

#[test]
fn a_second_opener_is_refused_and_leaves_the_lock_alone() {
    let disk = SimulatedDisk::new();
    let first = open(&disk, SMALL).unwrap();
    for _ in 0..2 {
        let Err(OpenError::Locked { directory }) = open(&disk, SMALL) else {
            panic!("it was opened twice");
        };
        assert_eq!(directory.to_str(), Some("simulated"));
    }
    drop(first);
    let mut second = open(&disk, SMALL).unwrap();
    second.log.close().unwrap();
    // Closing gives the lock back, even if the object lives on.
    open(&disk, SMALL).unwrap();
}

fn survivals(seed: u64) -> Vec<Survival> {
    let mut survivals = vec![Survival::nothing(), Survival::everything()];
    survivals.extend((0..6).map(|more| Survival::seeded(seed * 6 + more)));
    survivals
}
