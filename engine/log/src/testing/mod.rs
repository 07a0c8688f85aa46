//! Helpers for tests of logs, here and in other crates: a disk that fails or loses data on demand,
//! and sample records.
#![allow(
    clippy::indexing_slicing,
    reason = "an inconsistent simulation should stop the test"
)]

mod simulated_disk;
mod story;

pub use simulated_disk::{Fault, SimulatedDisk, Survival};
pub use story::story;

use rejoin_core::{
    ConsumerId, Event, JobId, JobMode, JobSlot, LeaveCause, Outcome, Record, Sequence, SessionId,
    Timestamp, Visibility,
};
use std::sync::Arc;

/// A session ID made from a small number.
#[must_use]
pub fn session(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

/// A record of the session with this number. Its event depends on the sequence, so that no two
/// records of a session are equal.
#[must_use]
pub fn record(number: u8, sequence: u64) -> Arc<Record> {
    let job = JobId(sequence);
    let mode = JobMode {
        slot: JobSlot::Foreground,
        visibility: Visibility::Session,
    };
    let event = match sequence % 4 {
        0 => Event::JobFinished {
            job,
            mode,
            outcome: Outcome::Failed,
            status: -1,
            message: Some("no such file".into()),
        },
        1 => Event::JobStarted {
            job,
            private: false,
        },
        2 => Event::ResultEmitted {
            job,
            mode,
            result: format!(r#"{{"content":"line {sequence}\n","jobId":1,"type":"shell"}}"#).into(),
            position: None,
        },
        _ => Event::ConsumerLeft {
            consumer: ConsumerId {
                token: [number; 16],
                ordinal: 1,
            },
            cause: LeaveCause::Expired,
        },
    };
    Arc::new(Record {
        session: session(number),
        sequence: Sequence(sequence),
        at: Timestamp::from_millis(sequence.saturating_mul(1_000)),
        clock: Timestamp::from_millis(sequence.saturating_mul(1_000)).into(),
        actor: None,
        redacted: None,
        event,
    })
}

/// Continues the log's own checksum, as a reference for measuring replay.
#[must_use]
pub fn checksum(sum: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(sum, bytes)
}
