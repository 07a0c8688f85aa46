//! What can happen to the files of a log: every number means something, counted round and round.

use arbitrary::{Arbitrary, Unstructured};
use rejoin_log::testing::SimulatedDisk;

/// One thing that happens to one file.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Edit {
    /// A bit is another one.
    Flip { file: u8, byte: u16, bit: u8 },
    /// A byte is another one.
    Write { file: u8, byte: u16, value: u8 },
    /// Bytes are zero.
    Zero { file: u8, byte: u16, count: u8 },
    /// The file ends early.
    Cut { file: u8, byte: u16 },
    /// Zeros follow the file's end, eight for each that is counted.
    Lengthen { file: u8, count: u8 },
    /// Bytes of the file, or of the one after it, stand in the place of others.
    Copy {
        file: u8,
        from: u16,
        to: u16,
        count: u16,
        of_next: bool,
    },
    /// The file is gone.
    Remove { file: u8 },
    /// The file has the name of another segment.
    Rename {
        file: u8,
        first: u8,
        is_sealed: bool,
    },
}

impl Edit {
    /// A few edits, as many as the bytes say.
    pub(super) fn all(bytes: &mut Unstructured<'_>) -> arbitrary::Result<Vec<Self>> {
        let mut edits = Vec::new();
        while !bytes.is_empty() && edits.len() < MOST {
            edits.push(Self::arbitrary(bytes)?);
        }
        Ok(edits)
    }

    /// Whether another file has a segment's name, or none.
    pub(super) fn moves_files(&self) -> bool {
        matches!(self, Self::Remove { .. } | Self::Rename { .. })
    }

    /// Makes the edit on a disk, durably.
    pub(super) fn make(self, disk: &SimulatedDisk) {
        let names = disk.file_names();
        let pick = |file: u8| names.get(usize::from(file) % names.len().max(1));
        let (Self::Flip { file, .. }
        | Self::Write { file, .. }
        | Self::Zero { file, .. }
        | Self::Cut { file, .. }
        | Self::Lengthen { file, .. }
        | Self::Copy { file, .. }
        | Self::Remove { file }
        | Self::Rename { file, .. }) = self;
        let Some(name) = pick(file) else { return };
        let mut bytes = disk.bytes(name).unwrap_or_default();
        let length = bytes.len();
        let place = |byte: u16| usize::from(byte) % length.max(1);
        match self {
            Self::Flip { byte, bit, .. } => {
                if let Some(byte) = bytes.get_mut(place(byte)) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Write { byte, value, .. } => {
                if let Some(byte) = bytes.get_mut(place(byte)) {
                    *byte = value;
                }
            }
            Self::Zero { byte, count, .. } => {
                let rest = bytes.get_mut(place(byte)..).unwrap_or_default();
                rest.iter_mut()
                    .take(count.into())
                    .for_each(|byte| *byte = 0);
            }
            Self::Cut { byte, .. } => bytes.truncate(place(byte)),
            Self::Lengthen { count, .. } => bytes.resize(length + 8 * usize::from(count), 0),
            Self::Copy {
                from,
                to,
                count,
                of_next,
                ..
            } => {
                let source = pick(file.wrapping_add(of_next.into()));
                let source = source.and_then(|name| disk.bytes(name)).unwrap_or_default();
                let source = source.iter().skip(usize::from(from) % source.len().max(1));
                let target = bytes.get_mut(place(to)..).unwrap_or_default();
                for (target, source) in target.iter_mut().zip(source).take(count.into()) {
                    *target = *source;
                }
            }
            Self::Remove { .. } | Self::Rename { .. } => {
                // A disk without faults does what it is told.
                let _ = rejoin_log::disk::Disk::remove(disk, name);
                let _ = rejoin_log::disk::Disk::sync(disk);
            }
        }
        match self {
            Self::Remove { .. } => {}
            Self::Rename {
                first, is_sealed, ..
            } => {
                disk.put(&self::name(first.into(), is_sealed), &bytes);
            }
            _ => disk.put(name, &bytes),
        }
    }
}

/// The name of the segment that begins at this position.
pub(super) fn name(first: u64, is_sealed: bool) -> String {
    let state = if is_sealed { "sealed" } else { "active" };
    format!("{first:020}.{state}")
}

const MOST: usize = 8;
