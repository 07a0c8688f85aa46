//! Opens a log: finds its files, reads them, and brings the last one to a clean end.

pub(crate) mod dir_listing;
pub(crate) mod open_options;
pub(crate) mod read_ahead;
pub(crate) mod recovery;
pub(crate) mod replay;
