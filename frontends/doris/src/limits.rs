//! The bounds of this frontend.

/// Rows of a table that is answered with a `Content-Length`; a longer table is streamed.
pub(crate) const BUFFER_MAX: usize = 1_000;

/// Characters of a running statement that a row shows.
pub(crate) const INFO_CHARS: usize = 100;

#[cfg(test)]
const _: () = assert!(INFO_CHARS <= rejoin_core::limits::SHOWN_STATEMENT);
