//! Bounds of waiting between nodes.

use rejoin_cluster::limits::SILENT_BEATS;
use std::time::Duration;

/// How many logs a cluster can have, each the home of a node: fixed when the cluster is made.
pub const LOGS: u8 = 16;

/// The time between two beats.
pub const BEAT: Duration = Duration::from_secs(1);

/// How often between two beats it is looked whether somebody waits for the claims to be read again.
pub const READINGS: u32 = 4;

/// After how many beats this node looks again whether its accounts have changed, and whether the others have the same.
pub const ACCOUNTS_BEATS: u64 = 5;

/// Beats in a row that the servers did not answer, after which the node says so in its log.
pub const LOST_BEATS: u64 = 2;

/// How long a question waits for its answer. An election of the servers' leader takes up to 10 seconds, and
/// what was asked for is durable before it is answered.
pub const ANSWER: Duration = Duration::from_secs(15);

/// How long a follower waits for a notice before it reads all the same: a notice may get lost.
pub const NOTICE: Duration = Duration::from_millis(500);

/// The pauses after a notice until what it is about is stored, and can be read from any server.
pub const AFTER_NOTICE: [Duration; 6] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(16),
    Duration::from_millis(32),
];

/// The time between two looks at the servers.
pub const WATCH: Duration = Duration::from_secs(5);

/// A node is held for dead after this time without a beat, unless a setting says otherwise, and never earlier:
/// a busy machine misses some beats, and a takeover loses the jobs that run.
pub const TAKE_OVER_AFTER: Duration = Duration::from_secs(SILENT_BEATS);

/// Nobody can use a dead node's sessions until they are taken over, so that must not take longer.
pub const LATEST_TAKE_OVER: Duration = Duration::from_secs(600);

/// How long a node that is cut off from the servers lets its jobs run, unless a setting says otherwise.
pub const STOP_JOBS_AFTER: Duration = Duration::from_secs(60);

/// It is never shorter, because no job may be lost while the servers elect a leader.
pub const LEAST_STOP_JOBS: Duration = Duration::from_secs(15);

/// The pause before a log that could not be opened is opened again.
pub const REOPEN: Duration = Duration::from_secs(1);

/// How long the start waits for servers that don't answer.
pub const START: Duration = Duration::from_secs(60);

/// A beat after so long a time was late, because the process was stopped or the servers did not answer.
pub const SLEEP: Duration = Duration::from_secs(2);

/// How long a start waits for a beat of another process of its node's name.
pub const NAME: Duration = Duration::from_millis(2_500);

/// How often it is tried, with pauses, to take a node out of the cluster. An election of the servers' leader takes up
/// to 10 seconds.
pub const RETIRING: usize = 12;

/// The pause before the next try of what servers did not answer at the start.
pub const PAUSE: Duration = Duration::from_millis(50);

/// How often something that waits looks whether the node leaves.
pub const LOOK: Duration = Duration::from_millis(20);

/// Seconds between two rounds of purging the stream of a log that this node writes.
pub const PURGE_EVERY: u64 = 30;

/// How long such a round waits for the log to say what is kept.
pub const PURGE_ANSWER: Duration = Duration::from_secs(1);

/// How long the removal of a copy waits until its compactor has ended.
pub const DISCARD: Duration = Duration::from_secs(30);

/// Records that are appended at once when a log is made again from a copy.
pub const RESTORE_BATCH: usize = 256;
