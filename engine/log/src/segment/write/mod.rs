//! Appends to the log, and prepares the next segment.

pub(crate) mod metrics;
pub(crate) mod preallocate;
pub(crate) mod writer;
