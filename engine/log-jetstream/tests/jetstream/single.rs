//! One server.

use crate::servers::{ServerOptions, Servers};
use crate::{copy, open, options, read, up_to};
use rejoin_cluster::{Appended, LogServer};
use rejoin_log::segment::LogId;
use rejoin_log::testing::record;
use rejoin_log::{Log, conformance};
use rejoin_log_jetstream::StreamOpenError;

#[test]
fn the_suite_for_all_logs_holds_on_a_real_server() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let directory = tempfile::tempdir().unwrap();
    let mut logs = 0;
    conformance::all(&mut || {
        logs += 1;
        let settings = servers.settings(&format!("suite-{logs}"));
        let copy = directory.path().join(format!("copy-{logs}"));
        Box::new(open(&settings, &copy, "n1", false).unwrap())
    });
}

#[test]
fn a_log_goes_on_with_its_copy_without_it_and_with_an_older_one() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let directory = tempfile::tempdir().unwrap();
    let settings = servers.settings("copies");
    let (own, none, older) = (
        directory.path().join("own"),
        directory.path().join("none"),
        directory.path().join("older"),
    );
    let mut log = open(&settings, &own, "n1", false).unwrap();
    let id = log.copy().id();
    let mut behind = copy(&older, id);
    for sequence in 1..=30 {
        log.append(&[record(1, sequence)]).unwrap();
        if sequence <= 12 {
            behind.append(&[record(1, sequence)]).unwrap();
        }
    }
    // A batch of several messages at the end.
    let large: Vec<_> = (31..=20_000).map(|sequence| record(1, sequence)).collect();
    let before = log.sequence();
    log.append(&large).unwrap();
    assert!(log.sequence() > before + 1);
    drop((log, behind));
    for (term, directory) in (2..).zip([&own, &none, &older]) {
        let mut log = open(&settings, directory, "n1", false).unwrap();
        assert_eq!(log.term(), term);
        assert_eq!(read(&log, 1), up_to(20_000 + term - 2));
        log.append(&[record(1, 20_000 + term - 1)]).unwrap();
    }
}

#[test]
fn a_copy_that_is_ahead_of_its_stream_is_refused() {
    let servers = Servers::start(1, ServerOptions::USUAL);
    let directory = tempfile::tempdir().unwrap();
    let settings = servers.settings("ahead");
    let mut log = open(&settings, directory.path(), "n1", false).unwrap();
    log.append(&[record(1, 1)]).unwrap();
    let id: LogId = log.copy().id();
    drop(log);
    copy(directory.path(), id).append(&[record(1, 2)]).unwrap();
    let connection = crate::connect(&settings, true).unwrap();
    let copy = copy(directory.path(), id);
    let refused = options("n1", id, false).open_unfolded(connection, copy);
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, StreamOpenError::CopyAhead { copy: 2, stream: 1 }),
        "{refused}"
    );
}

#[test]
fn servers_are_full_until_another_answer() {
    let options = ServerOptions {
        max_store: 2 * 1024 * 1024,
        ..ServerOptions::USUAL
    };
    let servers = Servers::start(1, options);
    let settings = servers.settings("full");
    let mut server = crate::connect(&settings, false).unwrap();
    let message = [vec![b'x'; 300 * 1024]];
    let mut last = 0;
    while let Appended::Stored(sequence) = server.append(last, &message) {
        last = sequence;
        assert_eq!(server.connection().no_room(), None);
        assert!(last < 10, "the server has no bound");
    }
    assert!(server.connection().no_room().is_some());
    // Refused for another reason: it may have become another node's to write.
    assert_eq!(server.append(last - 1, &message), Appended::WrongLast);
    assert_eq!(server.connection().no_room(), None);

    assert_eq!(server.append(last, &message), Appended::Unknown);
    assert!(server.connection().no_room().is_some());
    assert!(server.purge(last));
    assert_eq!(server.append(last, &message), Appended::Stored(last + 1));
    assert_eq!(server.connection().no_room(), None);
}
