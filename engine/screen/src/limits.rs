//! Limits of a screen.

/// The widest terminal, in columns.
pub const COLUMNS: u16 = 1_000;

/// The highest terminal, in rows.
pub const ROWS: u16 = 500;

/// The largest number of a control sequence; a larger one means the same as this.
pub(crate) const NUMBER: u32 = 32_767;

/// The longest control sequence, in bytes. A longer one is dropped.
pub(crate) const SEQUENCE_BYTES: usize = 256;

/// The longest title of a window that is remembered, in bytes; a longer one is not.
pub(crate) const TITLE_BYTES: usize = 1_024;

/// How many keyboard modes a program may stack.
pub(crate) const KEYBOARD_MODES: usize = 16;

/// How many titles a program may put on its terminal's stack that are taken off again.
pub(crate) const TITLES: usize = 16;

/// The longest line of a transcript in bytes, give or take a row. The rest of it is a line of its own.
pub(crate) const LINE_BYTES: usize = 64 * 1024;
