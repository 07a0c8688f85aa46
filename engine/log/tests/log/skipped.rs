//! A log that begins behind records which were removed elsewhere, as the copy of another log: what is kept is
//! all there, and what is left of removed sessions is neither read nor folded.

use crate::common::{Batch, ID, SMALL, flat, fold, read_all, resume};
use rejoin_core::{Record, Retention, Sequence, SessionId};
use rejoin_log::disk::Disk;
use rejoin_log::segment::{OpenOptions, Opened, verify};
use rejoin_log::testing::{SimulatedDisk, story};
use rejoin_log::{AppendError, Log, LogReader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn is_removal(record: &Record) -> bool {
    record.event.removes_before().is_some()
}

/// Before how many batches everything may be removed: up to the first one with a record of a session that is
/// kept, or with the last removal, which says which numbers were given.
fn removable(batches: &[Batch]) -> usize {
    let all = flat(batches);
    let removals = all.iter().filter(|it| is_removal(it));
    let removed: BTreeSet<_> = removals.map(|it| it.session).collect();
    let last = all.iter().rposition(is_removal).unwrap();
    let kept = all.iter().position(|it| !removed.contains(&it.session));
    let most = kept.unwrap_or(last).min(last);
    let mut records = 0;
    let before = batches.iter().take_while(|batch| {
        records += batch.len();
        records <= most
    });
    before.count()
}

/// Where sessions begin behind the removed part, if not with their first record.
fn cut(batches: &[Batch]) -> Vec<(SessionId, Sequence)> {
    let mut first = BTreeMap::new();
    for record in batches.iter().flatten() {
        first.entry(record.session).or_insert(record);
    }
    let cut = first
        .values()
        .filter(|it| it.sequence > Sequence(1) && !is_removal(it));
    cut.map(|it| (it.session, it.sequence)).collect()
}

fn open(disk: &SimulatedDisk) -> Opened {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    OpenOptions::disk(disk, ID).options(SMALL).open().unwrap()
}

/// Kept sessions are read whole, and of the others nothing but their removal.
fn check_reads(reader: &dyn LogReader, left: &[Batch], cut: &[(SessionId, Sequence)]) {
    for (session, _) in cut {
        let read = read_all(reader, *session);
        assert!(read.iter().all(|it| is_removal(it)), "{read:?}");
        assert_eq!(read.len(), 1);
    }
    let left = flat(left);
    let removed: BTreeSet<_> = left
        .iter()
        .filter(|it| is_removal(it))
        .map(|it| it.session)
        .collect();
    for record in left.iter().filter(|it| !removed.contains(&it.session)) {
        let read = read_all(reader, record.session);
        let found = read.iter().find(|it| it.sequence == record.sequence);
        assert_eq!(found.map(|it| &**it), Some(record));
    }
}

#[test]
fn a_log_that_begins_behind_what_was_removed_leads_to_the_same_state_and_reads() {
    let mut cuts = 0;
    for seed in 0..12 {
        let batches = story(seed, 300, Retention::NOTHING);
        let all = fold(&flat(&batches));
        let most = removable(&batches);
        for part in 1..=3 {
            let (before, left) = batches.split_at(most * part / 3);
            let cut = cut(left);
            cuts += cut.len();
            let disk = SimulatedDisk::new();
            let mut opened = open(&disk)
                .skip_removed(flat(before).len() as u64, &cut)
                .unwrap();
            let compactor = opened.log().compactor();
            for (place, batch) in left.iter().enumerate() {
                opened = opened.append(batch).unwrap();
                if place % 25 == 24 {
                    compactor.run_once().unwrap();
                }
            }
            assert_eq!(opened.projection().state(), all.state(), "seed {seed}");
            check_reads(&*opened.log().reader(), left, &cut);
            let end = opened.log().next_position();
            assert_eq!(end, flat(&batches).len() as u64 + 1);
            drop((opened, compactor));

            // As after a crash, with and without its snapshots.
            let again = open(&disk);
            assert_eq!(again.log().next_position(), end);
            assert_eq!(again.projection().state(), all.state(), "seed {seed}");
            check_reads(&*again.log().reader(), left, &cut);
            drop(again);
            let disk: &dyn Disk = &disk;
            let found = verify(disk, &mut |_| {}, &mut |_, _| {}).unwrap();
            assert!(found.is_sound(), "{:?}", found.damaged);
            assert_eq!(found.missing, []);
        }
    }
    assert!(cuts > 20, "{cuts}");
}

#[test]
fn a_crash_before_the_removal_of_a_session_that_is_left_in_part_loses_nothing() {
    let batches = story(1, 300, Retention::NOTHING);
    let (before, left) = batches.split_at(removable(&batches));
    let cut = cut(left);
    assert!(!cut.is_empty());
    for appended in 0..left.len() {
        let disk = SimulatedDisk::new();
        let mut opened = open(&disk)
            .skip_removed(flat(before).len() as u64, &cut)
            .unwrap();
        for batch in &left[..appended] {
            opened = opened.append(batch).unwrap();
        }
        let _ = opened.log().compactor().run_once().unwrap();
        let state = opened.projection().state().clone();
        drop(opened);
        let mut again = open(&disk);
        assert_eq!(
            *again.projection().state(),
            state,
            "after {appended} batches"
        );
        for batch in &left[appended..] {
            again = again.append(batch).unwrap();
        }
        assert_eq!(again.projection().state(), fold(&flat(&batches)).state());
    }
}

#[test]
fn only_an_empty_log_can_begin_behind_removed_records() {
    let disk = SimulatedDisk::new();
    let batches = story(1, 3, Retention::ALL);
    let (mut log, _, _) = resume(&disk, SMALL).unwrap();
    log.append(&batches[0]).unwrap();
    let refused = log.skip_removed(7, &[]);
    assert!(
        matches!(refused, Err(AppendError::Refused(_))),
        "{refused:?}"
    );
    log.append(&batches[1]).unwrap();
}
