//! Reads the records of one session through an index in memory.

pub(crate) mod file_table;
pub(crate) mod index;
pub(crate) mod reader;
pub(crate) mod session_map;
