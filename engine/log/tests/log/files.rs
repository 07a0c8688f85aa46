//! What only a real directory can show: locks, names, modes, threads.

use crate::common::{Batch, ID, batches, flat, read_all};
use rejoin_core::{Record, Sequence};
use rejoin_log::disk::Directory;
use rejoin_log::segment::{Durability, OpenError, OpenOptions, OpenReport, Options};
use rejoin_log::testing::{record, session};
use rejoin_log::{Log, ReadLimit, SegmentLog};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const OPTIONS: Options = Options {
    durability: Durability::Sync,
    segment_bytes: 40_000,
    zero_ahead: true,
    ..Options::DEFAULT
};

fn open(directory: &Path) -> (SegmentLog, OpenReport, Vec<Record>) {
    let mut records = Vec::new();
    let (log, recovery) = OpenOptions::directory(directory, ID)
        .options(OPTIONS)
        .observe(&mut |record| records.push(record.clone()))
        .open_unfolded()
        .unwrap();
    (log, recovery, records)
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = directory
        .read_dir()
        .unwrap()
        .map(|found| found.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn many() -> Vec<Batch> {
    batches(1_500)
}

#[test]
fn a_log_goes_on_over_many_segments_and_openings() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path().join("a/b/log");
    let batches = many();
    let mut appended = 0;
    for part in batches.chunks(500) {
        let (mut log, recovery, records) = open(&directory);
        assert_eq!(recovery.torn, None);
        assert_eq!(records, flat(&batches[..appended]));
        for batch in part {
            log.append(batch).unwrap();
        }
        appended += part.len();
        // One of them is closed, the others are dropped.
        if appended == 1_000 {
            log.close().unwrap();
        }
    }
    let (log, recovery, records) = open(&directory);
    assert_eq!(records, flat(&batches));
    assert!(recovery.segments > 4, "{recovery:?}");
    for number in [0, 1] {
        let expected: Vec<_> = batches
            .iter()
            .flatten()
            .filter(|record| record.session == session(number))
            .cloned()
            .collect();
        assert_eq!(read_all(&*log.reader(), session(number)), expected);
    }
    drop(log);
    let names = names(&directory);
    assert!(
        names
            .iter()
            .all(|name| { name.ends_with(".sealed") || name == "lock" || name == "spare" }),
        "{names:?}"
    );
}

#[test]
fn a_second_opener_learns_which_directory_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, _, _) = open(directory.path());
    let error = OpenOptions::directory(directory.path(), ID)
        .options(OPTIONS)
        .open_unfolded()
        .unwrap_err();
    let OpenError::Locked { directory: named } = &error else {
        panic!("{error}");
    };
    assert_eq!(named, directory.path());
    assert_eq!(
        error.to_string(),
        format!(
            "the log in {} is in use by another process",
            directory.path().display()
        )
    );
    assert!(directory.path().join(Directory::LOCK).exists());
    log.append(&[record(1, 1)]).unwrap();
    log.close().unwrap();
    let (_, _, records) = open(directory.path());
    assert_eq!(records.len(), 1);
}

#[test]
fn opening_waits_for_a_lock_that_a_dying_process_still_holds() {
    let directory = tempfile::tempdir().unwrap();
    // A child process can hold the lock for a moment after its parent was killed.
    let lock = std::fs::File::create(directory.path().join(Directory::LOCK)).unwrap();
    lock.lock().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Longer than one attempt, and much shorter than opening waits.
            std::thread::sleep(std::time::Duration::from_millis(60));
            drop(lock);
        });
        open(directory.path());
    });
}

#[test]
fn a_path_that_is_a_file_is_named_and_left_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = OpenOptions::directory(file.path(), ID)
        .options(OPTIONS)
        .open_unfolded()
        .unwrap_err();
    let OpenError::Io { path, source } = error else {
        panic!("{error}");
    };
    assert_eq!(path, file.path());
    assert_eq!(source.kind(), std::io::ErrorKind::NotADirectory);
}

#[test]
fn only_the_owner_reads_what_jobs_said() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("log");
    let (mut log, _, _) = open(&directory);
    log.append(&[record(1, 1)]).unwrap();
    log.close().unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for name in names(&directory) {
        assert_eq!(mode(&directory.join(&name)), 0o600, "{name}");
    }
}

#[test]
fn what_a_dead_process_was_preparing_is_tidied_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (mut log, _, _) = open(directory.path());
    log.append(&[record(1, 1)]).unwrap();
    drop(log);
    for name in ["beginning", "zeroing"] {
        std::fs::write(path(name), b"half").unwrap();
    }
    // A spare of another size is of no use, nor is a file of somebody else's any business.
    std::fs::write(path("spare"), b"short").unwrap();
    std::fs::write(path("notes.txt"), b"mine").unwrap();
    let options = Options {
        zero_ahead: false,
        ..OPTIONS
    };
    let (mut log, _) = OpenOptions::directory(directory.path(), ID)
        .options(options)
        .open_unfolded()
        .unwrap();
    log.append(&[record(1, 2)]).unwrap();
    log.close().unwrap();
    assert_eq!(
        names(directory.path()),
        [
            "00000000000000000001.sealed",
            "00000000000000000002.sealed",
            "lock",
            "notes.txt"
        ]
    );
}

#[test]
fn a_spare_that_is_left_over_becomes_the_next_segment() {
    let directory = tempfile::tempdir().unwrap();
    let spare = directory.path().join("spare");
    // As a process leaves it that died when it was about to use it: with a header.
    let mut zeros = vec![0; 40_000];
    zeros[..8].copy_from_slice(b"RejoinLg");
    std::fs::write(&spare, &zeros).unwrap();
    let (mut log, _, _) = open(directory.path());
    log.append(&[record(1, 1)]).unwrap();
    let active = directory.path().join("00000000000000000001.active");
    assert_eq!(active.metadata().unwrap().len(), 40_000);
    drop(log);
    // Zeros behind the last batch are the clean end.
    let (_, recovery, records) = open(directory.path());
    assert_eq!(recovery.torn, None);
    assert_eq!(records.len(), 1);
    assert!(!active.exists());
    let sealed = directory.path().join("00000000000000000001.sealed");
    assert!(sealed.metadata().unwrap().len() < 1_000);
}

#[test]
fn a_segment_that_has_the_name_of_a_spare_too_is_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let mut segment = vec![0; 40_000];
    segment[..8].copy_from_slice(b"RejoinLg");
    segment[48..52].copy_from_slice(b"btch");
    // As it is where the disk has lost that the name was changed.
    let spare = directory.path().join("spare");
    let same = directory.path().join("the same file");
    std::fs::write(&spare, &segment).unwrap();
    std::fs::hard_link(&spare, &same).unwrap();
    let (mut log, _, _) = open(directory.path());
    log.append(&[record(1, 1)]).unwrap();
    assert!(std::fs::read(same).unwrap() == segment);
}

#[test]
fn readers_follow_the_writer_over_segments_and_past_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let (mut log, _, _) = open(directory.path());
    let batches = many();
    let expected: Vec<_> = batches
        .iter()
        .flatten()
        .filter(|record| record.session == session(0))
        .cloned()
        .collect();
    std::thread::scope(|scope| {
        for limit in [7, 1_000] {
            let reader = log.reader();
            let expected = &expected;
            scope.spawn(move || {
                let limit = ReadLimit {
                    records: limit,
                    bytes: usize::MAX,
                };
                let mut seen = 0;
                while seen < expected.len() {
                    let after = Sequence(seen as u64);
                    let read = reader.read(session(0), after, limit).unwrap();
                    assert!(read.len() <= limit.records);
                    assert_eq!(read, expected[seen..seen + read.len()]);
                    seen += read.len();
                }
            });
        }
        for batch in &batches {
            log.append(batch).unwrap();
        }
        log.close().unwrap();
        drop(log);
    });
}
