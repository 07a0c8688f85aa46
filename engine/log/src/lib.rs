//! The durable, ordered log: a plain, synchronous object behind one writer.

mod log;

pub use log::{AppendError, Log, LogReader, ReadError, ReadLimit};
