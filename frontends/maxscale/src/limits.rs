//! The bounds that this frontend keeps, in one place.

/// Sessions that are looked at, or shown, before others may have their turn.
pub(crate) const TURN: usize = 100;

/// Sessions of a list that is answered as one piece; a longer one is sent as it is made.
pub(crate) const WHOLE: u64 = 1_000;

/// Finished statements of a session that are shown, beside those that run.
pub(crate) const RETAINED_STATEMENTS: usize = 10;

/// Sessions that wait to be closed after their `ttl`.
pub(crate) const WAITING_CLOSINGS: usize = 1_000;

/// How deep the expressions of a filter may be nested.
pub(crate) const FILTER_DEPTH: usize = 32;

const _: () = assert!(TURN as u64 <= WHOLE);
