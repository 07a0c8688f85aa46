//! Reads segments from front to back and checks every byte.

pub(crate) mod by_instant;
pub(crate) mod compacted;
pub(crate) mod cursor;
pub(crate) mod segment;
pub(crate) mod stream_windows;
pub(crate) mod tail_scan;
pub(crate) mod visitor;
pub(crate) mod window;
