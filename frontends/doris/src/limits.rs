//! The bounds that this frontend keeps, in one place.

/// Sessions that are shown before others may have their turn.
pub(crate) const TURN: usize = 100;

/// Sessions of a table that is answered as one piece; a longer one is sent as it is made.
pub(crate) const WHOLE: usize = 1_000;

/// Characters of a statement that are shown.
pub(crate) const INFO: usize = 100;

const _: () = assert!(TURN <= WHOLE);
const _: () = assert!(INFO <= rejoin_core::limits::SHOWN_STATEMENT);
