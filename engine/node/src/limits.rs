//! Bounds of waiting between nodes.

use std::time::Duration;

/// How many logs a cluster can have, each the home of a node: fixed when the cluster is made.
pub const LOGS: u8 = 16;

/// The time between two beats.
pub const BEAT: Duration = Duration::from_secs(1);

/// How often between two beats it is looked whether somebody waits for the claims to be read again.
pub const READINGS: u32 = 4;

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

/// The pause before a log that could not be opened is opened again.
pub const REOPEN: Duration = Duration::from_secs(1);

/// How long the start waits for servers that don't answer.
pub const START: Duration = Duration::from_secs(60);

/// The pause before the next try of what servers did not answer at the start.
pub const PAUSE: Duration = Duration::from_millis(50);

/// How often something that waits looks whether the node leaves.
pub const LOOK: Duration = Duration::from_millis(20);
