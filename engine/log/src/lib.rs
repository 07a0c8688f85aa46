//! The durable, ordered log of Rejoin: a plain, synchronous object behind one writer.
//!
//! What enters: batches of records, whose sequences and instants the core has given. What leaves:
//! the same records, to whoever reads a session from any sequence on, and all of them in the order
//! of the log when it is opened. What is never true: that a batch is there in part; that a record
//! differs from what was appended; that something acknowledged is missing without an error; that
//! a reader keeps the writer waiting for the disk.
//!
//! - [`Log`] and [`LogReader`] say what a log is; [`mod@conformance`] is the suite that each must pass.
//! - [`SegmentLog`] keeps it in a directory; [`segment`] has the format, byte by byte.
//! - [`MemoryLog`] keeps it as long as the process lives.
//! - [`schema`] turns records into bytes that never change their meaning, for any log.
//! - [`disk`] and [`testing`] put a disk that fails, or forgets, below a log.
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
//!         event: Event::SessionResumed,
//!     })
//! };
//!
//! let mut log = MemoryLog::new();
//! log.append(&[record(1), record(2), record(3)])?;
//! // A gap is refused, and the log goes on.
//! let Err(AppendError::Refused(_)) = log.append(&[record(5)]) else { panic!() };
//! log.append(&[record(4)])?;
//!
//! let limit = ReadLimit { records: 2, bytes: 64 * 1024 };
//! let read = log.reader().read(session, Sequence(1), limit)?;
//! assert_eq!(read, [record(2), record(3)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
// What comes from a disk may be anything. Tests may panic; nothing else may.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod conformance;
pub mod disk;
mod log;
mod memory;
pub mod schema;
pub mod segment;
mod sequence;
pub mod testing;

pub use log::{AppendError, Log, LogReader, ReadError, ReadLimit};
pub use memory::MemoryLog;
pub use segment::SegmentLog;
