//! The file with the log's clock anchor. It is written without a sync: it has a meaning only as long
//! as the machine runs, and so long the operating system keeps it.
//!
//! A file that is torn, damaged or of another version or log counts as none.

use crate::disk::{Disk, read_exactly, write_all};
use crate::log::ClockAnchor;
use crate::segment::format::fields::{bytes_at, u32_at};
use crate::segment::format::file_header::{FILE_HEADER_BYTES, FileHeader, Kind};
use crate::segment::format::header::LogId;
use crate::segment::format::name::CLOCK;
use rejoin_core::Instant;
use std::io;
use std::time::Duration;

const KIND: Kind = Kind {
    magic: *b"RejoinCk",
    version: 1,
};

/// The header, the machine's run, and the checksum of both.
const BYTES: usize = CHECKSUM_AT + 4;
const CHECKSUM_AT: usize = FILE_HEADER_BYTES + 16;

pub(crate) fn write(disk: &dyn Disk, log: LogId, anchor: &ClockAnchor) -> io::Result<()> {
    let elapsed = u64::try_from(anchor.elapsed.as_millis()).unwrap_or(u64::MAX);
    let header = FileHeader {
        log,
        numbers: [elapsed, anchor.clock.as_millis()],
    };
    let mut bytes = header.encode(KIND).to_vec();
    bytes.extend_from_slice(&anchor.boot);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    write_all(&*disk.create(CLOCK)?, &bytes, 0)
}

pub(crate) fn read(disk: &dyn Disk, log: LogId) -> Option<ClockAnchor> {
    let mut bytes = [0; BYTES];
    read_exactly(&*disk.open(CLOCK).ok()?, &mut bytes, 0).ok()?;
    let (covered, checksum) = bytes.split_at(CHECKSUM_AT);
    let header = FileHeader::decode(covered, KIND).ok()?;
    let [elapsed, clock] = header.numbers;
    let is_sound = header.log == log && crc32c::crc32c(covered) == u32_at(checksum, 0);
    is_sound.then(|| ClockAnchor {
        boot: bytes_at(covered, FILE_HEADER_BYTES),
        elapsed: Duration::from_millis(elapsed),
        clock: Instant::from_millis(clock),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SimulatedDisk;

    const LOG: LogId = LogId::from_bytes([7; 16]);

    #[test]
    fn an_anchor_comes_back_unless_a_byte_of_it_is_missing_or_wrong() {
        let disk = SimulatedDisk::new();
        assert_eq!(read(&disk, LOG), None);
        let anchor = ClockAnchor {
            boot: [3; 16],
            elapsed: Duration::from_millis(17),
            clock: Instant::from_millis(1_000),
        };
        write(&disk, LOG, &anchor).unwrap();
        assert_eq!(read(&disk, LOG), Some(anchor));
        assert_eq!(read(&disk, LogId::from_bytes([8; 16])), None);
        let sound = disk.bytes(CLOCK).unwrap();
        for byte in 0..sound.len() {
            disk.put(CLOCK, &sound[..byte]);
            assert_eq!(read(&disk, LOG), None, "{byte} bytes");
            let mut damaged = sound.clone();
            damaged[byte] ^= 1;
            disk.put(CLOCK, &damaged);
            assert_eq!(read(&disk, LOG), None, "byte {byte}");
        }
    }
}
