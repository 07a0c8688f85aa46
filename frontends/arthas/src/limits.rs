//! Limits of this frontend.

use rejoin_engine::ReadLimit;
use std::time::Duration;

/// What one pull may answer with. It ends after the record with which it reaches a limit.
pub(crate) const PULL: ReadLimit = ReadLimit {
    records: 10_000,
    bytes: 1024 * 1024,
};

/// Records with which a pull gathers no more. The product stops at 20 results, and nearly every record
/// is one result.
pub(crate) const GATHERED_RECORDS: usize = 20;

/// How much is read at once while a job is followed to its end.
pub(crate) const FOLLOW: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: 256 * 1024,
};

/// Bytes of the results of one `exec` that are held until it ends. The results of a longer one are read
/// from the log when its client takes them.
pub(crate) const EXEC_HELD: usize = 256 * 1024;

/// How much of a long `exec` is read from the log for one part of its answer.
pub(crate) const EXEC_PART: ReadLimit = ReadLimit {
    records: 1_000,
    bytes: 32 * 1024,
};

/// Default of [`Settings::exec_output`](crate::Settings::exec_output), in bytes.
pub(crate) const EXEC_OUTPUT: u64 = 64 * 1024 * 1024;

/// Default of [`Settings::exec_answers`](crate::Settings::exec_answers), in bytes.
pub(crate) const EXEC_ANSWERS: usize = 256 * 1024 * 1024;

/// How long `exec` waits for a job to end after its timeout. Most jobs end at once when they are
/// interrupted. A client has its own timeout a little above, so one that does not is not waited for.
pub(crate) const EXEC_GRACE: Duration = Duration::from_millis(200);

/// How long `interrupt_job` waits for the job to end.
pub(crate) const INTERRUPT_WAIT: Duration = Duration::from_secs(5);

/// The longest `execTimeout`, in milliseconds: clients of this API use a Java `int`.
pub(crate) const EXEC_TIMEOUT_MILLIS: i64 = i32::MAX as i64;

/// How long to wait before asking an overloaded engine again to close a session.
pub(crate) const CLOSE_PAUSE: Duration = Duration::from_millis(100);
