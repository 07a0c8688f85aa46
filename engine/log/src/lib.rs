//! The durable, ordered log of Rejoin: a synchronous object with one writer and many readers.
//!
//! Invariants: a batch is stored as a whole or not at all; a record is read exactly as it was
//! appended, or not at all; an acknowledged record is never missing without an error; readers don't
//! make the writer wait for the disk.
//!
//! - [`Log`] and [`LogReader`] are the traits of a log; [`mod@conformance`] has the tests that
//!   every log must pass.
//! - [`SegmentLog`] keeps a log in a directory; [`segment`] describes its format byte by byte.
//! - [`MemoryLog`] keeps a log in memory.
//! - [`schema`] encodes records. The meaning of the bytes never changes.
//! - [`disk`] and [`testing`] contain disks, including a simulated one that fails or loses unsynced
//!   data.
//!
//! ```
//! use rejoin_core::{Event, Record, Sequence, SessionId, Timestamp};
//! use rejoin_log::{AppendError, Log, MemoryLog, ReadLimit};
//! use std::sync::Arc;
//!
//! let session = SessionId::from_bytes([7; 16]);
//! let record = |sequence| {
//!     Arc::new(Record {
//!         session,
//!         sequence: Sequence(sequence),
//!         at: Timestamp::EPOCH,
//!         clock: Timestamp::EPOCH.into(),
//!         actor: None, redacted: None,
//!         event: Event::SessionResumed,
//!     })
//! };
//!
//! let mut log = MemoryLog::new();
//! log.append(&[record(1), record(2), record(3)])?;
//! // A gap is refused, and the log can still be used.
//! let Err(AppendError::Refused(_)) = log.append(&[record(5)]) else { panic!() };
//! log.append(&[record(4)])?;
//!
//! let limit = ReadLimit { records: 2, bytes: 64 * 1024 };
//! let read = log.reader().read(session, Sequence(1), limit)?;
//! assert_eq!(read, [record(2), record(3)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
// A disk can contain any bytes, so only tests may panic.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod conformance;
pub mod disk;
mod log;
mod memory;
pub mod schema;
pub mod segment;
mod sequence;
pub mod testing;

pub use log::{AppendError, ClockAnchor, Log, LogReader, ReadError, ReadLimit};
pub use memory::MemoryLog;
pub use segment::SegmentLog;
