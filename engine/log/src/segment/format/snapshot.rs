//! Snapshots on the disk: what the records up to a position add up to, so that opening need not
//! begin with the first of them.
//!
//! A snapshot only ever repeats what the records say. One that is damaged, of another version or
//! of another log is passed over, and the one before it is taken.

use crate::disk::{Disk, read_exactly, write_all};
use crate::schema::{SNAPSHOT_VERSION, decode_snapshot, encode_snapshot};
use crate::segment::format::fields::u32_at;
use crate::segment::format::file_header::{HEADING_BYTES, Heading, HeadingFault, Kind};
use crate::segment::format::header::LogId;
use crate::segment::format::name::{REWRITING, SnapshotName};
use rejoin_core::Snapshot;
use std::io;

const KIND: Kind = Kind {
    magic: *b"RejoinSn",
    version: SNAPSHOT_VERSION,
};

/// Behind the snapshot: the checksum of everything before it.
const CHECKSUM_BYTES: usize = 4;

/// How many are kept: the newest, and one for the case that it is damaged.
pub(crate) const KEPT: usize = 2;

/// Writes the snapshot of the log's records up to and with `position`. It has its name when all of
/// it is durable.
pub(crate) fn write(
    disk: &dyn Disk,
    log: LogId,
    position: u64,
    snapshot: &Snapshot,
) -> io::Result<()> {
    let mut bytes = vec![0; HEADING_BYTES];
    encode_snapshot(snapshot, &mut bytes);
    let body = bytes.len().saturating_sub(HEADING_BYTES) as u64;
    let heading = Heading {
        log,
        numbers: [position, body],
    };
    if let Some(place) = bytes.first_chunk_mut() {
        *place = heading.encode(KIND);
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let file = disk.create(REWRITING)?;
    write_all(&*file, &bytes, 0)?;
    file.sync()?;
    disk.rename(REWRITING, &SnapshotName(position).to_string())?;
    disk.sync()
}

/// What is wrong with a snapshot. The log does without it.
#[derive(Debug)]
pub(crate) enum Unusable {
    Unsound(String),
    /// Whole, as far as can be told, and written by another version.
    OtherVersion(String),
    Io(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the snapshot of this name, of whichever log it is.
pub(crate) fn read(disk: &dyn Disk, name: SnapshotName) -> Result<(LogId, Snapshot), Unusable> {
    let unsound = |reason: &str| Unusable::Unsound(reason.to_owned());
    let file = disk.open(&name.to_string())?;
    let length = file.length()?;
    let mut head =
        vec![0; usize::try_from(length).map_or(HEADING_BYTES, |it| it.min(HEADING_BYTES))];
    read_exactly(&*file, &mut head, 0)?;
    let heading = Heading::decode(&head, KIND).map_err(|fault| match fault {
        HeadingFault::Unsound(reason) => unsound(reason),
        HeadingFault::Version(version) => Unusable::OtherVersion(format!(
            "it is of version {version}; this version reads {SNAPSHOT_VERSION}"
        )),
    })?;
    let [position, body] = heading.numbers;
    if position != name.0 {
        return Err(unsound("its name says another position than its heading"));
    }
    let expected = body.checked_add((HEADING_BYTES + CHECKSUM_BYTES) as u64);
    if expected != Some(length) {
        return Err(unsound("it is not as long as its heading says"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| unsound("it is too long"))?];
    read_exactly(&*file, &mut bytes, 0)?;
    let (covered, checksum) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM_BYTES));
    if crc32c::crc32c(covered) != u32_at(checksum, 0) {
        return Err(unsound("its checksum is wrong"));
    }
    let body = covered.get(HEADING_BYTES..).unwrap_or_default();
    let snapshot = decode_snapshot(body).map_err(|error| unsound(&error.to_string()))?;
    Ok((heading.log, snapshot))
}
