//! The log on real servers of NATS. Needs `nats-server` in the path, or in `NATS_SERVER`: see
//! `.ci/run` for how it is installed.
#![allow(
    clippy::disallowed_methods,
    reason = "real servers take real time, and nothing waits for them without a deadline"
)]

mod engine;
mod gates;
mod nodes;
mod purge;
mod replicated;
#[allow(dead_code, reason = "shared with the tests of nodes")]
mod servers;
mod settings;
mod single;
#[path = "../story/mod.rs"]
mod story;

use rejoin_cluster::{NodeName, Process};
use rejoin_core::Sequence;
use rejoin_log::segment::{Durability, LogId, OpenOptions, Options, SegmentLog};
use rejoin_log::testing::session;
use rejoin_log::{Log, ReadLimit};
use rejoin_log_jetstream::{
    ConnectError, JetStream, JetStreamSettings, StreamLog, StreamOpenError, StreamOptions,
};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

type StreamedLog = StreamLog<JetStream>;

/// Each process of a test has other bits.
fn process() -> Process {
    static LAST: AtomicU8 = AtomicU8::new(0);
    Process([LAST.fetch_add(1, Ordering::Relaxed); 16])
}

fn copy(directory: &Path, log: LogId) -> SegmentLog {
    std::fs::create_dir_all(directory).unwrap();
    let options = Options {
        durability: Durability::Flush,
        segment_bytes: 1024 * 1024,
        zero_ahead: false,
        ..Options::default()
    };
    let opened = OpenOptions::directory(directory, log).options(options);
    opened.open_unfolded().unwrap().0
}

fn options(node: &str, log: LogId, take: bool) -> StreamOptions {
    let node: NodeName = node.parse().unwrap();
    StreamOptions {
        number: 0,
        log,
        node,
        process: process(),
        version: "1.2.3".to_owned(),
        take,
    }
}

fn connect(settings: &JetStreamSettings, has_records: bool) -> Result<JetStream, ConnectError> {
    JetStream::connect(settings, LogId::from_bytes(process().0), has_records)
}

/// Opens the log of a cluster at a node, with a copy in `directory`.
fn open(
    settings: &JetStreamSettings,
    directory: &Path,
    node: &str,
    take: bool,
) -> Result<StreamedLog, StreamOpenError> {
    let connection = connect(settings, false).unwrap();
    let log = connection.log();
    options(node, log, take).open_unfolded(connection, copy(directory, log))
}

/// The sequences of a session, whose records must be those of the tests.
fn read(log: &dyn Log, number: u8) -> Vec<u64> {
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
