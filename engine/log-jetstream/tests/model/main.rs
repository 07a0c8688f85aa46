//! The log on the model of a message server: the suite for all logs, and what a copy may be like.

mod purge;
#[path = "../story/mod.rs"]
mod story;

use rejoin_cluster::testing::{Model, ModelClient, Network};
use rejoin_cluster::{NodeName, Process};
use rejoin_core::{Sequence, SessionId};
use rejoin_log::segment::{Durability, LogId, OpenOptions, Options, SegmentLog};
use rejoin_log::testing::{SimulatedDisk, record, session};
use rejoin_log::{AppendError, Log, ReadLimit};
use rejoin_log_jetstream::{Follower, StreamLog, StreamOpenError, StreamOptions, Taken};
use std::sync::{Arc, Mutex};

const LOG: LogId = LogId::from_bytes([5; 16]);
/// How long each call takes, in the model's time.
const CALL_MILLIS: u64 = 20;

type Shared = Arc<Mutex<Model>>;
type ModelLog = StreamLog<ModelClient>;

fn model(seed: u64, network: Network) -> Shared {
    Arc::new(Mutex::new(Model::new(seed, network)))
}

fn client(model: &Shared, node: usize) -> ModelClient {
    ModelClient::new(model, 1, node).each_call_takes(CALL_MILLIS)
}

fn copy(disk: &SimulatedDisk) -> SegmentLog {
    copy_of(disk, LOG)
}

fn copy_of(disk: &SimulatedDisk, log: LogId) -> SegmentLog {
    let options = Options {
        durability: Durability::Flush,
        segment_bytes: 64 * 1024,
        zero_ahead: false,
        ..Options::default()
    };
    let opened = OpenOptions::disk(Arc::new(disk.clone()), log).options(options);
    opened.open_unfolded().unwrap().0
}

fn options(node: usize, run: u8) -> StreamOptions {
    let node: NodeName = format!("n{node}").parse().unwrap();
    StreamOptions {
        number: 1,
        log: LOG,
        node,
        process: Process([run; 16]),
        version: "1.2.3".to_owned(),
        take: false,
    }
}

fn open(model: &Shared, disk: &SimulatedDisk, run: u8) -> Result<ModelLog, StreamOpenError> {
    options(1, run).open_unfolded(client(model, usize::from(run)), copy(disk))
}

fn read(log: &ModelLog, number: u8) -> Vec<u64> {
    let records = log
        .reader()
        .read(session(number), Sequence::START, ReadLimit::NONE);
    records
        .unwrap()
        .iter()
        .map(|record| {
            let expected = rejoin_log::testing::record(number, record.sequence.0);
            assert_eq!(**record, *expected);
            record.sequence.0
        })
        .collect()
}

fn up_to(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

mod on_a_calm_server {
    use super::{Network, SimulatedDisk, model, open};

    rejoin_log::conformance!(|| {
        Box::new(open(&model(1, Network::CALM), &SimulatedDisk::new(), 1).unwrap())
    });
}

mod on_a_bad_network {
    use super::{Network, SimulatedDisk, model, open};

    rejoin_log::conformance!(|| {
        Box::new(open(&model(2, Network::BAD), &SimulatedDisk::new(), 1).unwrap())
    });
}

#[test]
fn a_copy_that_is_gone_or_behind_is_read_again_from_the_stream() {
    let model = model(3, Network::BAD);
    let disk = SimulatedDisk::new();
    let behind = SimulatedDisk::new();
    let mut log = open(&model, &disk, 1).unwrap();
    let mut other = copy(&behind);
    for sequence in 1..=20 {
        log.append(&[record(1, sequence), record(2, sequence)])
            .unwrap();
        if sequence <= 7 {
            other
                .append(&[record(1, sequence), record(2, sequence)])
                .unwrap();
        }
    }
    // In the middle of the eighth batch.
    other.append(&[record(1, 8)]).unwrap();
    drop(other);
    drop(log);
    for (run, disk) in (2..).zip([disk, behind, SimulatedDisk::new()]) {
        let mut log = open(&model, &disk, run).unwrap();
        assert_eq!(log.term(), u64::from(run));
        assert_eq!(read(&log, 1), up_to(18 + u64::from(run)));
        assert_eq!(read(&log, 2), up_to(20));
        log.append(&[record(1, 19 + u64::from(run))]).unwrap();
    }
}

#[test]
fn a_large_batch_is_read_again_as_a_whole() {
    let model = model(4, Network::BAD);
    let mut log = open(&model, &SimulatedDisk::new(), 1).unwrap();
    let batch: Vec<_> = (1..=20_000).map(|sequence| record(1, sequence)).collect();
    log.append(&batch).unwrap();
    // An owner message, and the batch in several messages.
    assert!(log.sequence() >= 3, "{}", log.sequence());
    log.append(&[record(1, 20_001)]).unwrap();
    drop(log);
    let disk = SimulatedDisk::new();
    copy(&disk).append(&batch[..500]).unwrap();
    for (run, disk) in (2..).zip([SimulatedDisk::new(), disk]) {
        let log = open(&model, &disk, run).unwrap();
        assert_eq!(read(&log, 1), up_to(20_001));
    }
}

#[test]
fn a_copy_that_is_ahead_differs_or_is_of_another_log_is_refused_and_named() {
    let model = model(5, Network::CALM);
    let disk = SimulatedDisk::new();
    let mut log = open(&model, &disk, 1).unwrap();
    log.append(&[record(1, 1), record(1, 2)]).unwrap();
    let sequence = log.sequence();
    drop(log);

    let ahead = SimulatedDisk::new();
    let batch = [record(1, 1), record(1, 2), record(1, 3)];
    copy(&ahead).append(&batch).unwrap();
    let refused = open(&model, &ahead, 2).unwrap_err();
    let StreamOpenError::CopyAhead { copy: 3, stream: 2 } = refused else {
        panic!("{refused}");
    };

    let differs = SimulatedDisk::new();
    copy(&differs)
        .append(&[record(1, 1), record(2, 1)])
        .unwrap();
    let refused = open(&model, &differs, 2).unwrap_err();
    assert!(
        matches!(refused, StreamOpenError::CopyDiffers(2)),
        "{refused}"
    );

    let other = copy_of(&SimulatedDisk::new(), LogId::from_bytes([6; 16]));
    let refused = options(1, 2)
        .open_unfolded(client(&model, 2), other)
        .unwrap_err();
    assert!(
        matches!(refused, StreamOpenError::OtherLog { .. }),
        "{refused}"
    );

    // Nothing was written, and nobody was deposed.
    let empty = self::model(6, Network::CALM);
    let refused = open(&empty, &ahead, 2).unwrap_err();
    assert!(
        matches!(refused, StreamOpenError::CopyAhead { stream: 0, .. }),
        "{refused}"
    );
    let log = open(&model, &disk, 2).unwrap();
    assert_eq!((log.sequence(), log.term()), (sequence + 1, 2));
}

#[test]
fn a_log_that_another_node_has_is_taken_only_when_that_is_said_and_fences_it() {
    let model = model(7, Network::CALM);
    let mut first = open(&model, &SimulatedDisk::new(), 1).unwrap();
    first.append(&[record(1, 1)]).unwrap();
    let second = options(2, 2);
    let empty = || copy(&SimulatedDisk::new());
    let refused = second.clone().open_unfolded(client(&model, 2), empty());
    let StreamOpenError::Owned(owner) = refused.unwrap_err() else {
        panic!("it was not refused");
    };
    assert_eq!(owner.as_str(), "n1");
    first.append(&[record(1, 2)]).unwrap();
    let take = StreamOptions {
        take: true,
        ..second
    };
    let mut second = take.open_unfolded(client(&model, 2), empty()).unwrap();
    assert_eq!(read(&second, 1), up_to(2));
    second.confirm().unwrap();
    second.append(&[record(1, 3)]).unwrap();
    second.confirm().unwrap();
    second.confirm().unwrap();
    second.append(&[record(1, 4)]).unwrap();
    for _ in 0..2 {
        let Err(AppendError::Fenced(error)) = first.append(&[record(1, 3)]) else {
            panic!("the former owner could append");
        };
        let said = "another node writes this log in term 2; this one wrote it in term 1";
        assert_eq!(error.to_string(), said);
    }
    // What it acknowledged before can still be read there.
    assert_eq!(read(&first, 1), up_to(2));
    // A clean end lets the log go, so that anybody can open it.
    second.close().unwrap();
    let third = options(3, 3)
        .open_unfolded(client(&model, 3), empty())
        .unwrap();
    assert_eq!((read(&third, 1), third.term()), (up_to(4), 3));
}

#[test]
fn a_former_owner_confirms_nothing_although_a_server_says_that_its_log_has_the_same_end() {
    let model = model(9, Network::CALM);
    let mut first = open(&model, &SimulatedDisk::new(), 1).unwrap();
    first.append(&[record(1, 1)]).unwrap();
    // Its server was the leader, and is cut off from the others.
    model.lock().unwrap().keep_end(1, 1);
    let take = StreamOptions {
        take: true,
        ..options(2, 2)
    };
    let copied = copy(&SimulatedDisk::new());
    let mut second = take.open_unfolded(client(&model, 2), copied).unwrap();
    second.append(&[record(1, 2)]).unwrap();
    let confirmed = first.confirm();
    assert!(
        matches!(confirmed, Err(AppendError::Fenced(_))),
        "{confirmed:?}"
    );
}

#[test]
fn an_append_that_nobody_answers_ends_when_it_is_stopped() {
    let model = model(8, Network::CALM);
    let mut log = open(&model, &SimulatedDisk::new(), 1).unwrap();
    let stop = log.stop_appends();
    model.lock().unwrap().cut(1, u64::MAX);
    let appending = std::thread::spawn(move || {
        let appended = log.append(&[record(1, 1)]);
        (log, appended)
    });
    stop.stop();
    let (mut log, appended) = appending.join().unwrap();
    assert!(matches!(appended, Err(AppendError::Poisoned(_))));
    assert!(log.append(&[record(1, 1)]).is_err());
    assert!(read(&log, 1).is_empty());
}

#[test]
fn a_message_that_no_server_gives_is_named() {
    let model = model(9, Network::CALM);
    let mut log = open(&model, &SimulatedDisk::new(), 1).unwrap();
    for sequence in 1..=10 {
        log.append(&[record(1, sequence)]).unwrap();
    }
    drop(log);
    for _ in 0..200 {
        model.lock().unwrap().lose(1);
    }
    // One replica each has lost them: another is asked, which may not answer.
    let mut refused = 0;
    for run in 2..40 {
        match open(&model, &SimulatedDisk::new(), run) {
            Ok(log) => assert_eq!(read(&log, 1), up_to(10)),
            Err(StreamOpenError::Damaged(damage)) => {
                assert!(model.lock().unwrap().is_hole(1, damage.sequence));
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0);
}

fn follow(model: &Shared, disk: &SimulatedDisk, node: usize) -> Follower<ModelClient> {
    let followed = options(node, 9).follow_unfolded(client(model, node), copy(disk));
    followed.unwrap()
}

/// Reads until the log has been followed up to a position.
fn read_up_to(follower: &mut Follower<ModelClient>, position: u64) -> Vec<(SessionId, u64)> {
    let mut seen = Vec::new();
    for _ in 0..10_000 {
        if follower.position() >= position {
            return seen;
        }
        let records = follower.read().unwrap().unwrap_or_default();
        seen.extend(records.iter().map(|it| (it.session, it.sequence.0)));
    }
    panic!("the records after {} did not come", follower.position());
}

#[test]
fn a_follower_reads_each_record_once_and_in_order_whatever_the_network_does() {
    let model = model(10, Network::BAD);
    let mut log = open(&model, &SimulatedDisk::new(), 1).unwrap();
    log.append(&[record(1, 1), record(2, 1)]).unwrap();
    let disk = SimulatedDisk::new();
    let mut follower = follow(&model, &disk, 2);
    assert_eq!(follower.position(), 2);
    assert_eq!(follower.owner().1.map(NodeName::as_str), Some("n1"));
    for sequence in (2..=40).step_by(3) {
        let batch = [0, 1, 2].map(|more| record(1, sequence + more));
        log.append(&batch).unwrap();
        log.append(&[record(2, 1 + sequence.div_ceil(3))]).unwrap();
        let position = follower.position();
        let seen = read_up_to(&mut follower, position + 4);
        let one = (sequence..sequence + 3).map(|next| (session(1), next));
        let two = (session(2), 1 + sequence.div_ceil(3));
        assert_eq!(seen, one.chain([two]).collect::<Vec<_>>());
    }
    // All of it is in its copy, from which it goes on.
    let position = follower.position();
    drop(follower);
    let again = follow(&model, &disk, 2);
    assert_eq!(again.position(), position);
    let kept = again.reader();
    let records = kept.read(session(1), Sequence::START, ReadLimit::NONE);
    assert_eq!(records.unwrap().len(), 40);
}

#[test]
fn a_follower_takes_the_log_with_all_that_was_acknowledged_and_the_former_owner_is_fenced() {
    let model = model(11, Network::CALM);
    let mut log = open(&model, &SimulatedDisk::new(), 1).unwrap();
    log.append(&[record(1, 1)]).unwrap();
    let mut follower = follow(&model, &SimulatedDisk::new(), 2);
    log.append(&[record(1, 2)]).unwrap();
    assert_eq!(read_up_to(&mut follower, 2), [(session(1), 2)]);
    // What it has not read yet is given when it takes the log.
    log.append(&[record(1, 3), record(1, 4)]).unwrap();
    let claimed = |claim: &rejoin_cluster::Claim| claim.term == 9;
    let follower = follower.take(&claimed).unwrap_err().follower;
    let Taken {
        log: mut taken,
        records,
        from,
    } = follower.take(&|_| true).unwrap();
    let sequences: Vec<_> = records.iter().map(|it| it.sequence.0).collect();
    assert_eq!((sequences, taken.term()), (vec![3, 4], 2));
    assert_eq!(from.as_ref().map(NodeName::as_str), Some("n1"));
    assert!(matches!(
        log.append(&[record(1, 5)]),
        Err(AppendError::Fenced(_))
    ));
    taken.append(&[record(1, 5)]).unwrap();
    assert_eq!(read(&taken, 1), up_to(5));

    // Another follower sees who has it, and when it is let go.
    let mut other = follow(&model, &SimulatedDisk::new(), 3);
    let (term, owner) = other.owner();
    assert_eq!((term, owner.map(NodeName::as_str)), (2, Some("n2")));
    taken.close().unwrap();
    // The server that answers may be behind.
    let mut reads = 0..10_000;
    while other.owner().1.is_some() {
        assert!(
            reads.next().is_some(),
            "it does not see that the log was let go"
        );
        other.read().unwrap();
    }
    assert_eq!(other.owner(), (2, None));
    let third = other.take(&|_| true).unwrap().log;
    assert_eq!(third.term(), 3);
}

#[test]
fn a_follower_that_the_servers_do_not_answer_says_so_and_goes_on_later() {
    let model = model(12, Network::CALM);
    let mut log = open(&model, &SimulatedDisk::new(), 1).unwrap();
    let mut follower = follow(&model, &SimulatedDisk::new(), 2);
    assert_eq!(follower.read().unwrap().map(|it| it.len()), Some(0));
    log.append(&[record(1, 1)]).unwrap();
    model.lock().unwrap().cut(2, u64::MAX);
    assert!(follower.read().unwrap().is_none());
    model.lock().unwrap().cut(2, 0);
    assert_eq!(read_up_to(&mut follower, 1), [(session(1), 1)]);
}

#[test]
fn a_follower_refuses_a_copy_that_is_ahead_and_names_what_no_server_has() {
    let model = model(13, Network::CALM);
    let mut log = open(&model, &SimulatedDisk::new(), 1).unwrap();
    log.append(&[record(1, 1)]).unwrap();
    let ahead = SimulatedDisk::new();
    copy(&ahead).append(&[record(1, 1), record(1, 2)]).unwrap();
    let refused = options(2, 2).follow_unfolded(client(&model, 2), copy(&ahead));
    assert!(matches!(
        refused.unwrap_err(),
        StreamOpenError::CopyAhead { copy: 2, stream: 1 }
    ));
    let mut follower = follow(&model, &SimulatedDisk::new(), 2);
    for sequence in 2..=20 {
        log.append(&[record(1, sequence)]).unwrap();
    }
    for _ in 0..400 {
        model.lock().unwrap().lose(1);
    }
    // Which replica answers differs from call to call.
    let mut named = None;
    for _ in 0..100 {
        match follower.read() {
            Ok(_) if follower.position() == 20 => break,
            Ok(_) => {}
            Err(StreamOpenError::Damaged(damage)) => {
                assert!(model.lock().unwrap().is_hole(1, damage.sequence));
                named = Some(damage.sequence);
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(
        named.is_some() || follower.position() == 20,
        "it has neither all nor named what is missing"
    );
}
