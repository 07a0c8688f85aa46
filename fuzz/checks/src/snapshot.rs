//! Snapshots whose bytes are not what was written.

use arbitrary::Arbitrary;
use rejoin_core::testing::operations;
use rejoin_core::{Limits, Projection, State, Timestamp};
use rejoin_log::Log;
use rejoin_log::schema::{decode_snapshot, encode_snapshot};
use rejoin_log::segment::{Durability, LogId, OpenOptions, OpenReport, Options, SegmentLog};
use rejoin_log::testing::SimulatedDisk;
use std::sync::{Arc, LazyLock};

/// What stands in the place of a snapshot.
#[derive(Arbitrary, Clone, Debug)]
pub enum SnapshotBytes<'a> {
    /// Bytes from anywhere are what a snapshot says.
    Body(&'a [u8]),
    /// The two snapshots of a sound log are damaged.
    Damaged([Damage; 2]),
}

/// What becomes of a snapshot's file.
#[derive(Arbitrary, Clone, Debug)]
pub struct Damage {
    /// Bytes that are changed: which, and how.
    changed: Vec<(u16, u8)>,
    /// How many bytes are left, where it is cut.
    cut: Option<u16>,
}

impl SnapshotBytes<'_> {
    /// Decodes the bytes, or opens the log.
    ///
    /// # Panics
    ///
    /// When a snapshot has another encoding than the one that it came from, or a log with damaged
    /// snapshots is not what all of its records add up to.
    pub fn check(&self) {
        match self {
            Self::Body(bytes) => match decode_snapshot(bytes) {
                Ok(snapshot) => {
                    let mut again = Vec::new();
                    encode_snapshot(&snapshot, &mut again);
                    assert_eq!(again, *bytes, "{snapshot:?}");
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            },
            Self::Damaged(damage) => open_damaged(damage),
        }
    }
}

fn open_damaged(damage: &[Damage; 2]) {
    let disk = SimulatedDisk::new();
    let mut damage = damage.iter();
    let mut unsound = 0;
    for (name, bytes) in &WRITTEN.files {
        let mut changed = bytes.clone();
        if name.ends_with(SNAPSHOT)
            && let Some(damage) = damage.next()
        {
            damage.make(&mut changed);
            unsound += usize::from(changed != *bytes);
        }
        disk.put(name, &changed);
    }
    let (recovery, folded) = open(&disk, true).1;
    assert_eq!(folded, WRITTEN.folded, "{recovery:?}");
    // One that is sound is taken before an older one is looked at.
    assert!(recovery.skipped_snapshots.len() <= unsound, "{recovery:?}");
    assert_eq!(recovery.snapshot.is_none(), unsound == 2, "{recovery:?}");
}

impl Damage {
    fn make(&self, bytes: &mut Vec<u8>) {
        for (place, change) in &self.changed {
            let place = usize::from(*place) % bytes.len();
            bytes[place] ^= change;
        }
        if let Some(length) = self.cut {
            bytes.truncate(usize::from(length));
        }
    }
}

/// A log with two snapshots and records behind them, and what it adds up to.
struct Written {
    files: Vec<(String, Vec<u8>)>,
    folded: Projection,
}

static WRITTEN: LazyLock<Written> = LazyLock::new(|| {
    let disk = SimulatedDisk::new();
    let mut log = open(&disk, false).0;
    let mut state = State::new(Limits::DEFAULT);
    let mut clock = 0_i64;
    let story: Vec<u8> = (0..3_000_u32).map(|it| (it * it / 7) as u8).collect();
    let story = operations(&story);
    for (place, part) in story.chunks(story.len().div_ceil(3)).enumerate() {
        for (by, operation) in part {
            clock += by.abs();
            let now = Timestamp::from_millis(clock.unsigned_abs());
            let command = operation.command(&state, now);
            let steps = state.step(now, command).unwrap_or_default();
            let records: Vec<_> = steps.into_iter().map(|it| Arc::new(it.record)).collect();
            log.append(&records)
                .unwrap_or_else(|error| panic!("a disk without faults: {error}"));
        }
        if place < 2 {
            log.compactor()
                .run_once()
                .unwrap_or_else(|error| panic!("a disk without faults: {error}"));
        }
    }
    drop(log);
    // Opening seals what was written last: the damaged are opened as they are.
    let folded = open(&disk, false).1.1;
    let names = disk.file_names().into_iter();
    let files: Vec<_> = names
        .map(|name| (name.clone(), disk.bytes(&name).unwrap_or_default()))
        .collect();
    let snapshots = files.iter().filter(|(name, _)| name.ends_with(SNAPSHOT));
    assert_eq!(snapshots.count(), 2);
    Written { files, folded }
});

fn open(disk: &SimulatedDisk, use_snapshot: bool) -> (SegmentLog, (OpenReport, Projection)) {
    let mut opening = OpenOptions::disk(Arc::new(disk.clone()), ID).options(OPTIONS);
    if !use_snapshot {
        opening = opening.ignore_snapshots();
    }
    let opened = opening.open();
    let opened = opened.unwrap_or_else(|error| panic!("a sound log was refused: {error}"));
    let (log, projection, report) = opened.into_parts();
    (log, (report, projection))
}

const SNAPSHOT: &str = ".snapshot";

const ID: LogId = LogId::from_bytes([0xa5; 16]);

/// Segments that are sealed every few batches.
const OPTIONS: Options = Options {
    durability: Durability::Sync,
    segment_bytes: 2_000,
    zero_ahead: false,
    ..Options::DEFAULT
};
