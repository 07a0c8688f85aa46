//! The limits of the engine. Those of the core are [`rejoin_core::Limits`].

use std::time::Duration;

/// Requests that may wait for the sequencer.
pub const QUEUE: usize = 4_096;

/// Reports of runners that may wait for the sequencer. If there are as many, runners wait.
pub const REPORTS: usize = 64;

/// Requests and reports in one batch, which has one append and one sync.
pub const BATCH_COMMANDS: usize = 1_024;

/// Bytes of results after which a batch takes no more.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Reads of the log that may wait for the reader.
pub const READS: usize = 1_024;

/// Bytes of recent results that are served from memory.
pub const RECENT_BYTES: usize = 64 * 1024 * 1024;

/// The size of a recent record in memory, without its result.
pub const RECORD_OVERHEAD: usize = 256;

/// Bytes of results that one job may emit.
pub const OUTPUT_BYTES: u64 = 1024 * 1024 * 1024;

/// Interrupts queued for one runner; further ones are dropped.
pub const INTERRUPTS: usize = 4;

/// Consumers that may join a read-only engine in its lifetime, because its log only grows.
pub const READ_ONLY_JOINS: usize = 100_000;

/// Redactions that are recorded and that the log has not carried out in all files yet.
pub const PENDING_REDACTIONS: u64 = 1_000;

/// Viewers that are listed of one session; further ones are only counted.
pub const LISTED_VIEWERS_OF_SESSION: usize = 100;

/// Viewers that are listed of all sessions; further ones are only counted.
pub const LISTED_VIEWERS: usize = 10_000;

/// Bytes of input that may wait for one job to read them, without those in its pipe.
pub const UNREAD_INPUT: usize = 1024 * 1024;

/// Bytes of a line, without its end, that a terminal collects before the program reads it. What is
/// longer would be cut by the kernel, so it is refused.
pub const TERMINAL_LINE: usize = 4_095;

/// The size of a waiting write to a job's input in memory, without its bytes.
pub const INPUT_OVERHEAD: usize = 128;

/// Screens of running terminals that are kept up to date in memory. The others are computed from the last
/// one that was logged.
pub const SCREENS: usize = 256;

/// Characters of all screens that are kept up to date in memory.
pub const SCREEN_CELLS: usize = 4_000_000;

/// Requests for screens that may wait.
pub const SCREEN_REQUESTS: usize = 256;

/// Screens that somebody waits for and that take longer than [`SCREEN_SLICE`]; further ones are refused.
pub const SLOW_SCREENS: usize = 16;

/// How long the screen of one terminal is computed before others have their turn.
pub const SCREEN_SLICE: Duration = Duration::from_millis(100);

/// How long somebody waits for a screen before it is given up.
pub const SCREEN_PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of results that a running terminal writes before its screen takes them in.
pub const FOLD_BYTES: usize = 64 * 1024;

/// Results of a running terminal before its screen takes them in.
pub const FOLD_RECORDS: usize = 128;

/// Bytes of results after which the screen of a terminal is logged, if the last one was not longer than what
/// was written since: the most that has to be computed for any other screen, and some more.
pub const CAPTURE_BYTES: usize = 256 * 1024;

/// Results after which the screen of a terminal is logged.
pub const CAPTURE_RECORDS: usize = 1_000;

/// Jobs that were lost with the previous server and that are named in the server's log at a start. Of
/// further ones only the number is logged.
pub const LOST_JOBS_NAMED: usize = 20;

/// Keepers of one server. Further jobs share them. As many more may be left from an older version.
pub const KEEPERS: usize = 32;

/// Keepers without a job that are left running for the next jobs.
pub const IDLE_KEEPERS: usize = 1;

/// Jobs that one keeper may hold; further ones fail.
pub const KEEPER_JOBS: usize = 4_096;

/// Bytes that a keeper holds of each of a job's two output streams until the log has them. A job that
/// writes more waits, as at a full pipe.
pub const KEEPER_SPOOL: usize = 512 * 1024;

/// Bytes of input that a keeper holds for a job that has not read them.
pub const KEEPER_INPUT: usize = 64 * 1024;

/// Bytes of one frame between a server and a keeper: a statement and an environment are the longest.
pub const KEEPER_FRAME: usize = 16 * 1024 * 1024;

/// How long a server waits at its start for a keeper to answer. Then the keeper's jobs are lost.
pub const KEEPER_ANSWER: Duration = Duration::from_secs(5);

/// How long a keeper waits for a server by default, before it ends its jobs.
pub const KEEPER_PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest sleep of a timer: a timeout is late by this much at most. Cursors are logged, and the
/// wall clock is compared, at this interval.
pub const TICK: Duration = Duration::from_secs(1);

/// A wall clock that differs by this much from what it would show is reported to have jumped.
pub const CLOCK_JUMP: Duration = Duration::from_secs(1);

/// How long a node asks again for a log that no node writes at present, before it gives up.
pub const ASK_PATIENCE: Duration = Duration::from_secs(15);

/// The time between two such questions.
pub const ASK_AGAIN: Duration = Duration::from_millis(100);

/// For how long a log is given back once no job runs, unless that is asked for again: its node may have died.
pub const GIVING_BACK: Duration = Duration::from_secs(2);

/// How many sessions of a log that moves to another node are cleaned up at once.
pub const RELEASES: usize = 64;

/// How long jobs have to end after an interrupt when another node has their log. Then they are killed: what they
/// do is recorded nowhere, and another node goes on with their sessions.
pub const LOST_GRACE: Duration = Duration::from_millis(500);

/// How long a node waits until it has followed a log up to an answer of the node that writes it.
pub const TAIL_PATIENCE: Duration = Duration::from_secs(2);

/// How long a node is not answered, or behind, until it says so. The other nodes hold it for dead after as long,
/// unless they are told to be more patient.
pub const CUT_OFF: Duration = Duration::from_secs(6);

/// Sessions of one log of which another node is informed at once that they are in use. Further ones count
/// as used only by their next command.
pub const TOUCHED_SESSIONS: usize = 10_000;

/// Pulls that other nodes may have open at once in one log.
pub const PEER_PULLS: usize = 65_536;

/// How much longer than it may wait a pull at another node is held for open, if its end is not reported.
pub const PULL_LEASE: Duration = Duration::from_secs(10);

const _: () = assert!(BATCH_BYTES < RECENT_BYTES);
const _: () = assert!(LISTED_VIEWERS_OF_SESSION < LISTED_VIEWERS);
const _: () = assert!(REPORTS < BATCH_COMMANDS);

/// Records of what has ended that wait for one reader ([`Endings`](crate::Endings)).
pub const ENDINGS: usize = 10_000;
