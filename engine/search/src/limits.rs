//! Limits of searches.

use std::time::Duration;

/// Bytes of the text or the regular expression that is searched for.
pub(crate) const PATTERN_BYTES: usize = 1_024;

/// Bytes of a compiled regular expression. What takes more, such as many repetitions of large classes,
/// could take long for every byte that is searched.
pub(crate) const COMPILED_BYTES: usize = 256 * 1024;

/// How deep the groups of a regular expression may be nested.
pub(crate) const NESTING: u32 = 32;

/// Bytes of a line that are searched at once; a longer line is searched in such parts.
pub(crate) const LINE_BYTES: usize = 16 * 1024;

/// Bytes at the end of a part of a line that are searched again with the next part.
pub(crate) const OVERLAP_BYTES: usize = PATTERN_BYTES;

/// Bytes of an escape sequence that is waited for to be complete.
pub(crate) const SEQUENCE_BYTES: usize = 4_096;

/// Bytes of a line that a match shows.
pub(crate) const SHOWN_BYTES: usize = 1_024;

/// Bytes before a match that it shows of a longer line.
pub(crate) const SHOWN_BEFORE: usize = 200;

/// Outputs whose last line is open at the same time: two for each job that runs. Of further ones,
/// lines are searched as they are.
pub(crate) const OPEN_LINES: usize = 256;

/// Bytes and number of the records of one read.
pub(crate) const READ_BYTES: usize = 1024 * 1024;
pub(crate) const READ_RECORDS: usize = 4_096;

/// Bytes of records that one search of output looks at.
pub(crate) const OUTPUT_BYTES: usize = 64 * 1024 * 1024;

/// How long one search of output may take, if its regular expression is slow.
pub(crate) const OUTPUT_TIME: Duration = Duration::from_secs(2);

/// How long a search may run before other tasks of its thread have their turn.
pub(crate) const TURN: Duration = Duration::from_millis(2);

/// Bytes of a query for sessions.
pub(crate) const QUERY_BYTES: usize = 1_024;

/// Words of a query for sessions.
pub(crate) const QUERY_WORDS: usize = 16;

/// Bytes of sessions' texts that one search looks at, and those that it looks at while the engine
/// can't publish records.
pub(crate) const SESSIONS_BYTES: usize = 32 * 1024 * 1024;
pub(crate) const STEP_BYTES: usize = 256 * 1024;

/// What looking at a session costs, as bytes of text.
pub(crate) const SESSION_BYTES: usize = 256;

const _: () = assert!(SHOWN_BYTES <= LINE_BYTES && OVERLAP_BYTES < LINE_BYTES);
const _: () = assert!(SHOWN_BEFORE < SHOWN_BYTES);
