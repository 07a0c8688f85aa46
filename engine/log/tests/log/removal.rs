//! Removed sessions leave the log and their room comes back, while the others go on; and whoever
//! reads a removed one learns which sequences are gone.

use crate::common::{Batch, LARGE, SMALL, copy, flat, fold, open_only, resume, segments};
use rejoin_core::{Event, Record, Retention, Sequence, SessionId};
use rejoin_log::segment::{OpenError, Options, VerifyReport, verify};
use rejoin_log::testing::{Fault, SimulatedDisk, Survival, story};
use rejoin_log::{Log, LogReader, ReadLimit};
use std::collections::{BTreeMap, BTreeSet};

/// So many batches are appended between two rounds.
const BETWEEN_ROUNDS: usize = 20;

/// Appends what can be appended, with rounds between and at the end; says what was.
fn run(disk: &SimulatedDisk, batches: &[Batch]) -> Vec<Record> {
    run_with(disk, SMALL, batches)
}

fn run_with(disk: &SimulatedDisk, options: Options, batches: &[Batch]) -> Vec<Record> {
    let mut appended = Vec::new();
    let Ok(mut opened) = open_only(disk, options) else {
        return appended;
    };
    let archive = opened.log.compactor();
    for (place, batch) in batches.iter().enumerate() {
        if opened.log.append(batch).is_err() {
            return appended;
        }
        appended.extend(flat(std::slice::from_ref(batch)));
        if place % BETWEEN_ROUNDS == BETWEEN_ROUNDS - 1 {
            match archive.run_once() {
                Ok(_) | Err(OpenError::Io { .. } | OpenError::Unsynced { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    let _ = opened.log.close();
    appended
}

/// The sessions of which a record says that they are removed.
fn removed(records: &[Record]) -> BTreeSet<SessionId> {
    let is_notice = |record: &&Record| record.event.removes_before().is_some();
    let notices = records.iter().filter(is_notice);
    notices.map(|record| record.session).collect()
}

/// Every session reads all of its records; of a removed one, at least what says so.
fn check_reads(reader: &dyn LogReader, records: &[Record]) -> usize {
    check_reads_of(reader, records, false)
}

/// As `check_reads`; if it `forgets`, nothing may be left of a removed one.
fn check_reads_of(reader: &dyn LogReader, records: &[Record], forgets: bool) -> usize {
    let gone = removed(records);
    let sessions: BTreeSet<_> = records.iter().map(|record| record.session).collect();
    let mut shortened = 0;
    for session in sessions {
        let own = records.iter().filter(|record| record.session == session);
        let own: Vec<_> = own.collect();
        let read = reader
            .read(session, Sequence::START, ReadLimit::NONE)
            .unwrap();
        let read: Vec<&Record> = read.iter().map(|record| &**record).collect();
        if read == own {
            continue;
        }
        assert!(gone.contains(&session), "an open session was shortened");
        if read.is_empty() && forgets {
            continue;
        }
        let [notice] = read[..] else {
            panic!("a removed session is there in part: {read:?}");
        };
        assert_eq!(notice, own[own.len() - 1]);
        let Event::RecordsLost { first, last, .. } = notice.event else {
            panic!("{notice:?}");
        };
        assert_eq!((first, last.next()), (Sequence(1), notice.sequence));
        shortened += 1;
    }
    shortened
}

fn room(disk: &SimulatedDisk) -> usize {
    let names = disk.file_names();
    let bytes = names.iter().map(|name| disk.bytes(name).unwrap().len());
    bytes.sum()
}

fn verified(disk: &SimulatedDisk) -> (VerifyReport, Vec<Record>) {
    let mut reported = Vec::new();
    let found = verify(disk, &mut |record| reported.push(record), &mut |_, _| {});
    (found.unwrap(), reported)
}

#[test]
fn removed_sessions_go_and_their_room_comes_back_and_the_others_go_on() {
    for seed in 0..10 {
        let kept = SimulatedDisk::new();
        let batches = story(seed, 400, Retention::NOTHING);
        let records = run(&kept, &batches);
        assert!(removed(&records).len() > 2, "seed {seed}");

        let all: usize = {
            let disk = SimulatedDisk::new();
            let mut log = open_only(&disk, SMALL).unwrap().log;
            batches.iter().for_each(|batch| log.append(batch).unwrap());
            log.close().unwrap();
            room(&disk)
        };
        let (log, recovery, resumed) = resume(&kept, SMALL).unwrap();
        assert!(recovery.removed > 0);
        assert!(room(&kept) < all / 2, "{} of {all} bytes", room(&kept));
        assert_eq!(resumed.folded, fold(&records));
        assert!(check_reads(&*log.reader(), &records) > 0);
        drop(log);

        let (found, reported) = verified(&kept);
        assert!(found.is_sound(), "{:?}", found.damaged);
        assert_eq!(found.missing, []);
        assert_eq!(found.records + found.removed, records.len() as u64);
        assert_eq!(reported.len() as u64, found.records);
    }
}

#[test]
fn without_any_snapshot_the_state_is_folded_from_what_is_left() {
    let disk = SimulatedDisk::new();
    let records = run(&disk, &story(3, 400, Retention::NOTHING));
    for name in disk.file_names() {
        if name.ends_with(".snapshot") {
            disk.put(&name, b"nonsense");
        }
    }
    let (log, recovery, resumed) = resume(&disk, SMALL).unwrap();
    assert!(recovery.removed > 0 && recovery.snapshot.is_none());
    assert_eq!(resumed.folded.state(), fold(&records).state());
    check_reads(&*log.reader(), &records);
}

#[test]
fn whenever_the_power_goes_in_removing_nothing_else_is_lost() {
    let batches = story(5, 120, Retention::NOTHING);
    let whole = SimulatedDisk::new();
    run(&whole, &batches);
    let mut removals = 0;
    for operation in 0..whole.operations() {
        let disk = SimulatedDisk::new();
        disk.die(operation);
        let acknowledged = run(&disk, &batches);
        disk.power_cut(match operation % 3 {
            0 => Survival::nothing(),
            1 => Survival::everything(),
            _ => Survival::seeded(operation),
        });
        removals += check(&disk, &acknowledged, &batches);
    }
    assert!(removals > 100, "{removals}");
}

#[test]
fn whichever_operation_fails_in_removing_nothing_else_is_lost() {
    let batches = story(5, 120, Retention::NOTHING);
    let whole = SimulatedDisk::new();
    run(&whole, &batches);
    for operation in 0..whole.operations() {
        let disk = SimulatedDisk::new();
        disk.fail(operation, Fault::IO);
        let acknowledged = run(&disk, &batches);
        disk.heal();
        check(&disk, &acknowledged, &batches);
        disk.power_cut(Survival::nothing());
        check(&disk, &acknowledged, &batches);
    }
}

/// Whether nothing that was acknowledged is lost; how many sessions were shortened.
fn check(disk: &SimulatedDisk, acknowledged: &[Record], batches: &[Batch]) -> usize {
    let all = flat(batches);
    let (log, recovery, resumed) = resume(disk, SMALL).unwrap();
    let count = usize::try_from(recovery.records + recovery.removed).unwrap();
    assert!(count >= acknowledged.len());
    let records = &all[..count];
    assert_eq!(resumed.folded, fold(records));
    let shortened = check_reads(&*log.reader(), records);
    drop(log);
    let (found, _) = verified(disk);
    assert!(found.is_sound(), "{:?}", found.damaged);
    shortened
}

#[test]
fn a_segment_ends_early_when_it_says_that_much_is_removed() {
    let options = Options {
        segment_bytes: 6_000,
        ..SMALL
    };
    let disk = SimulatedDisk::new();
    let mut log = open_only(&disk, options).unwrap().log;
    let active = || {
        let mut names = disk.file_names().into_iter();
        names.find(|name| name.ends_with(".active"))
    };
    let mut held: BTreeMap<SessionId, u64> = BTreeMap::new();
    let (mut removed, mut early) = (0, 0);
    for batch in story(4, 400, Retention::NOTHING) {
        let before = active();
        log.append(&batch).unwrap();
        let after = active();
        if after.is_some() && after != before {
            // The one before was full.
            removed = 0;
        }
        for record in &batch {
            let bytes = held.entry(record.session).or_default();
            if record.event.removes_before().is_some() {
                removed += *bytes;
            }
            *bytes += record.bytes();
        }
        // Event::bytes is about what a record takes.
        assert!(after.is_none() || removed < 2_000, "{removed} bytes wait");
        if after.is_none() {
            assert!(removed > 1_000, "{removed} bytes are enough");
            (removed, early) = (0, early + 1);
        }
    }
    assert!(early > 2, "{early} segments ended early");
}

/// As `SMALL`, and only the session that was removed last is remembered.
const FORGETFUL: Options = Options {
    remembered_removals: 1,
    ..SMALL
};

#[test]
fn what_remains_of_removed_sessions_does_not_grow_with_their_number() {
    let left = |count: usize| {
        let disk = SimulatedDisk::new();
        let records = run_with(&disk, FORGETFUL, &story(6, count, Retention::NOTHING));
        let (found, reported) = verified(&disk);
        assert!(found.is_sound(), "{:?}", found.damaged);
        // Snapshots remember some removed sessions, too, up to a bound of their own.
        let mut names = disk.file_names();
        names.retain(|name| !name.ends_with(".snapshot"));
        let bytes: usize = names.iter().map(|it| disk.bytes(it).unwrap().len()).sum();
        let kept: u64 = reported.iter().map(|record| record.bytes()).sum();
        let more = bytes.saturating_sub(usize::try_from(kept).unwrap());
        (removed(&records).len(), removed(&reported).len(), more)
    };
    let (few, many) = (left(400), left(3_000));
    assert!(many.0 > 5 * few.0, "{few:?} {many:?}");
    assert!(many.1 < few.1 + 10, "{few:?} {many:?}");
    // Beside the records that are kept.
    assert!(many.2 < few.2 + 2_000, "{few:?} {many:?}");
}

#[test]
fn a_log_that_forgets_removed_sessions_has_the_state_of_all_its_records() {
    for seed in 0..4 {
        let disk = SimulatedDisk::new();
        let records = run_with(&disk, FORGETFUL, &story(seed, 600, Retention::NOTHING));
        let (log, recovery, resumed) = resume(&disk, FORGETFUL).unwrap();
        assert!(recovery.removed > 0);
        assert_eq!(resumed.folded, fold(&records), "seed {seed}");
        let gone = removed(&records);
        let reader = log.reader();
        let is_forgotten = |session: &&SessionId| {
            let read = reader.read(**session, Sequence::START, ReadLimit::NONE);
            read.unwrap().is_empty()
        };
        let forgotten = gone.iter().filter(is_forgotten).count();
        assert!(
            forgotten > 0 && forgotten < gone.len(),
            "{forgotten} of {}",
            gone.len()
        );
        drop((log, reader));

        // From the older snapshot, and from none.
        for damaged in 1..=2 {
            let disk = copy(&disk);
            let mut snapshots = disk.file_names();
            snapshots.retain(|name| name.ends_with(".snapshot"));
            for name in snapshots.iter().rev().take(damaged) {
                disk.put(name, b"nonsense");
            }
            let (_, _, resumed) = resume(&disk, FORGETFUL).unwrap();
            assert_eq!(
                resumed.folded.state(),
                fold(&records).state(),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn whenever_the_power_goes_in_forgetting_nothing_else_is_lost() {
    let batches = story(5, 120, Retention::NOTHING);
    let whole = SimulatedDisk::new();
    run_with(&whole, FORGETFUL, &batches);
    for operation in 0..whole.operations() {
        let disk = SimulatedDisk::new();
        disk.die(operation);
        let acknowledged = run_with(&disk, FORGETFUL, &batches);
        disk.power_cut(Survival::seeded(operation));
        let (_, recovery, resumed) = resume(&disk, FORGETFUL).unwrap();
        let count = usize::try_from(recovery.records + recovery.removed).unwrap();
        assert!(count >= acknowledged.len());
        assert_eq!(resumed.folded, fold(&flat(&batches)[..count]));
        let (found, _) = verified(&disk);
        assert!(found.is_sound(), "{:?}", found.damaged);
    }
}

#[test]
fn no_session_is_forgotten_while_an_older_file_may_have_records_of_it() {
    let batches = story(5, 600, Retention::NOTHING);
    let disk = SimulatedDisk::new();
    let mut log = open_only(&disk, FORGETFUL).unwrap().log;
    let (begin, rest) = batches.split_at(60);
    begin.iter().for_each(|batch| log.append(batch).unwrap());
    // A round that ends behind its snapshot.
    let snapshots = || {
        let mut names = disk.file_names();
        names.retain(|name| name.ends_with(".snapshot"));
        names.len()
    };
    for operation in 0.. {
        disk.fail(disk.operations() + operation, Fault::IO);
        let round = log.compactor().run_once();
        disk.heal();
        // A failed sync of the directory may have ended it.
        drop(log);
        log = open_only(&disk, FORGETFUL).unwrap().log;
        if snapshots() > 0 {
            assert!(round.is_err());
            break;
        }
    }
    let compactor = log.compactor();
    // From then on, the oldest segment can't be read. Newer ones are compacted all the same.
    let oldest = segments(&disk).remove(0);
    let sound = disk.bytes(&oldest).unwrap();
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for some in rest.chunks(60) {
        some.iter().for_each(|batch| log.append(batch).unwrap());
        disk.put(&oldest, &damaged);
        assert!(compactor.run_once().is_err());
        disk.put(&oldest, &sound);
    }
    let names = disk.file_names();
    assert!(names.contains(&oldest), "{names:?}");
    assert!(
        names.iter().any(|name| name.ends_with(".history")),
        "{names:?}"
    );
    let records = flat(&batches);
    check_reads_of(&*log.reader(), &records, true);
    // Once it can be read, everything goes that is to go.
    let forgotten = (0..4).map(|_| compactor.run_once().unwrap().forgotten);
    assert!(forgotten.sum::<usize>() > 0);
    check_reads_of(&*log.reader(), &records, true);
    log.close().unwrap();
    drop((log, compactor));
    let (log, _, resumed) = resume(&disk, FORGETFUL).unwrap();
    assert_eq!(resumed.folded, fold(&records));
    check_reads_of(&*log.reader(), &records, true);
}

#[test]
fn what_is_left_of_a_removed_session_without_its_beginning_is_shown_to_nobody() {
    let mut suffixes = 0;
    for seed in 0..30 {
        let disk = SimulatedDisk::new();
        let records = run(&disk, &story(seed, 400, Retention::NOTHING));
        let (found, reported) = verified(&disk);
        assert!(found.is_sound() && found.missing.is_empty(), "seed {seed}");
        let left = |session: &SessionId| {
            let own = reported.iter().filter(|record| record.session == *session);
            let own: Vec<_> = own.map(|record| record.sequence).collect();
            own.len() > 1 && own[0] > Sequence(1)
        };
        let left: Vec<_> = removed(&reported).into_iter().filter(left).collect();
        suffixes += left.len();
        let (log, _, resumed) = resume(&disk, SMALL).unwrap();
        assert_eq!(resumed.folded, fold(&records), "seed {seed}");
        let reader = log.reader();
        for session in left {
            let read = reader.read(session, Sequence::START, ReadLimit::NONE);
            let read = read.unwrap();
            assert_eq!(read.len(), 1, "seed {seed}: {read:?}");
            assert!(read[0].event.removes_before().is_some());
        }
    }
    assert!(suffixes > 0, "no file was rewritten before a newer one");
}

/// The snapshots, older first.
fn snapshots(disk: &SimulatedDisk) -> Vec<String> {
    let mut names = disk.file_names();
    names.retain(|name| name.ends_with(".snapshot"));
    names
}

#[test]
fn files_are_joined_that_have_a_removed_session_in_part_while_one_snapshot_is_left() {
    let mut in_part = 0;
    for seed in 0..12 {
        let disk = SimulatedDisk::new();
        let records = run(&disk, &story(seed, 400, Retention::NOTHING));
        // The last snapshot is of all records, so that the next round writes none.
        let log = resume(&disk, SMALL).unwrap().0;
        log.compactor().run_once().unwrap();
        drop(log);
        let (_, reported) = verified(&disk);
        // The older file has the session's first records, and the newer one none of the others.
        let left = |session: &SessionId| {
            let own = reported.iter().filter(|record| record.session == *session);
            let own: Vec<_> = own.map(|record| record.sequence.0).collect();
            own.len() > 1 && own[own.len() - 1] - own[own.len() - 2] > 1
        };
        in_part += removed(&reported).iter().filter(|it| left(it)).count();
        disk.put(&snapshots(&disk)[0], b"nonsense");
        // With larger segments, it joins what was too long before.
        let (log, _, _) = resume(&disk, LARGE).unwrap();
        log.compactor().run_once().unwrap();
        check_reads(&*log.reader(), &records);
        drop(log);
        let (log, _, resumed) =
            resume(&disk, LARGE).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(resumed.folded, fold(&records), "seed {seed}");
        check_reads(&*log.reader(), &records);
    }
    assert!(in_part > 0, "no session was removed in part");
}

#[test]
fn what_the_older_snapshot_needs_of_a_removed_session_stays_though_its_beginning_is_gone() {
    for seed in 0..12 {
        let disk = SimulatedDisk::new();
        let batches = story(seed, 300, Retention::NOTHING);
        let mut log = open_only(&disk, SMALL).unwrap().log;
        // Many files are after the older snapshot.
        for some in batches.chunks(150) {
            some.iter().for_each(|batch| log.append(batch).unwrap());
            log.close().unwrap();
            drop(log);
            log = resume(&disk, SMALL).unwrap().0;
            log.compactor().run_once().unwrap();
        }
        drop(log);
        let expected = fold(&flat(&batches));
        for segment_bytes in [1_000, 1_400, 2_000] {
            let options = Options {
                segment_bytes,
                ..SMALL
            };
            let log = resume(&disk, options).unwrap().0;
            log.compactor().run_once().unwrap();
            drop(log);
            let disk = copy(&disk);
            disk.put(&snapshots(&disk)[1], b"nonsense");
            let resumed = resume(&disk, options);
            let (_, _, resumed) = resumed.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(resumed.folded.state(), expected.state(), "seed {seed}");
        }
    }
}
