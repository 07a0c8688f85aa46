//! Looks in the files of the log for what was redacted.

use super::Model;
use rejoin_core::{Sequence, SessionId};
use rejoin_log::segment::encode_frames;
use rejoin_log::testing::SimulatedDisk;
use std::slice;

/// A frame of a record as it was before it was redacted.
struct Frame {
    session: SessionId,
    sequence: Sequence,
    bytes: Vec<u8>,
}

/// Checks that no file has a record as it was before its redaction. Called when no redaction is pending.
///
/// # Errors
///
/// The first one that is left.
pub(crate) fn check_gone(disk: &SimulatedDisk, model: &Model) -> Result<(), String> {
    let mut frames = Vec::new();
    let mut starts = [false; 256];
    for record in model.redacted() {
        let mut bytes = Vec::new();
        if encode_frames(slice::from_ref(record), &mut bytes).is_none() {
            continue;
        }
        starts[start(&bytes)] = true;
        frames.push(Frame {
            session: record.session,
            sequence: record.sequence,
            bytes,
        });
    }
    if frames.is_empty() {
        return Ok(());
    }
    for name in disk.file_names() {
        let bytes = disk.bytes(&name).unwrap_or_default();
        for (at, window) in bytes.windows(HEAD_BYTES).enumerate() {
            if !starts[start(window)] {
                continue;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let found = frames.iter().find(|frame| rest.starts_with(&frame.bytes));
            if let Some(Frame {
                session, sequence, ..
            }) = found
            {
                return Err(format!(
                    "redacted bytes are left: {name} has sequence {sequence} of session {session} as it was"
                ));
            }
        }
    }
    Ok(())
}

/// A byte that depends on the length and the checksum of a frame, to find few candidates quickly.
fn start(frame: &[u8]) -> usize {
    let head = frame.get(..HEAD_BYTES).unwrap_or_default();
    usize::from(
        head.iter()
            .fold(0, |all: u8, byte| all.rotate_left(3) ^ byte),
    )
}

/// The length and the checksum of a frame.
const HEAD_BYTES: usize = 8;
