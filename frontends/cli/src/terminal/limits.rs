//! Limits of the terminal.

use std::time::Duration;

/// Bytes read from the keyboard at once.
pub(crate) const KEYS_BYTES: usize = 16 * 1024;

/// Reads from the keyboard that wait to be sent. What is typed beyond is dropped, with a bell.
pub(crate) const KEYS_WAITING: usize = 64;

/// Bytes of output that are gathered before they are written.
pub(crate) const OUTPUT_BYTES: usize = 64 * 1024;

/// How long a notice is shown.
pub(crate) const NOTICE: Duration = Duration::from_secs(3);

/// The shortest time between two pictures of a terminal that doesn't fit.
pub(crate) const FRAME: Duration = Duration::from_millis(33);

/// How long leaving waits for the server, to give the control back.
pub(crate) const LEAVE: Duration = Duration::from_secs(1);

/// How often the screen is asked for until it is as new as what is shown, and the pause between.
pub(crate) const SCREEN_TRIES: usize = 50;
pub(crate) const SCREEN_PAUSE: Duration = Duration::from_millis(20);

/// Lines of a terminal that a replay shows when it has ended; the last ones.
pub(crate) const REPLAY_LINES: usize = 10_000;
