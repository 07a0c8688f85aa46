//! The bounds of this frontend.

/// Sessions of a list that is answered with a `Content-Length`; a longer list is streamed.
pub(crate) const BUFFER_MAX: usize = 1_000;

/// Finished statements that a session shows, after the running ones.
pub(crate) const RETAINED_STATEMENTS: usize = 10;

/// Sessions that may wait for their `ttl` at the same time.
pub(crate) const PENDING_CLOSES: usize = 1_000;

/// How deep the expressions of a filter may be nested.
pub(crate) const FILTER_DEPTH: usize = 32;
