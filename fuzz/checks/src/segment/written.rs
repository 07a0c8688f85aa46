//! Logs as they are written, each of them once.

use super::opened::{LARGE, SMALL, open_with};
use arbitrary::{Arbitrary, Unstructured};
use rejoin_core::Record;
use rejoin_log::Log;
use rejoin_log::testing::{SimulatedDisk, record};
use std::sync::{Arc, LazyLock};

const MOST_BATCHES: usize = 8;

/// Which log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    batches: usize,
    is_closed: bool,
    is_in_small_segments: bool,
}

/// A log, and what was appended to it.
#[derive(Debug)]
pub(super) struct Written {
    files: Vec<(String, Vec<u8>)>,
    batches: Vec<Vec<Arc<Record>>>,
    /// How many records are in segments that were sealed.
    pub(super) sealed: usize,
}

impl Plan {
    const COUNT: usize = MOST_BATCHES * 4;

    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self::of)
    }

    fn of(number: usize) -> Self {
        Self {
            batches: 1 + number / 4 % MOST_BATCHES,
            is_closed: number & 1 == 1,
            is_in_small_segments: number & 2 == 2,
        }
    }

    fn number(self) -> usize {
        (self.batches - 1) * 4
            + usize::from(self.is_in_small_segments) * 2
            + usize::from(self.is_closed)
    }

    /// The log of this plan.
    pub(super) fn written(self) -> &'static Written {
        static ALL: LazyLock<Vec<Written>> =
            LazyLock::new(|| Plan::all().map(Plan::write).collect());
        &ALL[self.number()]
    }

    fn write(self) -> Written {
        let batches = batches(self.batches);
        let options = if self.is_in_small_segments {
            SMALL
        } else {
            LARGE
        };
        let disk = SimulatedDisk::new();
        let mut log = open_with(&disk, options)
            .unwrap_or_else(|error| panic!("there is no log, and it was refused: {error}"))
            .log;
        let mut records = 0;
        let mut sealed = 0;
        for batch in &batches {
            let before = disk.file_names();
            log.append(batch)
                .unwrap_or_else(|error| panic!("a disk without faults: {error}"));
            // A new segment has begun, and so the one before it has been sealed.
            if disk.file_names() != before {
                sealed = records;
            }
            records += batch.len();
        }
        if self.is_closed {
            log.close()
                .unwrap_or_else(|error| panic!("a disk without faults: {error}"));
            sealed = records;
        }
        drop(log);
        let names = disk.file_names().into_iter();
        let files = names.map(|name| (name.clone(), disk.bytes(&name).unwrap_or_default()));
        Written {
            files: files.collect(),
            batches,
            sealed,
        }
    }
}

impl<'a> Arbitrary<'a> for Plan {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let number = usize::from(u8::arbitrary(bytes)?);
        Ok(Self::of(number % Self::COUNT))
    }
}

impl Written {
    /// A disk of its own with the log.
    pub(super) fn disk(&self) -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        for (name, bytes) in &self.files {
            disk.put(name, bytes);
        }
        disk
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.batches.iter().flatten().map(|record| &**record)
    }

    /// After how many records a batch ends, or the log begins.
    pub(super) fn ends(&self) -> impl Iterator<Item = usize> {
        let ends = self.batches.iter().scan(0, |end, batch| {
            *end += batch.len();
            Some(*end)
        });
        std::iter::once(0).chain(ends)
    }
}

/// Batches of one to four records of two sessions.
fn batches(count: usize) -> Vec<Vec<Arc<Record>>> {
    let mut last = [0, 0];
    let mut next = |session: u8| {
        let last = &mut last[usize::from(session)];
        *last += 1;
        record(session, *last)
    };
    (0..count)
        .map(|batch| {
            let places = 0..=batch % 4;
            places
                .map(|place| next(u8::from((batch + place) % 3 == 0)))
                .collect()
        })
        .collect()
}
