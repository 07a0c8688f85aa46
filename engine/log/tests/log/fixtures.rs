//! Logs that earlier versions have written still open. `fixtures/` is never written again for a
//! version that has been released; a new version of the format adds a directory.

use crate::common::{
    LARGE, SMALL, batches, disk_with, flat, fold, open, open_only, read_all, resume,
};
use rejoin_core::{
    Actor, Command, CreateSession, Event, JobId, JobMode, JobOutput, JobSlot, Limits, LossCause,
    Record, Retention, Sequence, Server, SessionNumber, State, SubmitJob, Timestamp, Visibility,
};
use rejoin_log::ReadError;
use rejoin_log::segment::{OpenError, VerifyReport, verify};
use rejoin_log::testing::{SimulatedDisk, record, session, story};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const CLOSED: &str = "00000000000000000001.sealed";
const OPEN: &str = "00000000000000000001.active";

/// In the closed log in `damaged`, the lowest bit of this byte is flipped: it stands in the text of
/// the result that is sequence 2 of session 0.
const FLIPPED: usize = 248;

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

#[test]
fn a_log_of_format_1_with_declared_gaps_opens_and_says_what_is_gone() {
    let disk = with_gaps();
    assert_eq!(open(&disk, LARGE).unwrap().records, gaps());
    let (found, reported) = verified(&disk);
    assert!(found.is_sound() && found.missing.is_empty());
    assert_eq!(reported, gaps());
    let declared: Vec<_> = found
        .declared
        .iter()
        .map(|gap| (gap.session, gap.first, gap.last))
        .collect();
    let expected = [
        (session(0), Sequence(3), Sequence(300)),
        (session(1), Sequence(1), Sequence(2)),
    ];
    assert_eq!(declared, expected);
}

/// Two records of each of two sessions; one lacks what follows, and goes on; one is removed.
fn gaps() -> Vec<Record> {
    let lost = |number, sequence, event| Record {
        sequence: Sequence(sequence),
        at: Timestamp::from_millis(2_000),
        clock: Timestamp::from_millis(2_000).into(),
        actor: None,
        redacted: None,
        event,
        ..(*record(number, sequence)).clone()
    };
    let damage = Event::RecordsLost {
        first: Sequence(3),
        last: Sequence(300),
        cause: LossCause::Damage,
    };
    let removal = Event::RecordsLost {
        first: Sequence(1),
        last: Sequence(2),
        cause: LossCause::Retention {
            last_number: SessionNumber(2),
            last_job: JobId(300),
        },
    };
    let records = [record(0, 1), record(1, 1), record(0, 2), record(1, 2)];
    let mut records: Vec<_> = records.iter().map(|record| (**record).clone()).collect();
    records.push(lost(0, 300, damage));
    records.push((*record(0, 301)).clone());
    records.push(lost(1, 3, removal));
    records
}

fn with_gaps() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let file = fixtures().join("gaps").join(CLOSED);
    disk.put(CLOSED, &std::fs::read(file).unwrap());
    disk
}

#[test]
fn a_damaged_log_of_format_1_is_refused_by_place_and_record() {
    let disk = damaged();
    let Err(OpenError::Damaged(damage)) = open(&disk, LARGE) else {
        panic!("it was opened");
    };
    assert!(damage.file.ends_with(CLOSED), "{damage}");
    assert_eq!(damage.byte, 192);
    assert_eq!(damage.record, Some((session(0), Sequence(2))));
}

#[test]
fn the_logs_of_format_1_are_verified_sound_torn_and_damaged() {
    let (closed, reported) = verified(&disk(CLOSED));
    assert!(closed.is_sound() && closed.torn.is_none());
    assert_eq!(reported, flat(&batches(8)));

    let (torn, reported) = verified(&disk(OPEN));
    assert!(torn.is_sound());
    assert_eq!(torn.torn.and_then(|torn| torn.records), Some(4));
    assert_eq!(reported, flat(&batches(7)));

    let (found, reported) = verified(&damaged());
    let [place] = &found.damaged[..] else {
        panic!("{found:?}");
    };
    assert_eq!(place.bytes, 192..278);
    assert!(place.bytes.contains(&(FLIPPED as u64)));
    assert_eq!(place.reason, "the record's checksum is wrong");
    let [missing] = &found.missing[..] else {
        panic!("{found:?}");
    };
    let named = (missing.session, missing.first, missing.last);
    assert_eq!(named, (session(0), Sequence(2), Sequence(2)));
    let mut expected = flat(&batches(8));
    expected.retain(|record| (record.session, record.sequence) != (session(0), Sequence(2)));
    assert_eq!(reported, expected);
}

fn verified(disk: &SimulatedDisk) -> (VerifyReport, Vec<Record>) {
    let mut reported = Vec::new();
    let found = verify(disk, &mut |record| reported.push(record), &mut |_, _| {});
    (found.unwrap(), reported)
}

fn damaged() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let file = fixtures().join("damaged").join(CLOSED);
    disk.put(CLOSED, &std::fs::read(file).unwrap());
    disk
}

/// Everything in one of the fixtures' directories.
fn directory(name: &str) -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    for file in std::fs::read_dir(fixtures().join(name)).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        disk.put(&name, &std::fs::read(file.path()).unwrap());
    }
    disk
}

/// A log with history segments, of which a session was removed, and two snapshots.
#[test]
fn a_log_of_format_1_that_was_put_in_order_opens() {
    let disk = directory("history");
    let (found, reported) = verified(&disk);
    assert!(found.is_sound(), "{:?}", found.damaged);
    assert_eq!((found.records, found.removed), HISTORY);
    let (log, recovery, resumed) = resume(&disk, SMALL).unwrap();
    assert_eq!((recovery.records, recovery.removed), HISTORY);
    // Its snapshots are of version 1: passed over, and no damage.
    let reasons: Vec<_> = recovery
        .skipped_snapshots
        .iter()
        .map(|it| &it.reason)
        .collect();
    assert_eq!(
        reasons,
        ["its format is version 1; only versions 2 to 4 can be read"; 2]
    );
    drop(log);
    // A snapshot that is none is passed over as well, and leads to the same state.
    for name in disk.file_names() {
        if name.ends_with(".snapshot") {
            disk.put(&name, b"nonsense");
        }
    }
    let (log, recovery, again) = resume(&disk, SMALL).unwrap();
    assert_eq!(recovery.skipped_snapshots.len(), 2);
    assert_eq!(again.folded.state(), resumed.folded.state());
    for record in &reported {
        let read = rejoin_log::Log::reader(&log).read(
            record.session,
            Sequence(record.sequence.0 - 1),
            rejoin_log::ReadLimit::NONE,
        );
        assert_eq!(*read.unwrap()[0], *record);
    }
}

/// Its snapshots were made before there was a log's clock. The wall's time stands for it.
#[test]
fn a_snapshot_of_version_2_is_read() {
    is_read("snapshot-2", 301, 1);
}

/// Its snapshots were made before jobs said who submitted them, and before there were terminals.
#[test]
fn a_snapshot_of_version_3_is_read() {
    is_read("snapshot-3", 295, 7);
}

/// Opening needs the snapshot of this fixture and the records after it alone, and leads to the state
/// that all records lead to.
fn is_read(name: &str, snapshot: u64, replayed: u64) {
    let disk = directory(name);
    let (log, recovery, resumed) = resume(&disk, SMALL).unwrap();
    assert!(recovery.skipped_snapshots.is_empty());
    assert_eq!(recovery.snapshot, Some(snapshot));
    assert_eq!(resumed.replayed as u64, replayed);
    drop(log);
    for name in disk.file_names() {
        if name.ends_with(".snapshot") {
            disk.put(&name, b"nonsense");
        }
    }
    let (_, recovery, replayed) = resume(&disk, SMALL).unwrap();
    assert_eq!(recovery.skipped_snapshots.len(), 2);
    assert_eq!(resumed.folded.state(), replayed.folded.state());
}

/// How many records the fixture `history` holds, and how many it held.
const HISTORY: (u64, u64) = (131, 171);

#[test]
fn a_damaged_history_of_format_1_is_named_where_it_is_read() {
    let disk = directory("history-damaged");
    let (found, reported) = verified(&disk);
    let [place] = &found.damaged[..] else {
        panic!("{found:?}");
    };
    assert_eq!(place.reason, "the record's checksum is wrong");
    assert_eq!(reported.len() as u64, HISTORY.0 - 1);
    let (session, sequence) = place.record.unwrap();
    // Its snapshots are of version 1 and passed over: so all is read, and refused.
    let refused = resume(&disk, SMALL).err();
    assert!(
        matches!(&refused, Some(OpenError::Damaged(damage)) if damage.record == place.record),
        "{refused:?}"
    );
    // With one of today, opening need not read so far back.
    let (name, snapshot) = snapshot_of_today();
    disk.put(&name, &snapshot);
    let (log, _, _) = resume(&disk, SMALL).unwrap();
    let read = rejoin_log::Log::reader(&log).read(
        session,
        Sequence(sequence.0 - 1),
        rejoin_log::ReadLimit::NONE,
    );
    let Err(ReadError::Damaged { place, .. }) = read else {
        panic!("{read:?}");
    };
    assert!(place.contains(".history, byte "), "{place}");
}

/// The snapshot that this version makes of the fixture `history`, with its name.
fn snapshot_of_today() -> (String, Vec<u8>) {
    let disk = directory("history");
    let before = disk.file_names();
    let (log, _, _) = resume(&disk, SMALL).unwrap();
    log.compactor().run_once().unwrap();
    let mut made = disk.file_names();
    made.retain(|name| name.ends_with(".snapshot") && !before.contains(name));
    let [name] = &made[..] else {
        panic!("{made:?}");
    };
    (name.clone(), disk.bytes(name).unwrap())
}

/// As the one above: what is written today lies in the target directory afterwards.
#[test]
fn this_version_puts_a_log_in_order() {
    let retention = Retention {
        age: None,
        bytes: Some(2_000),
    };
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, SMALL).unwrap().log;
    let archive = log.compactor();
    for (place, batch) in story(3, 200, retention).iter().enumerate() {
        rejoin_log::Log::append(&mut log, batch).unwrap();
        if place % 50 == 49 {
            archive.run_once().unwrap();
        }
    }
    rejoin_log::Log::close(&mut log).unwrap();
    let today = Path::new(env!("CARGO_TARGET_TMPDIR")).join("history");
    let _ = std::fs::remove_dir_all(&today);
    std::fs::create_dir_all(&today).unwrap();
    for name in disk.file_names() {
        std::fs::write(today.join(&name), disk.bytes(&name).unwrap()).unwrap();
    }
    let (found, _) = verified(&disk);
    assert!(found.is_sound() && found.removed > 0, "{found:?}");
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

    let batch: Vec<_> = gaps().into_iter().map(Arc::new).collect();
    let gaps = disk_with(&[batch], LARGE, true).bytes(CLOSED).unwrap();
    std::fs::create_dir_all(today.join("gaps")).unwrap();
    std::fs::write(today.join("gaps").join(CLOSED), &gaps).unwrap();

    let mut flipped = closed.clone();
    flipped[FLIPPED] ^= 1;
    assert_eq!(Some(closed), disk(CLOSED).bytes(CLOSED));
    assert_eq!(Some(gaps), with_gaps().bytes(CLOSED));
    assert_eq!(Some(flipped), damaged().bytes(CLOSED));
    assert_eq!(Some(torn), disk(OPEN).bytes(OPEN));
}

/// What was said in each of the sessions 1 to 3, and is in no file once it is redacted or removed.
const SECRETS: [&str; 3] = ["open sesame", "swordfish", "under the old oak"];

/// Four sessions: of the first, the redaction of a result is carried out; the second has one that is not
/// yet; the third was deleted by an account; the last one goes on. Each batch, with whether a round follows.
fn redacting() -> Vec<(Vec<Arc<Record>>, bool)> {
    let mut state = State::new(Limits::DEFAULT);
    let actor = Arc::new(Actor {
        account: Some("ada".into()),
        token: None,
        frontend: "native".into(),
        address: Some("[::1]:8563".into()),
    });
    let mut batches: Vec<(Vec<Arc<Record>>, bool)> = vec![];
    let mut run = |command: Command, ends_with_round: bool| {
        let now = Timestamp::from_millis(1_000 * (1 + batches.len() as u64));
        let steps = state.step_for(Some(&actor), now, command).unwrap();
        let records = steps.into_iter().map(|step| Arc::new(step.record));
        batches.push((records.collect(), ends_with_round));
    };
    for number in 1..=4 {
        run(
            Command::CreateSession(CreateSession {
                session: session(number),
                service: "shell".into(),
                user: None,
                remote: None,
                timeout: Duration::from_secs(3_600),
                consumer: None,
                server: Server {
                    process: 1,
                    version: "0.1.0".into(),
                    node: None,
                },
            }),
            false,
        );
        run(
            Command::SubmitJob(SubmitJob {
                session: session(number),
                statement: "login".into(),
                mode: JobMode {
                    slot: JobSlot::Foreground,
                    visibility: Visibility::Session,
                },
                timeout: Duration::from_secs(600),
                output_limit: 1_000_000,
                request: None,
                input: false,
                output: JobOutput::Merged,
                controller: None,
                keeps_leftovers: None,
            }),
            false,
        );
    }
    let says = |number: u8, said: &str| Command::ReportResult {
        session: session(number),
        job: JobId(number.into()),
        result: format!(r#"{{"content":"{said}","jobId":{number},"type":"terminal"}}"#).into(),
        position: None,
    };
    for (number, secret) in (1..).zip(SECRETS) {
        run(says(number, secret), false);
        run(says(number, "something else"), false);
    }
    let redact = |number| Command::RedactRecords {
        session: session(number),
        records: vec![Sequence(3)],
    };
    run(redact(1), true);
    run(
        Command::RemoveSession {
            session: session(3),
        },
        false,
    );
    for place in 0..60 {
        run(says(4, &format!("line {place}")), place % 10 == 9);
    }
    run(redact(2), false);
    run(says(4, "the end"), false);
    batches
}

/// How many files have these words.
fn files_with(disk: &SimulatedDisk, words: &str) -> usize {
    let has = |name: &String| {
        let bytes = disk.bytes(name).unwrap();
        bytes.windows(words.len()).any(|it| it == words.as_bytes())
    };
    disk.file_names().iter().filter(|name| has(name)).count()
}

/// What is written today lies in the target directory afterwards.
#[test]
fn this_version_redacts_and_deletes() {
    let disk = SimulatedDisk::new();
    let mut log = open_only(&disk, SMALL).unwrap().log;
    for (batch, ends_with_round) in redacting() {
        rejoin_log::Log::append(&mut log, &batch).unwrap();
        if ends_with_round {
            log.compactor().run_once().unwrap();
        }
    }
    drop(log);
    let today = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redactions");
    let _ = std::fs::remove_dir_all(&today);
    std::fs::create_dir_all(&today).unwrap();
    for name in disk.file_names() {
        if name != "beginning" {
            std::fs::write(today.join(&name), disk.bytes(&name).unwrap()).unwrap();
        }
    }
    check_redacting(&disk);
}

/// A log with redactions, one of which is not carried out yet, and with a session that was deleted.
#[test]
fn a_log_of_format_1_with_redactions_and_deletions_opens() {
    check_redacting(&directory("redactions"));
}

fn check_redacting(disk: &SimulatedDisk) {
    let names = disk.file_names();
    for kind in [".history", ".sealed", ".active", ".snapshot", ".redaction"] {
        assert!(names.iter().any(|name| name.ends_with(kind)), "{names:?}");
    }
    assert_eq!(SECRETS.map(|secret| files_with(disk, secret)), [0, 1, 0]);
    let (found, _) = verified(disk);
    assert!(found.is_sound() && found.removed > 0, "{found:?}");
    let all = redacting().into_iter().flat_map(|(batch, _)| batch);
    let all: Vec<_> = all.map(|record| (*record).clone()).collect();

    let (log, recovery, resumed) = resume(disk, SMALL).unwrap();
    assert!(recovery.snapshot.is_some() && recovery.skipped_snapshots.is_empty());
    assert_eq!(resumed.folded, fold(&all));
    let reader = rejoin_log::Log::reader(&log);
    let check_reads = || {
        for number in 1..=4 {
            let own = all.iter().filter(|it| it.session == session(number));
            let own: Vec<_> = own.cloned().collect();
            let last = own.last().unwrap().clone();
            let expected: Vec<_> = match number {
                // Nothing but who deleted it.
                3 => vec![last],
                _ => own
                    .into_iter()
                    .map(|it| it.redacted_by(&last).unwrap_or(it))
                    .collect(),
            };
            let read = read_all(&*reader, session(number));
            let read: Vec<_> = read.iter().map(|record| (**record).clone()).collect();
            assert_eq!(read, expected);
        }
    };
    let deleted = read_all(&*reader, session(3));
    let by = deleted[0].actor.as_ref().and_then(|by| by.account.clone());
    assert_eq!(by.as_deref(), Some("ada"));
    assert!(deleted[0].event.removes_before().is_some());
    assert_eq!(reader.pending_redactions(), 1);
    check_reads();
    assert_eq!(log.compactor().run_once().unwrap().redacted, 1);
    assert_eq!(reader.pending_redactions(), 0);
    check_reads();
    assert_eq!(SECRETS.map(|secret| files_with(disk, secret)), [0; 3]);
}
