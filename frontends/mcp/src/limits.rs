//! Limits of this frontend.

use rejoin_engine::TerminalSize;
use std::time::Duration;

/// The longest time that one call may wait. Many clients give up after 60 seconds.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(45);

/// How long `run` waits for its command, if the call does not say.
pub(crate) const RUN_WAIT: Duration = Duration::from_secs(20);

/// How long `interrupt` waits for the job to end, if the call does not say.
pub(crate) const INTERRUPT_WAIT: Duration = Duration::from_secs(5);

/// Bytes of output in one answer: by default, at least, and at most. Text is cut between characters.
pub(crate) const OUTPUT: usize = 24 * 1024;
pub(crate) const MIN_OUTPUT: usize = 1024;
pub(crate) const MAX_OUTPUT: usize = 1024 * 1024;

/// Bytes of output in the result of a task, which no argument can change.
pub(crate) const TASK_OUTPUT: usize = 64 * 1024;

/// Bytes of the text of one resource.
pub(crate) const RESOURCE_BYTES: usize = 256 * 1024;

/// Bytes and number of the records of one read from the engine. A single record may be longer.
pub(crate) const READ_BYTES: usize = 256 * 1024;
pub(crate) const READ_RECORDS: usize = 1_000;

/// How many records before the end are looked at to find the last output of a job.
pub(crate) const TAIL_RECORDS: u64 = 4_096;

/// Bytes of records that one call reads to find a job that the engine no longer remembers.
pub(crate) const FIND_BYTES: usize = 256 * 1024 * 1024;

/// Matches of one `search`, by default and at most.
pub(crate) const MATCHES: usize = 20;
pub(crate) const MAX_MATCHES: usize = 200;

/// Sessions on a page of a list, by default and at most.
pub(crate) const PAGE: usize = 20;
pub(crate) const MAX_PAGE: usize = 200;

/// Jobs of a session that `list` shows; the newest.
pub(crate) const JOBS: usize = 100;

/// Bytes of an idempotency key.
pub(crate) const KEY_BYTES: usize = 200;

/// The caller's newest sessions in which a key is looked for that comes without a session.
pub(crate) const KEYED_SESSIONS: usize = 256;

/// Calls with a key and without a session that are under way at the same time, one after the other;
/// another one is refused. They go on when their clients leave.
pub(crate) const KEYED_CALLS: usize = 256;

/// The first records of a session in which its first job must be.
pub(crate) const FIRST_RECORDS: usize = 4;

/// How often a client should ask for the state of a task.
pub(crate) const POLL: Duration = Duration::from_secs(2);

/// How long clients may keep a list of tools or resource templates.
pub(crate) const LISTS_KEPT: Duration = Duration::from_secs(60);

const _: () = assert!(RUN_WAIT.as_secs() <= MAX_WAIT.as_secs() && MAX_WAIT.as_secs() < 50);
const _: () = assert!(MIN_OUTPUT < OUTPUT && OUTPUT < MAX_OUTPUT);

/// The size of a terminal that an agent asks for.
pub(crate) const TERMINAL: TerminalSize = TerminalSize {
    columns: 120,
    rows: 40,
};
