//! Three servers, of which some die or lose data.

use crate::servers::{ServerOptions, Servers};
use crate::{open, read, up_to};
use rejoin_cluster::{Appended, Got, LogServer};
use rejoin_core::{Event, Record};
use rejoin_log::testing::record;
use rejoin_log::{AppendError, Log};
use rejoin_log_jetstream::{JetStream, StreamOpenError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// In record 170, which is message 171.
const LINE: &[u8] = b"line 170\\n";

/// Longer than any election.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_log_has_one_writer_and_the_former_one_is_fenced() {
    let servers = Servers::start(3, ServerOptions::USUAL);
    let settings = servers.settings("fence");
    let directory = tempfile::tempdir().unwrap();
    let (first_copy, second_copy) = (directory.path().join("1"), directory.path().join("2"));
    let mut first = open(&settings, &first_copy, "n1", false).unwrap();
    for sequence in 1..=20 {
        first.append(&[record(1, sequence)]).unwrap();
    }
    let refused = open(&settings, &second_copy, "n2", false).unwrap_err();
    assert!(matches!(refused, StreamOpenError::Owned(_)), "{refused}");
    let mut second = open(&settings, &second_copy, "n2", true).unwrap();
    assert_eq!((second.term(), read(&second, 1)), (2, up_to(20)));
    let Err(AppendError::Fenced(fenced)) = first.append(&[record(1, 21)]) else {
        panic!("the former owner could append");
    };
    assert!(fenced.to_string().contains("in term 2"), "{fenced}");
    second.append(&[record(1, 21)]).unwrap();
    second.close().unwrap();
    // Let go, and taken by a third node without being asked to.
    let third = open(&settings, &directory.path().join("3"), "n3", false).unwrap();
    assert_eq!((third.term(), read(&third, 1)), (3, up_to(21)));
}

#[test]
fn of_two_writers_of_one_position_one_wins_each_time() {
    const ROUNDS: u64 = 2_000;
    let servers = Servers::start(3, ServerOptions::USUAL);
    let settings = servers.settings("race");
    let [mut reader, one, two] = [(); 3].map(|()| crate::connect(&settings, false).unwrap());
    let start = std::sync::Barrier::new(2);
    let outcomes = std::thread::scope(|scope| {
        let [one, two] = [(0_u8, one), (1, two)].map(|(number, mut writer)| {
            let start = &start;
            scope.spawn(move || {
                let mut won = Vec::new();
                for round in 0..ROUNDS {
                    start.wait();
                    let message = [&round.to_le_bytes()[..], &[number]].concat();
                    won.push(is_mine(&mut writer, round, &message));
                }
                won
            })
        });
        [one.join().unwrap(), two.join().unwrap()]
    });
    for round in 0..ROUNDS {
        let [one, two] =
            [0, 1].map(|writer: usize| outcomes[writer][usize::try_from(round).unwrap()]);
        assert!(one != two, "round {round}: {one} and {two}");
    }
    assert_eq!(reader.bounds().unwrap().last, ROUNDS);
}

/// Appends at a position until it is decided who has it, as a log does: whether it is this one.
fn is_mine(writer: &mut JetStream, expected: u64, message: &[u8]) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let messages = [message.to_vec()];
    loop {
        match writer.append(expected, &messages) {
            Appended::Stored(sequence) => {
                assert_eq!(sequence, expected + 1);
                return true;
            }
            Appended::WrongLast => {
                // It may not be readable yet.
                if let Got::Message(found) = writer.get(expected + 1) {
                    return found == message;
                }
            }
            Appended::Unknown => {}
            Appended::Refused(why) => panic!("{why}"),
        }
        assert!(Instant::now() < deadline, "it is not decided");
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_streams_leader_is_killed() {
    let mut servers = Servers::start(3, ServerOptions::USUAL);
    let settings = servers.settings("kill");
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&settings, &directory.path().join("1"), "n1", false).unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let ends = Arc::new(AtomicBool::new(false));
    let writer = {
        let (acknowledged, ends) = (Arc::clone(&acknowledged), Arc::clone(&ends));
        std::thread::spawn(move || {
            let mut sequence = 0;
            while !ends.load(Ordering::Acquire) {
                let batch: Vec<_> = (1..=8).map(|next| record(1, sequence + next)).collect();
                log.append(&batch).unwrap();
                sequence += 8;
                acknowledged.store(sequence, Ordering::Release);
            }
            (log.term(), log.sequence())
        })
    };
    let until = |wanted: u64| {
        let deadline = Instant::now() + PATIENCE;
        while acknowledged.load(Ordering::Acquire) < wanted {
            assert!(Instant::now() < deadline, "appends don't go on");
            assert!(!writer.is_finished(), "the writer has ended");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    for _ in 0..2 {
        until(acknowledged.load(Ordering::Acquire) + 400);
        let leader = servers.leader("REJOIN-kill-0");
        servers.kill(leader);
        // The batch that was under way, and some that were begun after that.
        until(acknowledged.load(Ordering::Acquire) + 24);
        servers.restart(leader);
    }
    until(acknowledged.load(Ordering::Acquire) + 400);
    ends.store(true, Ordering::Release);
    let (term, sequence) = writer.join().unwrap();
    let acknowledged = acknowledged.load(Ordering::Acquire);
    // One message for each batch and one of the owner: none is there twice.
    assert_eq!((term, sequence), (1, acknowledged / 8 + 1));
    let log = open(&settings, &directory.path().join("2"), "n1", false).unwrap();
    assert_eq!(read(&log, 1), up_to(acknowledged));
}

#[test]
fn a_message_that_one_server_has_lost_is_read_from_another() {
    let mut servers = Servers::start(3, ServerOptions::USUAL);
    let settings = servers.settings("hole");
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&settings, &directory.path().join("1"), "n1", false).unwrap();
    for sequence in 1..=300 {
        log.append(&[record(1, sequence)]).unwrap();
    }
    // A server that ended cleanly checks the last block of a stream when it starts, and no other.
    for sequence in 1..=30 {
        log.append(&[large(2, sequence)]).unwrap();
    }
    drop(log);
    let leader = servers.leader("REJOIN-hole-0");
    let damaged = (leader + 1) % 3;
    servers.stop(damaged);
    flip_a_bit(&servers.store(damaged), LINE);
    servers.restart(damaged);
    let deadline = Instant::now() + PATIENCE;
    while servers.leader("REJOIN-hole-0") != damaged {
        assert!(Instant::now() < deadline, "it was not elected");
        let body = format!("{{\"placement\":{{\"preferred\":\"s{damaged}\"}}}}");
        servers.ask("$JS.API.STREAM.LEADER.STEPDOWN.REJOIN-hole-0", &body);
        std::thread::sleep(Duration::from_millis(200));
    }
    // It says that there is no message 171, and that nothing is lost.
    let answer = servers.ask("$JS.API.STREAM.MSG.GET.REJOIN-hole-0", r#"{"seq":171}"#);
    assert!(answer.contains("10037"), "{answer}");
    let answer = servers.ask("$JS.API.STREAM.INFO.REJOIN-hole-0", "");
    assert!(answer.contains("\"messages\":331,"), "{answer}");
    // Opening asks the others.
    let mut log = open(&settings, &directory.path().join("2"), "n1", false).unwrap();
    assert_eq!(read(&log, 1), up_to(300));
    log.append(&[record(1, 301)]).unwrap();
}

#[test]
fn a_stream_that_its_only_server_has_cut_off_is_refused_where_a_copy_knows_more() {
    let mut servers = Servers::start(1, ServerOptions::USUAL);
    let settings = servers.settings("cut");
    let directory = tempfile::tempdir().unwrap();
    let mut log = open(&settings, directory.path(), "n1", false).unwrap();
    for sequence in 1..=300 {
        log.append(&[record(1, sequence)]).unwrap();
    }
    drop(log);
    servers.kill(0);
    // The server finds a checksum that is wrong, and drops all that follows without a word.
    flip_a_bit(&servers.store(0), LINE);
    servers.restart(0);
    let refused = open(&settings, directory.path(), "n1", false).unwrap_err();
    assert!(
        matches!(
            refused,
            StreamOpenError::CopyAhead {
                copy: 300,
                stream: 169
            }
        ),
        "{refused}"
    );
}

/// A record of some 800 KB.
fn large(number: u8, sequence: u64) -> Arc<Record> {
    Arc::new(Record {
        event: Event::UserSet {
            user: "x".repeat(800 * 1024).into(),
        },
        ..(*record(number, sequence)).clone()
    })
}

/// Flips one bit in the block that contains `text`, within it.
fn flip_a_bit(store: &Path, text: &[u8]) {
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Not the log of the servers' consensus.
                if path.file_name().is_none_or(|name| name != "_js_") {
                    folders.push(path);
                }
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            let is_block = path.extension().is_some_and(|it| it == "blk");
            let found = bytes.windows(text.len()).position(|part| part == text);
            if let Some(at) = found.filter(|_| is_block) {
                bytes[at] ^= 1;
                std::fs::write(&path, bytes).unwrap();
                return;
            }
        }
    }
    panic!("the text is in no block");
}
