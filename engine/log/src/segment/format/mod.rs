//! Encodes and decodes the contents and the names of a log's files.

pub(crate) mod anchor;
pub(crate) mod batch;
pub(crate) mod compacted;
pub(crate) mod fields;
pub(crate) mod file_header;
pub(crate) mod frame;
pub(crate) mod header;
pub(crate) mod name;
pub(crate) mod snapshot;
