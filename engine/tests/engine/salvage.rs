//! Damaged logs, salvaged: what could be read is there, what is missing is declared, nothing is
//! invented, and an engine takes it.

use crate::world::config;
use rejoin_core::testing::{Operation, Pick};
use rejoin_core::{
    Event, JobMode, Limits, LossCause, Record, Sequence, SessionId, State, Timestamp,
};
use rejoin_engine::{Salvage, Salvaged};
use rejoin_log::Log;
use rejoin_log::segment::{LogId, OpenError, OpenOptions, Options, VerifyReport, verify};
use rejoin_log::testing::SimulatedDisk;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ID: LogId = LogId::from_bytes([3; 16]);
const OPTIONS: Options = Options {
    durability: rejoin_log::segment::Durability::Sync,
    segment_bytes: 1_200,
    zero_ahead: false,
    ..Options::DEFAULT
};

/// What three sessions have done, each command's records as one batch.
fn batches() -> Vec<Vec<Record>> {
    let (first, second, third) = (Pick(0), Pick(1), Pick(2));
    let create = Operation::Create {
        reads: true,
        timeout: 20,
    };
    let submit = |session, place: usize| Operation::Submit {
        session,
        mode: JobMode::ALL[place],
        timeout: 20,
        output_limit: 200,
        request: None,
        input: false,
        output: rejoin_engine::JobOutput::Separate,
    };
    let operations = [
        create,
        create,
        submit(first, 0),
        Operation::Start(first, Pick(0)),
        Operation::Emit(first, Pick(0), 20),
        submit(second, 2),
        Operation::Emit(second, Pick(0), 9),
        Operation::Join(first),
        Operation::Emit(first, Pick(0), 20),
        Operation::Finish(first, Pick(0), 0),
        create,
        Operation::Advance(first, Pick(0), 4),
        submit(first, 0),
        Operation::Interrupt(first, None),
        Operation::Emit(second, Pick(0), 30),
        Operation::Leave(first, Pick(1)),
        Operation::Close(third),
        Operation::Finish(first, Pick(0), 1),
        Operation::SetUser(second, 1),
        submit(second, 0),
        Operation::Close(second),
        Operation::Touch(first),
    ];
    let mut state = State::new(Limits::DEFAULT);
    let mut batches = vec![];
    for (second, operation) in (1_000..).step_by(1_000).zip(operations) {
        let now = Timestamp::from_millis(second);
        let steps = state.step(now, operation.command(&state, now)).unwrap();
        batches.push(steps.into_iter().map(|step| step.record).collect());
    }
    batches
}

fn write(batches: &[Vec<Record>]) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let opened = OpenOptions::disk(Arc::new(disk.clone()), ID)
        .options(OPTIONS)
        .open_unfolded();
    let (mut log, _) = opened.unwrap();
    for batch in batches {
        let batch: Vec<_> = batch.iter().cloned().map(Arc::new).collect();
        log.append(&batch).unwrap();
    }
    log.close().unwrap();
    disk
}

/// The result of salvaging a log.
pub(crate) struct Outcome {
    /// The records that could be read.
    pub(crate) readable: Vec<Record>,
    pub(crate) findings: VerifyReport,
    /// The records of the new log.
    pub(crate) kept: Vec<Record>,
    pub(crate) salvaged: Salvaged,
}

pub(crate) fn salvage(disk: &SimulatedDisk) -> Result<Outcome, OpenError> {
    let mut readable = vec![];
    let mut salvage = Salvage::default();
    let mut kept = vec![];
    let mut visit = |record: Record| {
        readable.push(record.clone());
        kept.extend(salvage.take(record));
    };
    let findings = verify(disk, &mut visit, &mut |_, _| {})?;
    let missing = findings.missing.iter().map(|gap| (gap.session, gap.last));
    let (ends, salvaged) = salvage.finish(missing);
    kept.extend(ends);
    Ok(Outcome {
        readable,
        findings,
        kept,
        salvaged,
    })
}

fn is_declared(record: &Record) -> bool {
    matches!(
        record.event,
        Event::RecordsLost {
            cause: LossCause::Damage,
            ..
        }
    )
}

/// Checks that the new log opens, is sound, and has exactly these records, and that an engine can
/// replay it.
fn opens(kept: &[Record]) {
    let disk = write(&[kept.to_vec()]);
    let mut found = vec![];
    let mut observer = |record: &Record| found.push(record.clone());
    let opened = OpenOptions::disk(Arc::new(disk.clone()), ID)
        .options(OPTIONS)
        .limits(config().limits)
        .ignore_snapshots()
        .observe(&mut observer)
        .open();
    drop(opened.unwrap());
    assert_eq!(found, kept);
    let findings = verify(&disk, &mut |_| {}, &mut |_, _| {}).unwrap();
    assert!(findings.is_sound() && findings.missing.is_empty());
    let declared = kept.iter().filter(|record| is_declared(record)).count();
    assert_eq!(findings.declared.len(), declared);
}

fn ends(records: &[Record]) -> BTreeMap<SessionId, Sequence> {
    let ends = records.iter().map(|it| (it.session, it.sequence));
    ends.collect()
}

#[test]
fn whichever_byte_is_damaged_what_is_sound_is_salvaged_and_the_rest_declared() {
    let batches = batches();
    let whole = batches.concat();
    let there_was = ends(&whole);
    let sound = write(&batches);
    let names = sound.file_names();
    let segments = names.iter().filter(|name| name.ends_with(".sealed"));
    assert_eq!(segments.clone().count(), 3, "{names:?}");
    let (mut gaps, mut drops, mut flips) = (0, 0, 0);
    for name in segments {
        let bytes = sound.bytes(name).unwrap();
        for byte in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[byte] ^= 1 << (byte % 8);
            sound.put(name, &flipped);
            flips += 1;
            // A newer version of the format is refused.
            let Ok(outcome) = salvage(&sound) else {
                assert!((8..12).contains(&byte), "{name}, byte {byte}");
                continue;
            };
            let Outcome {
                readable,
                findings,
                kept,
                salvaged,
            } = outcome;
            let place = format!("{name}, byte {byte}: {findings:?}");
            assert_eq!(salvaged.rejected, [], "{place}");
            // All readable records, except those of sessions whose first record is lost.
            let mut expected = readable;
            expected.retain(|record| !salvaged.dropped.contains_key(&record.session));
            let mut others = kept.clone();
            others.retain(|record| !is_declared(record));
            assert_eq!(others, expected, "{place}");
            assert!(
                others.iter().all(|record| whole.contains(record)),
                "{place}"
            );
            // All others are declared lost, or no record mentions them any more.
            let declared: u64 = salvaged
                .gaps
                .iter()
                .map(|gap| gap.last.0 - gap.first.0 + 1)
                .sum();
            let kept_to = ends(&kept);
            let beginnings: BTreeSet<_> = kept_to.keys().collect();
            let undeclared: u64 = there_was
                .iter()
                .map(|(session, end)| end.0 - kept_to.get(session).map_or(0, |end| end.0))
                .sum();
            let missing = (whole.len() - others.len()) as u64;
            assert_eq!(missing, declared + undeclared, "{place}");
            let in_dropped: u64 = there_was
                .iter()
                .filter(|(session, _)| !beginnings.contains(session))
                .map(|(_, end)| end.0)
                .sum();
            let is_known = findings.damaged.iter().all(|place| place.lost.is_some());
            assert!(
                !is_known || undeclared - in_dropped <= findings.lost_unnamed(),
                "{place}: {undeclared} records are missing in silence"
            );
            opens(&kept);
            gaps += salvaged.gaps.len();
            drops += salvaged.dropped.len();
        }
        sound.put(name, &bytes);
    }
    assert!(
        flips > 2_500 && gaps > 500 && drops > 100,
        "{flips} {gaps} {drops}"
    );
}

#[test]
fn a_sound_log_is_salvaged_as_it_is() {
    let batches = batches();
    let Outcome {
        findings,
        kept,
        salvaged,
        ..
    } = salvage(&write(&batches)).unwrap();
    assert!(findings.is_sound() && salvaged.is_complete());
    assert_eq!(kept, batches.concat());
    assert_eq!(salvaged.records, kept.len() as u64);
    opens(&kept);
}

#[test]
fn what_cannot_follow_is_left_out_and_declared() {
    let mut records = batches().concat();
    // A result of a job that was never submitted, in a session without a gap.
    let place = records
        .iter()
        .position(|record| matches!(record.event, Event::JobStarted { .. }))
        .unwrap();
    let wrong = Event::JobStarted {
        job: rejoin_core::JobId(99),
        private: false,
    };
    records[place].event = wrong;
    let mut salvage = Salvage::default();
    let mut kept: Vec<_> = records
        .iter()
        .flat_map(|record| salvage.take(record.clone()))
        .collect();
    let (ends, salvaged) = salvage.finish([]);
    kept.extend(ends);
    let [violation] = &salvaged.rejected[..] else {
        panic!("{salvaged:?}");
    };
    assert_eq!(violation.sequence, records[place].sequence);
    assert_eq!(violation.reason, "its job is not running");
    let [gap] = &salvaged.gaps[..] else {
        panic!("{salvaged:?}");
    };
    assert_eq!(
        (gap.first, gap.last),
        (violation.sequence, violation.sequence)
    );
    opens(&kept);
}

#[test]
fn a_salvaged_log_is_salvaged_again_as_it_is() {
    let mut salvage_once = Salvage::default();
    let mut records = batches().concat();
    records.remove(4);
    let kept: Vec<_> = records
        .into_iter()
        .flat_map(|record| salvage_once.take(record))
        .collect();
    assert!(kept.iter().any(is_declared));
    let again = salvage(&write(std::slice::from_ref(&kept))).unwrap();
    assert_eq!(again.kept, kept);
    assert!(again.salvaged.is_complete());
    assert_eq!(again.findings.declared.len(), 1);
}
