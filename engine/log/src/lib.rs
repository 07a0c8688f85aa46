//! The durable, ordered log: a plain, synchronous object behind one writer.

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
