//! A stream of a real server whose beginning was purged.

use crate::servers::{ServerOptions, Servers};
use crate::story::{folded, kept, story};
use crate::{connect, open, options};
use rejoin_cluster::{LogServer, Purged, Purging};
use rejoin_core::Sequence;
use rejoin_log::segment::{Durability, OpenOptions, Options};
use rejoin_log::{Log, ReadLimit};
use std::time::{Duration, Instant};

/// Longer than any election.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_purged_stream_takes_less_room_and_a_new_copy_begins_where_it_does() {
    let servers = Servers::start(3, ServerOptions::USUAL);
    let settings = servers.settings("purge");
    let directory = tempfile::tempdir().unwrap();
    let batches = story(4, 300);
    let mut log = open(&settings, &directory.path().join("1"), "n1", false).unwrap();
    for batch in &batches {
        log.append(batch).unwrap();
    }
    let whole = folded(&batches);

    let mut server = connect(&settings, false).unwrap();
    let size = server.size().unwrap();
    let mut purging = Purging::new(server.log());
    let deadline = Instant::now() + PATIENCE;
    let first = loop {
        match purging.round(&mut server, &mut |some| Some(kept(&whole, some))) {
            Purged::UpTo(first) => break first,
            Purged::More | Purged::Unanswered => assert!(Instant::now() < deadline),
        }
    };
    assert!(first > 100, "{first}");
    assert_eq!(server.bounds().unwrap().first, first);
    let smaller = server.size().unwrap();
    assert!(smaller < size / 2, "{smaller} of {size} bytes");

    // A replica that has not purged yet answers with more than there is.
    let connection = connect(&settings, false).unwrap();
    let id = connection.log();
    let copy = directory.path().join("2");
    std::fs::create_dir_all(&copy).unwrap();
    let segments = Options {
        durability: Durability::Flush,
        zero_ahead: false,
        ..Options::default()
    };
    let copy = OpenOptions::directory(copy, id).options(segments).open();
    let opened = options("n2", id, false).follow(connection, copy.unwrap());
    let (follower, projection, _) = opened.unwrap().into_parts();
    assert_eq!(projection.state(), whole.state());
    let sessions = batches.iter().flatten().map(|record| record.session);
    for session in kept(&whole, sessions.collect()) {
        let read = follower
            .reader()
            .read(session, Sequence::START, ReadLimit::NONE);
        assert_eq!(read.unwrap()[0].sequence, Sequence(1));
    }

    // Both go on: the writer behind the purge, and another one that takes the log from it.
    let next = |number: usize| story(4, 300 + number).pop().unwrap();
    log.append(&next(1)).unwrap();
    let mut taken = follower.take(&|_| true).unwrap().log;
    log.append(&next(2)).unwrap_err();
    taken.append(&next(2)).unwrap();
}
