//! A stream whose beginning was purged: what is kept is all there, and numbers are not given again.

use crate::story::{Batch, folded, kept, story};
use crate::{LOG, Shared, client, copy, model, options};
use rejoin_cluster::testing::{ModelClient, Network};
use rejoin_cluster::{LogServer, Purged, Purging};
use rejoin_core::{Projection, Sequence};
use rejoin_log::segment::{OpenOptions, Opened, Options};
use rejoin_log::testing::SimulatedDisk;
use rejoin_log::{Log, ReadLimit};
use rejoin_log_jetstream::{Follower, StreamLog, StreamOpenError};
use std::sync::Arc;

fn folded_copy(disk: &SimulatedDisk) -> Opened {
    let options = Options {
        segment_bytes: 4 * 1024,
        zero_ahead: false,
        ..Options::default()
    };
    let opened = OpenOptions::disk(Arc::new(disk.clone()), LOG).options(options);
    opened.open().unwrap()
}

fn follow(
    model: &Shared,
    disk: &SimulatedDisk,
    node: usize,
) -> Result<Opened<Follower<ModelClient>>, StreamOpenError> {
    options(node, 9).follow(client(model, node), folded_copy(disk))
}

/// Purges what it can. Whether that is more than nothing.
fn purge(model: &Shared, purging: &mut Purging, after: &Projection) -> bool {
    let mut server = client(model, 1);
    for _ in 0..10_000 {
        match purging.round(&mut server, &mut |sessions| Some(kept(after, sessions))) {
            Purged::UpTo(first) => return first > 1,
            Purged::More | Purged::Unanswered => {}
        }
    }
    panic!("the servers don't answer");
}

fn append(log: &mut StreamLog<ModelClient>, batches: &[Batch]) {
    for batch in batches {
        log.append(batch).unwrap();
    }
}

/// Each kept session is read from its first record, and of the others nothing but their removal.
fn check(opened: Opened<Follower<ModelClient>>, batches: &[Batch]) {
    let whole = folded(batches);
    let (mut follower, mut projection, _) = opened.into_parts();
    // What was stored last could not be read yet.
    let end: u64 = batches.iter().map(|batch| batch.len() as u64).sum();
    for _ in 0..10_000 {
        if follower.position() == end {
            break;
        }
        for record in follower.read().unwrap().unwrap_or_default() {
            projection.add(&record).unwrap();
        }
    }
    assert_eq!(projection.state(), whole.state());
    let reader = follower.reader();
    for record in batches.iter().flatten() {
        let session = record.session;
        let read = reader.read(session, Sequence::START, ReadLimit::NONE);
        let read = read.unwrap();
        if !kept(&whole, vec![session]).is_empty() {
            assert_eq!(read[0].sequence, Sequence(1));
            assert!(read.contains(record));
        } else if read.first().is_some_and(|it| it.sequence > Sequence(1)) {
            assert!(read.len() == 1 && read[0].is_removal(), "{read:?}");
        }
    }
}

#[test]
fn an_empty_an_old_and_a_whole_copy_behind_a_purge_lead_to_the_same() {
    let (mut purges, mut too_old, mut behind) = (0, 0, 0);
    for seed in 0..16 {
        let network = match seed % 2 {
            0 => Network::CALM,
            _ => Network::BAD,
        };
        let model = model(100 + seed, network);
        let batches = story(seed, 240);
        let opened = options(1, 1).open_unfolded(client(&model, 1), copy(&SimulatedDisk::new()));
        let mut log = opened.unwrap();
        let old = SimulatedDisk::new();
        let newer = SimulatedDisk::new();
        let mut purging = Purging::new(LOG);
        for (number, part) in batches.chunks(60).enumerate() {
            append(&mut log, part);
            let so_far = &batches[..60 * (number + 1)];
            purges += usize::from(purge(&model, &mut purging, &folded(so_far)));
            if number == 0 {
                drop(follow(&model, &old, 2).unwrap());
            }
            if number == 2 {
                drop(follow(&model, &newer, 3).unwrap());
            }
        }
        check(follow(&model, &SimulatedDisk::new(), 4).unwrap(), &batches);
        for (node, disk) in [(2, &old), (3, &newer)] {
            match follow(&model, disk, node) {
                Ok(opened) => {
                    check(opened, &batches);
                    behind += 1;
                }
                Err(StreamOpenError::Purged { wanted, first }) => {
                    assert!(wanted < first);
                    check(
                        follow(&model, &SimulatedDisk::new(), node).unwrap(),
                        &batches,
                    );
                    too_old += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(
        purges > 20 && too_old > 3 && behind > 3,
        "{purges} {too_old} {behind}"
    );
}

#[test]
fn a_copy_that_was_begun_behind_a_purge_goes_on_after_a_crash_and_further_purges() {
    let mut goes_on = 0;
    for seed in 0..8 {
        let model = model(200 + seed, Network::CALM);
        let batches = story(seed, 240);
        let opened = options(1, 1).open_unfolded(client(&model, 1), copy(&SimulatedDisk::new()));
        let mut log = opened.unwrap();
        let mut purging = Purging::new(LOG);
        append(&mut log, &batches[..120]);
        purge(&model, &mut purging, &folded(&batches[..120]));
        let disk = SimulatedDisk::new();
        let opened = follow(&model, &disk, 2).unwrap();
        // Snapshots and rewritten files, which know of sessions that are there in part.
        opened.log().copy().compactor().run_once().unwrap();
        check(opened, &batches[..120]);
        append(&mut log, &batches[120..]);
        let opened = follow(&model, &disk, 2).unwrap();
        opened.log().copy().compactor().run_once().unwrap();
        check(opened, &batches);
        purge(&model, &mut purging, &folded(&batches));
        check(follow(&model, &disk, 2).unwrap(), &batches);
        let opened = follow(&model, &disk, 2).unwrap();
        // As a writer, with numbers that were never given.
        let (follower, projection, _) = opened.into_parts();
        let taken = follower.take(&|_| true).unwrap();
        assert_eq!(taken.log.term(), 2);
        assert_eq!(projection.state(), folded(&batches).state());
        goes_on += 1;
    }
    assert_eq!(goes_on, 8);
}

#[test]
fn what_a_former_owner_purges_late_is_removed_for_everybody() {
    let model = model(300, Network::CALM);
    let batches = story(4, 240);
    let opened = options(1, 1).open_unfolded(client(&model, 1), copy(&SimulatedDisk::new()));
    let mut first = opened.unwrap();
    append(&mut first, &batches[..120]);
    let knows = folded(&batches[..120]);
    let opened = follow(&model, &SimulatedDisk::new(), 2).unwrap();
    let (follower, _, _) = opened.into_parts();
    let mut second = follower.take(&|_| true).unwrap().log;
    append(&mut second, &batches[120..]);
    assert!(first.append(&batches[120]).is_err());
    assert!(purge(&model, &mut Purging::new(LOG), &knows));
    check(follow(&model, &SimulatedDisk::new(), 3).unwrap(), &batches);
    assert!(purge(&model, &mut Purging::new(LOG), &folded(&batches)));
    check(follow(&model, &SimulatedDisk::new(), 3).unwrap(), &batches);
}

#[test]
fn a_follower_that_needs_what_was_purged_says_so_and_not_that_it_is_damaged() {
    let model = model(301, Network::CALM);
    let batches = story(4, 240);
    let opened = options(1, 1).open_unfolded(client(&model, 1), copy(&SimulatedDisk::new()));
    let mut log = opened.unwrap();
    append(&mut log, &batches[..1]);
    let opened = follow(&model, &SimulatedDisk::new(), 2).unwrap();
    let (mut follower, _, _) = opened.into_parts();
    append(&mut log, &batches[1..]);
    assert!(purge(&model, &mut Purging::new(LOG), &folded(&batches)));
    let error = follower.read().unwrap_err();
    assert!(matches!(error, StreamOpenError::Purged { .. }), "{error}");
}

#[test]
fn nothing_is_purged_that_is_kept_nor_the_last_message() {
    let model = model(302, Network::CALM);
    let opened = options(1, 1).open_unfolded(client(&model, 1), copy(&SimulatedDisk::new()));
    let mut log = opened.unwrap();
    let mut purging = Purging::new(LOG);
    // No record at all, only who writes the log.
    assert!(!purge(&model, &mut purging, &folded(&[])));
    let batches = story(4, 240);
    for end in (7..240).step_by(7) {
        append(&mut log, &batches[end - 7..end]);
        let after = folded(&batches[..end]);
        purge(&model, &mut purging, &after);
        let bounds = client(&model, 1).bounds().unwrap();
        assert!(bounds.first <= bounds.last);
        if end > 100 {
            check(
                follow(&model, &SimulatedDisk::new(), 2).unwrap(),
                &batches[..end],
            );
        }
    }
    assert!(client(&model, 1).bounds().unwrap().first > 1);
}

#[test]
fn a_stream_that_somebody_else_purged_of_a_kept_session_is_refused() {
    let model = model(303, Network::CALM);
    let opened = options(1, 1).open_unfolded(client(&model, 1), copy(&SimulatedDisk::new()));
    let mut log = opened.unwrap();
    let batches = story(4, 40);
    append(&mut log, &batches);
    let last = client(&model, 1).bounds().unwrap().last;
    assert!(client(&model, 1).purge(last - 1));
    let error = follow(&model, &SimulatedDisk::new(), 2).unwrap_err();
    let StreamOpenError::Damaged(damage) = &error else {
        panic!("{error}");
    };
    assert!(
        damage.reason.contains("is not removed, and began there"),
        "{error}"
    );
}
