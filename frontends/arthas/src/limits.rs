//! The bounds that this frontend keeps, in one place.

use rejoin_log::ReadLimit;
use std::time::Duration;

/// What one pull may answer with: it ends after the record with which it reaches this.
pub(crate) const PULL: ReadLimit = ReadLimit {
    records: 10_000,
    bytes: 1024 * 1024,
};

/// What is read at once while a job is followed to its end.
pub(crate) const FOLLOW: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: 1024 * 1024,
};

/// Bytes of results that a job of `exec` may emit, where the settings don't say.
pub(crate) const EXEC_OUTPUT: u64 = 64 * 1024 * 1024;

/// How long `exec` waits for the end of a job whose time has expired.
pub(crate) const EXEC_GRACE: Duration = Duration::from_secs(1);

/// How long `interrupt_job` waits for the end of the job.
pub(crate) const INTERRUPT_WAIT: Duration = Duration::from_secs(5);

/// The longest `execTimeout`, in milliseconds: it is a Java `int` to the clients of this API.
pub(crate) const EXEC_TIMEOUT_MILLIS: i64 = i32::MAX as i64;

/// How long to let an engine be that is too busy to close a session.
pub(crate) const CLOSE_PAUSE: Duration = Duration::from_millis(100);
