//! Salvages logs that were compacted and from which sessions were removed: damaged records are
//! declared lost, removed records are not, and removals stay known.

use crate::salvage::{Outcome, salvage};
use crate::world::config;
use rejoin_core::testing::operations;
use rejoin_core::{
    Event, Limits, LossCause, Record, Retention, Sequence, SessionId, State, Timestamp,
};
use rejoin_log::Log;
use rejoin_log::disk::Disk;
use rejoin_log::segment::{Durability, LogId, OpenError, OpenOptions, Options, verify};
use rejoin_log::testing::SimulatedDisk;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const ID: LogId = LogId::from_bytes([3; 16]);
const OPTIONS: Options = Options {
    durability: Durability::Sync,
    segment_bytes: 700,
    zero_ahead: false,
    ..Options::DEFAULT
};

/// The identity of a record: its session and its sequence.
type Name = (SessionId, Sequence);

/// A log with a few open sessions at a time. Each is removed as soon as it is closed; the log is
/// compacted as it grows.
fn log_in_order(seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let on: Arc<dyn Disk> = Arc::new(disk.clone());
    let (mut log, _) = OpenOptions::disk(on, ID)
        .options(OPTIONS)
        .open_unfolded()
        .unwrap();
    let archive = log.compactor();
    let mut state = State::new(Limits {
        sessions: 3,
        retention: Retention {
            age: None,
            bytes: Some(200),
        },
        ..Limits::DEFAULT
    });
    let mut random = seed;
    let mut clock = 1_000_000_i64;
    for round in 0..240 {
        let bytes = std::array::from_fn::<u8, 6, _>(|_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 56) as u8
        });
        for (by, operation) in operations(&bytes) {
            clock += by;
            let now = Timestamp::from_millis(clock.unsigned_abs());
            let steps = state.step(now, operation.command(&state, now));
            let records: Vec<_> = steps.unwrap_or_default();
            let records: Vec<_> = records.into_iter().map(|it| Arc::new(it.record)).collect();
            log.append(&records).unwrap();
        }
        if round % 20 == 0 {
            archive.run_once().unwrap();
        }
    }
    log.close().unwrap();
    disk
}

/// A log that an earlier version has written.
fn fixture(name: &str) -> SimulatedDisk {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("log/fixtures/v1");
    let disk = SimulatedDisk::new();
    for file in std::fs::read_dir(fixtures.join(name)).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        disk.put(&name, &std::fs::read(file.path()).unwrap());
    }
    disk
}

fn is_gap(record: &Record) -> bool {
    let cause = LossCause::Damage;
    matches!(record.event, Event::RecordsLost { cause: it, .. } if it == cause)
}

/// The sessions that were removed according to these records.
fn removed(records: &[Record]) -> BTreeSet<SessionId> {
    let says_so = |record: &&Record| record.event.removes_before().is_some();
    let removals = records.iter().filter(says_so);
    removals.map(|record| record.session).collect()
}

fn names(records: &[Record]) -> BTreeSet<Name> {
    let names = records
        .iter()
        .map(|record| (record.session, record.sequence));
    names.collect()
}

/// Checks that the new log opens, is sound, and has exactly these records, and that replaying,
/// compacting and a snapshot all lead to the same state.
fn opens(kept: &[Record]) {
    let disk = SimulatedDisk::new();
    let on: Arc<dyn Disk> = Arc::new(disk.clone());
    let opened = OpenOptions::disk(on.clone(), ID)
        .options(OPTIONS)
        .open_unfolded();
    let (mut log, _) = opened.unwrap();
    let kept_shared: Vec<_> = kept.iter().cloned().map(Arc::new).collect();
    for batch in kept_shared.chunks(9) {
        log.append(batch).unwrap();
    }
    log.close().unwrap();
    let mut found = vec![];
    let mut observer = |record: &Record| found.push(record.clone());
    let opened = OpenOptions::disk(on.clone(), ID)
        .options(OPTIONS)
        .limits(config().limits)
        .ignore_snapshots()
        .observe(&mut observer)
        .open();
    let (log, replayed, _) = opened.unwrap().into_parts();
    assert_eq!(found, kept);
    let findings = verify(&disk, &mut |_| {}, &mut |_, _| {});
    assert!(matches!(findings, Err(OpenError::Locked { .. })));
    // It can be compacted like any other log.
    for _ in 0..2 {
        log.compactor().run_once().unwrap();
    }
    drop(log);
    let resumed = OpenOptions::disk(on, ID)
        .options(OPTIONS)
        .limits(config().limits)
        .open()
        .unwrap();
    assert_eq!(resumed.projection().state(), replayed.state());
    drop(resumed);
    let findings = verify(&disk, &mut |_| {}, &mut |_, _| {}).unwrap();
    assert!(findings.is_sound() && findings.missing.is_empty());
}

/// Checks that the salvaged records are the readable ones, and that the others are declared lost.
/// `whole` has the records of the log before the damage.
fn check(outcome: &Outcome, whole: &[Record], place: &str) {
    let Outcome {
        readable,
        findings,
        kept,
        salvaged,
    } = outcome;
    assert_eq!(salvaged.rejected, [], "{place}");
    let mut others = kept.clone();
    others.retain(|record| !is_gap(record) || readable.contains(record));
    let gone = removed(kept);
    let mut expected = readable.clone();
    expected.retain(|record| {
        // A session without its first record has no records except that of its removal.
        let is_without_beginning =
            salvaged.dropped.contains_key(&record.session) || gone.contains(&record.session);
        others.contains(record) || !is_without_beginning
    });
    assert_eq!(others, expected, "{place}");
    let is_kept = |session| others.iter().any(|record| record.session == session);
    assert!(
        !salvaged.dropped.keys().any(|session| is_kept(*session)),
        "{place}: {salvaged:?}"
    );
    assert!(
        readable.iter().all(|record| whole.contains(record)),
        "{place}: something was invented"
    );
    // A removal is known as long as its record can be read.
    assert_eq!(removed(kept), removed(readable), "{place}");

    // Records that are declared lost existed, and could not be read.
    let there_was = names(whole);
    let read = names(readable);
    let mut declared = BTreeSet::new();
    for gap in &salvaged.gaps {
        for sequence in gap.first.0..=gap.last.0 {
            let name = (gap.session, Sequence(sequence));
            // If the record of a removal is damaged, it is unknown what was removed.
            let is_unsaid = removed(whole).contains(&gap.session) && !gone.contains(&gap.session);
            assert!(
                there_was.contains(&name) || is_unsaid,
                "{place}: {name:?} was not there"
            );
            assert!(!read.contains(&name), "{place}: {name:?} could be read");
            assert!(declared.insert(name), "{place}: {name:?} twice");
        }
    }
    // Unreadable records are declared lost, or no record mentions them: they are at the end of their
    // session, or their session was removed.
    let mut ends: BTreeMap<SessionId, Sequence> = BTreeMap::new();
    for record in kept {
        ends.insert(record.session, record.sequence);
    }
    for name in there_was.difference(&read) {
        let (session, sequence) = *name;
        let is_behind = ends.get(&session).is_none_or(|end| sequence > *end);
        assert!(
            declared.contains(name) || is_behind || gone.contains(&session),
            "{place}: {name:?} is missing in silence"
        );
    }
    assert!(
        findings.is_sound() || there_was == read || findings.lost() > 0,
        "{place}: {findings:?}"
    );
    opens(kept);
}

/// Flips every `step`th byte of every history segment. Returns the number of flips, of declared gaps,
/// and of removals that stayed known.
fn flip(sound: &SimulatedDisk, step: usize) -> (usize, usize, usize) {
    let whole = salvage(sound).unwrap();
    let (mut flips, mut gaps, mut removals) = (0, 0, 0);
    for name in sound.file_names() {
        if !name.ends_with(".history") {
            continue;
        }
        let bytes = sound.bytes(&name).unwrap();
        for byte in (0..bytes.len()).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << (byte % 8);
            sound.put(&name, &flipped);
            let place = format!("{name}, byte {byte}");
            match salvage(sound) {
                Ok(outcome) => {
                    check(&outcome, &whole.readable, &place);
                    gaps += outcome.salvaged.gaps.len();
                    removals += removed(&outcome.kept).len();
                }
                Err(error) => panic!("{place}: {error}"),
            }
            flips += 1;
        }
        sound.put(&name, &bytes);
    }
    (flips, gaps, removals)
}

#[test]
fn a_log_in_order_is_salvaged_as_it_is_and_what_was_removed_is_no_damage() {
    for disk in [log_in_order(1), fixture("history")] {
        let outcome = salvage(&disk).unwrap();
        assert!(outcome.findings.is_sound() && outcome.findings.removed > 0);
        assert!(outcome.salvaged.is_complete(), "{:?}", outcome.salvaged);
        // What a file still has of a removed session, whose beginning is gone, is not copied.
        let gone = removed(&outcome.kept);
        let mut expected = outcome.readable.clone();
        expected.retain(|record| outcome.kept.contains(record) || !gone.contains(&record.session));
        assert_eq!(outcome.kept, expected);
        assert!(!removed(&outcome.kept).is_empty());
        opens(&outcome.kept);
    }
}

#[test]
fn the_damaged_history_of_format_1_is_salvaged_but_for_one_record() {
    let whole = salvage(&fixture("history")).unwrap();
    let outcome = salvage(&fixture("history-damaged")).unwrap();
    let [place] = &outcome.findings.damaged[..] else {
        panic!("{:?}", outcome.findings);
    };
    let (session, sequence) = place.record.unwrap();
    // It is the record of a removal, and the only one of its session.
    let lost = whole
        .readable
        .iter()
        .find(|record| (record.session, record.sequence) == (session, sequence));
    assert!(lost.unwrap().event.removes_before().is_some());
    let dropped = BTreeMap::from([(session, 0)]);
    assert_eq!(outcome.salvaged.dropped, dropped);
    assert_eq!(outcome.salvaged.gaps, []);
    check(&outcome, &whole.readable, "the fixture");
}

#[test]
fn whichever_byte_of_a_history_segment_is_damaged_the_rest_is_salvaged_and_removals_stay_known() {
    let mut sum = (0, 0, 0);
    for (disk, step) in [
        (log_in_order(1), 19),
        (log_in_order(2), 41),
        (log_in_order(3), 29),
        (log_in_order(4), 29),
        (log_in_order(5), 29),
        (fixture("history"), 23),
    ] {
        let (flips, gaps, removals) = flip(&disk, step);
        sum = (sum.0 + flips, sum.1 + gaps, sum.2 + removals);
    }
    assert!(sum.0 > 600 && sum.1 > 300 && sum.2 > 5_000, "{sum:?}");
}

#[test]
fn a_damaged_snapshot_loses_nothing() {
    let disk = log_in_order(1);
    let whole = salvage(&disk).unwrap();
    for name in disk.file_names() {
        if name.ends_with(".snapshot") {
            disk.put(&name, b"nonsense");
        }
    }
    let outcome = salvage(&disk).unwrap();
    assert_eq!(outcome.findings.damaged.len(), 2);
    assert_eq!(outcome.kept, whole.kept);
    assert!(outcome.salvaged.is_complete());
}
