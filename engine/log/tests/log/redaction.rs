//! What is redacted is gone from every file and from every read, while its record stays; also when it
//! is interrupted anywhere.

use crate::common::{Batch, LARGE, SMALL, copy, flat, open_only, read_all};
use rejoin_core::{
    Actor, CloseCause, Command, CreateSession, JobId, JobMode, JobOutput, JobSlot, Limits, Record,
    Sequence, Server, State, SubmitJob, TerminalSize, Timestamp, Visibility,
};
use rejoin_log::segment::{OpenError, Options, verify};
use rejoin_log::testing::{Fault, SimulatedDisk, Survival, session};
use rejoin_log::{Log, LogReader};
use std::sync::Arc;
use std::time::Duration;

const SECRET: &str = "open sesame";

/// A log of three sessions, of which the first has secrets, and a screen before them. The last batch
/// redacts.
fn story() -> Vec<Batch> {
    let mut state = State::new(Limits::DEFAULT);
    let mut batches = vec![];
    let actor = Arc::new(Actor {
        account: Some("ada".into()),
        token: None,
        frontend: "desk".into(),
        address: None,
    });
    let mut run = |command: Command| {
        let now = Timestamp::from_millis(1_000 * batches.len() as u64);
        let steps = state.step_for(Some(&actor), now, command).unwrap();
        let records = steps.into_iter().map(|step| Arc::new(step.record));
        batches.push(records.collect());
    };
    for number in 1..=3 {
        run(Command::CreateSession(CreateSession {
            session: session(number),
            service: "test".into(),
            user: None,
            remote: None,
            server: Server {
                process: 1,
                version: "1".into(),
                node: None,
            },
            timeout: Duration::from_secs(60),
            consumer: None,
        }));
    }
    let one = session(1);
    let job = JobId(1);
    let size = TerminalSize {
        columns: 80,
        rows: 24,
    };
    let others = |run: &mut dyn FnMut(Command), from: u32| {
        for number in from..from + 6 {
            run(Command::SetUser {
                session: session(if number % 2 == 0 { 2 } else { 3 }),
                user: format!("user {number}").into(),
            });
        }
    };
    let result = |said: &str| Command::ReportResult {
        session: one,
        job,
        result: format!(r#"{{"content":"{said}\\n","jobId":1,"type":"terminal"}}"#).into(),
        position: None,
    };
    let screen = |after| Command::ReportScreen {
        session: one,
        job,
        after: Sequence(after),
        size,
        content: format!("> {SECRET}").into(),
    };
    run(Command::SubmitJob(SubmitJob {
        session: one,
        statement: "login".into(),
        mode: JobMode {
            slot: JobSlot::Foreground,
            visibility: Visibility::Session,
        },
        timeout: Duration::from_secs(600),
        output_limit: 1_000_000,
        request: None,
        input: true,
        output: JobOutput::Terminal(size),
        controller: None,
        keeps_leftovers: None,
    }));
    run(result("hello"));
    run(screen(3));
    others(&mut run, 0);
    run(result(SECRET));
    run(Command::WriteInput {
        session: one,
        job,
        bytes: SECRET.as_bytes().into(),
        end: false,
        client: None,
    });
    run(screen(6));
    run(result("something else"));
    others(&mut run, 10);
    run(Command::ReportFinished {
        session: one,
        job,
        status: 0,
        message: None,
        lost: false,
    });
    run(Command::CloseSession {
        session: one,
        cause: CloseCause::Requested,
    });
    others(&mut run, 20);
    run(Command::RedactRecords {
        session: one,
        records: vec![Sequence(6), Sequence(5), Sequence(6)],
    });
    batches
}

/// The records of the session as the redaction leaves them.
fn expected(batches: &[Batch]) -> Vec<Record> {
    let all = flat(batches);
    let redaction = all.last().unwrap().clone();
    let own = all.into_iter().filter(|it| it.session == session(1));
    own.map(|it| it.redacted_by(&redaction).unwrap_or(it))
        .collect()
}

fn own(reader: &dyn LogReader) -> Vec<Record> {
    let read = read_all(reader, session(1));
    read.iter().map(|record| (**record).clone()).collect()
}

/// How often the secret is in the files. Once is right: in the screen before what is redacted.
fn secrets(disk: &SimulatedDisk) -> usize {
    let in_file = |name: &String| {
        let bytes = disk.bytes(name).unwrap();
        let places = bytes.windows(SECRET.len());
        places.filter(|it| *it == SECRET.as_bytes()).count()
    };
    disk.file_names().iter().map(in_file).sum()
}

fn is_sound(disk: &SimulatedDisk) {
    let findings = verify(disk, &mut |_| {}, &mut |_, _| {}).unwrap();
    assert!(findings.is_sound(), "{findings:?}");
    assert_eq!(findings.missing, []);
}

fn round(log: &rejoin_log::SegmentLog) -> Result<usize, OpenError> {
    log.compactor().run_once().map(|round| round.redacted)
}

#[test]
fn redacted_bytes_are_in_no_file_and_no_read_wherever_they_were() {
    let batches = story();
    let (last, before) = batches.split_last().unwrap();
    // In the active segment, in sealed ones, and in compacted ones.
    for (options, compacts) in [(LARGE, false), (SMALL, false), (SMALL, true)] {
        let disk = SimulatedDisk::new();
        let mut log = open_only(&disk, options).unwrap().log;
        for batch in before {
            log.append(batch).unwrap();
        }
        if compacts {
            assert_eq!(round(&log).unwrap(), 0);
        }
        assert_eq!(secrets(&disk), 4);
        let reader = log.reader();
        let whole = own(&*reader);
        log.append(last).unwrap();
        // At once.
        let redacted = expected(&batches);
        assert_eq!(own(&*reader), redacted);
        assert_eq!(reader.pending_redactions(), 1);
        assert_eq!(round(&log).unwrap(), 1);
        assert_eq!(reader.pending_redactions(), 0);
        assert_eq!(secrets(&disk), 1);
        assert_eq!(pending(&disk), 0);
        assert_eq!(own(&*reader), redacted);
        // The others are as they were, and each takes as many bytes of retention.
        for (before, after) in whole.iter().zip(&redacted) {
            let is_redacted = [5, 6, 7].contains(&after.sequence.0);
            assert_eq!(before != after, is_redacted, "{after:?}");
            assert_eq!(after.redacted.is_some(), is_redacted);
            assert_eq!(before.bytes(), after.bytes());
            assert_eq!(before.sequence, after.sequence);
        }
        let by = redacted[4].redacted.as_ref().unwrap().by.clone();
        assert_eq!(by.unwrap().account.as_deref(), Some("ada"));
        log.close().unwrap();
        drop(log);
        is_sound(&disk);
        let opened = open_only(&disk, options).unwrap();
        assert_eq!(own(&*opened.log.reader()), redacted);
        assert_eq!(round(&opened.log).unwrap(), 0);
    }
}

/// Appends all, with a round in between and after it, as far as the disk does. Returns whether the
/// redaction was acknowledged.
fn run(disk: &SimulatedDisk, options: Options, batches: &[Batch]) -> bool {
    let Ok(opened) = open_only(disk, options) else {
        return false;
    };
    let mut log = opened.log;
    for (place, batch) in batches.iter().enumerate() {
        if place == batches.len() / 2 {
            let _ = round(&log);
        }
        if log.append(batch).is_err() {
            return false;
        }
    }
    let _ = round(&log);
    let _ = log.close();
    true
}

#[test]
fn wherever_a_redaction_is_interrupted_it_is_carried_out_or_was_never_acknowledged() {
    let batches = story();
    let redacted = expected(&batches);
    for options in [SMALL, LARGE] {
        let disk = SimulatedDisk::new();
        assert!(run(&disk, options, &batches));
        let count = disk.operations();
        let (mut unfinished, mut unacknowledged) = (0, 0);
        for operation in 0..count {
            for survival in [
                Survival::nothing(),
                Survival::everything(),
                Survival::seeded(operation),
            ] {
                let disk = SimulatedDisk::new();
                disk.die(operation);
                let is_acknowledged = run(&disk, options, &batches);
                disk.power_cut(survival);
                let log = open_only(&disk, options).unwrap().log;
                let reader = log.reader();
                let read = own(&*reader);
                if read.len() < redacted.len() {
                    assert!(!is_acknowledged, "operation {operation}: it is lost");
                    assert_eq!(reader.pending_redactions(), 0);
                    unacknowledged += 1;
                    continue;
                }
                // Before it is carried out, too.
                assert_eq!(read, redacted, "operation {operation}");
                unfinished += usize::from(reader.pending_redactions() > 0);
                round(&log).unwrap();
                assert_eq!(reader.pending_redactions(), 0);
                assert_eq!(own(&*reader), redacted, "operation {operation}");
                assert_eq!(secrets(&disk), 1, "operation {operation}");
                drop((log, reader));
                is_sound(&disk);
            }
        }
        assert!(
            unfinished > 20 && unacknowledged > 20,
            "{unfinished} unfinished, {unacknowledged} unacknowledged"
        );
    }
}

#[test]
fn whichever_operation_fails_a_redaction_that_was_carried_out_stays() {
    let batches = story();
    let redacted = expected(&batches);
    for options in [SMALL, LARGE] {
        let disk = SimulatedDisk::new();
        assert!(run(&disk, options, &batches));
        let mut carried_out = 0;
        for operation in 0..disk.operations() {
            for fault in [
                Fault::IO,
                Fault::Partly(operation),
                Fault::Partly(!operation),
            ] {
                let disk = SimulatedDisk::new();
                disk.fail(operation, fault);
                run(&disk, options, &batches);
                disk.heal();
                // Another process goes on with names that may be in memory only.
                let log = open_only(&disk, options).unwrap().log;
                let is_recorded = own(&*log.reader()).len() == redacted.len();
                for _ in 0..2 {
                    round(&log).unwrap();
                }
                assert_eq!(log.reader().pending_redactions(), 0);
                drop(log);
                disk.power_cut(Survival::nothing());
                let log = open_only(&disk, options).unwrap().log;
                if is_recorded {
                    carried_out += 1;
                    assert_eq!(own(&*log.reader()), redacted, "{operation}, {fault:?}");
                    assert_eq!(secrets(&disk), 1, "{operation}, {fault:?}");
                }
                drop(log);
                is_sound(&disk);
            }
        }
        assert!(carried_out > 20, "{carried_out}");
    }
}

#[test]
fn files_that_come_back_in_a_power_cut_bring_nothing_back_that_was_redacted() {
    let batches = story();
    let (last, before) = batches.split_last().unwrap();
    let disk = SimulatedDisk::new();
    let mut log = open_only(&disk, SMALL).unwrap().log;
    let mut older = vec![];
    for (place, batch) in before.iter().enumerate() {
        log.append(batch).unwrap();
        if place % 8 == 7 {
            older.push(copy(&disk));
            round(&log).unwrap();
        }
    }
    older.push(copy(&disk));
    log.append(last).unwrap();
    assert_eq!(round(&log).unwrap(), 1);
    log.close().unwrap();
    drop(log);
    // Files that were sealed, compacted, and being written then, and have other names now.
    let names = disk.file_names();
    for old in older {
        for name in old.file_names() {
            if names.contains(&name) || name.ends_with(".snapshot") {
                continue;
            }
            let bytes = old.bytes(&name).unwrap();
            disk.put(&name, &bytes);
            disk.put(&format!("{name}.renaming"), &bytes);
        }
    }
    assert!(secrets(&disk) > 1 && disk.file_names().len() > names.len() + 8);
    is_sound(&disk);
    let opened = open_only(&disk, SMALL).unwrap();
    assert_eq!(own(&*opened.log.reader()), expected(&batches));
    assert_eq!(secrets(&disk), 1, "{:?}", disk.file_names());
}

#[test]
fn a_redaction_that_was_never_recorded_is_forgotten_at_a_start() {
    let batches = story();
    let disk = SimulatedDisk::new();
    let mut log = open_only(&disk, SMALL).unwrap().log;
    for batch in &batches[..batches.len() - 1] {
        log.append(batch).unwrap();
    }
    let whole = own(&*log.reader());
    log.close().unwrap();
    drop(log);
    // Of a record that is not there, and of one that redacts nothing; and a file that is none.
    for name in [
        format!("{}_{}.redaction", session(1), whole.len() + 1),
        format!("{}_2.redaction", session(1)),
        format!("{}_02.redaction", session(1)),
    ] {
        disk.put(&name, b"");
    }
    let opened = open_only(&disk, SMALL).unwrap();
    let reader = opened.log.reader();
    assert_eq!((pending(&disk), reader.pending_redactions()), (1, 0));
    assert_eq!(own(&*reader), whole);
}

/// How many files there are of redactions.
fn pending(disk: &SimulatedDisk) -> usize {
    let names = disk.file_names();
    let of_redactions = names.iter().filter(|name| name.ends_with(".redaction"));
    of_redactions.count()
}
