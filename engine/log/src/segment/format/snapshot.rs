//! Snapshot files: the state after all records up to a position, so that opening can start from
//! there.
//!
//! A snapshot is derived from the records alone. One that is damaged or of another version is
//! skipped, and the one before it is used.

use crate::disk::{Disk, read_exactly, write_all};
use crate::schema::{SNAPSHOT_VERSION, WITHOUT_CLOCK, decode_snapshot_of, encode_snapshot};
use crate::segment::format::fields::u32_at;
use crate::segment::format::file_header::{FILE_HEADER_BYTES, FileHeader, FileHeaderFault, Kind};
use crate::segment::format::header::LogId;
use crate::segment::format::name::{REWRITING, SnapshotName};
use rejoin_core::Snapshot;
use std::io;

const KIND: Kind = Kind {
    magic: *b"RejoinSn",
    version: SNAPSHOT_VERSION,
};

/// The last bytes of the file: the checksum of everything before them.
const CHECKSUM_BYTES: usize = 4;

/// How many snapshots are kept: the newest, and one in case that is damaged.
pub(crate) const KEPT: usize = 2;

/// Writes the snapshot of the log's records up to and including `position`. The file gets its final
/// name after its contents are durable.
pub(crate) fn write(
    disk: &dyn Disk,
    log: LogId,
    position: u64,
    snapshot: &Snapshot,
) -> io::Result<()> {
    let mut bytes = vec![0; FILE_HEADER_BYTES];
    encode_snapshot(snapshot, &mut bytes);
    let body = bytes.len().saturating_sub(FILE_HEADER_BYTES) as u64;
    let header = FileHeader {
        log,
        numbers: [position, body],
    };
    if let Some(place) = bytes.first_chunk_mut() {
        *place = header.encode(KIND);
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    let file = disk.create(REWRITING)?;
    write_all(&*file, &bytes, 0)?;
    file.sync()?;
    disk.rename(REWRITING, &SnapshotName(position).to_string())?;
    disk.sync()
}

/// Why a snapshot cannot be used.
#[derive(Debug)]
pub(crate) enum SnapshotError {
    Unsound(String),
    /// Written by another version. Its header is valid; the rest was not checked.
    OtherVersion(String),
    Io(io::Error),
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads the snapshot with this name, and returns it with the log that it belongs to.
pub(crate) fn read(
    disk: &dyn Disk,
    name: SnapshotName,
) -> Result<(LogId, Snapshot), SnapshotError> {
    let unsound = |reason: &str| SnapshotError::Unsound(reason.to_owned());
    let file = disk.open(&name.to_string())?;
    let length = file.length()?;
    let mut head =
        vec![0; usize::try_from(length).map_or(FILE_HEADER_BYTES, |it| it.min(FILE_HEADER_BYTES))];
    read_exactly(&*file, &mut head, 0)?;
    let (version, header) = header(&head).map_err(|fault| match fault {
        FileHeaderFault::Unsound(reason) => unsound(reason),
        FileHeaderFault::Version(version) => SnapshotError::OtherVersion(format!(
            "its format is version {version}; only versions {WITHOUT_CLOCK} to {SNAPSHOT_VERSION} can be read"
        )),
    })?;
    let [position, body] = header.numbers;
    if position != name.0 {
        return Err(unsound("its name and its header disagree on its position"));
    }
    let expected = body.checked_add((FILE_HEADER_BYTES + CHECKSUM_BYTES) as u64);
    if expected != Some(length) {
        return Err(unsound("its length does not match its header"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| unsound("it is too long"))?];
    read_exactly(&*file, &mut bytes, 0)?;
    let (covered, checksum) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM_BYTES));
    if crc32c::crc32c(covered) != u32_at(checksum, 0) {
        return Err(unsound("its checksum is wrong"));
    }
    let body = covered.get(FILE_HEADER_BYTES..).unwrap_or_default();
    let snapshot =
        decode_snapshot_of(version, body).map_err(|error| unsound(&error.to_string()))?;
    Ok((header.log, snapshot))
}

/// The version and the header of a snapshot that can be read.
fn header(head: &[u8]) -> Result<(u32, FileHeader), FileHeaderFault> {
    match FileHeader::decode(head, KIND) {
        Err(FileHeaderFault::Version(version @ WITHOUT_CLOCK..SNAPSHOT_VERSION)) => {
            let kind = Kind { version, ..KIND };
            FileHeader::decode(head, kind).map(|header| (version, header))
        }
        decoded => decoded.map(|header| (SNAPSHOT_VERSION, header)),
    }
}
